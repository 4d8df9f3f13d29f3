"""Rows or arrays → matplotlib figures. Trains nothing and imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tcvae_tf import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Okabe and Ito's colours, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_STYLE = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelsize": 8,
    "legend.frameon": False,
    "savefig.dpi": 200,
    "svg.hashsalt": "tcvae_tf",  # the same drawing gives the same bytes
    "svg.fonttype": "none",  # letters as text: their outlines come in an order that changes
}


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
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(4.2 * len(samples), 3.0), layout="constrained")
        panels = figure.subplots(1, len(samples), sharey=True, squeeze=False)[0]
        for axes, (title, columns) in zip(panels, samples.items(), strict=True):
            drawn = [method for method in columns if any(len(panel.get(method, ())) for panel in samples.values())]
            for column, (method, sample) in enumerate(columns.items()):
                # A method has the colour that it has in other figures, which show what was run alone.
                colour = COLOURS[drawn.index(method) % len(COLOURS)] if method in drawn else "0.5"
                _box(axes, column, np.asarray(sample, float), colour)
                if method in published.get(title, {}):
                    axes.plot(column + 0.32, published[title][method], "D", color="0.25", markersize=4, zorder=3)
            axes.set_xticks(range(len(columns)), list(columns))
            axes.set_xlim(-0.6, len(columns) - 0.4)
            axes.set_title(title, fontsize=8)
            axes.grid(axis="y", color="0.9")
            axes.set_axisbelow(True)
        top = max([0.5, *(max(sample, default=0) for columns in samples.values() for sample in columns.values())])
        panels[0].set_ylim(-0.01, min(1.0, 1.08 * top))
        panels[0].set_ylabel("MIG (exact)")
        panels[0].plot([], [], "o", color="0.5", markersize=4, label="one seed")
        panels[0].plot([], [], "D", color="0.25", markersize=4, label="published median, as cited")
        panels[0].legend(loc="upper left")
        if caption:
            figure.supxlabel(caption, fontsize=6, color="0.35")
        return figure


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
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        columns = max(len(measures) for measures in curves.values())
        figure = Figure(figsize=(2.3 * columns, 2.2 * len(curves) + 0.5), layout="constrained")
        panels = figure.subplots(len(curves), columns, squeeze=False)
        methods_of = [methods for measures in curves.values() for methods in measures.values()]
        names = list(dict.fromkeys(name.rstrip("*") for methods in methods_of for name in methods))
        for row, (title, measures) in zip(panels, curves.items(), strict=True):
            for axes, (label, methods) in zip(row, measures.items(), strict=True):
                for name, (steps, values) in methods.items():
                    colour, style = COLOURS[names.index(name.rstrip("*"))], "--" if "*" in name else "o-"
                    axes.plot(np.asarray(steps) / 1000, values, style, color=colour, markersize=2.5, label=name)
                axes.set_xlabel("thousand steps")
                axes.set_ylabel(label)
                axes.grid(color="0.9")
                axes.set_axisbelow(True)
            row[len(row) // 2].set_title(title, fontsize=8).set_in_layout(False)
        lines = {line.get_label(): line for axes in panels.flat for line in axes.lines}
        key = figure.legend(list(lines.values()), list(lines), loc="outside lower center", ncols=len(lines))
        key.set_title(caption)
        key.get_title().set_fontsize(6)
        return figure


def _box(axes, column: int, sample: np.ndarray, colour: str) -> None:
    """One column: a box where a box says something, and every seed."""
    if len(sample) == 0:
        axes.text(column, 0.01, "not run", ha="center", va="bottom", color="0.5", fontsize=7)
        return
    if len(sample) >= 3:
        drawn = axes.boxplot([sample], positions=[column], widths=0.4, showfliers=False, patch_artist=True)
        for patch in drawn["boxes"]:
            patch.set(facecolor=colour, alpha=0.25, edgecolor=colour)
        for line in (*drawn["whiskers"], *drawn["caps"], *drawn["medians"]):
            line.set_color(colour)
    # Seeds side by side, by order and not at random, so that the same numbers draw the same picture.
    shift = 0.2 * (np.arange(len(sample)) - (len(sample) - 1) / 2) / max(1, len(sample) - 1)
    axes.plot(column + shift, sample, "o", color=colour, markersize=4, alpha=0.9)


#: Colours and marks of the curves of `responses`.
_CURVES = (("k", "o"), *zip((*COLOURS, "#999999", "#8B5A2B"), "sD^v<>Px", strict=True))


def responses(levels: Sequence[float], curves: Mapping[str, Mapping[str, np.ndarray]], caption: str = "") -> Figure:
    """What measures respond to: a panel for each change, a curve of medians for each measure, every seed a dot.

    Args:
      levels: of the changes, 0 … 1.
      curves: for each change, by its axis label, the scores of each measure, [levels, seeds]; the first measure is
        drawn strongest.
      caption: printed below.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(6.8, 4.6), layout="constrained")
        panels = figure.subplots(2, -(-len(curves) // 2), sharey=True)
        for axes, (change, measures) in zip(panels.flat, curves.items(), strict=True):
            for place, (label, scores) in enumerate(measures.items()):
                colour, mark = _CURVES[place % len(_CURVES)]
                look = {"color": colour, "marker": mark, "linewidth": 1.1 if place else 2.2}
                axes.plot(levels, np.median(scores, axis=1), markersize=4, label=label, **look)
                axes.plot(levels, scores, ".", color=colour, markersize=2, alpha=0.6)
            axes.set_xlabel(change)
            axes.set_ylim(-0.03, 1.03)
            axes.grid(axis="y", color="0.9")
            axes.set_axisbelow(True)
        for axes in panels[:, 0]:
            axes.set_ylabel("score")
        figure.legend(*panels.flat[0].get_legend_handles_labels(), loc="outside right center")
        if caption:
            figure.supxlabel(caption, fontsize=6, color="0.35")
        return figure


def contact_sheet(rows: Mapping[str, np.ndarray], caption: str = "") -> Figure:
    """Grey images side by side, a row of at most as many as the longest for each label.

    Args:
      rows: uint8 [n, H, W] by label.
      caption: printed below; it says where the images come from.
    """
    import matplotlib
    from matplotlib.figure import Figure

    longest = max(len(images) for images in rows.values())
    height, width = next(iter(rows.values())).shape[1:]
    sheet = np.zeros((len(rows), height, longest, width), np.uint8)
    for place, images in zip(sheet, rows.values(), strict=True):
        place[:, : len(images)] = images.transpose(1, 0, 2)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(0.9 + 0.6 * longest, 0.3 + 0.6 * len(rows) * height / width), layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(sheet.reshape(len(rows) * height, longest * width), cmap="gray", vmin=0, vmax=255)
        axes.set_xticks([])
        axes.set_yticks(height * (np.arange(len(rows)) + 0.5), list(rows), fontsize=6)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        if caption:
            figure.supxlabel(caption, fontsize=7, color="0.35")
        return figure


def save(figure: Figure, path: str | Path) -> None:
    """Writes a figure as PNG and, beside it, as SVG, without a date, so that the same figure gives the same bytes."""
    import matplotlib

    path = Path(path)
    with matplotlib.rc_context(_STYLE):
        for suffix, extra in ((".png", {"Software": None}), (".svg", {"Date": None})):
            with files.replacing(path.with_suffix(suffix)) as temporary:
                figure.savefig(temporary, metadata=extra)
