"""Images side by side: sheets of a data set, and what a decoder makes of each latent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tcvae_tf.plots import style
from tcvae_tf.plots.style import PAGE, SMALL, TINY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


#: The grey between images.
_PALE = 230


class Traversal(NamedTuple):
    """What a decoder makes of each latent, moved alone.

    Attributes:
      images: uint8 [L, T, H, W], or with colours [L, T, H, W, 3]: a row for each latent, in the order in which they are
        shown.
      labels: of the rows, such as "z3  posX 2.1 nats".
      points: [T], the values of the latent.
    """

    images: np.ndarray
    labels: Sequence[str]
    points: np.ndarray


@style.styled
def contact_sheet(rows: Mapping[str, np.ndarray], caption: str = "") -> Figure:
    """Images side by side, a row of at most as many as the longest for each label.

    Args:
      rows: uint8 [n, H, W], or with colours [n, H, W, 3], by label.
      caption: printed below; it says where the images come from.
    """
    longest = max(len(images) for images in rows.values())
    height, width, *colours = next(iter(rows.values())).shape[1:]
    sheet, gap = np.full((len(rows), longest, height, width, *colours), _PALE, np.uint8), _gap(width)
    for place, images in zip(sheet, rows.values(), strict=True):
        place[: len(images)] = images
    figure = style.blank(0.9 + 0.6 * longest, 0.3 + 0.6 * len(rows) * height / width)
    axes = figure.add_subplot()
    axes.imshow(_sheet(sheet, gap), cmap="gray", vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks((height + gap) * np.arange(len(rows)) + (height - 1) / 2, list(rows), fontsize=TINY)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    style.describe(figure, caption, grow=False, size=SMALL)
    return figure


@style.styled
def traversals(grids: Mapping[str, Traversal], caption: str = "") -> Figure:
    """Images of a decoder while one latent moves, a row for each latent (figures 1 and 6 of the paper).

    Args:
      grids: a panel for each method, by title, two side by side.
      caption: printed below.
    """
    across = min(2, len(grids))
    down = math.ceil(len(grids) / across)
    heights = [_height(grid, PAGE / across) for grid in grids.values()]
    figure = style.blank(PAGE, sum(max(heights[row * across : (row + 1) * across]) for row in range(down)))
    for axes, (title, grid) in zip(style.axes_of(figure, down, across, len(grids)), grids.items(), strict=True):
        _traversal(axes, grid, _image_width(grid, PAGE / across))
        axes.set_title(style.wrapped(style.one_line(title), PAGE / across, style.FONT))
    style.describe(figure, caption)
    return figure


def _image_width(grid: Traversal, width: float) -> float:
    """About how many inches an image has in a panel of some width."""
    return (width - max(style.inches(label, TINY) for label in grid.labels) - 0.15) / grid.images.shape[1]


def _height(grid: Traversal, width: float) -> float:
    """Inches that a panel of some width needs: its images, a title and what stands below."""
    rows, _, height, across = grid.images.shape[:4]
    return rows * _image_width(grid, width) * height / across + 0.6


def shown(images: np.ndarray) -> np.ndarray:
    """Images, channels last, as `contact_sheet` and `traversals` take them: grey without a channel, or in 3 colours;
    other channels become their mean."""
    channels = images.shape[-1]
    if channels == 1:
        return images[..., 0]
    return images if channels == 3 else np.rint(images.mean(axis=-1)).astype(np.uint8)


def _sheet(images: np.ndarray, gap: int) -> np.ndarray:
    """One image of all, [L, T, H, W, ...] → [pixels, pixels, ...], with pale gaps between them."""
    rows, columns, height, width, *colours = images.shape
    sheet = np.full((rows, height + gap, columns, width + gap, *colours), _PALE, np.uint8)
    sheet[:, :height, :, :width] = np.swapaxes(images, 1, 2)
    whole = sheet.reshape(rows * (height + gap), columns * (width + gap), *colours)
    return whole[:-gap, :-gap]


def _gap(width: int) -> int:
    """Pixels between images of a width."""
    return max(1, width // 20)


def _traversal(axes: Axes, grid: Traversal, room: float) -> None:
    """The rows of one method with their labels, and below each column the value of the latent."""
    rows, columns, height, width = grid.images.shape[:4]
    gap = _gap(width)
    axes.imshow(_sheet(grid.images, gap), cmap="gray", vmin=0, vmax=255)
    values = [style.minus(point) for point in grid.points]
    tight = max(style.inches(value, TINY) for value in values) > room
    axes.set_xticks(
        (width + gap) * np.arange(columns) + (width - 1) / 2, values, fontsize=TINY, rotation=90 if tight else 0
    )
    axes.set_yticks((height + gap) * np.arange(rows) + (height - 1) / 2, list(grid.labels), fontsize=TINY)
    axes.set_xlabel("value of the latent", fontsize=SMALL)
    axes.tick_params(length=0, pad=2)
    axes.set_anchor("N")  # panels of fewer rows hang from the same line
    axes.spines[:].set_visible(False)
