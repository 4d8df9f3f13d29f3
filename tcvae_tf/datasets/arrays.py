"""from_arrays: a user's own images as a Dataset."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tcvae_tf.datasets.dataset import Dataset
from tcvae_tf.factors import FactorGrid


def from_arrays(
    images: Any,
    factors: Any,
    names: Sequence[str] | None = None,
    scored: Sequence[str] | None = None,
    grid: FactorGrid | None = None,
    name: str = "custom",
) -> Dataset:
    """A Dataset from images in any order and the factor values of each.

    Args:
      images: [n, H, W] or [n, H, W, C]; uint8 0…255, or float or bool in [0, 1]. Binary images are kept as bits, the
        others as bytes (rounded to 1/255).
      factors: [n, K]. Without `grid`, the distinct values of each column, sorted, become the factor's values. With
        `grid`, value indices into it.
      names: K names; factor_0, factor_1, … by default.
      scored: the names that the MIG scores; all by default. Not with `grid`.
      grid: for a partial or weighted grid: cells of weight zero need no image.
      name: a short name for run ids and captions.

    Raises:
      TypeError: a dtype that is neither uint8, bool nor float.
      ValueError: wrong shapes or counts, values outside [0, 1], missing or doubled grid cells; the message names them.
    """
    pixels = _as_bytes(np.asarray(images))
    table = np.asarray(factors)
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or len(table) != len(pixels):
        raise ValueError(f"factors must be [n, K] with a row for each of the {len(pixels)} images; got {table.shape}")
    if grid is None:
        grid, table = _grid_of(table, names, scored)
    elif not isinstance(grid, FactorGrid):
        raise TypeError(f"grid must be a tc.FactorGrid, or leave it out; got {grid!r}")
    elif names is not None or scored is not None:
        raise ValueError("give either grid or names and scored, not both: the grid has its own names")
    order = _placement(grid, table)
    binary = np.isin(pixels, (0, 255)).all()
    placed = np.zeros((len(grid), *pixels.shape[1:]), np.uint8)
    placed[order] = pixels
    storage = np.packbits(placed.reshape(len(grid), -1) > 0, axis=1) if binary else placed
    return Dataset(storage, grid, pixels.shape[1:], name=name)


def _as_bytes(images: np.ndarray) -> np.ndarray:
    """Images as uint8 [n, H, W, C] with 255 for 1."""
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(f"images must be [n, H, W] or [n, H, W, C] and not empty; got shape {images.shape}")
    if images.dtype == np.uint8:
        # Bytes that are only 0 and 1 are a mask, not almost-black pictures.
        return images * np.uint8(255) if images.max() <= 1 else images
    if images.dtype == np.bool_:
        return images.astype(np.uint8) * np.uint8(255)
    if not np.issubdtype(images.dtype, np.floating):
        raise TypeError(f"images have dtype {images.dtype}; convert them to uint8, or to float in [0, 1]")
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):  # written so that NaN fails too
        raise ValueError(f"images must lie in [0, 1]; got {low:g} to {high:g}; rescale them, or pass uint8 0 to 255")
    return np.rint(images * 255).astype(np.uint8)


def _grid_of(table: np.ndarray, names: Sequence[str] | None, scored: Sequence[str] | None):
    """The grid spanned by the distinct values of each column, and the table as value indices."""
    if np.issubdtype(table.dtype, np.floating) and not np.all(np.isfinite(table)):
        raise ValueError("factors must be finite; got NaN or infinity")
    columns = [np.unique(column, return_inverse=True) for column in table.T]
    sizes = [len(values) for values, _ in columns]
    if math.prod(sizes) > 1000 * len(table):
        raise ValueError(
            f"factors have {sizes} distinct values, {math.prod(sizes)} grid cells for {len(table)} images: most cells "
            "would be missing; factors are discrete, so round continuous ones, or pass a grid"
        )
    names = [f"factor_{k}" for k in range(table.shape[1])] if names is None else names
    if len(names) != table.shape[1]:
        raise ValueError(f"names has {len(names)} entries for {table.shape[1]} factor columns; give one each")
    grid = FactorGrid(names, sizes, scored)
    return grid, np.stack([inverse for _, inverse in columns], axis=-1)


def _placement(grid: FactorGrid, table: np.ndarray) -> np.ndarray:
    """The flat cell of every image; checks that each cell that can occur has exactly one."""
    if table.shape[1] != len(grid.sizes):
        raise ValueError(f"factors has {table.shape[1]} columns, the grid {len(grid.sizes)}: {', '.join(grid.names)}")
    if not np.issubdtype(table.dtype, np.integer) or table.min() < 0 or np.any(table >= np.array(grid.sizes)):
        raise ValueError(f"factors must be value indices below the grid's sizes {tuple(grid.sizes)}, counted from 0")
    cells = grid.to_indices(table)
    count = np.bincount(cells, minlength=len(grid))
    doubled = np.flatnonzero(count > 1)
    missing = np.flatnonzero((count == 0) & (grid.probabilities > 0))
    for cells_wrong, word, remedy in (
        (doubled, "doubled", "keep one image for each combination of factor values"),
        (missing, "missing", "add the images, round continuous factors, or pass a grid whose weights are zero there"),
    ):
        if len(cells_wrong):
            first = dict(zip(grid.names, grid.to_values(cells_wrong[:1])[0].tolist(), strict=True))
            raise ValueError(f"{len(cells_wrong)} grid cells {word}, the first at value indices {first}; {remedy}")
    return cells
