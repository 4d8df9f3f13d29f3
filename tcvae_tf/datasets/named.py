"""What `module:function` names: a data set or a method of one's own, imported anew when its file has changed."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: The source that each module had when it was imported here.
_sources: dict[str, str | None] = {}


def function(what: str, name: str) -> Callable[..., Any]:
    """The function that `module:function` names.

    Raises:
      ValueError: there is none; `what` says in the message what it was to be.
    """
    module, attribute = name.split(":", 1)
    remedy = "; give module:function as Python would import it"
    try:
        now = digest(name)
        if _sources.setdefault(module, now) != now:
            _sources[module] = now
            sys.modules.pop(module, None)
        imported = importlib.import_module(module)
    except ImportError as error:
        ours = not isinstance(error, ModuleNotFoundError) or error.name in (module, module.split(".")[0])
        raise ValueError(f"{what} {name!r}: {error}{remedy if ours else ''}") from error
    except Exception as error:
        raise ValueError(f"{what} {name!r}: {told(error, name)}") from error
    try:
        return getattr(imported, attribute)
    except AttributeError as error:
        raise ValueError(f"{what} {name!r}: {error}{remedy}") from error


def told(error: Exception, name: str) -> str:
    """What went wrong in a module of one's own, and in which of its lines, in one line."""
    if isinstance(error, SyntaxError):
        return f"{error.msg} ({Path(error.filename or name).name}, line {error.lineno})"
    path = source(name)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if path and Path(frame.filename) == path]
    place = f" ({path.name}, line {frames[-1].lineno})" if path and frames else ""
    return f"{type(error).__name__}: {error}{place}"


def source(name: str) -> Path | None:
    """The file of the module; None where there is none."""
    try:
        spec = importlib.util.find_spec(name.split(":")[0])
    except Exception:  # of a package above it, which is imported for that: whoever imports it himself is told
        return None
    return Path(spec.origin) if spec and spec.has_location and spec.origin else None


def digest(name: str) -> str | None:
    """SHA-256 of that file, by which a change of it is noticed; of what it imports nothing is known."""
    path = source(name)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path and path.is_file() else None
