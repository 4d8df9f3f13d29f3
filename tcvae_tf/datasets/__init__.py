"""Data sets as full factor grids: `load` for the ones we know, `from_arrays` for a user's own."""

from __future__ import annotations

from pathlib import Path

from tcvae_tf.datasets import named
from tcvae_tf.datasets.arrays import from_arrays
from tcvae_tf.datasets.dataset import Dataset, decode
from tcvae_tf.datasets.known import KNOWN
from tcvae_tf.words import suggest

__all__ = ["KNOWN", "SOURCES", "Dataset", "decode", "from_arrays", "load"]

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
        return KNOWN[name].load(path, source)
    if path is not None or source != "auto":
        raise ValueError(f"{name} is a function of yours, which takes no path and no source; leave them out")
    return _custom(name)


def check_name(name: str) -> None:
    """
    Raises:
      ValueError: neither one of ours nor module:function.
    """
    if not isinstance(name, str) or (":" not in name and name not in KNOWN):
        raise ValueError(f"unknown data set {name!r}; {suggest(name, [*KNOWN, 'module:function'])}")


def origin(name: str) -> str | None:
    """Which of several unlike image sets `load(name)` would take, by the name of its source; None where there is but
    one, or all sources hold the same images."""
    known = KNOWN.get(name)
    return known.origin() if known and known.origin else None


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
