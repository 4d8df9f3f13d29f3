"""Sweeps are data: presets name the settings, a figure's script multiplies them into runs, an executor does them."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tcvae_tf import provenance
from tcvae_tf import runs as runs_module
from tcvae_tf.runs import TC_WEIGHT, Run

#: Random initialisations of each setting in the paper (figure 4's caption, as we recall it).
PAPER_SEEDS = 40


#: What the paper trains on each data set with, as fields of Run that are not its defaults.
PAPER: dict[str, dict[str, Any]] = {"dsprites": {}, "faces3d": {"dataset": "faces3d", "network": "conv"}}


@dataclasses.dataclass(frozen=True)
class Preset:
    """Settings shared by all runs of a figure.

    Attributes:
      name: what --preset takes.
      purpose: one line for --help.
      settings: Run fields on dSprites that differ from the paper's, which are Run's defaults.
      seeds: one run of each method for each.
      faces: as `settings`, on 3D Faces.
    """

    name: str
    purpose: str
    settings: dict[str, Any]
    seeds: tuple[int, ...]
    faces: dict[str, Any]

    def runs(self, variants: Sequence[dict[str, Any]], dataset: str = "dsprites") -> list[Run]:
        """One run for each variant and seed; seeds vary slowest, so that early results compare methods."""
        fields = {**PAPER[dataset], **self.of(dataset)}
        return [Run(**{**fields, **variant, "seed": seed}) for seed in self.seeds for variant in variants]

    def of(self, dataset: str) -> dict[str, Any]:
        """Run fields on a data set that differ from the paper's."""
        return self.settings if dataset == "dsprites" else self.faces

    def factor_vae(self, dataset: str = "dsprites", tc_weight: float = TC_WEIGHT) -> dict[str, Any]:
        """The variant of FactorVAE: twice the iterations of the others, as the paper has it, of two batches each."""
        run = Run(**{**PAPER[dataset], **self.of(dataset)})
        longer = {"steps": 2 * run.steps} if run.steps else {"epochs": 4 * run.epochs}
        return {"method": "factor_vae", "tc_weight": tc_weight, **longer}

    def deviations(self, dataset: str = "dsprites") -> list[str]:
        """How the preset differs from the paper on a data set, in words; nothing for the paper's own."""
        paper, seeds = Run(**PAPER[dataset]), len(self.seeds)
        listed = [f"{name} {value} instead of {getattr(paper, name)}" for name, value in self.of(dataset).items()]
        return listed + ([f"{seeds} {'seed' if seeds == 1 else 'seeds'} a method"] if seeds < PAPER_SEEDS else [])


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "smoke",
            "does everything once, on few values of each factor and for 20 steps; its numbers mean nothing",
            {"width": 32, "discriminator_width": 32, "batch_size": 128, "steps": 20, "thin": 3},
            seeds=(0,),
            faces={"width": 16, "discriminator_width": 32, "batch_size": 128, "steps": 20, "thin": 5},
        ),
        Preset(
            "quick",
            "every second value of each factor, small networks, two seeds: a quarter of an hour on two cores",
            {"width": 128, "discriminator_width": 128, "batch_size": 128, "thin": 2, "epochs": 4},
            seeds=(0, 1),
            faces={"width": 64, "discriminator_width": 128, "batch_size": 64, "thin": 2, "epochs": 2},
        ),
        Preset(
            "cpu",
            "width 256, ten epochs, five seeds: days on two cores, in as many sittings as you like",
            {"width": 256, "discriminator_width": 256, "batch_size": 512, "epochs": 10},
            seeds=tuple(range(5)),
            faces={"width": 128, "discriminator_width": 256, "batch_size": 256, "epochs": 10},
        ),
        Preset("paper", "the paper's settings, 40 seeds, for a GPU", {}, seeds=tuple(range(PAPER_SEEDS)), faces={}),
    )
}

EXECUTORS = ("serial", "processes")


class SweepFailed(RuntimeError):
    """Some runs of a sweep failed; the others are done and recorded."""


def execute_all(
    runs: Sequence[Run],
    root: str | Path = "runs",
    executor: str = "processes",
    workers: int | None = None,
    measure_every: int = 0,
) -> list[dict]:
    """Executes runs that are not done yet; returns all records, in the order of `runs`.

    Args:
      runs: what to do; the same run twice is done once.
      root: directory of all runs.
      executor: "serial" in this process, or "processes": several at a time, one thread each, which gets more done than
        one run with all threads.
      workers: processes at a time; by default one for each core, or one where there is a GPU.
      measure_every: see `tcvae_tf.runs.execute`.

    Raises:
      SweepFailed: after all runs were tried, when some failed; it says where their error.txt is.
      ValueError: an unknown executor, or fewer than one worker.
    """
    if executor not in EXECUTORS:
        raise ValueError(f"unknown executor {executor!r}; choose from {', '.join(EXECUTORS)}")
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1; got {workers}")
    runs = list(dict.fromkeys(runs))
    todo = [run for run in runs if runs_module.read_record(run, root) is None]
    if executor == "serial":
        failed = _serial(todo, root, measure_every)
    else:
        failed = _processes(todo, root, workers or _workers(), measure_every)
    if failed:
        reasons = "; ".join(f"{Path(root) / run.id / 'error.txt'}: {reason}" for run, reason in failed.items())
        raise SweepFailed(f"{len(failed)} of {len(runs)} runs failed: {reasons}")
    records = [runs_module.read_record(run, root) for run in runs]
    return [record for record in records if record is not None]


def _workers() -> int:
    """One process for each core; a single one where a GPU is, which they would have to share."""
    return 1 if Path("/dev/nvidia0").exists() else provenance.cores()


def _serial(runs: Sequence[Run], root: str | Path, measure_every: int) -> dict[Run, str]:
    failed = {}
    for number, run in enumerate(runs, start=1):
        print(f"run {number} of {len(runs)}: {run.id}", flush=True)
        try:
            runs_module.execute(run, root, measure_every=measure_every)
        except Exception as error:
            failed[run] = f"{type(error).__name__}: {error}".splitlines()[0]
    return failed


def _command(run: Run, root: str | Path, measure_every: int) -> list[str]:
    """The shell command of one run, as a user would type it."""
    defaults = {field.name: field.default for field in dataclasses.fields(run)}
    fields = [f"--{name}={value}" for name, value in dataclasses.asdict(run).items() if value != defaults[name]]
    options = [f"--root={root}", f"--measure_every={measure_every}", "--quiet"]
    return [sys.executable, "-m", "tcvae_tf.cli", "train", *options, *fields]


def _processes(runs: Sequence[Run], root: str | Path, workers: int, measure_every: int) -> dict[Run, str]:
    waiting = list(runs)
    active: dict[Run, subprocess.Popen] = {}
    failed: dict[Run, str] = {}
    threads = str(max(1, provenance.cores() // workers))
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, threads)}
    with _View(runs, root) as view:
        try:
            while waiting or active:
                while waiting and len(active) < workers:
                    run = waiting.pop(0)
                    active[run] = _start(run, root, _command(run, root, measure_every), environment)
                time.sleep(0.5)
                for run in [run for run, process in active.items() if process.poll() is not None]:
                    if active.pop(run).returncode or runs_module.read_record(run, root) is None:
                        failed[run] = _reason(run, root)
                view.update(active, failed)
        finally:
            for process in active.values():
                process.terminate()
            for process in active.values():
                process.wait()
    return failed


def _start(run: Run, root: str | Path, command: list[str], environment: dict[str, str]) -> subprocess.Popen:
    home = Path(root) / run.id
    home.mkdir(parents=True, exist_ok=True)
    with (home / "log.txt").open("ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)


def _reason(run: Run, root: str | Path) -> str:
    """The last line of a failed run's error, or of its log when it was killed."""
    home = Path(root) / run.id
    path = home / "error.txt" if (home / "error.txt").exists() else home / "log.txt"
    lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
    return lines[-1][:400] if lines else "ended without a word"


class _View:
    """One bar for the sweep and one for each active run; a line a minute where the output is no terminal."""

    def __init__(self, runs: Sequence[Run], root: str | Path) -> None:
        from rich import progress

        self.runs, self.root = runs, Path(root)
        columns = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.TaskProgressColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(elapsed_when_finished=True),
        )
        self.bars = progress.Progress(*columns, transient=True, speed_estimate_period=300)
        self.whole = self.bars.add_task(f"{len(runs)} runs", total=float(len(runs)))
        self.tasks: dict[Run, Any] = {}
        self.began = self.last = time.monotonic()

    def __enter__(self) -> _View:
        if self.runs and self.bars.console.is_terminal:
            self.bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bars.stop()

    def update(self, active: dict[Run, Any], failed: dict[Run, str]) -> None:
        shares = {run: self._share(run) for run in self.runs}
        done = sum(share >= 1 for share in shares.values())
        words = f"{done} of {len(self.runs)} runs done" + (f", {len(failed)} failed" if failed else "")
        self.bars.update(self.whole, completed=sum(shares.values()), description=words)
        for run in [run for run in self.tasks if run not in active]:
            self.bars.remove_task(self.tasks.pop(run))
        for run in active:
            if run not in self.tasks:
                self.tasks[run] = self.bars.add_task(run.id, total=1.0)
            self.bars.update(self.tasks[run], completed=shares[run])
        if not self.bars.console.is_terminal and time.monotonic() - self.last >= 60:
            self.last = time.monotonic()
            each = ", ".join(f"{run.id} {shares[run]:.0%}" for run in active)
            print(f"{(self.last - self.began) / 60:.0f} min: {words}; {each}", flush=True)

    def _share(self, run: Run) -> float:
        """How much of a run is done; its measures, after the last step, count for a twentieth."""
        if (self.root / run.id / "record.json").exists():
            return 1.0
        try:
            progress = json.loads((self.root / run.id / "progress.json").read_text())
        except (OSError, ValueError):
            return 0.0
        return 0.95 * progress["step"] / progress["steps"]
