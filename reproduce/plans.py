"""--plan: what a preset takes on this machine, as a table."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path

from tcvae_tf import executors, plan, provenance, results
from tcvae_tf.executors import Resources
from tcvae_tf.runs import Run


def show(
    runs: Sequence[Run],
    preset: str,
    root: Path,
    resources: Resources,
    recorded: Collection[Run] = (),
    measure: bool = True,
) -> str:
    """Runs, what is done, epochs, FLOP, hours and disk, by settings and in all.

    `recorded` are done though `root` has no record of them. `measure` False leaves the hours out, which take some
    minutes of trials.
    """
    places = executors.capacity(resources, max(map(plan.memory, runs), default=1.0))
    lines = plan.plan(runs, root, places, resources.threads, recorded, measure)
    body = [
        [
            line.what,
            line.count,
            line.done,
            f"{line.steps:,}",
            f"{line.epochs:.3g}",
            f"{line.count * line.flop:.1e}",
            _hours(_left(line, places)),
            f"{line.count * line.disk / 1e9:.2f}",
        ]
        for line in lines
    ]
    total = [
        "**all**",
        sum(line.count for line in lines),
        sum(line.done for line in lines),
        f"{sum(line.count * line.steps for line in lines):,}",
        "",
        f"{sum(line.count * line.flop for line in lines):.1e}",
        _hours(sum(_left(line, places) for line in lines)),
        f"{sum(line.count * line.disk for line in lines) / 1e9:.2f}",
    ]
    header = ["preset " + preset, "runs", "done", "steps each", "epochs", "FLOP", "hours left", "disk (GB)"]
    words = f"Hours are for {places} at a time, {resources.threads} thread each, on {provenance.processor()}"
    return results.table(header, [*body, total]) + f"\n{words}, from steps measured there. Nothing was started.\n"


def _left(line: plan.Line, places: int) -> float:
    """Seconds, NaN where a step was not measured."""
    return (line.count - line.done) * line.seconds / places if line.count > line.done else 0.0


def _hours(seconds: float) -> str:
    return "?" if math.isnan(seconds) else f"{seconds / 3600:.2f}"
