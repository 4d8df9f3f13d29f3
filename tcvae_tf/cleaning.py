"""What a directory of runs can do without, with sizes, and its removal.

A run's record.json, run.json, history.csv, log.txt and error.txt always stay, and so does all of a run that somebody
is at. The work of a run that is not finished, which it would go on with, is touched only where that is asked for.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tcvae_tf import files
from tcvae_tf.runs import MEASURES
from tcvae_tf.settings import Run, recipe_of

#: Kinds of what can go, and what is lost with each.
KINDS = {
    "checkpoints": "of finished runs; their models can then no longer be loaded, exported or explored",
    "codes": "of finished runs; pages and further measures then take encoding, without a checkpoint training too",
    "leftovers": "of finished runs: half-written temporaries, notes of progress; nothing is lost",
    "outdated": "work of runs of another recipe, whose records stay; this version does not go on with it",
    "unfinished": "work of runs that failed, were cut off or are to be measured again; they then begin anew",
}
#: The kinds that are looked for where none is named.
USUAL = ("checkpoints", "codes", "leftovers", "outdated")

_FINISHED = {"checkpoint/*.keras": "checkpoints", "codes.npz": "codes", "progress.json": "leftovers"}
_WORK = (*_FINISHED, "pictures.npz", "discriminator.json")
_PARTIAL = (".*.partial*", "checkpoint/.*.partial*")


@dataclasses.dataclass(frozen=True)
class Item:
    """A file that can go.

    Attributes:
      kind: one of `KINDS`.
      path: where it is.
      bytes: its size.
      home: the directory of its run.
    """

    kind: str
    path: Path
    bytes: int
    home: Path


def homes(root: str | Path) -> list[Path]:
    """The directories of runs at and below `root`: those whose run.json or record.json says their own name as its id.

    Raises:
      FileNotFoundError: no such directory.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such directory of runs")
    found = {path.parent for name in ("run.json", "record.json") for path in root.rglob(name)}
    return sorted(home for home in found if home.resolve().name in (_id(home, "run.json"), _id(home, "record.json")))


def state(home: Path) -> str:
    """What a run is: "busy" while somebody is at it, else "finished", "outdated" or "unfinished"."""
    return "busy" if files.is_locked(home / "lock") else _state(home)


def _state(home: Path) -> str:
    record = files.read_fields(home / "record.json")
    if not record:
        return "unfinished"
    recipe, now = record.get("recipe"), _recipe_now(record)
    if recipe != now:  # a later one is for another version to go on with
        return "outdated" if isinstance(recipe, int) and recipe < now else "unfinished"
    # A record of older measures is taken again from the codes.
    return "finished" if record.get("measures") == MEASURES else "unfinished"


def _recipe_now(record: dict) -> int:
    """The recipe by which this version would train the run of a record, as far as it knows its fields."""
    names = {field.name for field in dataclasses.fields(Run)}
    try:
        return Run(**{name: value for name, value in record["run"].items() if name in names}).recipe
    except (AttributeError, KeyError, TypeError, ValueError):
        return recipe_of(False)


def find(root: str | Path, kinds: Sequence[str] = USUAL) -> list[Item]:
    """The files of these kinds that can go, of all runs at and below `root` that nobody is at.

    Raises:
      FileNotFoundError: no such directory.
    """
    found = [_items(home) for home in homes(root) if state(home) != "busy"]
    return [item for items in found for item in items if item.kind in kinds]


def delete(items: Iterable[Item]) -> list[Item]:
    """Removes files that `find` found, of each run under its lock; returns what is gone.

    What is no longer of the same kind, and a run that somebody has taken up since, is left.
    """
    gone: list[Item] = []
    for home, group in itertools.groupby(items, lambda item: item.home):
        wanted = {(item.path, item.kind) for item in group}
        try:
            with files.locked(home / "lock", on_wait=_give_up):
                for item in (item for item in _items(home) if (item.path, item.kind) in wanted):
                    item.path.unlink()
                    gone.append(item)
        except _BusyError:
            continue
    return gone


class _BusyError(Exception):
    """Somebody holds the lock of a run."""


def _give_up() -> None:
    raise _BusyError


def _items(home: Path) -> list[Item]:
    """What can go of one run, whoever may be at it."""
    now = _state(home)
    patterns: dict[str, str] = dict.fromkeys((*_WORK, *_PARTIAL), now)
    if now == "finished":
        patterns = {**_FINISHED, **dict.fromkeys(_PARTIAL, "leftovers")}
    return [
        Item(kind, path, path.lstat().st_size, home)
        for pattern, kind in patterns.items()
        for path in sorted(home.glob(pattern))
        if path.is_file() and path.name.startswith(".") == (pattern in _PARTIAL)
    ]


def _id(home: Path, name: str) -> Any:
    return files.read_fields(home / name).get("id")
