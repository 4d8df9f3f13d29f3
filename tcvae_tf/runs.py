"""A run is a value: a frozen dataclass → a readable id with a content hash → a directory → one record.

`runs/<id>/` holds run.json (what was asked, written before step 0), history.csv, checkpoint/latest.keras, codes.npz
and, last, record.json: its existence means done. error.txt says why a run failed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import re
import traceback
from pathlib import Path
from typing import Any

from tcvae_tf import datasets, files, provenance
from tcvae_tf.datasets import suggest

log = logging.getLogger("tcvae_tf")

#: Raised by hand when the same fields would give other bits. It is part of every id.
RECIPE = 1

#: Raised by hand when records gain measures or take them in another way. Older records are measured again from the kept
#: codes, without training.
MEASURES = 2

METHODS = ("vae", "beta_vae", "beta_tcvae", "factor_vae")
#: Networks, and the width of each in its paper.
NETWORKS = {"mlp": 1200, "conv": 512, "conv_plain": 128}
_CHOICES = {
    "method": METHODS,
    "network": tuple(NETWORKS),
    "estimator": ("mws", "mss", "mss_released", "uniform"),
    "prior": ("normal", "laplace", "flow"),
    "posterior": ("normal", "laplace"),
    "initializer": ("pytorch", "keras"),
}

#: Settings with a name, as fields of Run. FactorVAE as its own paper has it, on convolutional networks, and as the
#: β-TCVAE paper compares with it: the MLP of the others, its weight tuned, twice the iterations. The two weights are
#: within the ranges that the papers search, as we recall them; tune yours.
SETTINGS: dict[str, dict[str, Any]] = {
    "factor_vae_kim_mnih": {
        "method": "factor_vae",
        "tc_weight": 35.0,
        "network": "conv_plain",
        "batch_size": 64,
        "learning_rate": 1e-4,
        "steps": 300_000,
    },
    "factor_vae_chen": {
        "method": "factor_vae",
        "tc_weight": 10.0,
        "network": "mlp",
        "batch_size": 2048,
        "learning_rate": 1e-3,
        "epochs": 200,  # of 180 steps, since a step takes two batches
    },
}

#: The weight of FactorVAE's total correlation where none is given.
TC_WEIGHT = 10.0


def _option(default: Any, meaning: str) -> Any:
    """A field of Run; its meaning is the command line's help."""
    return dataclasses.field(default=default, metadata={"help": meaning})


@dataclasses.dataclass(frozen=True)
class Run:
    """One training and its measurement. The defaults are the paper's settings for β-TCVAE on dSprites.

    Fields that a method fixes, or does not use, take one value, so that runs that differ only in those have one id:
    for "vae" and "factor_vae" α = β = γ = 1, for "beta_vae" α = γ = β, and only "factor_vae" has a discriminator. A
    width of 0 becomes the network's own at once: dataclasses.replace(run, network="conv") needs a width too.

    Raises:
      ValueError: an unknown name, or a number out of range.
    """

    dataset: str = _option("dsprites", "dsprites, faces3d, or module:function that returns a Dataset")
    method: str = _option("beta_tcvae", "vae (α, β, γ are 1), beta_vae (all are beta), beta_tcvae or factor_vae")
    alpha: float = _option(1.0, "weight of the index-code mutual information; 0 drops it")
    beta: float = _option(6.0, "weight of the total correlation; of the whole KL for beta_vae")
    gamma: float = _option(1.0, "weight of the dimension-wise KL")
    estimator: str = _option("mws", "of q(z): mws, mss, mss_released or uniform")
    beta_warmup: int = _option(0, "steps in which beta grows from 0; the released code has 7000, or 2500 on faces")
    lambda_annealing: int = _option(0, "steps in which gamma grows from a twentieth; the released code has as many")
    tc_weight: float = _option(0.0, f"weight of factor_vae's total correlation; 0 takes {TC_WEIGHT:g}")
    discriminator_width: int = _option(1000, "units of a hidden layer of factor_vae's discriminator")
    discriminator_batches: int = _option(2, "factor_vae: 2 batches a step as in its paper, or 1 as disentanglement_lib")
    discriminator_learning_rate: float = _option(1e-4, "of the discriminator's Adam(0.5, 0.9)")
    network: str = _option("mlp", "mlp, conv (for faces) or conv_plain (FactorVAE's)")
    width: int = _option(0, "units of a hidden layer, the last of conv; 0 takes the paper's: 1200, 512, 128")
    latent_dim: int = _option(10, "number of latents, D")
    prior: str = _option("normal", "family of p(z): normal, laplace or flow (32 planar steps for each latent)")
    posterior: str = _option("normal", "family of q(z|x): normal or laplace")
    initializer: str = _option("pytorch", "of the networks: pytorch or keras")
    batch_size: int = _option(2048, "images in a batch, B")
    learning_rate: float = _option(1e-3, "of Adam")
    epochs: int = _option(50, "passes over the data")
    steps: int = _option(0, "training steps; overrides epochs when not 0")
    thin: int = _option(1, "keep every k-th value of each factor, for trials")
    seed: int = _option(0, "of the initial weights, the order of the images and the noise")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if hasattr(value, "item"):  # a NumPy number
                value = value.item()
                object.__setattr__(self, field.name, value)
            kind = type(field.default)
            if kind is float and isinstance(value, int) and not isinstance(value, bool):
                object.__setattr__(self, field.name, float(value))
            elif type(value) is not kind:
                raise ValueError(f"Run: {field.name} must be {kind.__name__}; got {value!r}")
            if field.name in _CHOICES and value not in _CHOICES[field.name]:
                raise ValueError(f"Run: unknown {field.name} {value!r}; {suggest(value, _CHOICES[field.name])}")
            if kind is float and not (math.isfinite(float(value)) and float(value) >= 0):
                raise ValueError(f"Run: {field.name} must be finite and not negative; got {value}")
        for name in ("discriminator_width", "latent_dim", "batch_size", "epochs", "thin"):
            if getattr(self, name) < 1:
                raise ValueError(f"Run: {name} must be at least 1; got {getattr(self, name)}")
        for name in ("width", "steps", "seed", "beta_warmup", "lambda_annealing"):
            if getattr(self, name) < 0:
                raise ValueError(f"Run: {name} must not be negative; got {getattr(self, name)}")
        if self.learning_rate == 0 or self.discriminator_learning_rate == 0:
            raise ValueError("Run: learning_rate and discriminator_learning_rate must be positive")
        if self.discriminator_batches not in (1, 2):
            raise ValueError(f"Run: discriminator_batches must be 1 or 2; got {self.discriminator_batches}")
        if self.method == "beta_tcvae" and self.beta_warmup and self.alpha == self.beta == self.gamma:
            raise ValueError("Run: with alpha = beta = gamma the warm-up is of the whole KL; say method=beta_vae")
        if self.tc_weight and self.method != "factor_vae":
            raise ValueError(f"Run: tc_weight is for method factor_vae alone; leave it 0 for {self.method}")
        self._fix(width=self.width or NETWORKS[self.network])
        self._fix_method()

    def _fix_method(self) -> None:
        """Gives the fields that the method fixes, or does not use, one value."""
        if self.method in ("vae", "factor_vae"):
            self._fix(alpha=1.0, beta=1.0, gamma=1.0)
        if self.method == "beta_vae":
            self._fix(alpha=self.beta, gamma=self.beta)
        if self.method != "beta_tcvae" and not self.lambda_annealing:
            self._fix(estimator="mws")
        if self.method == "factor_vae":
            self._fix(tc_weight=self.tc_weight or TC_WEIGHT)
        else:
            own = [field for field in dataclasses.fields(self) if field.name.startswith("discriminator_")]
            self._fix(**{field.name: field.default for field in own})

    def _fix(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def id(self) -> str:
        """Readable, and unique through a hash over every field and RECIPE."""
        fields = json.dumps({**dataclasses.asdict(self), "recipe": RECIPE}, sort_keys=True)
        digest = hashlib.sha256(fields.encode()).hexdigest()[:6]
        parts = [self.dataset, self.method, f"{self.network}{self.width}"]
        parts += [self.estimator] if self.method == "beta_tcvae" else []
        parts += [family for family in (self.posterior, self.prior) if family != "normal"]
        parts += [f"tc{self.tc_weight:g}" if self.method == "factor_vae" else f"b{self.beta:g}"]
        parts += [f"s{self.seed}", digest]
        return re.sub(r"[^\w.-]+", "_", "-".join(parts))

    @classmethod
    def named(cls, setting: str, **fields: Any) -> Run:
        """A setting of SETTINGS, with other fields of one's own: Run.named("factor_vae_chen", seed=3)."""
        if setting not in SETTINGS:
            raise ValueError(f"Run: unknown setting {setting!r}; {suggest(setting, tuple(SETTINGS))}")
        chosen = dict(SETTINGS[setting])
        if "epochs" in fields:
            chosen.pop("steps", None)  # which would override them
        return cls(**{**chosen, **fields})

    @property
    def images_per_step(self) -> int:
        """Images that a training step takes: one batch, or two for FactorVAE."""
        return self.batch_size * (self.discriminator_batches if self.method == "factor_vae" else 1)

    def step_count(self, steps_per_epoch: int) -> int:
        """Training steps in all."""
        return self.steps or self.epochs * steps_per_epoch


def read_record(run: Run, root: str | Path = "runs") -> dict | None:
    """The record of a finished run, or None."""
    path = Path(root) / run.id / "record.json"
    if not path.exists():
        return None
    try:
        record = files.read_json(path)
    except ValueError:
        log.warning("%s cannot be read; the run is measured again", path)
        return None
    usable = isinstance(record, dict) and _is_of(record, run) and record.get("measures") == MEASURES
    return record if usable else None


def _is_of(header: dict, run: Run) -> bool:
    """Whether a record or run.json is of exactly this run, since its id holds but six digits of the hash, and of the
    images that it would be trained on now."""
    fields = json.loads(json.dumps(dataclasses.asdict(run)))
    origin = datasets.origin(run.dataset)
    if origin and header.get("data", {}).get("source") != origin:
        return False
    return (header.get("id"), header.get("run"), header.get("recipe")) == (run.id, fields, RECIPE)


def execute(run: Run, root: str | Path = "runs", verbose: str | int = "auto", measure_every: int = 0) -> dict:
    """Trains, encodes and measures; returns the record.

    Returns at once when the run is done already. Resumes from the last checkpoint, seconds old, when it was cut off,
    and then ends with the same bits as a run that was not (on a CPU, with as many threads); a checkpoint from other
    data, versions or another device is not gone on with. Waits when another process is at it.

    Args:
      run: what to do.
      root: directory of all runs.
      verbose: 0 for silence, 1 for progress bars, "auto" for Keras' choice.
      measure_every: epochs from one exact measurement during training to the next, for learning curves in history.csv
        (see `callbacks.Measures`); 0 for none. It does not change the run.

    Raises:
      Whatever stopped the run; error.txt in the run's directory keeps it.
    """
    if not isinstance(run, Run):
        raise TypeError(f"execute takes a tc.Run(...); got {type(run).__name__}")
    home = Path(root) / run.id

    def waiting() -> None:
        log.warning("%s is being worked on by another process; waiting for it", run.id)

    done = read_record(run, root)
    if done is not None:
        if measure_every and "data_mig" not in _head_of_history(home):
            log.warning("%s was trained without measuring; delete %s to have its curve", run.id, home)
        return done
    with files.locked(home / "lock", on_wait=waiting):
        done = read_record(run, root)
        if done is not None:
            return done
        (home / "error.txt").unlink(missing_ok=True)
        for folder in (home, home / "checkpoint"):
            files.sweep_partials(folder)
        try:
            record = _train_and_measure(run, home, verbose, measure_every)
            files.write_json(home / "record.json", record)
        except Exception:
            files.write_text(home / "error.txt", traceback.format_exc())
            raise
        (home / "progress.json").unlink(missing_ok=True)
    return record


def _train_and_measure(run: Run, home: Path, verbose: str | int, measure_every: int) -> dict:
    from tcvae_tf import codes, metrics

    data = datasets.load(run.dataset).thin(run.thin)
    if not data.grid.scored:
        raise ValueError(f"{run.dataset}: no factor has two values to score; lower thin")
    header = {"id": run.id, "run": dataclasses.asdict(run), "recipe": RECIPE, **provenance.of(data)}
    kept, judged = home / "codes.npz", home / "discriminator.json"  # written when training was done
    trained = _header_of_trained(home, run, header)
    if trained:
        header = trained
    else:
        _drop_foreign_work(home, run, header)
        files.write_json(home / "run.json", header)
        model = _train(run, home, data, verbose, measure_every)
        found = codes.encode(model, data, verbose=verbose)
        if run.method == "factor_vae":
            files.write_json(judged, model.judge(found.sample(100_000)))
        found.save(kept)
    measured = metrics.summary(codes.Codes.load(kept), verbose=verbose)
    if judged.exists():
        measured["discriminator"] = files.read_json(judged)
    steps = run.step_count(data.steps_per_epoch(run.images_per_step))
    return {**header, "measures": MEASURES, **measured, "steps": steps, "seconds": _seconds(home)}


def _header(home: Path) -> dict:
    """What run.json says; nothing where there is none."""
    try:
        return files.read_json(home / "run.json")
    except (OSError, ValueError):
        return {}


def _header_of_trained(home: Path, run: Run, header: dict) -> dict:
    """The header of a training that is done and left its codes: on whatever machine and by whatever versions, but of
    this run and these data. Nothing where there is none."""
    before = _header(home)
    usable = (home / "codes.npz").exists() and _is_of(before, run) and before.get("data") == header["data"]
    return before if usable else {}


def _drop_foreign_work(home: Path, run: Run, header: dict) -> None:
    """Starts over where a checkpoint was made from other data, by other versions, or with other threads."""
    before = _header(home)
    same = all(before.get(part) == header[part] for part in ("data", "versions", "device"))
    checkpoint = home / "checkpoint" / "latest.keras"
    work = [path for path in (checkpoint, home / "codes.npz", home / "discriminator.json") if path.exists()]
    if work and not (_is_of(before, run) and same):
        log.warning("%s was begun with other data, versions or device; starting over", run.id)
        for path in (*work, home / "history.csv"):
            path.unlink(missing_ok=True)


def _model(run: Run, data: Any) -> Any:
    """The untrained, compiled model of a run."""
    import keras

    from tcvae_tf import factor_vae, models, networks
    from tcvae_tf.objective import Objective

    make = getattr(networks, run.network)
    encoder, decoder = make(data.image_shape, run.latent_dim, run.width, run.initializer, run.seed)
    weights = (run.alpha, run.beta, run.gamma)
    objective = Objective(*weights, run.estimator, run.beta_warmup, run.lambda_annealing)
    families = {"prior": run.prior, "posterior": run.posterior}
    vae = models.VAE(encoder, decoder, objective, dataset_size=len(data), seed=run.seed, **families)
    adam = keras.optimizers.Adam(run.learning_rate)
    if run.method != "factor_vae":
        vae.compile(adam)
        return vae
    discriminator = networks.discriminator(run.latent_dim, run.discriminator_width, seed=run.seed)
    model = factor_vae.FactorVAE(vae, discriminator, run.tc_weight, run.discriminator_batches)
    model.compile(adam, keras.optimizers.Adam(run.discriminator_learning_rate, beta_1=0.5, beta_2=0.9))
    return model


def _train(run: Run, home: Path, data: Any, verbose: str | int, measure_every: int) -> Any:
    """The trained model: from the checkpoint where there is one."""
    import keras

    from tcvae_tf import callbacks, factor_vae, models

    checkpoint = home / "checkpoint" / "latest.keras"
    per_epoch = data.steps_per_epoch(run.images_per_step)
    steps = run.step_count(per_epoch)
    saved = {"VAE": models.VAE, "FactorVAE": factor_vae.FactorVAE}
    model = keras.models.load_model(checkpoint, custom_objects=saved) if checkpoint.exists() else _model(run, data)
    measures = [callbacks.Measures(data, measure_every)] if measure_every else []
    while (done := int(model.step.value)) < steps:
        epoch, step = divmod(done, per_epoch)
        model.fit(
            data.batches(run.images_per_step, run.seed, first_epoch=epoch, first_step=step),
            initial_epoch=epoch,
            # Keras takes every pass to be as long as the first: the rest of an epoch has a fit of its own.
            epochs=epoch + 1 if step else math.ceil(steps / per_epoch),
            callbacks=[
                *measures,
                callbacks.Checkpoint(checkpoint, home / "history.csv", steps),
                callbacks.Progress(home / "progress.json", steps),
            ],
            verbose=verbose,
        )
    return model


def _head_of_history(home: Path) -> str:
    """The names of the columns."""
    path = home / "history.csv"
    return path.read_text(encoding="utf-8").partition("\n")[0] if path.exists() else ""


def _seconds(home: Path) -> float:
    """Seconds of training, and of measuring during it, over all sittings."""
    from tcvae_tf import callbacks

    return round(sum(float(row["seconds"]) for row in callbacks.read_history(home / "history.csv")), 1)
