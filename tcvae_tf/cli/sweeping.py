"""`sweep`: many runs, their product, and what they come to."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from tcvae_tf import datasets, executors, files, plan, results, runs, settings, sweep
from tcvae_tf.cli import command, tables, training
from tcvae_tf.cli.command import Command
from tcvae_tf.settings import Run
from tcvae_tf.words import suggest

_SWEEP_HELP = """Every flag of a run takes several values, with commas or by being repeated: all their combinations
are run, each once. --fix, whose value has commas, is repeated. --preset starts from a preset of the figures, with its
seeds where --seed is not given, so that runs which they share are trained once. A sweep goes on where it was stopped;
several may work in one directory of runs, on several machines too.
"""


def _sweep_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    for field in dataclasses.fields(Run):
        flags.DEFINE_multi_string(field.name, f"{field.default}", field.metadata["help"], flag_values=values)
    training.setting_flag(values)
    flags.DEFINE_string("preset", None, f"start from a preset: {', '.join(sweep.PRESETS)}", flag_values=values)
    command.root_flag(values)
    training.executor_flags(values)
    flags.DEFINE_integer("threads", 1, "of a run; other numbers give other bits", flag_values=values)
    flags.DEFINE_string("address", None, "of a Ray cluster; $RAY_ADDRESS, else one on this machine", flag_values=values)
    flags.DEFINE_float("gpus", 0.0, "of a run under ray; 0.25 lets four share one", flag_values=values)
    training.measure_flag(values)
    flags.DEFINE_boolean("dry_run", False, "list the runs and what they take; start nothing", flag_values=values)
    flags.DEFINE_boolean("plan", False, "the same with hours, for which steps are measured", flag_values=values)
    command.quiet_flag(values)
    command.json_flag(values)
    return values


def product(chosen: dict[str, list[Any]], preset: str | None = None, setting: str | None = None) -> list[Run]:
    """A run for each combination of values of fields; seeds vary slowest, so that early results compare methods.

    A weight of FactorVAE's total correlation is left out for methods that have none, where others have one.

    Args:
      chosen: values by field of Run.
      preset: of `sweep.PRESETS`, whose fields and seeds those of `chosen` take precedence over.
      setting: likewise of `settings.SETTINGS`.

    Raises:
      ValueError: an unknown name, a number out of range, or a preset for data that it does not know.
    """
    if preset and setting:
        raise ValueError("give --preset or --setting, not both")
    if preset and preset not in sweep.PRESETS:
        raise ValueError(f"unknown preset {preset!r}; {suggest(preset, list(sweep.PRESETS))}")
    weighted = any(_has_tc_weight(method) for method in chosen.get("method", []))
    found = []
    for values in itertools.product(*chosen.values()):
        fields = dict(zip(chosen, values, strict=True))
        if weighted and not _has_tc_weight(fields["method"]):
            fields.pop("tc_weight", None)
        found += _seeded(fields, preset) if preset else [Run.named(setting, **fields) if setting else Run(**fields)]
    return sorted(dict.fromkeys(found), key=lambda run: run.seed)


def _has_tc_weight(method: str) -> bool:
    return method == "factor_vae" or ":" in method


def _seeded(fields: dict[str, Any], preset: str) -> list[Run]:
    """The runs of a preset's figures on one data set, with some fields changed."""
    chosen, part = sweep.PRESETS[preset], fields.get("dataset", Run.dataset)
    if part not in sweep.PAPER:
        raise ValueError(f"presets are for dsprites and faces3d; say --width, --epochs and so on for {part}")
    longer = {}
    if fields.get("method") == "factor_vae":
        longer = chosen.factor_vae(part, fields.get("tc_weight") or settings.TC_WEIGHT)
    base = {**sweep.PAPER[part], **chosen.of(part), **longer}
    if "epochs" in fields:
        base.pop("steps", None)  # which would override them
    seeds = [fields["seed"]] if "seed" in fields else chosen.seeds_of(part)
    return [Run(**{**base, **fields, "seed": seed}) for seed in seeds]


def _several(values: Any) -> dict[str, list[Any]]:
    """The values that flags give to each field of Run.

    Raises:
      ValueError: one that is not of the field's type.
    """
    found: dict[str, list[Any]] = {}
    for field in dataclasses.fields(Run):
        if values[field.name].present:
            words = values[field.name].value
            words = words if field.name == "fix" else [part for word in words for part in word.split(",")]
            found[field.name] = [_typed(field, word.strip()) for word in words]
    return found


def _typed(field: dataclasses.Field, word: str) -> Any:
    kind: Any = type(field.default)
    try:
        return kind(word)
    except ValueError:
        what = "whole number" if kind is int else "number"
        raise ValueError(f"--{field.name}: {word!r} is no {what}") from None


def _sweep(values: Any, words: list[str]) -> int:
    with command.usable():
        chosen = product(_several(values), values.preset, values.setting)
        training.check_measure(values)
        for name in {run.dataset for run in chosen}:
            datasets.check_name(name)
        resources = executors.Resources(values.workers, values.threads, values.address, values.gpus)
        executors.check(values.executor, resources)
        executors.prepare(values.executor, values.threads)
        for run in chosen:
            plan.check(run)
    if values.dry_run or values.plan:
        _announce(values, chosen, resources)
        return 0
    records: dict[str, dict] = {}
    failures: dict[Run, str] = {}
    # Keras' bars know nothing of terminals.
    with command.aside(values.quiet or (values.executor == "serial" and not sys.stderr.isatty())):
        try:
            sweep.execute_all(
                chosen,
                values.root,
                values.executor,
                resources,
                values.measure_every,
                lambda run, record: records.update({run.id: record}),
            )
        except sweep.SweepFailed as failed:
            failures = failed.failures
    for run, reason in failures.items():
        told = Path(values.root) / run.id / "error.txt"
        command.note(f"failed: {run.id}: {reason}" + (f"; see {told}" if told.exists() else ""))
    command.note(f"{len(records)} of {len(chosen)} runs recorded in {values.root}")
    _summarise(values, list(records.values()), failures)
    return 1 if failures else 0


def _summarise(values: Any, records: Sequence[dict], failures: dict[Run, str]) -> None:
    """Prints what the records say."""
    rows = [results.row(record) for record in records]
    groups = tables.summarise(rows, tables.columns(rows), tables.MEASURES)
    lost = {run.id: reason for run, reason in failures.items()}
    ids = [record["id"] for record in records]
    result = {"done": ids, "failed": lost, "table": tables.as_json(groups)}
    if groups or values.json:
        command.show(values, tables.markdown(groups) if groups else "", result)


def _announce(values: Any, chosen: Sequence[Run], resources: executors.Resources) -> None:
    """Prints the runs of a sweep, how far each is, and what those that are not done will take."""
    root = Path(values.root)
    states = {run.id: _state(run, root) for run in chosen}
    places = executors.capacity(resources, max(map(plan.memory, chosen)))
    lines = plan.plan(chosen, root, places, resources.threads, measure=values.plan)
    left = [(line.count - line.done, line) for line in lines if line.count > line.done]
    result: dict[str, Any] = {
        "count": len(chosen),
        "done": list(states.values()).count("done"),
        "steps": sum(count * line.steps for count, line in left),
        "flop": sum(count * line.flop for count, line in left),
        "bytes": sum(count * line.disk for count, line in left),
        "hours": sum(count * line.seconds for count, line in left) / places / 3600 if values.plan else None,
        "runs": [{"id": id, "state": state} for id, state in states.items()],
    }
    words = f"{result['count']} runs, {_rest(result, places)}. Nothing was started."
    command.show(values, results.table(["run", "state"], states.items()) + f"\n{words}", result)


def _rest(result: dict[str, Any], places: int) -> str:
    """What is left of a sweep, in words."""
    if result["done"] == result["count"]:
        return "all done"
    known = result["hours"] is not None
    hours = f"{result['hours']:.2f} hours, {places} at a time" if known else "how many hours, --plan measures"
    cost = f"{result['steps']:,} steps, {result['flop']:.1e} FLOP, {command.size(result['bytes'])} on disk"
    return f"{result['done']} done; the rest takes {cost}; {hours}"


def _state(run: Run, root: Path) -> str:
    """How far a run is."""
    if runs.read_record(run, root) is not None:
        return "done"
    if files.is_locked(root / run.id / "lock"):
        return "being worked on"
    if (root / run.id / "error.txt").exists():
        return "failed, to be tried again"
    return "begun" if (root / run.id / "run.json").exists() else "to do"


SWEEP = Command(
    _sweep_flags,
    _sweep,
    "",
    "train many runs, here or on a Ray cluster, and tabulate them",
    (
        "tcvae sweep --method=beta_vae,beta_tcvae --beta=1,4,6 --seed=0,1,2 --width=256 --epochs=10 --dry_run",
        "tcvae sweep --preset=quick --method=vae,factor_vae,beta_tcvae       as in the figures",
        "tcvae sweep --seed=0,1,2,3 --executor=ray --address=auto --gpus=0.25",
    ),
    _SWEEP_HELP,
    resumes=True,
)
