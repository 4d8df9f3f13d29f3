"""`train` and `compare`: one run, and a model of one's own beside the paper's."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import Any

from absl import flags

from tcvae_tf import datasets, executors, files, runs, settings, sweep
from tcvae_tf.cli import command
from tcvae_tf.cli.command import Command
from tcvae_tf.compare import FIXED
from tcvae_tf.settings import Run
from tcvae_tf.words import suggest

_COMPARE_HELP = """METHOD is module:function, of a model of your own, which is trained as the preset trains the methods
of the paper, and those of them that are not recorded. Flags of a run change the preset for all of them, but for the
weights of the paper's methods. The table is printed, and written with a figure and the records into --out; tcvae table
reads them too. --json prints compare.json of --out: the same medians, intervals and tests.
"""


def _train_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    command.run_flags(values)
    setting_flag(values)
    command.root_flag(values)
    measure_flag(values)
    command.quiet_flag(values)
    return values


def setting_flag(values: flags.FlagValues) -> None:
    names = f"start from a setting with a name: {', '.join(settings.SETTINGS)}"
    flags.DEFINE_string("setting", None, names, flag_values=values)


def measure_flag(values: flags.FlagValues) -> None:
    meaning = "epochs from one exact measurement during training to the next, in history.csv; 0 for none"
    flags.DEFINE_integer("measure_every", 0, meaning, flag_values=values)


def check_measure(values: Any) -> None:
    """
    Raises:
      ValueError: fewer than no epochs.
    """
    if values.measure_every < 0:
        raise ValueError(f"--measure_every: 0 for never, or a number of epochs; got {values.measure_every}")


def _train(values: Any, words: list[str]) -> None:
    with command.usable():
        make = functools.partial(Run.named, values.setting) if values.setting else Run
        run = make(**command.given(values))
        check_measure(values)
        datasets.check_name(run.dataset)
        done = runs.read_record(run, values.root) is not None
        if not done:
            runs.load(run).steps_per_epoch(run.batch_size, run.batches_per_step)
    command.note(f"{'already done:' if done else 'run'} {run.id} in {values.root}")
    # Keras draws its bars on standard output, which is the record's. Where nobody watches a line an epoch will do.
    verbose = 0 if values.quiet else 1 if sys.stderr.isatty() else 2
    try:
        with command.aside(values.quiet):
            record = runs.execute(run, values.root, verbose, values.measure_every)
    except Exception:
        if (path := Path(values.root) / run.id / "error.txt").exists():
            command.note(f"failed: {run.id}; all of the error is in {path}")
        raise
    print(json.dumps(record, indent=2))


def executor_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_string("executor", "processes", ", ".join(executors.EXECUTORS), flag_values=values)
    flags.DEFINE_integer(
        "workers", None, "runs at a time; one for each core, as memory allows, or for each GPU", flag_values=values
    )


def _compare_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    command.run_flags(values, without=FIXED, defaults=False)
    flags.DEFINE_list("seed", None, "seeds in place of the preset's, with commas", flag_values=values)
    flags.DEFINE_string("preset", "quick", ", ".join(sweep.PRESETS), flag_values=values)
    flags.DEFINE_string("dataset", "dsprites", "dsprites, faces3d or module:function", flag_values=values)
    command.root_flag(values)
    command.out_flag(values, "compare", "directory of records, table and figure")
    executor_flags(values)
    flags.DEFINE_string("records", None, "a records.csv with the paper's methods, trained before", flag_values=values)
    command.quiet_flag(values)
    command.json_flag(values)
    return values


def _compare(values: Any, words: list[str]) -> int:
    from tcvae_tf import compare

    with command.usable():
        if values.preset not in sweep.PRESETS:
            raise ValueError(f"unknown preset {values.preset!r}; {suggest(values.preset, list(sweep.PRESETS))}")
        if not all(seed.strip().isdigit() for seed in values.seed or []):
            raise ValueError(f"--seed: {','.join(values.seed)!r} are no seeds; write 0,1,2")
        fields = {name: value for name, value in command.given(values).items() if name not in ("dataset", "seed")}
        seeds = {"seeds": [int(seed) for seed in values.seed]} if values.seed else {}
        executors.check(values.executor, executors.Resources(values.workers))
        compare.check(words[0], values.preset, values.dataset, fields)
    with command.aside(values.quiet or (values.executor == "serial" and not sys.stderr.isatty())):
        table = compare.compare(
            words[0],
            preset=values.preset,
            dataset=values.dataset,
            root=values.root,
            out=values.out,
            executor=values.executor,
            workers=values.workers,
            records=values.records,
            fields=fields or None,
            **seeds,
        )
    command.show(values, table, files.read_json(Path(values.out) / "compare.json") if values.json else None)
    command.note(f"written: {values.out}")
    return int("\n* Failed: " in table)


TRAIN = Command(
    _train_flags,
    _train,
    "",
    "train one run, measure it and print its record as JSON",
    (
        "tcvae train --method=beta_tcvae --beta=6 --width=256 --batch_size=512 --epochs=10 --seed=3",
        "tcvae train --thin=3 --width=32 --batch_size=128 --steps=100        a trial of half a minute",
        "tcvae train --setting=factor_vae_kim_mnih --seed=3                  FactorVAE as its own paper has it",
    ),
    resumes=True,
)
COMPARE = Command(
    _compare_flags,
    _compare,
    "METHOD",
    "train a model of your own beside the paper's methods",
    (
        "tcvae compare my_module:make_model --preset=quick",
        "tcvae compare my_module:make_model --preset=smoke --width=16        a trial",
        "tcvae compare my_module:make_model --records=results/records.csv    beside records that are there",
    ),
    _COMPARE_HELP,
    resumes=True,
)
