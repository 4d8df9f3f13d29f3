"""How latents depend on factors: a curve for each pair, or a number."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tcvae_tf.plots import style
from tcvae_tf.plots.style import COLOURS, COLUMN, PAGE, SMALL, TINY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Relation(NamedTuple):
    """A latent's posterior mean given the value of one factor.

    Attributes:
      mean: [V], over the other factors, for each value.
      deviation: [V], one standard deviation over the other factors.
      information: mutual information of the latent and the factor, in nats.
    """

    mean: np.ndarray
    deviation: np.ndarray
    information: float


@style.styled
def latent_vs_factor(
    panels: Mapping[str, Sequence[Sequence[Relation | None]]],
    latents: Mapping[str, Sequence[str]],
    factors: Mapping[str, Sequence[str]],
    caption: str = "",
) -> Figure:
    """How each latent follows each factor: a line for its mean, a band of one standard deviation over the others.

    Every small panel carries the mutual information in nats; the more of it, the stronger the colour. All share one
    axis, −3 … 3 or as far as the bands go.

    Args:
      panels: for each method, by title, a row for each latent and in it a relation for each factor, or None for an
        empty panel.
      latents: labels of the rows of each method.
      factors: labels of the columns of each method.
      caption: printed below.
    """
    shown = [relation for rows in panels.values() for row in rows for relation in row if relation is not None]
    reach = max([3.0, *(np.max(np.abs(r.mean) + r.deviation) for r in shown)])
    most = max([1e-9, *(relation.information for relation in shown)])
    figure, places = _grids([(latents[title], factors[title]) for title in panels], caption)
    for (title, rows), (place, (x, y)) in zip(panels.items(), places, strict=True):
        figure.text(x, y, style.one_line(title), ha="center", va="top")
        grid = place.subplots(squeeze=False)
        for line, row in zip(grid, rows, strict=True):
            for axes, relation in zip(line, row, strict=True):
                _relation(axes, relation, reach, most)
        _name_cells(grid, latents[title], factors[title], reach)
    return figure


#: Inches of `latent_vs_factor`: a small panel, what stands above each grid, and what stands around it.
_WIDE, _HIGH, _ABOVE, _AROUND = 0.55, 0.4, 0.29, 0.06


def _grids(labels: Sequence[tuple[Sequence[str], Sequence[str]]], caption: str) -> tuple[Figure, list]:
    """A figure with its caption, a grid for each pair of labels of rows and columns, and the place of its title.

    Placed by hand: with so many small panels, a layout that is solved for comes out a little different each time.
    """
    before = 0.24 + max(style.inches(label, SMALL) for rows, _ in labels for label in rows)
    columns, rows = max(len(names) for _, names in labels), max(len(names) for names, _ in labels)
    across = min(len(labels), max(1, int(PAGE / (before + _WIDE * columns + _AROUND))))
    down = math.ceil(len(labels) / across)
    width = min(PAGE, max(COLUMN, across * (before + _WIDE * columns + _AROUND)))
    each, high = width / across, _ABOVE + _HIGH * rows + _AROUND
    figure = style.blank(width, down * high + 0.12, None)
    style.describe(figure, caption)
    total, places = figure.get_figheight(), []
    for place, (latents, factors) in enumerate(labels):
        left, top = place % across * each, total - place // across * high - 0.03
        sides = {"left": (left + before) / width, "right": (left + each - _AROUND) / width}
        ends = {"top": (top - _ABOVE) / total, "bottom": (top - _ABOVE - _HIGH * len(latents)) / total}
        grid = figure.add_gridspec(len(latents), len(factors), wspace=0.08, hspace=0.2, **sides, **ends)
        places.append((grid, ((left + (each + before) / 2) / width, top / total)))
    return figure, places


def _relation(axes: Axes, relation: Relation | None, reach: float, most: float) -> None:
    """One small panel."""
    axes.set_ylim(-1.05 * reach, 1.05 * reach)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(visible=True, color="0.8", linewidth=0.5)
    if relation is None:
        axes.set_facecolor("0.95")
        return
    colour = _shade(relation.information / most)
    at, mean, deviation = np.arange(len(relation.mean)), np.asarray(relation.mean), np.asarray(relation.deviation)
    axes.fill_between(at, mean - deviation, mean + deviation, color=colour, alpha=0.3, linewidth=0)
    axes.plot(at, mean, color=colour, linewidth=1.2)
    # In the corner that a rising line leaves free, or in the other one.
    place, side = (0.04, "left") if mean[-1] > mean[0] + 0.5 else (0.96, "right")
    axes.text(place, 0.95, f"{relation.information:.2f}", transform=axes.transAxes, ha=side, va="top", fontsize=5.5)


def _shade(strength: float) -> tuple[float, ...]:
    """From grey at 0 to the first colour at 1."""
    from matplotlib.colors import to_rgb

    strength = min(1.0, max(0.0, strength))
    return tuple(
        strength * full + (1 - strength) * pale for full, pale in zip(to_rgb(COLOURS[0]), (0.75,) * 3, strict=True)
    )


def _name_cells(grid: np.ndarray, latents: Sequence[str], factors: Sequence[str], reach: float) -> None:
    """Factors above the columns, latents before the rows, and the axis of the means before the lowest."""
    for axes, factor in zip(grid[0], factors, strict=True):
        axes.set_title(factor, fontsize=TINY, pad=2)
    for axes, latent in zip(grid[:, 0], latents, strict=True):
        axes.set_ylabel(latent, fontsize=SMALL, rotation=0, ha="right", va="center")
        ends = math.floor(reach)
        axes.set_yticks([-ends, ends], [style.minus(-ends), style.minus(ends)], fontsize=5)
        axes.tick_params(axis="y", length=1.5, width=0.5, pad=1, color="0.6")


@style.styled
def information(
    panels: Mapping[str, tuple[np.ndarray, Sequence[str], Sequence[str]]],
    caption: str = "",
    label: str = "I(z_j; v_k) / H(v_k)",
) -> Figure:
    """What each latent knows of each factor: heat maps with the number in each cell, one for each method.

    Args:
      panels: for each method, by title, the numbers, [latents, factors], and the labels of latents and of factors. One
        scale of colours, from 0 to the highest number or 1.
      caption: printed below.
      label: what the numbers are, beside the scale; a letter after "_" is lowered.
    """
    highest = max([1.0, *(np.nanmax(numbers) for numbers, _, _ in panels.values())])
    rows, columns = (max(len(panel[axis]) for panel in panels.values()) for axis in (1, 2))
    each = 0.45 * columns + 0.5
    across = min(len(panels), max(1, int((PAGE - 0.6) / each)))
    down = math.ceil(len(panels) / across)
    figure = style.blank(min(PAGE, max(COLUMN, across * each + 0.6)), down * (0.2 * rows + 0.7))
    shown = style.axes_of(figure, down, across, len(panels))
    for axes, (title, (numbers, latents, factors)) in zip(shown, panels.items(), strict=True):
        image = _heat(axes, np.asarray(numbers, float), highest)
        axes.set_xticks(
            range(len(factors)), list(factors), fontsize=TINY, rotation=40, ha="right", rotation_mode="anchor"
        )
        axes.set_yticks(range(len(latents)), list(latents), fontsize=TINY)
        axes.set_title(style.wrapped(title, PAGE / across, style.FONT))
    figure.colorbar(image, ax=shown, label=re.sub(r"\b(\w)_(\w)\b", r"$\1_\2$", label), fraction=0.04, pad=0.02)
    style.describe(figure, caption)
    return figure


def _heat(axes: Axes, numbers: np.ndarray, highest: float):
    """One heat map, with the number in each cell; a dash where there is none."""
    image = axes.imshow(numbers, cmap="Blues", vmin=0, vmax=highest, aspect="auto")
    for (row, column), number in np.ndenumerate(numbers):
        text = f"{number:.2f}" if np.isfinite(number) else "–"
        colour = "white" if number > 0.6 * highest else "0.15"
        axes.text(column, row, text, ha="center", va="center", fontsize=TINY, color=colour)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image
