"""What results/ holds of runs, even of lost ones: rows of records and of curves, and the arrays behind the pictures."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from tcvae_tf import files, plan, results
from tcvae_tf.results import Row
from tcvae_tf.runs import Run
from tcvae_tf.sweep import PRESETS


def curves(script: ModuleType, runs: Sequence[Run], out: Path) -> dict[Run, list[Row]]:
    """The rows of each run whose curve `out` holds, as far as it does."""
    rows = results.read_rows(out / script.FILE)
    found = {run: [line for line in rows if line["id"] == run.id] for run in runs}
    return {run: lines for run, lines in found.items() if lines}


def reached(curve: Sequence[Row]) -> int:
    """The step that a curve goes to."""
    return int(curve[-1]["step"]) if curve else 0


def whole(curves: Mapping[Run, Sequence[Row]]) -> set[Run]:
    """The runs whose curves go to the last step."""
    return {run for run, curve in curves.items() if reached(curve) == plan.steps(run)}


def shown(scripts: Sequence[ModuleType], out: Path) -> set[Run]:
    """The runs whose arrays `scripts` show, with every preset."""
    found = results.finished(results.read_rows(out / "records.csv"))
    chosen: set[Run] = set()
    for script in scripts:
        for preset in PRESETS.values():
            wanted = {run.id: run for run in script.runs(preset)}
            chosen |= {wanted[id] for id in script.chosen([line for line in found if line["id"] in wanted])}
    return chosen


def without_arrays(scripts: Sequence[ModuleType], runs: Collection[Run], out: Path) -> list[Run]:
    """Those of the runs that `scripts` show and whose arrays `out` does not hold."""
    wanted = sorted(shown(scripts, out).intersection(runs), key=lambda run: run.id)
    return [run for run in wanted if not (out / "arrays" / f"{run.id}.npz").exists()]


def pictures(scripts: Sequence[ModuleType], root: Path, out: Path) -> None:
    """Copies the arrays of the runs that `scripts` show, of every preset, and drops those that they no longer do."""
    ids = {run.id for run in shown(scripts, out)}
    for run in ids:
        source = root / run / "pictures.npz"
        if source.exists():
            with files.replacing(out / "arrays" / f"{run}.npz") as temporary:
                shutil.copyfile(source, temporary)
    for path in (out / "arrays").glob("*.npz"):
        if path.stem not in ids:
            path.unlink()
