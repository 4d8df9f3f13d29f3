"""Keras callbacks: a checkpoint that survives kill −9, progress that another process can read, live measures and
traversals."""

from __future__ import annotations

import csv
import io
import logging
import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from tcvae_tf import codes, custom, factor_vae, files, metrics, models, pictures, plots
from tcvae_tf.datasets import Dataset

log = logging.getLogger("tcvae_tf")


def _last(callback: keras.callbacks.Callback, epoch: int) -> bool:
    """Whether an epoch is the last: the one that `fit` was asked for, or in which something stopped it."""
    return callback.model.stop_training or epoch + 1 == callback.params["epochs"]


class Checkpoint(keras.callbacks.Callback):
    """Keeps the whole model with its optimizer on disk, and a line of history for each epoch.

    Saved at the end, after an epoch where that keeps saving below a tenth of the time, and within one where it keeps it
    below a hundredth, at least `interval` seconds apart. The model counts its own steps, so the checkpoint alone says
    how far training came; history that a killed process wrote ahead of its checkpoint is cut back on resuming. The
    checkpoint before the latest is kept too, see `previous`.

    Args:
      path: the checkpoint, a .keras file.
      history: a CSV file: epoch; the steps taken when its means begin and end; seconds; and the running means of the
        loss and its terms. An epoch that was cut off and resumed has a line for each part; the line of the last seconds
        before a kill may be missing.
      steps: training stops when the model has taken so many.
      interval: seconds.
    """

    def __init__(self, path: str | Path, history: str | Path, steps: int, interval: float = 15.0) -> None:
        super().__init__()
        self.path, self.history, self.steps, self.interval = Path(path), Path(history), steps, interval
        self._rows: list[dict] = []
        self._epoch, self._first_step = 0, 0
        self._began = self._next = self._next_epoch = 0.0

    def on_train_begin(self, logs: dict | None = None) -> None:
        done = int(self.model.step.numpy())
        self._rows = [row for row in read_history(self.history) if int(row["step"]) <= done]

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._epoch, self._first_step = epoch, int(self.model.step.numpy())
        self._began = time.perf_counter()
        self._next = max(self._next, self._began + self.interval)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if int(self.model.step.numpy()) >= self.steps:
            self.model.stop_training = True
        elif time.perf_counter() >= self._next:
            self._save(logs or {})

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if _last(self, epoch) or time.perf_counter() >= self._next_epoch:
            self._save(logs or {})
        else:
            self._note(logs or {}, time.perf_counter())

    def _note(self, logs: dict, now: float) -> None:
        """Adds this epoch's line to the history, or renews it."""
        means = {name: f"{float(value):.9g}" for name, value in logs.items()}
        reached = {"epoch": self._epoch + 1, "first_step": self._first_step, "step": int(self.model.step.numpy())}
        earlier = [row for row in self._rows if int(row["step"]) <= self._first_step]
        self._rows = [*earlier, {**reached, "seconds": round(now - self._began, 3), **means}]

    def _save(self, logs: dict) -> None:
        """Writes history, then the checkpoint, each whole or not at all."""
        began = time.perf_counter()
        self._note(logs, began)
        text = io.StringIO()
        # Measures come once an epoch, so that a line within one has fewer columns.
        columns = dict.fromkeys(name for row in self._rows for name in row)
        writer = csv.DictWriter(text, list(columns), lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(self._rows)
        files.write_text(self.history, text.getvalue())
        with files.replacing(self.path) as temporary:
            self.model.save(temporary)
            if self.path.exists():
                os.replace(self.path, previous(self.path))
        now = time.perf_counter()
        self._next = now + max(self.interval, 100 * (now - began))
        self._next_epoch = now + 9 * (now - began)


def previous(checkpoint: Path) -> Path:
    """Where the checkpoint before the latest is kept, for when that cannot be read."""
    return checkpoint.with_name(f"previous{checkpoint.suffix}")


def restored(checkpoint: Path, make: Callable[[], custom.Own] | None = None) -> Any:
    """The model that `load` gives; None where there is no file, and, with a warning, where it is damaged."""
    if not checkpoint.exists():
        return None
    try:
        return load(checkpoint, make)
    except files.UNREADABLE as error:
        log.warning("%s cannot be read (%s); going on from an earlier state", checkpoint, error)
        return None


def load(checkpoint: Path, make: Callable[[], custom.Own] | None = None) -> Any:
    """The model that `Checkpoint` saved, with its optimizers. One of one's own is made anew, by `make`, and filled.

    Raises:
      One of `files.UNREADABLE`: the file is damaged, or of another model.
    """
    own = make() if make else None
    with zipfile.ZipFile(checkpoint) as archive:  # Keras does not look at the checksums
        if (damaged := archive.testzip()) is not None:
            raise zipfile.BadZipFile(f"{damaged} is damaged")
    if own is not None:
        own.restore(checkpoint)
        return own
    saved = {"VAE": models.VAE, "FactorVAE": factor_vae.FactorVAE}
    return keras.models.load_model(checkpoint, custom_objects=saved)


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
            files.write_json(self.path, {"step": int(self.model.step.numpy()), "steps": self.steps})


class Measures(keras.callbacks.Callback):
    """Exact MIG and the ELBO decomposition over the whole data set, during training.

    Encodes the data after the first epoch, every `every`-th, and the last one that `fit` was asked for, and adds to the
    epoch's logs `data_mig`, `data_elbo`, `data_reconstruction`, `data_mutual_information`, `data_total_correlation`,
    `data_dimension_kl` (summed over the latents) and `data_active_units`, in nats where they are no scores or counts.
    Epochs in between repeat what was measured last. So they are in the history, and callbacks that come later in the
    list see them: TensorBoard, CSVLogger, EarlyStopping(monitor="data_mig", mode="max"). The running means of the
    loss's terms, which Keras logs without `data_`, are minibatch estimates and no nats to report.

    Training is not disturbed: a model that was measured ends with the same bits as one that was not.

    Args:
      data: the images to measure on: the whole data set, or a part of its grid that is quicker to encode, such as
        data.thin(2) or data.select({"shape": [0], "orientation": range(0, 40, 4)}).
      every: epochs from one measurement to the next.
      samples: for the joint entropy; see `tc.elbo_decomposition`.
      seed: of the samples.

    Raises:
      ValueError: every or samples out of range, data without a factor to score; in training, a model without
        `decode`.
    """

    def __init__(self, data: Dataset, every: int = 1, samples: int = 2000, seed: int = 0) -> None:
        super().__init__()
        if every < 1 or samples < 2:
            raise ValueError(f"Measures: every must be 1 or more and samples 2 or more; got {every} and {samples}")
        if not data.grid.scored:
            raise ValueError(f"Measures: {data.name} has no scored factor with two values; measure another part")
        self.data, self.every, self.samples, self.seed = data, every, samples, seed
        self._found: dict[str, float] = {}

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._found = {}

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if not self._found or _last(self, epoch) or (epoch + 1) % self.every == 0:
            self._found = self._measure()
        if logs is not None:
            logs.update({f"data_{name}": value for name, value in self._found.items()})

    _NAMES = (
        "mig",
        "elbo",
        "reconstruction",
        "mutual_information",
        "total_correlation",
        "dimension_kl",
        "active_units",
    )

    def _measure(self) -> dict[str, float]:
        encoded = codes.encode(self.model, self.data, verbose=0)
        parts = metrics.elbo_decomposition(encoded, self.samples, self.seed, verbose=0)
        if parts.elbo is None or parts.reconstruction is None:
            raise ValueError("Measures: to be measured during training the model needs decode(z)")
        values = (
            metrics.mig(encoded).score,
            parts.elbo,
            parts.reconstruction,
            parts.mutual_information,
            parts.total_correlation,
            float(parts.dimension_kl.sum()),
            float(metrics.active_units(encoded).score),
        )
        return dict(zip(self._NAMES, values, strict=True))


class Traversals(keras.callbacks.Callback):
    """Pictures of the latents during training: what the decoder draws while one of them moves from −2 to 2.

    Writes `epoch-0001.png`, and an .svg beside it, after the first epoch, every `every`-th, and the last one that `fit`
    was asked for; those of an earlier `fit` are replaced. The six most informative latents are drawn, each with the
    factor of which it says most, in nats, as `tc.pictures.of` finds them. In each row the other latents stay at the
    posterior mean of the image in the middle of the grid. Training is not disturbed.

    Args:
      data: the images to encode: the whole data set, or a part of its grid that is quicker; see `Measures`.
      directory: of the pictures; it is made where there is none.
      every: epochs from one picture to the next.

    Raises:
      ValueError: every out of range; as training begins, a model without `decode`.
      ImportError: matplotlib is not installed.
    """

    def __init__(self, data: Dataset, directory: str | Path, every: int = 1) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"Traversals: every must be 1 or more; got {every}")
        plots.need_matplotlib()
        self.data, self.directory, self.every = data, Path(directory), every
        self._drawn: Any = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        known = isinstance(getattr(self.model, "vae", self.model), (models.VAE, custom.Own))
        self._drawn = self.model if known else custom.Own(self.model, self.data.image_shape)
        if getattr(self._drawn, "vae", self._drawn).decode is None:
            raise ValueError("Traversals: to be traversed the model needs decode(z)")

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if epoch == 0 or _last(self, epoch) or (epoch + 1) % self.every == 0:
            arrays = pictures.of(self._drawn, self.data, codes.encode(self.model, self.data, verbose=0))
            figure = plots.traversal(arrays, title=f"{self.data.name}, epoch {epoch + 1}")
            plots.save(figure, self.directory / f"epoch-{epoch + 1:04d}.png")
