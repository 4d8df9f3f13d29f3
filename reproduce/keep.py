"""What of the runs is kept beside their rows: the arrays behind the pictures."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from tcvae_tf import files, results
from tcvae_tf.sweep import PRESETS


def pictures(scripts: Sequence[ModuleType], root: Path, out: Path) -> None:
    """Copies the arrays of the runs that `scripts` show, of every preset, and drops those that they no longer do."""
    found = results.finished(results.read_rows(out / "records.csv"))
    shown: set[str] = set()
    for script in scripts:
        for preset in PRESETS.values():
            wanted = {run.id for run in script.runs(preset)}
            shown |= set(script.chosen([line for line in found if line["id"] in wanted]))
    for run in shown:
        source = root / run / "pictures.npz"
        if source.exists():
            with files.replacing(out / "arrays" / f"{run}.npz") as temporary:
                shutil.copyfile(source, temporary)
    for path in (out / "arrays").glob("*.npz"):
        if path.stem not in shown:
            path.unlink()
