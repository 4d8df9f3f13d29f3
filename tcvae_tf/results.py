"""Records → rows → medians with intervals → CSV and Markdown. Reads what runs wrote; trains and draws nothing."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from tcvae_tf import files

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
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def read_rows(path: str | Path) -> list[Row]:
    """The rows of a CSV file; none when there is no file."""
    path = Path(path)
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def merge(path: str | Path, records: Iterable[dict]) -> list[Row]:
    """Adds records to a CSV file, replacing rows of the same id, sorted by id; returns all rows.

    Two sweeps that add to one file take turns.
    """
    path = Path(path)
    with files.locked(path.with_name(f".{path.name}.lock")):
        return _merge(path, records)


def _merge(path: Path, records: Iterable[dict]) -> list[Row]:
    rows = {line["id"]: line for line in read_rows(path)}
    rows.update({record["id"]: row(record) for record in records})
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
    """One quantity of the rows whose columns have the given values (dots written as __), by ascending seed."""
    chosen = [line for line in rows if all(line[name.replace("__", ".")] == value for name, value in where.items())]
    chosen.sort(key=lambda line: int(line["run.seed"]))
    return np.array([float(line[quantity]) for line in chosen])


@dataclasses.dataclass(frozen=True)
class Median:
    """A median with its 90% bootstrap interval and the number of seeds; the interval is NaN for a single one."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if self.n == 0:
            return "not run"
        if self.n == 1:
            return f"{self.value:.3f} (one seed, no interval)"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] (n = {self.n})"


def median(sample: Sequence[float] | np.ndarray, resamples: int = 10_000, seed: int = 0) -> Median:
    """The median of a sample and its 90% percentile-bootstrap interval."""
    sample = np.asarray(sample, np.float64)
    n = len(sample)
    if n == 0:
        return Median(np.nan, np.nan, np.nan, 0)
    if n == 1:
        return Median(float(sample[0]), np.nan, np.nan, 1)
    draws = np.random.Generator(np.random.Philox(seed)).integers(n, size=(resamples, n))
    low, high = np.quantile(np.median(sample[draws], axis=1), [0.05, 0.95])
    return Median(float(np.median(sample)), float(low), float(high), n)


@dataclasses.dataclass(frozen=True)
class Claim:
    """One sentence of the paper against our numbers; `holds` is None when there are no numbers for it."""

    text: str
    paper: str
    ours: str
    holds: bool | None

    @property
    def verdict(self) -> str:
        return {True: "yes", False: "**NO: failed**", None: "not run"}[self.holds]


def table(header: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in rows) + "\n"
