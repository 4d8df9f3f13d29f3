"""The paper's 3D faces, renders of the Basel Face Model, from a file that the user has.

The released code keeps them as one tensor of 127,050 × 64 × 64 grey values from 0 to 255 in the grid's C order. That
file and NumPy's versions of it are read; nobody may pass it on, so there is nothing to download.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tcvae_tf.factors import FactorGrid

#: Looked for in this order; the last is what the released code reads.
FILES = ("basel_face_renders.npy", "basel_face_renders.npz", "basel_face_renders.pth")
_SIDE = 64
_CONVERT = (
    'python -c "import numpy, torch; '
    "numpy.save('basel_face_renders.npy', torch.load('basel_face_renders.pth').numpy())\""
)


def find(path: Path) -> Path | None:
    """The file that `path` is or that lies in the directory `path`, if any."""
    if not path.is_dir():
        return path if path.is_file() else None
    return next((path / name for name in FILES if (path / name).is_file()), None)


def read(path: Path, grid: FactorGrid, write: Callable[[int, np.ndarray], None]) -> None:
    """Reads the file in pieces, checks it and writes uint8 [n, 64, 64, 1].

    Whole numbers from 0 to 255 stay as they are, whatever their type; floats within [0, 1] are taken times 255.

    Args:
      path: .npy, .npz with one array, or .pth with one tensor, which needs torch.
      grid: how many images there must be.
      write: called with `(first_index, images)`.

    Raises:
      ValueError: the file cannot be read, or has another shape, type or range.
      ImportError: a .pth, and torch is not installed.
    """
    remedy = f"expected {len(grid):,} × {_SIDE} × {_SIDE} grey values; source='generated' renders a stand-in"
    try:
        images = _shaped(_open(path), grid)
        scale = _scale(images)
    except ImportError:
        raise ImportError(f"{path}: torch is not installed; where it is, convert the file with {_CONVERT}") from None
    except WrongFile as error:
        raise ValueError(f"{path}: {error}; {remedy}") from None
    except Exception as error:  # what a damaged file makes NumPy, zipfile, pickle or torch say is of many kinds
        words = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path}: cannot be read ({words}); {remedy}") from error
    for first, piece in _pieces(images):
        write(first, np.rint(piece * scale).astype(np.uint8)[..., None])


class WrongFile(Exception):
    """A readable file with other content than it should have; the message says which."""


def _open(path: Path) -> np.ndarray:
    if path.suffix == ".pth":
        import torch

        content: Any = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(content, torch.Tensor):
            raise WrongFile(f"holds {type(content).__name__}, not one tensor")
        return content.numpy()
    if path.suffix not in (".npy", ".npz"):
        raise WrongFile(f"{path.suffix or 'no suffix'} is none of .npy, .npz and .pth")
    if path.suffix == ".npy":
        return np.load(path, mmap_mode="r", allow_pickle=False)
    if not zipfile.is_zipfile(path):
        raise WrongFile("is no npz file")
    with np.load(path, allow_pickle=False) as archive:
        if len(archive.files) != 1:
            raise WrongFile(f"holds {len(archive.files)} arrays, not one")
        return archive[archive.files[0]]


def _shaped(images: np.ndarray, grid: FactorGrid) -> np.ndarray:
    """[N, 64, 64], from any shape with these numbers in this order: the factors or the pixels apart, axes of size 1."""
    sizes = [size for size in images.shape if size != 1]
    cells = [len(grid)], [size for size in grid.sizes if size != 1]
    pixels = [_SIDE, _SIDE], [_SIDE * _SIDE]
    if not any(sizes == cell + pixel for cell in cells for pixel in pixels):
        raise WrongFile(f"has shape {images.shape}")
    if images.dtype.kind not in "uif":
        raise WrongFile(f"has dtype {images.dtype}")
    return images.reshape(len(grid), _SIDE, _SIDE)


def _scale(images: np.ndarray) -> float:
    """What takes the values to 0 … 255: 1, or 255 for floats within [0, 1]."""
    bounds = [(piece.min(), piece.max()) for _, piece in _pieces(images)]
    low, high = float(np.min(bounds)), float(np.max(bounds))  # NaN where there is one
    if not (low >= 0 and high <= 255):
        raise WrongFile(f"has values from {low:g} to {high:g}, not from 0 to 255")
    if high <= 1 and images.dtype.kind != "f":
        raise WrongFile(f"has the values {low:g} to {high:g} only, in {images.dtype}")
    return 255.0 if high <= 1 else 1.0


def _pieces(images: np.ndarray, count: int = 2048) -> Iterator[tuple[int, np.ndarray]]:
    for first in range(0, len(images), count):
        yield first, images[first : first + count]
