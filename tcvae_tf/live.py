"""One live view of a sweep: how much is done, what runs, what failed, how long it takes yet."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tcvae_tf import plan
from tcvae_tf.settings import Run

#: Bars of single runs at a time.
_BARS = 8


class View:
    """A bar for the sweep and one for each run that is being worked on.

    Where the output is no terminal: a line a minute, and where the variable CI is set, none.
    """

    def __init__(self, runs: Sequence[Run], root: Path) -> None:
        from rich import progress

        self.runs, self.root = list(runs), root
        columns = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.TaskProgressColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
        )
        self._bars = progress.Progress(*columns, transient=True, speed_estimate_period=600)
        # A long run counts for more in the time that is left.
        self._sizes = {run: plan.steps(run) * plan.step_flop(run) for run in self.runs}
        self._whole = self._bars.add_task("", total=sum(self._sizes.values()))
        self._tasks: dict[Run, Any] = {}
        self._began = self._last = time.monotonic()
        self._quiet = bool(os.environ.get("CI"))

    def __enter__(self) -> View:
        if self._bars.console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bars.console.is_terminal:  # elsewhere it would print an empty line
            self._bars.stop()

    def update(self, active: Sequence[Run], failed: Mapping[Run, str]) -> None:
        """Reads how far the runs are and shows it."""
        now = time.monotonic()
        if not self._bars.console.is_terminal and (self._quiet or now - self._last < 60):
            return
        shares = {run: self._share(run) for run in self.runs}
        active = [run for run in active if shares[run] < 1]
        running = [run for run in active if shares[run]]
        self._bars.update(
            self._whole,
            completed=sum(self._sizes[run] * share for run, share in shares.items()),
            description=self.words(shares, len(active), failed),
        )
        for run in [run for run in self._tasks if run not in running]:
            self._bars.remove_task(self._tasks.pop(run))
        for run in running[:_BARS]:
            if run not in self._tasks:
                self._tasks[run] = self._bars.add_task(run.id, total=1.0)
            self._bars.update(self._tasks[run], completed=shares[run])
        if not self._bars.console.is_terminal:
            self._last = now
            each = [f"{run.id} {shares[run]:.0%}" for run in running[:_BARS]]
            words = "; ".join([self.words(shares, len(active), failed), *([", ".join(each)] if each else [])])
            print(f"{(now - self._began) / 60:.0f} min: {words}", flush=True)

    def words(self, shares: Mapping[Run, float], active: int, failed: Mapping[Run, str]) -> str:
        """Counts, for the bar and the line."""
        done = sum(share >= 1 for share in shares.values())
        counts = f"{done} of {len(self.runs)} runs done, {active} running"
        return counts + (f", {len(failed)} failed" if failed else "")

    def _share(self, run: Run) -> float:
        """How much of a run is done; its measures, after the last step, count for a twentieth."""
        if (self.root / run.id / "record.json").exists():
            return 1.0
        try:
            progress = json.loads((self.root / run.id / "progress.json").read_text())
        except (OSError, ValueError):
            return 0.0
        return 0.95 * progress["step"] / progress["steps"]
