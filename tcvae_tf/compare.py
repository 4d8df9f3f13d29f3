"""A model of one's own beside the methods of the paper: `compare` trains what is not recorded, tabulates and draws.

How rows of methods are chosen and named is here too; the scripts of `reproduce` take it from here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tcvae_tf import custom, datasets, files, plots, results, sweep
from tcvae_tf import runs as runs_module
from tcvae_tf.datasets import faces3d, named
from tcvae_tf.executors import Resources
from tcvae_tf.results import Row
from tcvae_tf.settings import METHODS, NAMES, PAPER_BETAS, Run, in_line, label
from tcvae_tf.sweep import Preset
from tcvae_tf.words import suggest

TITLES = {name: known.title for name, known in datasets.KNOWN.items()}

#: The paper's methods that are trained here, in the order of its figure 3.
BASELINES = tuple(method for method in NAMES if method in METHODS)

#: Fields of Run that a comparison sets itself: the weight of FactorVAE is the preset's.
FIXED = ("dataset", "method", "seed", "tc_weight")
#: Fields that a method of one's own may have otherwise, and the paper's methods have as the paper does.
_WEIGHTS = ("alpha", "beta", "gamma")
#: Columns of the table, as medians.
_ALSO = {"elbo": "ELBO (nats)", "total_correlation": "TC (nats)", "factor_vae_score": "FactorVAE score"}


def title(rows: Sequence[Row], dataset: str) -> str:
    """The name of a data set, which says so where it stands for another."""
    stand_in = any(line["data.source"] == "stand-in" for line in rows if line["run.dataset"] == dataset)
    return TITLES.get(dataset, dataset) + (f" ({faces3d.STAND_IN})" if stand_in else "")


def of(
    rows: Sequence[Row], dataset: str, method: str, beta: float | None = None, tc_weight: float | None = None
) -> list[Row]:
    """The rows of a method on a data set, at one weight where one is given."""
    chosen = [line for line in rows if (line["run.dataset"], line["run.method"]) == (dataset, method)]
    chosen = [line for line in chosen if beta is None or float(line["run.beta"]) == beta]
    return [line for line in chosen if tc_weight is None or float(line["run.tc_weight"]) == tc_weight]


def weights(rows: Sequence[Row], dataset: str) -> list[float]:
    """The weights that FactorVAE was run with, ascending."""
    return sorted({float(line["run.tc_weight"]) for line in of(rows, dataset, "factor_vae")})


def candidates(rows: Sequence[Row], dataset: str) -> dict[float, list[Row]]:
    """The rows of each weight of FactorVAE that one may choose from: of those with the most seeds."""
    found = {weight: of(rows, dataset, "factor_vae", tc_weight=weight) for weight in weights(rows, dataset)}
    most = max(map(len, found.values()), default=0)
    return {weight: lines for weight, lines in found.items() if len(lines) == most}


def tuned(rows: Sequence[Row], dataset: str, method: str) -> list[Row]:
    """The rows of a method as the paper tuned it: at its β, and FactorVAE with the weight of the best median MIG, of
    those that have the most seeds."""
    if method != "factor_vae":
        return of(rows, dataset, method, PAPER_BETAS.get(method))
    found = candidates(rows, dataset).values()
    return max(found, key=lambda lines: results.median(results.values(lines, "mig")).value, default=[])


def tuned_label(rows: Sequence[Row], dataset: str, method: str) -> str:
    """Its label, with the weight that is shown."""
    shown = tuned(rows, dataset, method)
    weight = shown[0]["run.tc_weight"] if shown and method == "factor_vae" else ""
    return label(method, f"{PAPER_BETAS.get(method, '')}", weight)


def compare(
    method: str,
    preset: str = "quick",
    dataset: str = "dsprites",
    root: str | Path = "runs",
    out: str | Path = "compare",
    executor: str = "processes",
    workers: int | None = None,
    records: str | Path | None = None,
    fields: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
) -> str:
    """Trains a model of one's own as a preset does the paper's methods, and those of them that are not recorded yet.

    Writes into `out` compare.md, compare.json, the figure compare.png and .svg, and records.csv, whose rows figure 3
    and the table of measures show too where no field was changed: `python -m reproduce fig3 --draw --out=compare`.

    Args:
      method: "module:function"; see `tcvae_tf.custom` for what the function takes and returns.
      preset: settings and seeds, of `tcvae_tf.sweep.PRESETS`.
      dataset: "dsprites", "faces3d", or "module:function" of one's own, trained on with the preset's settings for
        dSprites.
      root: directory of all runs.
      out: directory of the results.
      executor, workers: see `tcvae_tf.sweep.execute_all`.
      records: a CSV file of records, such as results/records.csv of the repository; rows of the very runs that the
        preset asks for are not trained again.
      fields: fields of Run that differ from the preset's, of the baselines too, whose α, β, γ and weight of the TC are
        their own.
      seeds: other seeds than the preset's.

    Returns:
      a Markdown table and notes on what it rests on.

    Raises:
      ValueError, FileNotFoundError: an unknown name, or a method that is no function of one's own.
      ImportError: matplotlib is not installed.
      SweepFailed: no run of the method could be done.
    """
    check(method, preset, dataset, fields)
    plots.need_matplotlib()
    chosen, part = _settings(preset, dataset, fields, seeds)
    usual, _ = _settings(preset, dataset, {k: v for k, v in (fields or {}).items() if k not in _WEIGHTS}, seeds)
    own, others = chosen.runs([{"method": method}], part), usual.runs(usual.variants(part), part)
    known = _known(others, root, records)
    todo = [*own, *(run for run in others if run.id not in known)]
    rows, failures = _done(todo, root, executor, workers, method)
    rows = [*known.values(), *rows]
    lines, notes = _lines(rows, method, dataset), _notes(rows, method, chosen, part, fields, known, failures)
    text = f"{_tabulate(lines)}\n" + "".join(f"* {note}.\n" for note in notes)
    out = Path(out)
    _keep(out / "records.csv", rows)
    caption = f"preset {preset}; {in_line(label(method))}: n = {len(of(rows, dataset, method))}"
    plots.save(draw(rows, method, dataset, caption), out / "compare.png")
    heading = f"# {method} beside the methods of the paper\n\n![MIG](compare.png)\n"
    files.write_text(out / "compare.md", f"{heading}\n{text}")
    told = {"method": method, "preset": preset, "dataset": dataset, "lines": list(map(_as_json, lines)), "notes": notes}
    files.write_json(out / "compare.json", told)
    return text


def check(method: str, preset: str, dataset: str, fields: Mapping[str, Any] | None = None) -> None:
    """Looks at what `compare` is asked before anything is trained.

    Raises:
      ValueError: an unknown name, or a method that is no function of one's own.
    """
    if method in METHODS:
        raise ValueError(f"compare takes a method of your own, module:function; {method!r} is among the baselines")
    if ":" not in method:
        raise ValueError(f"compare takes a method of your own, module:function; {method!r} names no function")
    _settings(preset, dataset, fields)
    custom.function(method)  # a wrong name is told now and not by every run


def _keep(path: Path, rows: Sequence[Row]) -> None:
    """Writes rows into a file of records, beside those of other runs that it has."""
    with files.locked(path.with_name(f".{path.name}.lock")):
        known = {line["id"]: line for line in [*results.read_rows(path), *rows]}
        results.write_rows(path, [known[id] for id in sorted(known)])


def _settings(
    preset: str, dataset: str, fields: Mapping[str, Any] | None, seeds: Sequence[int] | None = None
) -> tuple[Preset, str]:
    """A preset with other fields and seeds, and which part of it trains on the data set."""
    if preset not in sweep.PRESETS:
        raise ValueError(f"unknown preset {preset!r}; {suggest(preset, list(sweep.PRESETS))}")
    if dataset not in TITLES and ":" not in dataset:
        raise ValueError(f"unknown data set {dataset!r}; {suggest(dataset, [*TITLES, 'module:function'])}")
    free = [field.name for field in dataclasses.fields(Run) if field.name not in FIXED]
    for name in fields or ():
        if name not in free:
            raise ValueError(f"compare: {name!r} is no field to change; {suggest(name, free)}")
    chosen, part = sweep.PRESETS[preset], dataset if dataset in TITLES else "dsprites"
    changed = {**chosen.of(part), "dataset": dataset, **(fields or {})}
    if "epochs" in (fields or {}) and "steps" not in (fields or {}):
        changed.pop("steps", None)  # which would override them
    if seeds is not None:
        chosen = dataclasses.replace(chosen, seeds=tuple(seeds), fewer_seeds=tuple(seeds))
    return chosen.changed(part, changed), part


def _known(wanted: Sequence[Run], root: str | Path, records: str | Path | None) -> dict[str, Row]:
    """The rows of runs that are recorded, by id: in a file of records or, rather, in the directory of runs."""
    if records is not None and not Path(records).exists():
        raise FileNotFoundError(f"{records}: no such file of records; leave it out to train the baselines here")
    found = recorded(wanted, records) if records else {}
    for run in wanted:
        if (record := runs_module.read_record(run, root)) is not None:
            found[run] = results.row(record)
    return {run.id: found[run] for run in wanted if run in found}


def recorded(wanted: Sequence[Run], records: str | Path) -> dict[Run, Row]:
    """The rows of runs that a file of records holds as they would be written today: with the same fields, recipe and
    measures, of the same images."""
    rows = {line["id"]: line for line in results.finished(results.read_rows(records))}

    def stands(run: Run) -> bool:
        now = {"id": run.id, "run": dataclasses.asdict(run), "recipe": run.recipe, "measures": runs_module.MEASURES}
        if origin := datasets.origin(run.dataset):
            now["data"] = {"source": origin}
        line = rows.get(run.id, {})
        if line.get("data_source.sha256"):
            now["data_source"] = runs_module.sources(run).get("data_source", {})
        return results.row(now).items() <= line.items()

    return {run: rows[run.id] for run in wanted if stands(run)}


def _done(
    todo: Sequence[Run], root: str | Path, executor: str, workers: int | None, method: str
) -> tuple[list[Row], dict[Run, str]]:
    """Rows of runs that are executed where they are not done, and why some could not be."""
    rows: list[Row] = []
    for name in sorted({run.dataset for run in todo if runs_module.read_record(run, root) is None}):
        datasets.load(name)  # once here, so that the runs find it in the cache
    failures: dict[Run, str] = {}

    def keep(_: Run, record: dict) -> None:
        rows.append(results.row(record))

    with _findable(method):
        try:
            sweep.execute_all(todo, root, executor, Resources(workers), on_record=keep)
        except sweep.SweepFailed as failed:
            failures = failed.failures
            if not any(line["run.method"] == method for line in rows):
                raise
    return rows, failures


@contextlib.contextmanager
def _findable(method: str) -> Iterator[None]:
    """Has processes that are started find the module where this one does."""
    before, source = os.environ.get("PYTHONPATH"), named.source(method)
    if source:
        above = method.split(":")[0].count(".") + (source.name == "__init__.py")
        home = str(source.absolute().parents[above])
        os.environ["PYTHONPATH"] = os.pathsep.join([home, *([before] if before else [])])
    try:
        yield
    finally:
        os.environ.pop("PYTHONPATH", None)
        if before is not None:
            os.environ["PYTHONPATH"] = before


def draw(rows: Sequence[Row], method: str, dataset: str, caption: str = ""):
    """Figure 3 for one data set, with one more column."""
    columns = {tuned_label(rows, dataset, m): _values(rows, dataset, m, "mig") for m in (*BASELINES, method)}
    return plots.mig_distribution({title(rows, dataset): columns}, {}, caption)


def _values(rows: Sequence[Row], dataset: str, method: str, quantity: str) -> np.ndarray:
    return results.values(tuned(rows, dataset, method), quantity)


def short(sample: np.ndarray) -> str:
    """The median as `_digits` shows it; a dash where nothing is known."""
    return _digits(float(np.median(sample))) if len(sample) else "–"


def _digits(number: float) -> str:
    """Three digits or three decimals, of a large number one decimal."""
    return f"{number:z.3f}" if abs(number) < 1 else f"{number:.3g}" if abs(number) < 100 else f"{number:.1f}"


def _lines(rows: Sequence[Row], method: str, dataset: str) -> list[dict[str, Any]]:
    """For each method its medians, that of MIG as an Estimate, and the rank test of one's own model against it; None
    where there is nothing."""
    ours, lines = _values(rows, dataset, method, "mig"), []
    for other in (*BASELINES, method):
        mig = _values(rows, dataset, other, "mig")
        found = results.compare(ours, mig) if other != method else results.compare([], [])
        samples = {name: _values(rows, dataset, other, name) for name in _ALSO}
        lines.append(
            {
                "method": other,
                "label": in_line(tuned_label(rows, dataset, other)),
                "mig": results.median(mig),
                **{name: float(np.median(sample)) if len(sample) else None for name, sample in samples.items()},
                "effect": found.effect,
                "p": found.two_sided if found.effect is not None else None,
            }
        )
    return lines


def _as_json(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line for scripts, with null for what is not known."""
    mig = dataclasses.asdict(line["mig"])
    return {**line, "mig": {name: None if number != number else number for name, number in mig.items()}}


def _tabulate(lines: Sequence[Mapping[str, Any]]) -> str:
    """The same as a table; a dash where there is nothing."""

    def cells(line: Mapping[str, Any]) -> list[object]:
        also = ["–" if line[name] is None else _digits(line[name]) for name in _ALSO]
        tested = ["–", "–"]
        if line["effect"] is not None:
            tested = [f"{line['effect']:+.2f}", results.p_text(line["p"])]
        return [line["label"], line["mig"], *also, *tested]

    header = ["method", "median MIG [90% interval or range]", *_ALSO.values(), "δ of yours against it", "p"]
    return results.table(header, map(cells, lines))


def _notes(
    rows: Sequence[Row],
    method: str,
    preset: Preset,
    part: str,
    fields: Mapping[str, Any] | None,
    known: Mapping[str, Row],
    failures: Mapping[Run, str],
) -> list[str]:
    """What the table rests on, a sentence each."""
    dataset = preset.of(part)["dataset"]
    changed = ", ".join(f"{name} = {value}" for name, value in (fields or {}).items())
    n, m = (len(_values(rows, dataset, name, "mig")) for name in (method, "vae"))
    departs = "; ".join(text for text in preset.deviations(part) if not text.startswith("dataset"))
    source = next((line.get("source.sha256", "") for line in of(rows, dataset, method)), "")
    told = [
        f"{title(rows, dataset)}, preset {preset.name}" + (f", changed: {changed}" if changed else ""),
        f"Departs from the paper: {departs or 'nothing'}",
        "MIG is exact. δ = P(yours > theirs) − P(yours < theirs); p is of the exact two-sided rank test, for each "
        f"method by itself; with n = {n} and {m} it cannot be below {_least_p(n, m):.2g}",
        f"Baselines: {len(known)} runs were recorded before",
        "Machines: " + "; ".join(sorted({line["device"] for line in rows})),
        f"Source of {method}: SHA-256 {source[:12] or 'not known'}",
    ]
    told += [f"Failed: {run.id}: {error}" for run, error in failures.items()]
    return told


def _least_p(n: int, m: int) -> float:
    """The least p of a two-sided rank test of samples of these sizes."""
    return min(1.0, 2 / math.comb(n + m, n))
