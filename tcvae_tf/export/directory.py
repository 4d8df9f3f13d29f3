"""The directory of an export, written whole or not at all."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from tcvae_tf import files
from tcvae_tf.export import card

README = "README.md"
#: All that an export consists of.
_OURS = {README, "saved_model.pb", "fingerprint.pb", "variables", "assets"}


def refuse_foreign(path: Path) -> None:
    """
    Raises:
      FileExistsError: what is there is neither an empty directory nor an export and nothing but that.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise FileExistsError(f"{path} is a file; give the path of a new directory")
    held = {part.name for part in path.iterdir()}
    exported = {"saved_model.pb", README} <= held and (path / "assets" / card.JSON).is_file()
    if held and not (exported and held <= _OURS):
        stranger = min(held - _OURS or held)
        raise FileExistsError(f"{path} is not empty and no export: it holds {stranger}; give a new directory")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields an empty temporary sibling of `path`; on success it is flushed to disk and renamed to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.unfinished")
    lock = temporary.with_suffix(".lock")
    try:
        with files.locked(lock):
            temporary.mkdir()
            yield temporary
            _flush(temporary)
            refuse_foreign(path)  # it may have come meanwhile
            _take_place(temporary, path)
    finally:
        _remove(temporary)
        lock.unlink(missing_ok=True)


def _take_place(temporary: Path, path: Path) -> None:
    """Renames to `path`. An older export steps aside before, and is removed after."""
    aside = temporary.with_suffix(".replaced")
    if path.exists():
        os.rename(path, aside)
    try:
        os.rename(temporary, path)
    except BaseException:
        _bring_back(aside, path)
        raise
    _flush(path.parent, deep=False)
    _remove(aside)


def _sweep(path: Path) -> None:
    """Removes what exports to `path` that were killed left behind. One that was replaced at that moment comes back."""
    for lock in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 8}.lock"):
        if not files.is_locked(lock):
            _bring_back(lock.with_suffix(".replaced"), path)
            _remove(lock.with_suffix(".unfinished"))
            lock.unlink(missing_ok=True)


def _bring_back(aside: Path, path: Path) -> None:
    if aside.exists() and not path.exists():
        os.rename(aside, path)
    _remove(aside)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


def _flush(directory: Path, deep: bool = True) -> None:
    """Has files, and the names of files, survive a loss of power."""
    for part in [*(directory.rglob("*") if deep else ()), directory]:
        descriptor = os.open(part, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
