"""How a quantity is distributed over seeds: box plots with every seed a dot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tcvae_tf.plots import style
from tcvae_tf.plots.style import COLOURS, COLUMN, FONT, PAGE, SMALL, TINY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec


@style.styled
def mig_distribution(
    samples: Mapping[str, Mapping[str, Sequence[float] | np.ndarray]],
    published: Mapping[str, Mapping[str, float]],
    caption: str = "",
) -> Figure:
    """Box plots of MIG over seeds, every seed a dot, beside the published medians (figure 3 of the paper).

    Args:
      samples: a panel for each data set, by title: MIG of each seed by method, in the order of the columns; empty for a
        method that was not run here.
      published: the paper's medians by panel and method, drawn as diamonds.
      caption: printed below.
    """
    figure = style.blank(4.2 * len(samples), 3.0)
    panels = figure.subplots(1, len(samples), sharey=True, squeeze=False)[0]
    for axes, (title, columns) in zip(panels, samples.items(), strict=True):
        drawn = [method for method in columns if any(len(panel.get(method, ())) for panel in samples.values())]
        colours = {method: COLOURS[place % len(COLOURS)] for method, place in style.places(drawn).items()}
        _mig_panel(axes, columns, colours, published.get(title, {}))
        axes.set_title(title, fontsize=8)
    top = max([0.5, *(max(sample, default=0) for columns in samples.values() for sample in columns.values())])
    panels[0].set_ylim(-0.01, min(1.0, 1.08 * top))
    panels[0].set_ylabel("MIG (exact)")
    panels[0].plot([], [], "o", color="0.5", markersize=4, label="one seed")
    if any(published.values()):
        panels[0].plot([], [], "D", color="0.25", markersize=4, label="published median, as cited")
    panels[0].legend(loc="upper left")
    style.describe(figure, caption, grow=False)
    return figure


def _mig_panel(axes: Axes, columns: Mapping, colours: Mapping[str, str], published: Mapping[str, float]) -> None:
    for place, (method, sample) in enumerate(columns.items()):
        if len(sample):
            _box(axes, place, np.asarray(sample, float), colours[method])
        else:
            axes.text(place, 0.01, "not run", ha="center", va="bottom", color="0.5", fontsize=SMALL)
        if method in published:
            axes.plot(place + 0.32, published[method], "D", color="0.25", markersize=4, zorder=3)
    named = [f"{method}\nn = {len(sample)}" if len(sample) else method for method, sample in columns.items()]
    axes.set_xticks(range(len(columns)), named)
    axes.set_xlim(-0.6, len(columns) - 0.4)
    style.lattice(axes, "y")


@style.styled
def boxes(
    panels: Mapping[str, Mapping[str, np.ndarray]],
    colours: Mapping[str, int] | None = None,
    caption: str = "",
    limits: Mapping[str, tuple[float, float]] | None = None,
    columns: int = 3,
) -> Figure:
    """Box plots of several quantities over seeds, every seed a dot; a box from three seeds on.

    Args:
      panels: a panel for each quantity, by axis label with unit; in it the values of each variant, [seeds], by label,
        in the order of the columns; empty for a variant that was not run. Values that are not finite are not drawn.
      colours: places in `COLOURS` by label, grey for a label that is not there; by default in the order of those that
        were run.
      caption: printed below.
      limits: ends of the axis, by quantity; by default those of the values.
      columns: at most so many panels a row.
    """
    run = style.names([label for label, sample in variants.items() if len(sample)] for variants in panels.values())
    places = style.places(run) if colours is None else colours
    across = min(columns, len(panels))
    down = math.ceil(len(panels) / across)
    width = COLUMN if across == 1 else PAGE
    figure = style.blank(width, 0.1)
    slants = []
    for axes, (quantity, variants) in zip(
        style.axes_of(figure, down, across, len(panels)), panels.items(), strict=True
    ):
        for place, (label, sample) in enumerate(variants.items()):
            _column(axes, place, sample, COLOURS[places[label] % len(COLOURS)] if label in places else "0.5")
        slants.append(_name_columns(axes, list(variants), width / across - 0.7))
        axes.set_ylabel(quantity)
        axes.set_ylim((limits or {}).get(quantity))
        style.lattice(axes, "y")
    figure.set_figheight(down * (1.8 + max(slants)))
    style.describe(figure, caption)
    return figure


@style.styled
def joints(
    tables: Mapping[str, np.ndarray],
    panels: Mapping[str, Mapping[str, Mapping[str, np.ndarray]]],
    caption: str = "",
    axes_names: tuple[str, str] = ("elevation", "azimuth"),
) -> Figure:
    """Joint distributions of two factors and, below, what was measured under each (figure 5 of the paper).

    Args:
      tables: probabilities by name of the joint distribution, such as "A uniform"; the first axis of a table runs
        upwards, the second to the right. All share one scale of colours.
      panels: a panel for each quantity, by axis label; in it for each method the values, [seeds], by joint
        distribution, under the names that `tables` has. Columns are grouped by joint distribution, in the order of
        `tables`, and carry the first word of its name where that tells them apart.
      caption: printed below.
      axes_names: the factors along the first and the second axis of the tables.
    """
    unknown = {joint for methods in panels.values() for method in methods.values() for joint in method} - set(tables)
    if unknown:
        raise ValueError(f"no table for {', '.join(sorted(unknown))}; there are tables for {', '.join(tables)}")
    figure = style.blank(PAGE, 3.7)
    halves = figure.add_gridspec(2, 1, height_ratios=(1, 1.25))
    _tables(figure, _row(halves[0], len(tables)), tables, axes_names)
    methods = style.names(panels.values())
    looks = [COLOURS[place % len(COLOURS)] for place in style.places(methods).values()]
    for place, (quantity, samples) in zip(_row(halves[1], len(panels)), panels.items(), strict=True):
        axes = figure.add_subplot(place)
        _grouped(axes, [samples.get(method, {}) for method in methods], looks, list(tables))
        axes.set_ylabel(quantity)
    style.key(figure, {method: _square(colour) for method, colour in zip(methods, looks, strict=True)})
    style.describe(figure, caption)
    return figure


def _row(place: SubplotSpec, count: int) -> list[SubplotSpec]:
    """Places side by side in one place."""
    row = place.subgridspec(1, count)
    return [row[0, column] for column in range(count)]


def _tables(
    figure: Figure, places: Sequence[SubplotSpec], tables: Mapping[str, np.ndarray], names: tuple[str, str]
) -> None:
    """A heat map for each joint distribution, and one scale of colours for all."""
    highest = max(np.max(table) for table in tables.values())
    heats: list[Axes] = []
    for place, (title, table) in zip(places, tables.items(), strict=True):
        axes = figure.add_subplot(place)
        image = axes.imshow(table, origin="lower", cmap="Blues", vmin=0, vmax=highest, aspect="auto")
        axes.set_title(style.wrapped(title, 0.9 * PAGE / len(tables), FONT))
        axes.set_xlabel(names[1])
        if not heats:
            axes.set_ylabel(names[0])
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set(visible=True, color="0.6")
        heats.append(axes)
    scale = figure.colorbar(image, ax=heats, label="probability", fraction=0.04, pad=0.02)
    scale.ax.locator_params(nbins=4)


def _grouped(
    axes: Axes, methods: Sequence[Mapping[str, np.ndarray]], colours: Sequence[str], joints: Sequence[str]
) -> None:
    """Columns of methods side by side, grouped by joint distribution."""
    width = 0.8 / max(1, len(methods))
    for place, method in enumerate(methods):
        for group, joint in enumerate(joints):
            at = group + (place - (len(methods) - 1) / 2) * width
            _column(axes, at, method.get(joint, ()), colours[place], 0.7 * width, TINY)
    short = [joint.split()[0] for joint in joints]
    axes.set_xticks(range(len(joints)), short if len(set(short)) == len(joints) else joints)
    axes.set_xlim(-0.55, len(joints) - 0.45)
    style.lattice(axes, "y")


def _square(colour: str):
    """The entry of a key for columns of one colour."""
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="", marker="s", markersize=6, color=colour)


def _column(axes: Axes, at: float, sample, colour: str, width: float = 0.4, size: float = SMALL) -> None:
    """One column: the finite values of a sample, or that there are none."""
    sample = np.asarray(sample, float)
    finite = sample[np.isfinite(sample)]
    if len(finite):
        _box(axes, at, finite, colour, width, 4 if len(finite) <= 10 and width >= 0.3 else 2.5)
    else:
        look: dict[str, Any] = {"color": "0.5", "fontsize": size, "rotation": 90, "ha": "center", "va": "bottom"}
        axes.text(at, 0.03, "not run", transform=axes.get_xaxis_transform(), **look)


def _box(axes: Axes, at: float, sample: np.ndarray, colour: str, width: float = 0.4, size: float = 4) -> None:
    """A box where a box says something, and every seed."""
    if len(sample) >= 3:
        drawn = axes.boxplot([sample], positions=[at], widths=width, showfliers=False, patch_artist=True)
        for patch in drawn["boxes"]:
            patch.set(facecolor=colour, alpha=0.25, edgecolor=colour)
        for line in (*drawn["whiskers"], *drawn["caps"], *drawn["medians"]):
            line.set_color(colour)
    # Seeds side by side, by order and not at random, so that the same numbers draw the same picture.
    shift = 0.5 * width * (np.arange(len(sample)) - (len(sample) - 1) / 2) / max(1, len(sample) - 1)
    axes.plot(at + shift, sample, "o", color=colour, markersize=size, alpha=0.9)


def _name_columns(axes: Axes, labels: Sequence[str], room: float) -> float:
    """Names the columns, aslant where they have less room, in inches, than they need; the height that this takes."""
    widest = max(style.inches(label, SMALL) for label in labels)
    aslant = widest * len(labels) > room
    look: dict[str, Any] = {"rotation": 40, "ha": "right", "va": "top", "rotation_mode": "anchor"} if aslant else {}
    axes.set_xticks(range(len(labels)), labels, fontsize=SMALL, **look)
    axes.set_xlim(-0.6, len(labels) - 0.4)
    return 0.64 * widest if aslant else 0.0
