"""The families of q(z|x), p(z) and p(x|z), as TensorFlow Probability distributions."""

from __future__ import annotations

import math

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


class _Normal(tfp.distributions.Normal):
    """tfd.Normal with (z − μ)/σ taken after the subtraction.

    TFP subtracts z/σ and μ/σ, which at σ = 1e-3 costs the gradient of the objective 5e-5 of its length in float32.
    """

    def _log_prob(self, z):
        standard = (z - self.loc) / self.scale
        return -0.5 * tf.square(standard) - tf.math.log(self.scale) - 0.5 * math.log(2 * math.pi)


POSTERIORS = {"normal": _Normal}
PRIORS = {"normal": _Normal}


def posterior(loc: tf.Tensor, scale: tf.Tensor, family: str = "normal") -> tfp.distributions.Distribution:
    """q(z_j|x) for every latent: N(z_j; loc, scale²); batch shape is that of `loc`, the event is a scalar."""
    return _of(POSTERIORS, family, "posterior")(loc, scale)


def prior(family: str = "normal", dtype: tf.DType = tf.float32) -> tfp.distributions.Distribution:
    """p(z_j) for every latent: N(z_j; 0, 1)."""
    return _of(PRIORS, family, "prior")(tf.zeros([], dtype), tf.ones([], dtype))


def likelihood(logits: tf.Tensor) -> tfp.distributions.Distribution:
    """p(x|z) = ∏ Bernoulli(x_pixel; σ(logit)): log_prob sums over [H, W, C] and gives nats for each image, [B].

    Pixels between 0 and 1 are taken as the paper's code takes them: x log p + (1 − x) log(1 − p).
    """
    return tfd.Independent(_Pixels(logits=logits, dtype=logits.dtype), reinterpreted_batch_ndims=3)


class _Pixels(tfp.distributions.Bernoulli):
    """tfd.Bernoulli with a log_prob that takes one exponential and one logarithm a pixel, its gradient included."""

    def _log_prob(self, event):
        return _bernoulli_log_prob(self.logits_parameter(), tf.cast(event, self.dtype))


@tf.custom_gradient
def _bernoulli_log_prob(logits: tf.Tensor, x: tf.Tensor):
    """x·l − max(l, 0) − log(1 + e^−|l|), with the derivative x − σ(l) from the same e^−|l|; x is taken as data."""
    decay = tf.exp(-tf.abs(logits))
    log_prob = x * logits - tf.nn.relu(logits) - tf.math.log(1 + decay)

    def gradient(upstream):
        sigmoid = tf.where(logits >= 0, tf.ones_like(decay), decay) / (1 + decay)
        return upstream * (x - sigmoid), None

    return log_prob, gradient


def _of(families: dict, family: str, kind: str):
    if family not in families:
        raise ValueError(f"unknown {kind} {family!r}; choose from {', '.join(families)}")
    return families[family]
