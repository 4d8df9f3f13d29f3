"""The families of q(z|x), p(z) and p(x|z), as TensorFlow Probability distributions."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from tcvae_tf import tracing


class _Normal(tfd.Normal):
    """tfd.Normal with (z − μ)/σ taken after the subtraction.

    TFP subtracts z/σ and μ/σ, which at σ = 1e-3 costs the gradient of the objective 5e-5 of its length in float32.
    """

    def _log_prob(self, z):
        standard = (z - self.loc) / self.scale
        return -0.5 * tf.square(standard) - tf.math.log(self.scale) - 0.5 * math.log(2 * math.pi)


def _by_xla(draw: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """A draw of (shape, words, …) as an XLA program, of its own where the step around it is none: TensorFlow's kernels
    make other numbers of the same random bits. Traced once where the shape is static."""

    def program(shape: Any, *arguments: Any) -> Any:
        return tf.function(lambda words: draw(shape, words, *arguments), jit_compile=True, autograph=False)

    once = functools.cache(program)

    def drawn(shape: Any, words: tf.Tensor, *arguments: Any) -> tf.Tensor:
        static = tf.get_static_value(shape)
        return (program(shape, *arguments) if static is None else once(tuple(static), *arguments))(words)

    return drawn


@_by_xla
def _standard_normal(shape: Any, words: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    return tf.random.stateless_normal(shape, words, dtype=dtype, alg="philox")


@_by_xla
def _uniform(shape: Any, words: tf.Tensor, low: float, dtype: tf.DType) -> tf.Tensor:
    """From `low` to below 1."""
    return tf.random.stateless_uniform(shape, words, low, 1.0, dtype, alg="philox")


def _words(seed: Any) -> tf.Tensor:
    """The words of a seed without a sign, int64 [2].

    With alg="philox" they give the bits that XLA draws from the seed as it is; but from that it derives the generator's
    key anew for every number, which takes ten times as long as the number, and TensorFlow derives another.
    """
    return tf.cast(tf.bitcast(tfp.random.sanitize_seed(seed), tf.uint32), tf.int64)


class _NormalPosterior(_Normal):
    """Its samples are the same with XLA and without, to rounding."""

    def _sample_n(self, n, seed=None):
        shape = tf.concat([[n], self.batch_shape_tensor()], axis=0)
        return self.loc + self.scale * _standard_normal(shape, _words(seed), self.dtype)


class _LaplacePosterior(tfd.Laplace):
    """Its samples are TFP's with XLA, and the same without, to rounding."""

    def _sample_n(self, n, seed=None):
        shape = tf.concat([[n], self.batch_shape_tensor()], axis=0)
        low = float(np.nextafter(np.array(-1, self.dtype.as_numpy_dtype), 0))
        drawn = _uniform(shape, _words(seed), low, self.dtype)
        return self.loc - self.scale * tf.sign(drawn) * tf.math.log1p(-tf.abs(drawn))


def uniform(shape: Any, seed: Any) -> tf.Tensor:
    """Numbers from 0 to below 1, float32 of this shape, from a stateless seed, int32 [2]; with XLA and without."""
    return _uniform(shape, _words(seed), 0.0, tf.float32)


def fold_in(seed: Any, number: int) -> tf.Tensor:
    """Another stateless seed, int32 [2], for each number; with XLA and without, which fold into a negative seed in
    unlike ways."""
    return tf.random.fold_in(_words(seed), number, alg="philox")


class PlanarSteps(tfp.bijectors.Bijector):
    """Planar steps in one dimension for each latent (Rezende and Mohamed 2015), from z to a standard normal x:

        x ← x + û tanh(w x + b),    û = u g(u w),  g(t) = 1 for t ≥ 0 and (e^t − 1)/t below,

    so that û w > −1 and every step is increasing: log p(z) = log N(x; 0, 1) + Σ log(1 + û w (1 − tanh²)) is a density.
    Near u w = 0 it is the released code's step, which has û = u and takes the absolute value where that folds the line.

    Args:
      u, w, b: parameters, each [steps, D].
    """

    def __init__(self, u: tf.Tensor, w: tf.Tensor, b: tf.Tensor) -> None:
        super().__init__(forward_min_event_ndims=0, dtype=u.dtype, name="planar_steps")
        product = u * w
        below = tf.minimum(product, -1e-4)
        shrink = tf.where(product < -1e-4, tf.math.expm1(below) / below, 1 + tf.minimum(product, 0.0) / 2)
        self._steps = [tf.unstack(part) for part in (u * shrink, w, b, product)]

    def _inverse_and_log_slope(self, z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x, log_slope = z, tf.zeros_like(z)
        for u, w, b, product in zip(*self._steps, strict=True):
            bend = tf.tanh(x * w + b)
            x += u * bend
            flat = 1 - tf.square(bend)
            # log(1 + û w flat), where û w = e^(u w) − 1 is near −1 too.
            log_slope += tf.math.log(1 - flat + flat * tf.exp(tf.minimum(product, 0.0)))
            log_slope += tf.math.log1p(tf.maximum(product, 0.0) * flat)
        return x, log_slope

    def _inverse(self, y: tf.Tensor) -> tf.Tensor:
        return self._inverse_and_log_slope(y)[0]

    def _inverse_log_det_jacobian(self, y: tf.Tensor) -> tf.Tensor:
        return self._inverse_and_log_slope(y)[1]

    def _forward(self, x: tf.Tensor) -> tf.Tensor:
        """x ↦ z by bisection: the steps move a point by no more than Σ |û|."""
        reach = tf.add_n([tf.abs(u) for u in self._steps[0]]) + 1e-6

        def halve(low, high):
            middle = (low + high) / 2
            right = self._inverse(middle) < x
            return tf.where(right, middle, low), tf.where(right, high, middle)

        low, high = tf.while_loop(lambda *_: True, halve, (x - reach, x + reach), maximum_iterations=40)
        return (low + high) / 2


def _flow(parameters: tf.Tensor) -> tfd.Distribution:
    """p(z_j) of every latent: a standard normal behind the planar steps with parameters [3, steps, D]."""
    u, w, b = tf.unstack(parameters)
    return tfd.TransformedDistribution(_Normal(tf.zeros_like(u[0]), tf.ones_like(u[0])), PlanarSteps(u, w, b))


POSTERIORS = {"normal": _NormalPosterior, "laplace": _LaplacePosterior}
PRIORS = {"normal": _Normal, "laplace": tfd.Laplace, "flow": _flow}
#: Planar steps of the flow prior, and the spread of its parameters before training, as in the released code.
FLOW_STEPS, FLOW_SPREAD = 32, 0.02


def posterior(loc: tf.Tensor, scale: tf.Tensor, family: str = "normal") -> tfd.Distribution:
    """q(z_j|x) for every latent; batch shape is that of `loc`, the event is a scalar.

    "normal": N(z_j; loc, scale²). "laplace": exp(−|z_j − loc| / scale) / (2 scale).
    """
    return _of(POSTERIORS, family, "posterior")(loc, scale)


def prior(family: str = "normal", dtype: tf.DType = tf.float32, flow: tf.Tensor | None = None) -> tfd.Distribution:
    """p(z_j) for every latent: N(0, 1), Laplace(0, 1), or a factorial flow, whose batch shape is [D].

    Args:
      family: "normal", "laplace" or "flow".
      flow: parameters of the planar steps, [3, steps, D]; for "flow" only.
    """
    make = _of(PRIORS, family, "prior")
    if family == "flow":
        if flow is None:
            raise ValueError("the flow prior has parameters: pass flow=[3, steps, D], or prior=vae.prior")
        return make(flow)
    return make(tf.zeros([], dtype), tf.ones([], dtype))


def prior_cross_entropy(loc: tf.Tensor, scale: tf.Tensor, family: str, prior: tfd.Distribution) -> tf.Tensor:
    """−E_q(z_j|x) log p(z_j) for posteriors of a family, the shape of `loc`, in nats.

    In closed form for a standard normal or standard Laplace prior. For the flow by Gauss's rules of 32 points,
    Hermite's for normal posteriors and Laguerre's on either side of the mean for Laplace ones: no bound is known; the
    error was below 1e-6 for parameters spread by 0.1, 2e-3 for 0.3 and 0.2 for 0.6, which bend within a posterior.
    """
    laplace = family == "laplace"
    if isinstance(prior, _Normal):
        variance = (2 if laplace else 1) * tf.square(scale)
        return 0.5 * math.log(2 * math.pi) + 0.5 * (tf.square(loc) + variance)
    if isinstance(prior, tfd.Laplace):
        distance = tf.abs(loc)
        if laplace:
            return math.log(2) + distance + scale * tf.exp(-distance / scale)
        standard = loc / scale
        folded = scale * math.sqrt(2 / math.pi) * tf.exp(-0.5 * tf.square(standard))
        return math.log(2) + folded + loc * tf.math.erf(standard / math.sqrt(2))
    points, weights = (tf.constant(part, loc.dtype) for part in _gauss(family))
    log_p = prior.log_prob(loc + tf.reshape(points, [-1] + [1] * loc.shape.rank) * scale)
    return -tf.tensordot(weights, log_p, 1)


def _gauss(family: str, count: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of E f(z) for z of a family with loc 0 and scale 1."""
    if family == "laplace":
        points, weights = np.polynomial.laguerre.laggauss(count // 2)
        return np.concatenate([-points, points]), np.concatenate([weights, weights]) / 2
    points, weights = np.polynomial.hermite_e.hermegauss(count)
    return points, weights / weights.sum()


def likelihood(logits: tf.Tensor) -> tfd.Distribution:
    """p(x|z) = ∏ Bernoulli(x_pixel; σ(logit)): log_prob sums over [H, W, C] and gives nats for each image, [B].

    Pixels between 0 and 1 are taken as the paper's code takes them: x log p + (1 − x) log(1 − p).
    """
    return _Pixels(tfd.Bernoulli(logits=logits, dtype=logits.dtype), reinterpreted_batch_ndims=3)


class _Pixels(tfd.Independent):
    """Independent Bernoulli pixels, with one exponential for each, its gradient included, and a logarithm for four."""

    def _log_prob(self, event):
        logits = self.distribution.logits_parameter()
        pixels = math.prod(logits.shape[-3:])
        flat = (
            tf.reshape(part, tf.concat([tf.shape(part)[:-3], [pixels]], axis=0))
            for part in (logits, tf.cast(event, self.dtype))
        )
        return tracing.compiled(_bernoulli_log_prob)(*flat)


@tf.custom_gradient
def _bernoulli_log_prob(logits: tf.Tensor, x: tf.Tensor):
    """Σ x·l − max(l, 0) − log(1 + e^−|l|) over the last axis, with the derivative x − σ(l) from the same e^−|l|.

    Four pixels share the logarithm of their product, which is 16 at most: less time, and a shorter sum, whose rounding
    errors are smaller. x is taken as data.
    """
    decay = tf.exp(-tf.abs(logits))
    linear, factor = x * logits - tf.nn.relu(logits), 1 + decay
    for _ in range(2):
        half, odd = divmod(factor.shape[-1], 2)
        if odd:
            break
        linear, factor = linear[..., :half] + linear[..., half:], factor[..., :half] * factor[..., half:]
    log_prob = tf.reduce_sum(linear - tf.math.log(factor), axis=-1)

    def gradient(upstream):
        sigmoid = tf.where(logits >= 0, tf.ones_like(decay), decay) / (1 + decay)
        return upstream[..., tf.newaxis] * (x - sigmoid), None

    return log_prob, gradient


def _of(families: dict, family: str, kind: str):
    if family not in families:
        raise ValueError(f"unknown {kind} {family!r}; choose from {', '.join(families)}")
    return families[family]
