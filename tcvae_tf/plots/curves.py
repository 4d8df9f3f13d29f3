"""Curves and clouds: measures over steps, over what was changed, over β, and against each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tcvae_tf.plots import style
from tcvae_tf.plots.style import COLOURS, COLUMN, MARKS, PAGE, SMALL, TINY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Sample(NamedTuple):
    """A quantity over seeds: every value, [seeds], and its middle with the ends of an interval, NaN where unknown."""

    values: np.ndarray
    middle: float
    low: float
    high: float


class Cloud(NamedTuple):
    """The runs of a method at one β: their total correlation in nats and their MIG, seeds in the same order."""

    beta: float
    tc: Sample
    mig: Sample


#: Labels of a legend that fit beside each other; more take two rows.
_IN_A_ROW = 5


@style.styled
def learning_curves(
    curves: Mapping[str, Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]]], caption: str = ""
) -> Figure:
    """Measures of the whole data set during training.

    Args:
      curves: a row of panels for each data set, by title; in it a panel for each measure, by axis label; in it a curve
        for each method: steps and values. A label that ends in "*" is drawn broken, in the colour of the same label
        without.
      caption: printed below.
    """
    columns = max(len(measures) for measures in curves.values())
    figure = style.blank(2.3 * columns, 2.2 * len(curves) + 0.5)
    panels = figure.subplots(len(curves), columns, squeeze=False)
    methods_of = [methods for measures in curves.values() for methods in measures.values()]
    names = style.names([name.rstrip("*") for name in methods] for methods in methods_of)
    for row, (title, measures) in zip(panels, curves.items(), strict=True):
        for axes, (label, methods) in zip(row, measures.items(), strict=True):
            for name, (steps, values) in methods.items():
                colour, look = COLOURS[style.places(names)[name.rstrip("*")]], "--" if "*" in name else "o-"
                axes.plot(np.asarray(steps) / 1000, values, look, color=colour, markersize=2.5, label=name)
            axes.set_xlabel("thousand steps")
            axes.set_ylabel(label)
            style.lattice(axes)
        row[len(row) // 2].set_title(title, fontsize=8).set_in_layout(False)
    lines = {line.get_label(): line for axes in panels.flat for line in axes.lines}
    order = sorted(lines, key=lambda name: style.places(names)[name.rstrip("*")])  # a broken line after its own
    ncols = len(order) if len(order) <= _IN_A_ROW else math.ceil(len(order) / 2)
    key = figure.legend([lines[name] for name in order], order, loc="outside lower center", ncols=ncols)
    key.set_title(style.wrapped(caption, figure.get_figwidth()))
    key.get_title().set_fontsize(style.TINY)
    return figure


@style.styled
def growth(panels: Mapping[str, Mapping[float, float]], caption: str = "") -> Figure:
    """How a cost grows: seconds over what was varied, both logarithmic, with the exponent at the end.

    Args:
      panels: by label of the horizontal axis, seconds by size.
      caption: printed below.
    """
    figure = style.blank(PAGE, 2.1)
    for axes, (label, seconds), colour in zip(figure.subplots(1, len(panels)), panels.items(), COLOURS, strict=False):
        x, y = np.array(sorted(seconds.items())).T
        axes.loglog(x, y, "o-", color=colour, markersize=3)
        slope = np.diff(np.log(y[-2:]))[0] / np.diff(np.log(x[-2:]))[0]
        axes.text(0.06, 0.9, f"exponent {slope:.2f}", transform=axes.transAxes, fontsize=SMALL)
        axes.set_yticks(y[[0, -1]], [f"{value:.2g}" for value in y[[0, -1]]], fontsize=TINY)
        axes.set_xlabel(label)
        axes.set_xticks(x, [f"{size:,.0f}" if size < 10_000 else f"{size / 1000:.0f}k" for size in x], fontsize=TINY)
        axes.minorticks_off()
        axes.tick_params(axis="x", labelrotation=45)
    figure.axes[0].set_ylabel("seconds")
    if caption:
        figure.supxlabel(style.wrapped(caption, figure.get_figwidth()), fontsize=TINY)
    return figure


#: Colours and marks of the curves of `responses`.
_CURVES = (("k", "o"), *zip((*COLOURS, "#999999", "#8B5A2B"), "sD^v<>Px", strict=True))


@style.styled
def responses(levels: Sequence[float], curves: Mapping[str, Mapping[str, np.ndarray]], caption: str = "") -> Figure:
    """What measures respond to: a panel for each change, a curve of medians for each measure, every seed a dot.

    Args:
      levels: of the changes, 0 … 1.
      curves: for each change, by its axis label, the scores of each measure, [levels, seeds]; the first measure is
        drawn strongest.
      caption: printed below.
    """
    figure = style.blank(6.8, 4.6)
    panels = figure.subplots(2, -(-len(curves) // 2), sharey=True)
    for axes, (change, measures) in zip(panels.flat, curves.items(), strict=True):
        for place, (label, scores) in enumerate(measures.items()):
            colour, mark = _CURVES[place % len(_CURVES)]
            look = {"color": colour, "marker": mark, "linewidth": 1.1 if place else 2.2}
            axes.plot(levels, np.median(scores, axis=1), markersize=4, label=label, **look)
            axes.plot(levels, scores, ".", color=colour, markersize=2, alpha=0.6)
        axes.set_xlabel(change)
        axes.set_ylim(-0.03, 1.03)
        style.lattice(axes, "y")
    for axes in panels[:, 0]:
        axes.set_ylabel("score")
    figure.legend(*panels.flat[0].get_legend_handles_labels(), loc="outside right center")
    style.describe(figure, caption, grow=False)
    return figure


@style.styled
def against_beta(panels: Mapping[str, Mapping[str, Mapping[str, Mapping[float, Sample]]]], caption: str = "") -> Figure:
    """Quantities over β: middles as a line, intervals as a band, every seed a dot (figure 2 of the paper).

    Args:
      panels: a row for each data set, by title; in it a panel for each quantity, by axis label with unit; in it a curve
        for each method: its samples by β. Where an interval is not finite there is no band; where it has no finite
        neighbour, a line from its low end to its high one. A β that only another method has breaks the line, and the
        mark of a single seed is hollow.
      caption: printed below; it says what the intervals are.
    """
    columns = max(len(quantities) for quantities in panels.values())
    figure = style.blank(PAGE if columns > 1 else COLUMN, 1.9 * len(panels))
    rows = figure.subplots(len(panels), columns, squeeze=False)
    methods_of = style.names(methods for quantities in panels.values() for methods in quantities.values())
    for row, (title, quantities) in zip(rows, panels.items(), strict=True):
        for axes in row[len(quantities) :]:
            axes.remove()
        for axes, (label, methods) in zip(row, quantities.items(), strict=False):
            betas = sorted({beta for samples in methods.values() for beta in samples})
            for method, samples in methods.items():
                _over_beta(axes, samples, betas, *_look(methods_of, method))
            _ticks_at(axes, betas)
            axes.set_xlabel("β")
            axes.set_ylabel(label)
            style.lattice(axes, "y")
        row[0].set_title(style.wrapped(title, figure.get_figwidth(), style.FONT), loc="left")
    entries = {method: _entry(*_look(methods_of, method)) for method in methods_of}
    curves = (curve for quantities in panels.values() for methods in quantities.values() for curve in methods.values())
    if any(len(sample.values) == 1 for curve in curves for sample in curve.values()):
        entries["one seed"] = _ring(16)
    style.key(figure, entries)
    style.describe(figure, caption)
    return figure


def _look(methods: Sequence[str], method: str) -> tuple[str, str]:
    """The colour and the mark of a method, one of `methods`."""
    place = style.places(methods)[method]
    return COLOURS[place % len(COLOURS)], MARKS[place % len(MARKS)]


def _entry(colour: str, mark: str, line: str = "-", size: float = 4):
    """The entry of a key for a line with marks, or for marks alone."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, marker=mark, linestyle=line, markersize=size)


def _over_beta(axes: Axes, samples: Mapping[float, Sample], at: Sequence[float], colour: str, mark: str) -> None:
    """One curve over all β, with its band and its seeds; it is broken where it has no samples, and a mark of one seed
    is hollow."""
    betas, nothing = np.array(at, float), Sample(np.zeros(0), np.nan, np.nan, np.nan)
    drawn = [samples.get(beta, nothing) for beta in at]
    low, high = (np.array([getattr(sample, end) for sample in drawn], float) for end in ("low", "high"))
    known = np.isfinite(low) & np.isfinite(high)
    neighbour = np.zeros(len(known), bool)
    neighbour[1:] |= known[:-1]
    neighbour[:-1] |= known[1:]
    if (known & neighbour).any():
        axes.fill_between(betas, low, high, where=known, color=colour, alpha=0.2, linewidth=0)
    if (known & ~neighbour).any():
        alone = known & ~neighbour
        axes.vlines(betas[alone], low[alone], high[alone], color=colour, linewidth=3, alpha=0.3)
    axes.plot(betas, [sample.middle for sample in drawn], "-", color=colour, linewidth=1.2)
    for beta, sample in samples.items():
        face = "white" if len(sample.values) == 1 else colour
        axes.plot(beta, sample.middle, f"{mark}-", color=colour, markerfacecolor=face, markersize=3.5)
    seeds = np.repeat(betas, [len(sample.values) for sample in drawn])
    axes.plot(seeds, np.concatenate([np.asarray(sample.values, float) for sample in drawn]), "o", color=colour, **_SEED)


#: How one seed is drawn among others.
_SEED: dict[str, Any] = {"markersize": 1.8, "alpha": 0.45, "markeredgewidth": 0}


def _ticks_at(axes: Axes, betas: Sequence[float]) -> None:
    """Ticks at the β that were run, with a number where there is room for it."""
    near = 0.07 * (betas[-1] - betas[0]) if betas else 0.0
    labels, last = [], -np.inf
    for beta in betas:
        labels.append(style.minus(beta) if beta - last >= near else "")
        last = beta if labels[-1] else last
    axes.set_xticks(betas, labels, fontsize=SMALL)


@style.styled
def against_tc(panels: Mapping[str, Mapping[str, Sequence[Cloud]]], caption: str = "") -> Figure:
    """MIG against total correlation, a circle for each β, larger for a larger β (figure 4 of the paper).

    Args:
      panels: a panel for each data set, by title; in it the clouds of each method. Circles are at the middles of both
        quantities, thin lines are their intervals where they are finite, faint dots are seeds.
      caption: printed below; it says what the intervals are.
    """
    figure = style.blank(PAGE if len(panels) > 1 else COLUMN, 2.5)
    betas = sorted({cloud.beta for methods in panels.values() for clouds in methods.values() for cloud in clouds})
    methods_of = style.names(panels.values())
    for axes, (title, methods) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for method, clouds in methods.items():
            for cloud in clouds:
                _cloud(axes, cloud, _look(methods_of, method)[0], _area(cloud.beta, betas))
        axes.set_title(style.wrapped(title, figure.get_figwidth() / len(panels), style.FONT))
        axes.set_xlabel("TC (nats)")
        axes.set_ylabel("MIG (exact)")
        style.lattice(axes)
    entries = {method: _entry(_look(methods_of, method)[0], "o", "", 6) for method in methods_of}
    for beta in sorted({betas[0], betas[len(betas) // 2], betas[-1]}) if betas else ():
        entries[f"β = {style.minus(beta)}"] = _ring(_area(beta, betas))
    style.key(figure, entries)
    style.describe(figure, caption)
    return figure


def _area(beta: float, betas: Sequence[float]) -> float:
    """The area of a circle, in points²: in proportion to β, but never too small to be seen."""
    return 10 + 130 * beta / max(betas[-1], 1e-9)


def _ring(area: float):
    """The entry of a key for a circle of that area."""
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="", marker="o", markersize=area**0.5, markerfacecolor="none", color="0.4")


def _cloud(axes: Axes, cloud: Cloud, colour: str, area: float) -> None:
    """The seeds, the intervals and the circle of one β."""
    _, tc, mig = cloud
    axes.plot(tc.values, mig.values, "o", color=colour, **_SEED)
    thin: dict[str, Any] = {"color": colour, "linewidth": 0.8, "alpha": 0.7}
    if np.isfinite([tc.low, tc.high]).all():
        axes.plot([tc.low, tc.high], [mig.middle] * 2, "-", **thin)
    if np.isfinite([mig.low, mig.high]).all():
        axes.plot([tc.middle] * 2, [mig.low, mig.high], "-", **thin)
    axes.scatter([tc.middle], [mig.middle], s=area, facecolor=colour, edgecolor="white", alpha=0.65, zorder=3)
