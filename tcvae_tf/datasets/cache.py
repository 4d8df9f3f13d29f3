"""A cache of image arrays on disk: memory-mapped, checksummed, written whole or not at all.

An entry is `NAME.npy` and, written after it, `NAME.json` with its sha256. A process killed in between leaves an entry
without a valid checksum, which is noticed, named and built again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tcvae_tf import files

log = logging.getLogger("tcvae_tf")


def directory() -> Path:
    """$TCVAE_CACHE, else tcvae_tf in the user's cache directory."""
    chosen = os.environ.get("TCVAE_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tcvae_tf"


Writer = Callable[[int, np.ndarray], None]


def cached(
    name: str, shape: tuple[int, ...], build: Callable[[Writer], None], sha256: str | None = None
) -> tuple[np.ndarray, str]:
    """Returns the uint8 array `name` of `shape`, read-only and memory-mapped, and its sha256; builds it when needed.

    Args:
      name: the entry's name; it carries all that distinguishes one content from another.
      shape: the array's shape; the entry is rebuilt when its file has another.
      build: called with `write(first_row, rows)`, which it calls until all rows are written.
      sha256: the digest that the content must have, where it is known beforehand.

    Raises:
      RuntimeError: what `build` wrote does not have the digest `sha256`.
      OSError: the disk is full, or the entry is not there and the directory cannot be written in.
    """
    path = directory() / f"{name}.npy"
    with contextlib.ExitStack() as turn:
        try:
            turn.enter_context(files.locked(path.with_suffix(".lock")))
        except PermissionError as error:  # a directory that others keep for us: the entry is there or it is of no use
            if found := _read(path, shape, sha256):
                return found
            raise PermissionError(f"cannot write in {path.parent} ({error}); set TCVAE_CACHE to another") from error
        found = _read(path, shape, sha256)
        if found is None:
            files.sweep_partials(path.parent, path.stem)
            _build(path, shape, build, sha256)
            found = _read(path, shape, sha256)
    if found is None:
        raise RuntimeError(f"{path}: differs from what was just written; check the disk")
    return found


def _read(path: Path, shape: tuple[int, ...], sha256: str | None) -> tuple[np.ndarray, str] | None:
    """The entry if it is whole; None, and a warning that names it, if it is not."""
    sidecar = path.with_suffix(".json")
    if not path.exists():
        return None
    try:
        expected = sha256 or json.loads(sidecar.read_text())["sha256"]
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        whole = array.shape == shape and array.dtype == np.uint8 and _digest(path, array) == expected
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        whole = False
    if whole:
        return array, expected
    log.warning("%s is half-written or corrupted; building it again", path)
    return None


def _build(path: Path, shape: tuple[int, ...], build: Callable[[Writer], None], sha256: str | None) -> None:
    path.with_suffix(".json").unlink(missing_ok=True)
    with files.replacing(path) as temporary:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        if hasattr(os, "posix_fallocate"):  # a full disk is an error here, and would kill the process later
            with open(temporary, "rb+") as file:
                os.posix_fallocate(file.fileno(), 0, os.path.getsize(temporary))

        def write(first: int, rows: np.ndarray) -> None:
            array[first : first + len(rows)] = rows

        build(write)
        array.flush()
        digest = _digest(temporary, array)
        if sha256 and digest != sha256:
            raise RuntimeError(f"{path.name}: built with sha256 {digest}, not {sha256}; please report your platform")
    files.write_json(path.with_suffix(".json"), {"sha256": digest, "shape": shape})


def take(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """array[rows], [n, ...]; of a map of a whole file, read from the file.

    Through the map every page that was ever touched, and the huge page around it, would count as this process's memory:
    all of dSprites after a batch. Neighbouring rows are read at once.
    """
    whole = isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap) and hasattr(os, "pread")
    inside = len(rows) and rows.dtype.kind in "iu" and rows.min() >= 0 and rows.max() < len(array)
    return _read_rows(array, rows) if whole and inside else array[rows]


def _read_rows(array: Any, rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.int64)  # a small type would overflow below
    size, begins = array.nbytes // len(array), np.flatnonzero(np.diff(rows, prepend=rows[0]) != 1)
    runs = zip((array.offset + size * rows[begins]).tolist(), np.diff(begins, append=len(rows)).tolist(), strict=True)
    try:
        with open(str(array.filename), "rb", buffering=0) as file:
            descriptor = file.fileno()
            found = bytearray().join([os.pread(descriptor, size * count, place) for place, count in runs])
    except OSError:  # the file is gone; the map stays
        return array[rows]
    if len(found) != size * len(rows):  # it is another file
        return array[rows]
    return np.frombuffer(found, array.dtype).reshape(-1, *array.shape[1:])


def _digest(path: str | Path, array: np.memmap) -> str:
    """Of what lies in the file; read once in a process as long as the file stays the same."""
    found = os.stat(path)
    identity = (os.fspath(path), array.offset, found.st_ino, found.st_size, found.st_mtime_ns)
    # Times have ticks of some milliseconds: what was written just now may be written again and keep its time.
    recent = time.time() - found.st_mtime < 2
    return (digest_once.__wrapped__ if recent else digest_once)(*identity)


@functools.lru_cache(8)
def digest_once(path: str, offset: int, *identity: int) -> str:
    """Read in pieces: through the map all of it would count as this process's memory."""
    with open(path, "rb") as file:
        file.seek(offset)
        return hashlib.file_digest(file, "sha256").hexdigest()
