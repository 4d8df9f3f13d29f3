"""What `module:function` names: a data set or a method of one's own, imported anew when its file has changed."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
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
    now = digest(name)
    if _sources.setdefault(module, now) != now:
        _sources[module] = now
        sys.modules.pop(module, None)
    try:
        return getattr(importlib.import_module(module), attribute)
    except SyntaxError as error:
        place = f"{Path(error.filename or module).name}, line {error.lineno}"
        raise ValueError(f"{what} {name!r}: {error.msg} ({place})") from error
    except (ImportError, AttributeError) as error:
        inside = isinstance(error, ModuleNotFoundError) and error.name not in (module, module.split(".")[0])
        remedy = "" if inside else "; give module:function as Python would import it"
        raise ValueError(f"{what} {name!r}: {error}{remedy}") from error


def source(name: str) -> Path | None:
    """The file of the module; None where there is none."""
    try:
        spec = importlib.util.find_spec(name.split(":")[0])
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec and spec.has_location and spec.origin else None


def digest(name: str) -> str | None:
    """SHA-256 of that file, by which a change of it is noticed; of what it imports nothing is known."""
    path = source(name)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path and path.is_file() else None
