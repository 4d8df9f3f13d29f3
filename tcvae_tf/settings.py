"""A run is a value: a frozen dataclass → a readable id with a content hash. Nothing here trains or measures."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import re
from typing import Any

from tcvae_tf.factors import JOINTS
from tcvae_tf.words import suggest

#: Raised by hand when the same fields would give other bits: the first when any run would, the second when those alone
#: would that estimate log q(z). The recipe of these is the sum, of others the first. Not raised when oneDNN came to
#: multiply for large MLPs (`tcvae_tf.tracing`): a checkpoint goes on as it was compiled, and no record is of one so
#: large. Nor when the widest kernels of the MLP were transposed: their products have the same bits. (Weights without a
#: config, as of methods of one's own, do not load across that.) Nor when trainings of fewer than 100 steps, which are
#: not compiled, came to draw the noise of the others: no number that was published is of one.
RECIPE = 3
RECIPE_OF_LOG_QZ = 1
#: The same of those that estimate it from 2048 images or more.
RECIPE_OF_LARGE_BATCHES = 1


def recipe_of(log_qz: bool, batch_size: int = 0) -> int:
    """The recipe of what estimates log q(z) from minibatches of a size, or does not."""
    if not log_qz:
        return RECIPE
    return RECIPE + RECIPE_OF_LOG_QZ + (RECIPE_OF_LARGE_BATCHES if batch_size >= 2048 else 0)


METHODS = ("vae", "beta_vae", "beta_tcvae", "factor_vae")
#: As the paper calls them, in the order of its figure 3; InfoGAN is not trained here.
NAMES = {"vae": "VAE", "beta_vae": "β-VAE", "infogan": "InfoGAN", "factor_vae": "FactorVAE", "beta_tcvae": "β-TCVAE"}
#: The β that the paper chose for each method that has one.
PAPER_BETAS = {"beta_vae": 4.0, "beta_tcvae": 6.0}
#: A method of one's own, see `tcvae_tf.custom`.
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
#: Networks, and the width of each in its paper.
NETWORKS = {"mlp": 1200, "conv": 512, "conv_plain": 128}
_CHOICES = {
    "method": (*METHODS, "module:function"),
    "network": tuple(NETWORKS),
    "estimator": ("mws", "mss", "mss_released", "uniform"),
    "prior": ("normal", "laplace", "flow"),
    "posterior": ("normal", "laplace"),
    "initializer": ("pytorch", "keras"),
    "head": ("log_scale", "log_variance"),
    "joint": JOINTS,
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


def label(method: str, beta: str | float = "", tc_weight: str | float = "") -> str:
    """The name of a method over its weight, where it has one; of one's own, its module over its function."""
    if method not in NAMES:
        return method.replace(":", ":\n")
    weight = ("γ", tc_weight) if method == "factor_vae" else ("β", beta if method in PAPER_BETAS else "")
    return NAMES[method] + (f"\n{weight[0]} = {float(weight[1]):g}" if weight[1] != "" else "")


def in_line(label: str) -> str:
    """A label of two lines in one."""
    return label.replace(":\n", ":").replace("\n", ", ")


def _option(default: Any, meaning: str) -> Any:
    """A field of Run; its meaning is the command line's help."""
    return dataclasses.field(default=default, metadata={"help": meaning})


@dataclasses.dataclass(frozen=True)
class Run:
    """One training and its measurement. The defaults are the paper's settings for β-TCVAE on dSprites.

    Fields that a method fixes, or does not use, take one value, so that runs that differ only in those have one id:
    for "vae" and "factor_vae" α = β = γ = 1, for "beta_vae" α = γ = β, and only "factor_vae" has a discriminator. A
    method of one's own, "module:function", is handed the run and may use any field; all of them tell its runs apart. A
    width of 0 becomes the network's own at once: dataclasses.replace(run, network="conv") needs a width too. What a
    method fixed stays when dataclasses.replace changes the method: give α, β, γ and tc_weight with it.

    Raises:
      ValueError: an unknown name, or a number out of range.
    """

    dataset: str = _option("dsprites", "dsprites, faces3d, or module:function that returns a Dataset")
    method: str = _option(
        "beta_tcvae", "vae (α, β, γ are 1), beta_vae (all are beta), beta_tcvae, factor_vae, or your module:function"
    )
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
    head: str = _option("log_scale", "what the encoder's last layer gives: log_scale or log_variance")
    batch_size: int = _option(2048, "images in a batch, B")
    learning_rate: float = _option(1e-3, "of Adam")
    adam_epsilon: float = _option(1e-8, "of Adam, before the bias correction as in Keras; 1e-8 is PyTorch's default")
    epochs: int = _option(50, "passes over the data")
    steps: int = _option(0, "training steps; overrides epochs when not 0")
    thin: int = _option(1, "keep every k-th value of each factor, for trials")
    fix: str = _option("", "factors held at one value index each, of those that thin keeps: identity=0,lighting=5")
    joint: str = _option("uniform", f"p(n) over the first two scored factors: {', '.join(JOINTS)} (figure 5)")
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
            known = _CHOICES.get(field.name)
            if known and value not in known and not (field.name == "method" and self.own):
                raise ValueError(f"Run: unknown {field.name} {value!r}; {suggest(value, known)}")
            if kind is float and not (math.isfinite(float(value)) and float(value) >= 0):
                raise ValueError(f"Run: {field.name} must be finite and not negative; got {value}")
        for name in ("discriminator_width", "latent_dim", "batch_size", "epochs", "thin"):
            if getattr(self, name) < 1:
                raise ValueError(f"Run: {name} must be at least 1; got {getattr(self, name)}")
        for name in ("width", "steps", "seed", "beta_warmup", "lambda_annealing"):
            if getattr(self, name) < 0:
                raise ValueError(f"Run: {name} must not be negative; got {getattr(self, name)}")
        if not (self.learning_rate and self.discriminator_learning_rate and self.adam_epsilon):
            raise ValueError("Run: learning_rate, discriminator_learning_rate and adam_epsilon must be positive")
        if self.discriminator_batches not in (1, 2):
            raise ValueError(f"Run: discriminator_batches must be 1 or 2; got {self.discriminator_batches}")
        if self.method == "beta_tcvae" and self.beta_warmup and self.alpha == self.beta == self.gamma:
            raise ValueError("Run: with alpha = beta = gamma the warm-up is of the whole KL; say method=beta_vae")
        if self.tc_weight and not (self.method == "factor_vae" or self.own):
            raise ValueError(f"Run: tc_weight is for method factor_vae alone; leave it 0 for {self.method}")
        self._set(fix=",".join(f"{name}={value}" for name, value in sorted(self.fixed.items())))
        self._set(width=self.width or NETWORKS[self.network])
        self._fix_method()

    def _fix_method(self) -> None:
        """Gives the fields that the method fixes, or does not use, one value; a method of one's own may use all."""
        if self.own:
            return
        if self.method in ("vae", "factor_vae"):
            self._set(alpha=1.0, beta=1.0, gamma=1.0)
        if self.method == "beta_vae":
            self._set(alpha=self.beta, gamma=self.beta)
        if self.method != "beta_tcvae" and not self.lambda_annealing:
            self._set(estimator="mws")
        if self.method == "factor_vae":
            self._set(tc_weight=self.tc_weight or TC_WEIGHT)
        else:
            own = [field for field in dataclasses.fields(self) if field.name.startswith("discriminator_")]
            self._set(**{field.name: field.default for field in own})

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def own(self) -> bool:
        """Whether the method is a function of the user's."""
        return _FUNCTION.fullmatch(self.method) is not None

    @property
    def fixed(self) -> dict[str, int]:
        """The factors that are held fixed, and the value index of each."""
        pairs = [pair.split("=") for pair in self.fix.split(",") if pair]
        if not all(len(pair) == 2 and pair[1].strip().isdigit() for pair in pairs):
            raise ValueError(f"Run: fix must be name=value index, with commas between; got {self.fix!r}")
        found = {name.strip(): int(value) for name, value in pairs}
        if len(found) < len(pairs):
            raise ValueError(f"Run: fix holds each factor at one value; got {self.fix!r}")
        return found

    @property
    def recipe(self) -> int:
        """The number of the arithmetic by which the fields give these bits; part of the id. Any method of one's own is
        taken to estimate log q(z)."""
        tied = self.alpha == self.beta == self.gamma
        log_qz = self.own or self.lambda_annealing > 0 or (self.method == "beta_tcvae" and not tied)
        return recipe_of(bool(log_qz), self.batch_size)

    @functools.cached_property
    def id(self) -> str:
        """Readable, and unique through a hash over every field and the recipe."""
        fields = json.dumps({**dataclasses.asdict(self), "recipe": self.recipe}, sort_keys=True)
        digest = hashlib.sha256(fields.encode()).hexdigest()[:6]
        parts = [
            self.dataset,
            *([] if self.joint == "uniform" else [self.joint]),
            self.method.replace(":", "."),
            f"{self.network}{self.width}",
        ]
        parts += [self.estimator] if self.method == "beta_tcvae" else []
        parts += [family for family in (self.posterior, self.prior) if family != "normal"]
        parts += [*self._weights(), f"s{self.seed}", digest]
        return re.sub(r"[^\w.-]+", "_", "-".join(parts))

    def _weights(self) -> list[str]:
        """The weight by which an id is told at a glance. Of a method of one's own, those that were chosen."""
        beta, tc_weight = f"b{self.beta:g}", f"tc{self.tc_weight:g}"
        if self.own:
            return [beta] * (self.beta != Run.beta) + [tc_weight] * (self.tc_weight != Run.tc_weight)
        return [tc_weight if self.method == "factor_vae" else beta]

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
        """Images that a training step takes."""
        return self.batch_size * self.batches_per_step

    @property
    def batches_per_step(self) -> int:
        """Batches that a training step takes: one, or two for FactorVAE."""
        return self.discriminator_batches if self.method == "factor_vae" else 1

    def step_count(self, steps_per_epoch: int) -> int:
        """Training steps in all."""
        return self.steps or self.epochs * steps_per_epoch
