"""Keras callbacks: a checkpoint that survives kill −9, and progress that another process can read."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path

import keras

from tcvae_tf import files


class Checkpoint(keras.callbacks.Callback):
    """After every epoch: a line of history, then the whole model with its optimizer, each written whole or not at all.

    The model counts its own steps, so the checkpoint alone says how far training came; history that a killed process
    wrote ahead of its checkpoint is cut back on resuming.

    Args:
      path: the checkpoint, a .keras file.
      history: a CSV file: epoch, step, seconds of this epoch, and the running means of the loss and its terms.
      steps: training stops when the model has taken so many.
    """

    def __init__(self, path: str | Path, history: str | Path, steps: int) -> None:
        super().__init__()
        self.path, self.history, self.steps = Path(path), Path(history), steps
        self.rows: list[dict] = []
        self._began = 0.0

    def on_train_begin(self, logs: dict | None = None) -> None:
        done = int(self.model.step.value)
        self.rows = [row for row in read_history(self.history) if int(row["step"]) <= done]

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if int(self.model.step.value) >= self.steps:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        seconds = round(time.perf_counter() - self._began, 3)
        means = {name: f"{float(value):.9g}" for name, value in (logs or {}).items()}
        self.rows.append({"epoch": epoch + 1, "step": int(self.model.step.value), "seconds": seconds, **means})
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self.rows[-1]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        files.write_text(self.history, text.getvalue())
        with files.replacing(self.path) as temporary:
            self.model.save(temporary)


def read_history(path: str | Path) -> list[dict]:
    """The lines of a history file, oldest first; none when there is no file."""
    path = Path(path)
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class Progress(keras.callbacks.Callback):
    """Writes how many steps are done to a small file, at most every `interval` seconds."""

    def __init__(self, path: str | Path, steps: int, interval: float = 1.0) -> None:
        super().__init__()
        self.path, self.steps, self.interval = Path(path), steps, interval
        self._last = 0.0

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        now = time.monotonic()
        if now - self._last >= self.interval:
            self._last = now
            files.write_json(self.path, {"step": int(self.model.step.value), "steps": self.steps})
