"""The data sets that `load` knows by name, and all that differs between them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tcvae_tf.datasets import basel, cache, dsprites, faces3d
from tcvae_tf.datasets.dataset import Dataset
from tcvae_tf.factors import FactorGrid


@dataclasses.dataclass(frozen=True)
class Known:
    """A data set.

    Attributes:
      title: as figures name it.
      grid: its factors.
      image_shape: (H, W, C).
      packed: whether its images are kept as bits.
      load: (path, source) → Dataset, as `tc.load` says.
      origin: where the sources hold unlike images, which of them `load` would take.
      published: the file that its authors publish, where generated images are to equal it.
      differences: (file, generated images) → how the two differ.
    """

    title: str
    grid: FactorGrid
    image_shape: tuple[int, int, int]
    packed: bool
    load: Callable[[str | Path | None, str], Dataset]
    origin: Callable[[], str] | None = None
    published: str = ""
    differences: Callable[[Path, np.ndarray], dsprites.Differences] | None = None


def _dsprites(path: str | Path | None, source: str) -> Dataset:
    path = None if path is None else Path(path).expanduser()
    npz = cache.directory() if path is None else path
    npz = npz / dsprites.OFFICIAL_FILE if npz.is_dir() or path is None else npz
    tfds_home = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser() if path is None else path
    prepared = dsprites.prepared_by_tfds(tfds_home)
    if path is not None and source == "generated":
        raise ValueError("source='generated' reads no file; leave path out")
    if source == "auto" and path is not None and not path.exists():
        raise FileNotFoundError(f"{path}: no such file or directory; leave path out to generate dSprites")
    if source == "auto":
        if npz.is_file():
            source = "npz"
        elif prepared is not None:
            source = "tfds"
        elif path is None:
            source = "generated"
        else:
            raise ValueError(f"{path}: holds neither {dsprites.OFFICIAL_FILE} nor a prepared TFDS dsprites")
    sha256: str | None = None
    build: Callable[[cache.Writer], None]
    if source == "npz":
        name, build = f"dsprites-npz-{_stamp(npz)}", functools.partial(dsprites.read_official, npz)
    elif source == "tfds":
        name = f"dsprites-tfds-{_stamp(prepared or tfds_home / 'dsprites')}"
        build = functools.partial(dsprites.read_tfds, tfds_home)
    else:
        name, build, sha256 = "dsprites-generated-1", dsprites.generate, dsprites.SHA256_PACKED
    storage, digest = cache.cached(name, (len(dsprites.GRID), 512), build, sha256)
    return Dataset(storage, dsprites.GRID, dsprites.IMAGE_SHAPE, "dsprites", source, digest)


def _faces3d(path: str | Path | None, source: str) -> Dataset:
    if source == "tfds":
        raise ValueError("faces3d is not read from TFDS; choose source='auto', 'npz' or 'generated'")
    if source == "generated" and path is not None:
        raise ValueError("source='generated' reads no file; leave path out")
    home = cache.directory() if path is None else Path(path).expanduser()
    file = None if source == "generated" else basel.find(home)
    if file is None and (source == "npz" or path is not None):
        raise FileNotFoundError(f"{home}: no {basel.FILES[0]}, .npz or .pth; source='generated' renders a stand-in")
    shape = (len(faces3d.GRID), *faces3d.IMAGE_SHAPE)
    if file is None:
        storage, digest = cache.cached(faces3d.CACHE_NAME, shape, faces3d.generate, faces3d.SHA256)
        return Dataset(storage, faces3d.GRID, faces3d.IMAGE_SHAPE, "faces3d", "stand-in", digest)
    read = functools.partial(basel.read, file, faces3d.GRID)
    storage, digest = cache.cached(f"faces3d-basel-{_stamp(file)}", shape, read)
    return Dataset(storage, faces3d.GRID, faces3d.IMAGE_SHAPE, "faces3d", "basel", digest)


def _stamp(path: Path) -> str:
    """Eight hex digits that change when the file at `path` does; zeros when there is none, which the reader reports."""
    if not path.exists():
        return "0" * 8
    stat = path.stat()
    return hashlib.sha256(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:8]


def _origin_of_faces() -> str:
    return "stand-in" if basel.find(cache.directory()) is None else "basel"


KNOWN = {
    "dsprites": Known(
        "dSprites",
        dsprites.GRID,
        dsprites.IMAGE_SHAPE,
        packed=True,
        load=_dsprites,
        published=dsprites.OFFICIAL_FILE,
        differences=dsprites.differences,
    ),
    "faces3d": Known(
        "3D Faces", faces3d.GRID, faces3d.IMAGE_SHAPE, packed=False, load=_faces3d, origin=_origin_of_faces
    ),
}
