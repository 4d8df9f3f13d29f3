"""Records → rows → CSV and Markdown tables, and back. A row is flat text, so that the same rows give the same bytes."""

from __future__ import annotations

import csv
import io
import logging
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from tcvae_tf import files

log = logging.getLogger("tcvae_tf")

Row = dict[str, str]


def row(record: dict) -> Row:
    """A record as one flat line of text: nested names are joined by dots, None is empty."""
    flat: Row = {"id": record["id"]}
    for name, value in record.items():
        if name == "id":
            continue
        if isinstance(value, list):
            value = dict(enumerate(value))
        if isinstance(value, dict):
            flat.update({f"{name}.{key}": _text(part) for key, part in value.items()})
        else:
            flat[name] = _text(value)
    return flat


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.7g}" if isinstance(value, float) else str(value).replace("\n", " ")


def failure(run: dict, id: str, error: str) -> dict:
    """What stands for the record of a run that failed: what was asked, and why there is nothing, in one line."""
    return {"id": id, "run": run, "error": " ".join(error.split()) or "unknown"}


def finished(rows: Iterable[Row]) -> list[Row]:
    """The rows of runs that were measured."""
    return [line for line in rows if not line.get("error")]


def failed(rows: Iterable[Row]) -> list[Row]:
    """The rows of runs that failed: `error` says why, the measures are empty."""
    return [line for line in rows if line.get("error")]


def read_rows(path: str | Path) -> list[Row]:
    """The rows of a CSV file; none when there is no file. A line with more or fewer cells than the first is damaged: it
    is left out, with a warning, so that what it held counts as not done."""
    return _parsed(Path(path))[0]


def _parsed(path: Path) -> tuple[list[Row], list[int]]:
    """The rows of a file, and the numbers of the lines that are damaged. No cell holds the end of a line, so that
    damage ends with its own."""
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []
    cells = [_cells(line.rstrip("\r")) for line in lines]
    rows: list[Row] = []
    damaged = []
    for number, line in enumerate(cells[1:], 2):
        if line is None or len(line) not in (0, len(cells[0] or [])):
            damaged.append(number)
        elif line:
            rows.append(dict(zip(cells[0] or [], line, strict=True)))
    if damaged:
        log.warning("%s: damaged and left out: line %s", path, ", ".join(map(str, damaged)))
    return rows, damaged


def _cells(line: str) -> list[str] | None:
    """Those of a line; None where a quote in it has no end."""
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return None


def merge(path: str | Path, records: Iterable[dict]) -> list[Row]:
    """Adds records to a CSV file, replacing rows of the same id, sorted by id; returns all rows.

    A failure replaces no success. Two sweeps that add to one file take turns. Of a file with damaged lines a copy is
    kept beside it, its name with .damaged.
    """
    path = Path(path)
    with files.locked(path.with_name(f".{path.name}.lock")):
        return _merge(path, records)


def _merge(path: Path, records: Iterable[dict]) -> list[Row]:
    kept, damaged = _parsed(path)
    if damaged:
        shutil.copyfile(path, path.with_name(f"{path.name}.damaged"))
    rows = {line["id"]: line for line in kept}
    for record in records:
        if not (record.get("error") and finished([rows.get(record["id"], record)])):
            rows[record["id"]] = row(record)
    ordered = [rows[key] for key in sorted(rows)]
    write_rows(path, ordered)
    return ordered


def write_rows(path: str | Path, rows: Sequence[Row]) -> None:
    """Writes rows as CSV, whole or not at all; a column that a row has not is empty."""
    columns = list(dict.fromkeys(name for line in rows for name in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    files.write_text(path, text.getvalue())


def values(rows: Iterable[Row], quantity: str, **where: str) -> np.ndarray:
    """One quantity of the rows that have it and whose columns have the given values (dots written as __), by ascending
    seed."""
    chosen = [line for line in rows if all(line[name.replace("__", ".")] == value for name, value in where.items())]
    chosen.sort(key=lambda line: int(line["run.seed"]))
    return np.array([float(line[quantity]) for line in chosen if line.get(quantity)])


def table(header: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in rows) + "\n"
