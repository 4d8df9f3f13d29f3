"""Files that survive kill −9: written whole or not at all, and locked while somebody works on them."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError as error:
    raise ImportError("tcvae_tf locks its files as Linux and macOS do; on Windows use it in WSL") from error

#: What reading a file says that was damaged.
UNREADABLE = (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary sibling of `path`; on success it is flushed to disk and renamed over `path` in one step."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays, since writers choose a format by it.
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.partial{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _flush_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _flush_directory(directory: Path) -> None:
    """Has the names in a directory survive a loss of power."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep_partials(directory: str | Path, stem: str = "*") -> None:
    """Removes what writers of `stem` that were killed left behind; call it under the lock that keeps others out."""
    for path in Path(directory).glob(f".{stem}.*.partial*"):
        path.unlink(missing_ok=True)


def need_writable(directory: str | Path) -> None:
    """Makes a directory where it is missing.

    Raises:
      ValueError: nothing can be written there.
    """
    try:
        Path(directory).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise ValueError(f"cannot write in {directory} ({error.strerror}); choose another directory") from error


def write_text(path: str | Path, text: str) -> None:
    """Writes `text` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """The value that `write_json` wrote."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def read_fields(path: str | Path) -> dict[str, Any]:
    """What a JSON file of one object holds; nothing where there is none, or it cannot be read."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: str | Path, value: Any) -> None:
    """Writes `value` as JSON to `path`, whole or not at all. NaN and infinity are refused: they are no JSON."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


@contextlib.contextmanager
def locked(path: str | Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Holds an exclusive lock on `path`, which the system releases however the process ends.

    `on_wait` is called once when somebody else holds the lock.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait:
                on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_locked(path: str | Path) -> bool:
    """Whether somebody holds the lock on `path` at this moment."""
    if not Path(path).exists():
        return False
    with open(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
