"""dSprites, regenerated bit for bit from formulas.

737,280 binary images of 64×64: shape 3 × scale 6 × orientation 40 × posX 32 × posY 32 in C order. Every image is a
polygon, scaled, rotated, moved and filled by the pixel-centre rule, so the whole set follows from a few numbers. The
result agrees in every bit with each original image that could be checked; over the whole set it is two white pixels,
out of 128 million, off the published mean.

Original data: Matthey, Higgins, Hassabis, Lerchner, *dSprites: Disentanglement testing Sprites dataset* (2017).
"""

from __future__ import annotations

import contextlib
import re
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tcvae_tf.factors import FactorGrid

GRID = FactorGrid(
    names=("shape", "scale", "orientation", "posX", "posY"),
    sizes=(3, 6, 40, 32, 32),
    # The paper scores four factors; shape still varies and is noise to the measure (PAPER: released metrics code).
    scored=("scale", "orientation", "posX", "posY"),
)
IMAGE_SHAPE = (64, 64, 1)
#: sha256 of the uint8 array (737280, 64, 64) with values 0 and 1, C order.
SHA256_UNPACKED = "2c612e5234d21c2b576c375ebe1faa1b363ab97d340164c5d2dcf27f35dd5eb6"
#: sha256 of the same images bit-packed, uint8 (737280, 512): what `generate` writes.
SHA256_PACKED = "3a228f4037ef3d42a42588e0e01f1078aa2df13cfa17584e88c95ed9fb5672da"
#: The file that DeepMind publishes, and where.
OFFICIAL_FILE = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
HOME = "https://github.com/deepmind/dsprites-dataset"

_SUBPIXEL = 256  # vertices are snapped to 1/256 of a pixel
_SIDE = 64
# A row of 64 pixels is one 64-bit word, its leftmost pixel the highest bit: _FROM[c] has every pixel from column c on.
_FROM = np.array([(2**64 - 1) >> c for c in range(64)] + [0], np.uint64)


def generate(write: Callable[[int, np.ndarray], None]) -> None:
    """Generates the whole set, calling `write(first_index, rows)` with bit-packed rows, uint8 [1024, 512]."""
    per_pose = GRID.sizes[3] * GRID.sizes[4]
    for pose in range(len(GRID) // per_pose):
        shape, scale, orientation = np.unravel_index(pose, GRID.sizes[:3])
        write(pose * per_pose, _positions(int(shape), int(scale), int(orientation)))


def _outline(shape: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of the square, the ellipse or the heart for R = 1, x to the right and y down."""
    if shape == 0:
        return np.array([-1.0, 1, 1, -1]), np.array([-1.0, -1, 1, 1])
    if shape == 1:
        t = 2 * np.pi * np.arange(100) / 100
        return 1.33 * np.cos(t), np.sin(t) / 1.33
    t = 2 * np.pi * np.arange(150) / 150
    y = -0.15 - (13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 14.5
    return np.sin(t) ** 3, y


def _positions(shape: int, scale: int, orientation: int) -> np.ndarray:
    """The 32 × 32 positions of one sprite, bit-packed: uint8 [1024, 512].

    A vertex's X depends on posX alone and its Y on posY alone. For each posY the crossings of edges with pixel rows
    are found once; each crossing flips all pixels to its right, for all 32 posX together (the even-odd rule).
    """
    radius = 9.6 * np.linspace(0.5, 1, 6)[scale]
    angle = np.linspace(0, 2 * np.pi, 40)[orientation]
    x, y = (radius * coordinate for coordinate in _outline(shape))
    x, y = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    centre = 16 + 32 * np.linspace(0, 1, 32)
    snapped_x = np.rint((x + centre[:, None]) * _SUBPIXEL).astype(np.int64)  # [posX, V]
    snapped_y = np.rint((y + centre[:, None]) * _SUBPIXEL).astype(np.int64)  # [posY, V]

    rows = _SUBPIXEL * np.arange(_SIDE) + _SUBPIXEL // 2  # pixel centres
    y0, y1 = snapped_y, np.roll(snapped_y, -1, axis=1)
    # The top edge is out and the bottom edge is in: min(Y) < row ≤ max(Y).
    crosses = (np.minimum(y0, y1)[:, None] < rows[:, None]) & (rows[:, None] <= np.maximum(y0, y1)[:, None])
    pos_y, row, edge = np.nonzero(crosses)
    column = _first_column(snapped_x, y0[pos_y, edge], y1[pos_y, edge], rows[row], edge)  # [posX, crossings]

    image_row = pos_y * _SIDE + row  # ascending, since nonzero lists them in C order
    starts = np.flatnonzero(np.diff(image_row, prepend=-1))
    words = np.zeros((32, 32 * _SIDE), np.uint64)  # [posX, posY · row]
    words[:, image_row[starts]] = np.bitwise_xor.reduceat(_FROM[column], starts, axis=1)
    return words.astype(">u8").view(np.uint8).reshape(1024, 512)


def _first_column(x: np.ndarray, y0: np.ndarray, y1: np.ndarray, row: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """First pixel column whose centre lies on or to the right of each crossing, in exact integer arithmetic.

    The crossing is at X = x0 + (row − y0)(x1 − x0)/(y1 − y0); the column is ⌈X − ½⌉ in pixels.
    """
    x0, x1 = x[:, edge], np.roll(x, -1, axis=1)[:, edge]
    sign = np.sign(y1 - y0)
    height = np.abs(y1 - y0)
    numerator = (x0 - _SUBPIXEL // 2) * height + (row - y0) * sign * (x1 - x0)
    return np.clip(-(-numerator // (_SUBPIXEL * height)), 0, _SIDE)


def read_official(path: str | Path, write: Callable[[int, np.ndarray], None]) -> None:
    """Reads DeepMind's npz in pieces, checks it and writes it bit-packed, as `generate` does.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is no dSprites file: a missing array, another shape or dtype, other values, another order.
    """
    with _readable(path):
        if not np.array_equal(_classes(path), GRID.to_values(np.arange(len(GRID)))):
            raise WrongFile("'latents_classes' is not the dSprites grid in C order")
        with zipfile.ZipFile(path) as archive, archive.open("imgs.npy") as file:
            for first, images in _pieces(file):
                write(first, np.packbits(images.reshape(len(images), -1), axis=1))


class Differences(NamedTuple):
    """How two sets of the same images differ: in how many images and pixels, and the value indices of the first."""

    images: int
    pixels: int
    first: tuple[int, ...] | None


def differences(path: str | Path, packed: np.ndarray) -> Differences:
    """Compares the images of DeepMind's npz with others, in pieces; each is found by its labels, whatever the order.

    Args:
      path: the file.
      packed: bit-packed images in C order, uint8 [N, 512], as `generate` writes them.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is no dSprites file: a missing array, another shape or dtype, other values, labels that are not
        those of every cell once.
    """
    counts = np.zeros(len(GRID), np.int64)
    with _readable(path):
        classes = _classes(path)
        if np.any(classes < 0) or np.any(classes >= GRID.sizes):
            raise WrongFile("'latents_classes' has values that dSprites has not")
        cells = GRID.to_indices(classes)
        if not np.array_equal(np.bincount(cells, minlength=len(GRID)), np.ones(len(GRID))):
            raise WrongFile("'latents_classes' does not name every cell of the dSprites grid once")
        with zipfile.ZipFile(path) as archive, archive.open("imgs.npy") as file:
            for first, images in _pieces(file):
                here = cells[first : first + len(images)]
                found = np.packbits(images.reshape(len(images), -1), axis=1) ^ packed[here]
                counts[here] = np.unpackbits(found, axis=1).sum(axis=1, dtype=np.int64)
    wrong = np.flatnonzero(counts)
    least = tuple(GRID.to_values(wrong[0]).tolist()) if len(wrong) else None
    return Differences(len(wrong), int(counts.sum()), least)


@contextlib.contextmanager
def _readable(path: str | Path) -> Iterator[None]:
    """Says in one line, with the remedy, what is wrong with a file that is read meanwhile."""
    path = Path(path)
    if not path.is_file():
        remedy = f"put {OFFICIAL_FILE} from {HOME} there, or use source='generated'"
        raise FileNotFoundError(f"{path}: no such file; {remedy}")
    remedy = f"expected {OFFICIAL_FILE}; move it away, or use source='generated', to do without it"
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path}: is no npz file; {remedy}")
    try:
        yield
    except WrongFile as error:
        raise ValueError(f"{path}: {error}; {remedy}") from None
    except (zipfile.BadZipFile, zlib.error, tokenize.TokenError, EOFError, OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); {remedy}") from error


def _classes(path: str | Path) -> np.ndarray:
    """The labels of a file, value indices [N, 5]."""
    with np.load(path, allow_pickle=False) as archive:
        if not {"imgs", "latents_classes"} <= set(archive.files):
            raise WrongFile("has no arrays 'imgs' and 'latents_classes'")
        classes = archive["latents_classes"]
    if classes.shape != (len(GRID), 6) or classes.dtype.kind not in "iu":
        raise WrongFile(f"'latents_classes' is {classes.dtype} {classes.shape}, not integers {(len(GRID), 6)}")
    return classes[:, 1:]


class WrongFile(Exception):
    """A readable file with other content than it should have; the message says which."""


def _pieces(file, count: int = 8192) -> Iterator[tuple[int, np.ndarray]]:
    """The images of an open imgs.npy, `count` at a time, checked."""
    version = np.lib.format.read_magic(file)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, fortran, dtype = read_header(file)
    if shape != (len(GRID), _SIDE, _SIDE) or dtype != np.uint8 or fortran:
        raise WrongFile(f"'imgs' is {dtype} {shape}, not uint8 {(len(GRID), _SIDE, _SIDE)}")
    for first in range(0, len(GRID), count):
        images = np.frombuffer(file.read(min(count, len(GRID) - first) * _SIDE * _SIDE), np.uint8)
        images = images.reshape(-1, _SIDE, _SIDE)
        if images.max(initial=0) > 1:
            raise WrongFile(f"'imgs' has the value {images.max()}, not only 0 and 1")
        if len(images) != min(count, len(GRID) - first):
            raise WrongFile("'imgs' ends too early")
        yield first, images


def prepared_by_tfds(home: Path) -> Path | None:
    """The newest dSprites, of whichever version, that TensorFlow Datasets 4 or later prepared below its data directory;
    None where there is none."""
    versions = {
        tuple(map(int, path.parent.name.split("."))): path.parent
        for path in (home / "dsprites").glob("*/features.json")
        if re.fullmatch(r"\d+\.\d+\.\d+", path.parent.name)  # unfinished ones have other names
    }
    return versions[max(versions)] if versions else None


def read_tfds(home: Path, write: Callable[[int, np.ndarray], None]) -> None:
    """Reads dSprites as TensorFlow Datasets prepared it and writes it bit-packed in C order.

    TFDS shuffles when it prepares, so every image is placed by its labels.

    Raises:
      FileNotFoundError: it is not prepared there; nothing is downloaded.
      ValueError: a cell of the grid is missing or doubled.
    """
    import tensorflow_datasets as tfds

    remedy = "prepare it with tfds.load('dsprites') or use source='generated'"
    directory = prepared_by_tfds(home)
    if directory is None:
        raise FileNotFoundError(f"{home / 'dsprites'}: TFDS has no prepared dsprites there; {remedy}")
    builder = tfds.builder_from_directory(directory)
    labels = [f"label_{name}" for name in ("shape", "scale", "orientation", "x_position", "y_position")]
    seen = np.zeros(len(GRID), np.int64)
    for batch in tfds.as_numpy(builder.as_dataset(split="train", shuffle_files=False).batch(4096)):
        indices = GRID.to_indices(np.stack([batch[label] for label in labels], axis=-1))
        np.add.at(seen, indices, 1)
        packed = np.packbits(batch["image"].reshape(len(indices), -1), axis=1)
        for index, row in zip(indices, packed, strict=True):
            write(int(index), row[None])
    if not np.all(seen == 1):
        wrong = int(np.flatnonzero(seen != 1)[0])
        raise ValueError(
            f"{directory}: {np.sum(seen == 0)} grid cells missing and {np.sum(seen > 1)} doubled, the first "
            f"at {GRID.to_values([wrong])[0].tolist()}; {remedy}"
        )
