"""`table`: what records say. No TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

from tcvae_tf import files, results
from tcvae_tf.cli import command
from tcvae_tf.cli.command import Command, UnusableError
from tcvae_tf.results import Estimate, Row
from tcvae_tf.settings import Run
from tcvae_tf.words import suggest

#: What a table shows where no measure is named.
MEASURES = ("mig", "elbo", "total_correlation", "factor_vae_score")
#: Columns that it has in any case.
_FIRST = ("dataset", "method", "beta")
#: Weights and options that a method fixes or does not use.
_OF_METHODS = ("alpha", "gamma", "estimator", "tc_weight", "discriminator_")
#: Beginnings of the many columns that are known and not listed.
_LONG = ("versions.", "dimension_kl.")

_TABLE_HELP = """ROOT is a directory with runs at or below it, a records.csv, or a record.json; default: runs. A line
holds the runs that differ in their seed alone: the median of each measure, its 90% bootstrap interval, of up to
five their range, and their number n. --by chooses other columns, and pools what differs in the rest;
--where leaves records out.
"""


class Group(NamedTuple):
    """Runs that a table does not tell apart: their settings by column, how many, and each measure over them."""

    settings: dict[str, str]
    n: int
    estimates: dict[str, Estimate]


def read(roots: Sequence[str]) -> list[Row]:
    """The rows of all records at and below the roots, each id once.

    Raises:
      FileNotFoundError: no such directory or file, or no record there.
    """
    rows: dict[str, Row] = {}
    unread = 0
    for root in map(Path, roots):
        if not root.exists():
            raise FileNotFoundError(f"{root}: no such directory of runs or records.csv")
        if root.suffix == ".csv":
            found = results.finished(results.read_rows(root))
            if found and "id" not in found[0]:
                raise ValueError(f"{root}: holds no records; its first line has no column id")
        else:
            paths = sorted(root.rglob("record.json")) if root.is_dir() else [root]
            records = [files.read_fields(path) for path in paths]
            found = [results.row(record) for record in records if {"id", "run"} <= set(record)]
            unread += len(records) - len(found)
        for line in found:
            rows.setdefault(line["id"], line)
    if unread:
        command.note(f"left out: {unread} records that cannot be read")
    if not rows:
        raise FileNotFoundError(f"no record at or below {', '.join(roots)}; tcvae train and tcvae sweep write them")
    return list(rows.values())


def columns(rows: Sequence[Row]) -> list[str]:
    """Every column in which runs on one data set differ, but for the seed, and of those that follow the method (what it
    fixes, and the recipe) as few as tell runs apart; `_FIRST` in any case, and the source of the images where some are
    stand-ins."""
    fields = [field.name for field in dataclasses.fields(Run) if field.name != "seed"]
    common = [f"run.{name}" for name in fields if not name.startswith(_OF_METHODS)] + ["data.source"]
    by_dataset = _groups(rows, ["run.dataset"]).values()
    chosen = [f"run.{name}" for name in _FIRST]
    chosen += [name for name in common if any(len(_groups(lines, [name])) > 1 for lines in by_dataset)]
    chosen = list(dict.fromkeys(chosen))
    for name in (*(f"run.{name}" for name in fields), "recipe"):
        if len(_groups(rows, [*chosen, name])) > len(_groups(rows, chosen)):
            chosen.append(name)
    return _with_source(rows, chosen)


def _with_source(rows: Sequence[Row], by: list[str]) -> list[str]:
    """The columns, and data.source where it has to be said."""
    unsaid = "data.source" not in by and any(line.get("data.source") == "stand-in" for line in rows)
    return [*by, "data.source"] if unsaid else by


def _groups(rows: Sequence[Row], by: Sequence[str]) -> dict[tuple[str, ...], list[Row]]:
    found: dict[tuple[str, ...], list[Row]] = {}
    for line in rows:
        found.setdefault(tuple(line.get(name, "") for name in by), []).append(line)
    return found


def summarise(rows: Sequence[Row], by: Sequence[str], measures: Sequence[str]) -> list[Group]:
    """One group for each combination of values of the columns `by`, in order."""
    return [
        Group(
            dict(zip(by, key, strict=True)),
            len(lines),
            {name: results.median(results.values(lines, name)) for name in measures},
        )
        for key, lines in sorted(_groups(rows, by).items(), key=lambda pair: [_rank(value) for value in pair[0]])
    ]


def _rank(value: str) -> tuple[int, float, str]:
    """Numbers by size, then words."""
    try:
        return 0, float(value), ""
    except ValueError:
        return 1, 0.0, value


def markdown(groups: Sequence[Group]) -> str:
    """A table of groups."""
    header = [*(name.removeprefix("run.") for name in groups[0].settings), *groups[0].estimates, "n"]
    lines = [
        [*group.settings.values(), *(_cell(estimate, group.n) for estimate in group.estimates.values()), group.n]
        for group in groups
    ]
    return results.table(header, lines)


def _cell(estimate: Estimate, n: int) -> str:
    if estimate.n == 0:
        return ""
    digits = 3 if abs(estimate.value) < 10 else 1
    text = f"{estimate.value:.{digits}f}"
    if estimate.n > 1:
        text += f" [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"
    return text if estimate.n == n else f"{text} (n = {estimate.n})"


def as_json(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """The same for scripts; null where there is no interval."""
    return [
        {
            **{name.removeprefix("run."): value for name, value in group.settings.items()},
            "n": group.n,
            **{
                name: {key: None if part != part else part for key, part in dataclasses.asdict(estimate).items()}
                for name, estimate in group.estimates.items()
            },
        }
        for group in groups
    ]


def _column(name: str, rows: Sequence[Row], number: bool) -> str:
    """The full name of a column, for one that may lack its "run."

    Raises:
      UnusableError: no record has it, or not as a number.
    """
    fields = {f"run.{field.name}" for field in dataclasses.fields(Run)}
    known = {column for line in rows for column, value in line.items() if not number or _rank(value)[0] == 0}
    known -= {*fields, "measures", "recipe"} if number else set()
    for candidate in (name, f"run.{name}"):
        if candidate in known:
            return candidate
    short = sorted(column.removeprefix("run.") for column in known if not column.startswith(_LONG))
    raise UnusableError(f"unknown {'measure' if number else 'column'} {name!r}; {suggest(name, short)}")


def _where(rows: list[Row], pairs: Sequence[str]) -> list[Row]:
    """The rows that have these values, each "column=value".

    Raises:
      UnusableError: an unknown column, no pair, or no row.
    """
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UnusableError(f"--where: {pair!r} is not column=value")
        column = _column(name, rows, False)
        found = [line for line in rows if _rank(line.get(column, "")) == _rank(value)]
        if not found:
            there = sorted({line.get(column, "") for line in rows}, key=_rank)
            raise UnusableError(f"--where: no record has {name} {value!r}; {suggest(value, there)}")
        rows = found
    return rows


def _table_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    flags.DEFINE_list("by", None, "columns: fields of a run, or of its record such as data.source", flag_values=values)
    flags.DEFINE_list("where", None, "only records with these values: dataset=dsprites,epochs=4", flag_values=values)
    flags.DEFINE_list("measures", list(MEASURES), "measures of the records", flag_values=values)
    command.json_flag(values)
    return values


def _table(values: Any, roots: list[str]) -> None:
    rows = _where(read(roots or ["runs"]), [pair for pair in values.where or [] if pair])
    measures = [_column(name, rows, True) for name in values.measures if name]
    by = [_column(name, rows, False) for name in values.by or [] if name]
    pooled = [name for name in columns(rows) if name not in by] if by else []
    several = [name for name in pooled if len(_groups(rows, [*by, name])) > len(_groups(rows, by))]
    if several:
        command.note(f"pooled over {', '.join(name.removeprefix('run.') for name in several)}")
    groups = summarise(rows, _with_source(rows, by) if by else columns(rows), measures)
    command.show(values, markdown(groups), as_json(groups))


TABLE = Command(
    _table_flags,
    _table,
    "[ROOT ...]",
    "tabulate records: the median over seeds with its interval",
    (
        "tcvae table runs",
        "tcvae table runs --by=method,beta --where=dataset=dsprites,epochs=10 --measures=mig,elbo",
        "tcvae table results/records.csv --measures=mig,mig_gaps.scale --json",
    ),
    _TABLE_HELP,
)
