"""Sweeps are data: presets name the settings, a figure's script multiplies them into runs, an executor does them."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tcvae_tf import executors, files, live, plan
from tcvae_tf import runs as runs_module
from tcvae_tf.executors import Resources
from tcvae_tf.settings import PAPER_BETAS, Run

#: Random initialisations of each setting in the paper (figure 4's caption, as we recall it).
PAPER_SEEDS = 40

#: What the paper trains on each data set with, as fields of Run that are not its defaults. "pose" are the faces of
#: figure 5: one identity in one light, so that azimuth and elevation alone vary; its 231 images do not fill a batch of
#: 2048, and how long the paper trained on them we do not know.
PAPER: dict[str, dict[str, Any]] = {
    "dsprites": {},
    "faces3d": {"dataset": "faces3d", "network": "conv"},
    "pose": {
        "dataset": "faces3d",
        "network": "conv",
        "fix": "identity=0,lighting=5",
        "batch_size": 128,
        "steps": 3000,
    },
}
#: What of these is our choice, since the paper's is not known.
OURS = {"pose": ("batch_size", "steps")}
#: Where a preset has its fields and its seeds of each part.
_FIELDS = {"dsprites": ("dsprites", "seeds"), "faces3d": ("faces", "fewer_seeds"), "pose": ("pose", "fewer_seeds")}


@dataclasses.dataclass(frozen=True)
class Preset:
    """How much of the paper is run: the settings that all figures share.

    Attributes:
      name: what --preset takes.
      purpose: one line for --help.
      seeds: one run of each method on dSprites for each.
      fewer_seeds: on 3D Faces, in figure 5 and in the ablations.
      dsprites, faces, pose: Run fields that differ from the paper's, which are in PAPER.
      betas: of figures 2 and 4.
      tc_weights: of FactorVAE, the best of which is shown, as the paper tuned it.
      batch_sizes: of the ablation, beside the preset's own.
    """

    name: str
    purpose: str
    seeds: tuple[int, ...]
    fewer_seeds: tuple[int, ...]
    dsprites: dict[str, Any]
    faces: dict[str, Any]
    pose: dict[str, Any]
    betas: tuple[float, ...]
    tc_weights: tuple[float, ...]
    batch_sizes: tuple[int, ...]

    def runs(
        self, variants: Sequence[dict[str, Any]], part: str = "dsprites", seeds: Sequence[int] | None = None
    ) -> list[Run]:
        """One run for each variant and seed on a part of PAPER; seeds vary slowest, so that early results compare
        methods."""
        fields = {**PAPER[part], **self.of(part)}
        seeds = self.seeds_of(part) if seeds is None else seeds
        return [Run(**{**fields, **variant, "seed": seed}) for seed in seeds for variant in variants]

    def of(self, part: str) -> dict[str, Any]:
        """Run fields on a part of PAPER that differ from the paper's."""
        fields: dict[str, Any] = getattr(self, _FIELDS[part][0])
        return fields

    def changed(self, part: str, fields: dict[str, Any]) -> Preset:
        """A preset with other fields on a part of PAPER."""
        changes: dict[str, Any] = {_FIELDS[part][0]: fields}
        return dataclasses.replace(self, **changes)

    def seeds_of(self, part: str) -> tuple[int, ...]:
        seeds: tuple[int, ...] = getattr(self, _FIELDS[part][1])
        return seeds

    def factor_vae(self, part: str, tc_weight: float) -> dict[str, Any]:
        """The variant of FactorVAE: twice the iterations of the others, as the paper has it, of two batches each."""
        run = Run(**{**PAPER[part], **self.of(part)})
        longer = {"steps": 2 * run.steps} if run.steps else {"epochs": 4 * run.epochs}
        return {"method": "factor_vae", "tc_weight": tc_weight, **longer}

    def variants(self, part: str = "dsprites") -> list[dict[str, Any]]:
        """The methods of figure 3, with the β that the paper chose; FactorVAE with every weight of the preset."""
        return [
            {"method": "vae"},
            {"method": "beta_vae", "beta": PAPER_BETAS["beta_vae"]},
            *(self.factor_vae(part, weight) for weight in self.tc_weights),
            {"method": "beta_tcvae", "beta": PAPER_BETAS["beta_tcvae"]},
        ]

    def deviations(self, part: str = "dsprites", discriminator: bool = True) -> list[str]:
        """How the preset differs from the paper on a part of PAPER, in words; nothing for the paper's own.

        What only FactorVAE has is left out without `discriminator`.
        """
        paper, seeds = Run(**PAPER[part]), len(self.seeds_of(part))
        usual = dataclasses.asdict(paper)
        changed = {name: value for name, value in self.of(part).items() if value != usual[name]}
        if not discriminator:
            changed = {name: value for name, value in changed.items() if not name.startswith("discriminator_")}
        if not paper.steps:
            usual["steps"] = f"{paper.epochs} epochs"
        usual |= {name: f"{usual[name]} of ours, since the paper's is not known" for name in OURS.get(part, ())}
        listed = [f"{name} {value} instead of {usual[name]}" for name, value in changed.items()]
        return listed + ([f"{seeds} {'seed' if seeds == 1 else 'seeds'} a method"] if seeds < PAPER_SEEDS else [])


_FULL = (1.0, 2.0, 4.0, 6.0, 10.0)

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "smoke",
            "does everything once, on few values of each factor and for 20 steps; its numbers mean nothing",
            seeds=(0,),
            fewer_seeds=(0,),
            dsprites={"width": 32, "discriminator_width": 32, "batch_size": 128, "steps": 20, "thin": 3},
            faces={"width": 16, "discriminator_width": 32, "batch_size": 128, "steps": 20, "thin": 3},
            pose={"network": "mlp", "width": 16, "batch_size": 64, "steps": 10},
            betas=(4.0,),
            tc_weights=(10.0,),
            batch_sizes=(64,),
        ),
        Preset(
            "quick",
            "every second value of each factor, small networks, two seeds: figure 3 takes a quarter of an hour on two "
            "cores, everything within an hour and a half",
            seeds=(0, 1),
            fewer_seeds=(0, 1),
            dsprites={"width": 128, "discriminator_width": 128, "batch_size": 128, "thin": 2, "epochs": 4},
            faces={"width": 64, "discriminator_width": 128, "batch_size": 64, "thin": 2, "epochs": 2},
            pose={"width": 64, "batch_size": 64, "steps": 300},
            betas=_FULL,
            tc_weights=(10.0,),
            batch_sizes=(64, 256),
        ),
        Preset(
            "cpu",
            "width 256, five epochs and five seeds on dSprites, width 128, four and three on faces: most of a day on "
            "two cores (--plan measures), in as many sittings as you like",
            seeds=tuple(range(5)),
            fewer_seeds=tuple(range(3)),
            dsprites={"width": 256, "discriminator_width": 256, "batch_size": 512, "epochs": 5},
            faces={"width": 128, "discriminator_width": 256, "batch_size": 256, "epochs": 4},
            pose={"width": 128, "batch_size": 128, "steps": 750},
            betas=_FULL,
            tc_weights=(10.0, 40.0),
            batch_sizes=(256, 1024, 2048),
        ),
        Preset(
            "paper",
            "the paper's settings, 40 seeds, for a GPU",
            seeds=tuple(range(PAPER_SEEDS)),
            fewer_seeds=tuple(range(PAPER_SEEDS)),
            dsprites={},
            faces={},
            pose={},
            betas=(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0),
            tc_weights=(1.0, 10.0, 20.0, 40.0, 80.0),
            batch_sizes=(256, 512, 1024),
        ),
    )
}


class SweepFailed(RuntimeError):
    """Some runs of a sweep failed; the others are done and recorded.

    Attributes:
      failures: the error of each failed run, in one line.
    """

    def __init__(self, failures: dict[Run, str], root: Path, count: int) -> None:
        self.failures = failures
        reasons = "; ".join(f"{root / run.id / 'error.txt'}: {reason}" for run, reason in failures.items())
        super().__init__(f"{len(failures)} of {count} runs failed: {reasons}")


def execute_all(
    runs: Sequence[Run],
    root: str | Path = "runs",
    executor: str = "processes",
    resources: Resources | None = None,
    measure_every: int = 0,
    on_record: Callable[[Run, dict], object] | None = None,
) -> list[dict]:
    """Executes runs that are not done yet; returns all records, in the order of `runs`.

    Several sweeps may work in one directory, on several machines too: each takes the runs that no other is at.

    Args:
      runs: what to do; the same run twice is done once.
      root: directory of all runs.
      executor: "serial" in this process, "processes", or "ray" on a cluster.
      resources: how many at a time, and with what; see `tcvae_tf.executors.Resources`.
      measure_every: see `tcvae_tf.runs.execute`.
      on_record: called with each run and its record as soon as it is done.

    Raises:
      SweepFailed: after all runs were tried, when some failed; it says where their error.txt is.
      ValueError: an unknown executor, fewer than one worker, or a root in which nothing can be written.
    """
    root, resources = Path(root), resources or Resources()
    executors.check(executor, resources)
    executors.prepare(executor, resources.threads)
    runs = list(dict.fromkeys(runs))
    records: dict[Run, dict] = {}

    def collect(run: Run) -> bool:
        record = runs_module.read_record(run, root)
        if record is not None and run not in records:
            records[run] = record
            if on_record:
                on_record(run, record)
        return record is not None

    waiting = [run for run in runs if not collect(run)]
    places = executors.capacity(resources, max(map(plan.memory, waiting), default=1.0))
    failed: dict[Run, str] = {}
    if waiting:
        files.need_writable(root)
        pool = executors.make(executor, root, resources, measure_every, places)
        with contextlib.closing(pool), live.View(waiting, root) as view:
            while waiting or pool.active:
                while len(pool.active) < pool.capacity and (run := _next(waiting, root)):
                    waiting.remove(run)
                    pool.start(run)
                for run, error in pool.ended():
                    if not collect(run):
                        failed[run] = error or "ended without a record"
                if len(pool.active) < pool.capacity:  # the rest is with other sweeps
                    waiting = [run for run in waiting if not collect(run)]
                view.update(pool.active, failed)
                time.sleep(0.2)
    if failed:
        raise SweepFailed(failed, root, len(runs))
    return [records[run] for run in runs]


def _next(waiting: Sequence[Run], root: Path) -> Run | None:
    """The first run that nobody is at."""
    return next((run for run in waiting if not files.is_locked(root / run.id / "lock")), None)
