"""Data sets as full factor grids: `load` for the ones we know, `from_arrays` for a user's own."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

from tcvae_tf.datasets import basel, cache, dsprites, faces3d, named
from tcvae_tf.datasets.arrays import from_arrays
from tcvae_tf.datasets.dataset import Dataset, decode
from tcvae_tf.words import suggest

__all__ = ["SOURCES", "Dataset", "decode", "from_arrays", "load"]

SOURCES = ("auto", "npz", "tfds", "generated")


def load(name: str = "dsprites", path: str | Path | None = None, source: str = "auto") -> Dataset:
    """Loads a data set by name; nothing is ever downloaded.

    Args:
      name: "dsprites", "faces3d", or "module:function" for a function without arguments that returns a Dataset.
      path: the file that its authors publish, or that the user has (for faces3d basel_face_renders.npy, .npz or .pth),
        or the TFDS data directory; by default the file is looked for in the cache directory ($TCVAE_CACHE, else
        tcvae_tf in $XDG_CACHE_HOME or ~/.cache) and what TFDS prepared in $TFDS_DATA_DIR, else ~/tensorflow_datasets.
      source: "npz" for that file, "tfds", or "generated": dSprites from formulas in four seconds, faces3d as a rendered
        stand-in for the paper's in about a minute, then cached; "auto" takes the first that is there, in this order.

    Raises:
      ValueError: an unknown name or source, or a file that is not what it should be.
      FileNotFoundError: the asked source is not there.
      ImportError: a .pth file, and torch is not installed; the message says how to convert it.
    """
    if source not in SOURCES:
        raise ValueError(f"unknown source {source!r}; {suggest(source, SOURCES)}")
    check_name(name)
    if ":" not in name:
        return _LOADERS[name](path, source)
    if path is not None or source != "auto":
        raise ValueError(f"{name} is a function of yours, which takes no path and no source; leave them out")
    return _custom(name)


def check_name(name: str) -> None:
    """
    Raises:
      ValueError: neither one of ours nor module:function.
    """
    if not isinstance(name, str) or (":" not in name and name not in _LOADERS):
        raise ValueError(f"unknown data set {name!r}; {suggest(name, [*_LOADERS, 'module:function'])}")


def origin(name: str) -> str | None:
    """Which of several unlike image sets `load(name)` would take, by the name of its source; None where there is but
    one, or all sources hold the same images."""
    if name != "faces3d":
        return None
    return "stand-in" if basel.find(cache.directory()) is None else "basel"


def _custom(name: str) -> Dataset:
    make = named.function("data set", name)
    try:
        data = make()
    except (OSError, ValueError):
        raise
    except Exception as error:
        raise ValueError(f"data set {name!r}: {named.told(error, name)}") from error
    if not isinstance(data, Dataset):
        raise ValueError(f"data set {name!r} returned {type(data).__name__}; return tc.datasets.from_arrays(...)")
    if data.name == "custom":  # it gave itself no name
        data.name = name
    return data


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
    import hashlib

    if not path.exists():
        return "0" * 8
    stat = path.stat()
    return hashlib.sha256(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:8]


_LOADERS = {"dsprites": _dsprites, "faces3d": _faces3d}
