r"""The paper: the KL of the ELBO in three terms, and how a minibatch estimates them.

With q(z) = (1/N) Σ_n q(z|x_n) over the N images of the data set (Chen et al. 2018, section 3, equation 2),

    E_n KL(q(z|x_n) ‖ p(z)) =   I_q(z; n)                    index-code mutual information
                              + KL(q(z) ‖ ∏_j q(z_j))        total correlation
                              + Σ_j KL(q(z_j) ‖ p(z_j))      dimension-wise KL.

The objective weights them with α, β and γ (equation 4; numbers of sections and equations are as we recall them):

    loss = −E log p(x|z) + α·I + β·TC + γ·Σ_j KL_j.

A VAE is (1, 1, 1), a β-VAE (β, β, β) and a β-TCVAE (1, β, 1).

A minibatch estimates q(z), see `tcvae_tf.minibatch`. Its terms are training signals: it is far too small for nats to
report, which are computed over the whole data set (`tcvae_tf.metrics`).
"""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from tcvae_tf import distributions, replicas
from tcvae_tf.minibatch import (
    ESTIMATORS,
    check_batch,
    log_qz,
    mss_log_weights,
    mss_released_log_weights,
    mws_log_weights,
    uniform_log_weights,
    weighted_log_qz,
)

__all__ = [
    "ESTIMATORS",
    "Objective",
    "kl_terms",
    "mss_log_weights",
    "mss_released_log_weights",
    "mws_log_weights",
    "sample_log_densities",
    "uniform_log_weights",
]


def kl_terms(
    z: tf.Tensor,
    loc: tf.Tensor,
    scale: tf.Tensor,
    dataset_size: int,
    estimator: str = "mws",
    posterior: str = "normal",
    prior: str | distributions.tfd.Distribution = "normal",
) -> dict[str, tf.Tensor]:
    """Single-sample Monte Carlo estimates of the three terms (section 3, equation 2), each [B] in nats.

    With log q̂ as in `tcvae_tf.minibatch`,

        mutual_information_i = log q(z_i|x_i) − log q̂(z_i)
        total_correlation_i  = log q̂(z_i) − Σ_j log q̂(z_ij)
        dimension_kl_i       = Σ_j [log q̂(z_ij) − log p(z_ij)].

    They sum to log q(z_i|x_i) − log p(z_i) whatever the estimator.

    Args:
      z: samples z_i ~ q(z|x_i), [B, D]; of half precision they are computed with in float32.
      loc, scale: parameters of q(z|x_i), [B, D]; `scale` is σ.
      dataset_size: N.
      estimator: "mws", "mss", "mss_released" or "uniform".
      posterior: family of q(z|x), see `tcvae_tf.distributions`.
      prior: family of p(z_j), or the distribution itself, such as `vae.prior`.

    Raises:
      ValueError: an unknown estimator, tensors of unlike shapes or dtypes or of no floating one, a batch whose size is
        not known when traced, or one larger than N.
    """
    if estimator not in ESTIMATORS:
        raise ValueError(f"unknown estimator {estimator!r}; choose from {', '.join(ESTIMATORS)}")
    z, loc, scale = (tf.convert_to_tensor(tensor) for tensor in (z, loc, scale))
    if z.shape.rank != 2 or not all(z.shape.is_compatible_with(other.shape) for other in (loc, scale)):
        raise ValueError(f"z, loc and scale must all be [B, D]; got {z.shape}, {loc.shape} and {scale.shape}")
    if not z.dtype == loc.dtype == scale.dtype:
        names = ", ".join(tensor.dtype.name for tensor in (z, loc, scale))
        raise ValueError(f"z, loc and scale must be of one dtype; got {names}")
    if not z.dtype.is_floating:
        raise ValueError(f"z, loc and scale must be floating-point numbers; got {z.dtype.name}")
    if z.dtype.size < 4:  # of half precision: sums of exponentials would be nats off
        z, loc, scale = (tf.cast(tensor, tf.float32) for tensor in (z, loc, scale))
    check_batch(estimator, z.shape[0], dataset_size)
    log_weights = tf.constant(ESTIMATORS[estimator](z.shape[0], dataset_size), z.dtype)
    joint, product = log_qz(tf.transpose(z), tf.transpose(loc), tf.transpose(scale), log_weights, posterior)
    log_qz_given_x, log_pz = sample_log_densities(z, loc, scale, posterior, prior)
    return {
        "mutual_information": log_qz_given_x - joint,
        "total_correlation": joint - product,
        "dimension_kl": product - log_pz,
    }


def sample_log_densities(
    z: tf.Tensor,
    loc: tf.Tensor,
    scale: tf.Tensor,
    posterior: str = "normal",
    prior: str | distributions.tfd.Distribution = "normal",
) -> tuple[tf.Tensor, tf.Tensor]:
    """log q(z_i|x_i) and log p(z_i), each [B] in nats."""
    pz = distributions.prior(prior, z.dtype) if isinstance(prior, str) else prior
    log_qz_given_x = tf.reduce_sum(distributions.posterior(loc, scale, posterior).log_prob(z), axis=-1)
    return log_qz_given_x, tf.reduce_sum(pz.log_prob(z), axis=-1)


@dataclasses.dataclass(frozen=True)
class Objective:
    """The weights α, β, γ of the three terms and the estimator of q(z) (section 3.1, equation 4).

    The released code can let two of them grow in step t = 1, 2, … of training, both off by default: with T of 7,000 on
    dSprites and 2,500 on 3D Faces

        β_t = β · min(1, t/T)  (β warm-up),    γ_t = γ · (1 − λ_t),  λ_t = max(0, 0.95 − t/T)  (λ annealing).

    Where α = β = γ, the warm-up is of all three.

    Args:
      alpha: weight of the index-code mutual information.
      beta: weight of the total correlation.
      gamma: weight of the dimension-wise KL.
      estimator: "mws" (the paper's default), "mss", "mss_released" or "uniform".
      beta_warmup: T of β, in steps; 0 for none.
      lambda_annealing: T of λ, in steps; 0 for none.

    Raises:
      TypeError: weights that are no numbers.
      ValueError: weights that are negative or not finite, negative steps, or an unknown estimator.
    """

    alpha: float = 1.0
    beta: float = 1.0
    gamma: float = 1.0
    estimator: str = "mws"
    beta_warmup: int = 0
    lambda_annealing: int = 0

    def __post_init__(self) -> None:
        weights = (self.alpha, self.beta, self.gamma)
        if not all(isinstance(weight, (int, float, np.number)) for weight in weights):
            raise TypeError(f"Objective: alpha, beta and gamma are numbers; got {weights}")
        if not all(np.isfinite(weight) and weight >= 0 for weight in weights):
            raise ValueError(f"Objective: alpha, beta and gamma must be finite and not negative; got {weights}")
        if min(self.beta_warmup, self.lambda_annealing) < 0:
            raise ValueError("Objective: beta_warmup and lambda_annealing are numbers of steps; 0 switches them off")
        if self.estimator not in ESTIMATORS:
            raise ValueError(f"unknown estimator {self.estimator!r}; choose from {', '.join(ESTIMATORS)}")

    @property
    def tied(self) -> bool:
        """Whether α = β = γ, as in a VAE and a β-VAE: β then weights the whole KL."""
        return self.alpha == self.beta == self.gamma

    @property
    def pairwise(self) -> bool:
        """Whether log q(z) is needed. With α = β = γ it cancels: the penalty is β·KL, as in a VAE or β-VAE."""
        return not self.tied or self.lambda_annealing > 0

    @property
    def terms(self) -> tuple[str, ...]:
        """The names that `penalty` reports."""
        split = ("mutual_information", "total_correlation", "dimension_kl")
        return ("kl", *split) if self.pairwise else ("kl",)

    def weights(self, step: tf.Tensor | int | None = None, beta: tf.Tensor | float | None = None) -> tuple:
        """α, β and γ in a step of training, counted from 0; of the end of the schedules when it is None.

        Args:
          beta: takes the place of self.beta, for a β that is changed during training.
        """
        beta = self.beta if beta is None else beta
        t = None if step is None else tf.cast(step, tf.float32) + 1
        if t is not None and self.beta_warmup:
            beta = beta * tf.minimum(1.0, t / self.beta_warmup)
        alpha, gamma = (beta, beta) if self.tied else (self.alpha, self.gamma)
        if t is not None and self.lambda_annealing:
            gamma = gamma * (1 - tf.maximum(0.0, 0.95 - t / self.lambda_annealing))
        return alpha, beta, gamma

    def penalty(
        self,
        z: tf.Tensor,
        loc: tf.Tensor,
        scale: tf.Tensor,
        dataset_size: int | None = None,
        beta: tf.Tensor | None = None,
        posterior: str = "normal",
        prior: str | distributions.tfd.Distribution = "normal",
        step: tf.Tensor | int | None = None,
        place: replicas.Whole = replicas.WHOLE,
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """α·I + β·TC + γ·Σ KL_j and the terms by name, batch means in nats of what the readable `kl_terms` gives.

        No tensor holds all pairs: α·I + β·TC + γ·Σ KL_j = α log q(z|x) + (β − α) log q̂(z) + (γ − β) Σ_j log q̂(z_j)
        − γ log p(z), where the estimates and their gradients come from `tcvae_tf.minibatch.weighted_log_qz`. Gradients
        pass through the penalty, and of the terms through `kl` alone.

        Args:
          z, loc, scale: [B, D]; `scale` is σ. Each z is a draw from its own q(z|x), see `weighted_log_qz`.
          dataset_size: N; not needed when `pairwise` is False.
          beta, step: see `weights`.
          posterior, prior: see `kl_terms`.
          place: where the rows stand in the global batch, when they are those of one replica; means are over them,
            and log q̂ is of the global batch.

        Raises:
          ValueError: as `kl_terms`, or `dataset_size` is missing.
        """
        alpha, beta, gamma = self.weights(step, beta)
        log_qz_given_x, log_pz = sample_log_densities(z, loc, scale, posterior, prior)
        terms = {"kl": log_qz_given_x - log_pz}
        if not self.pairwise:
            kl = tf.reduce_mean(terms["kl"])
            return beta * kl, {"kl": kl}
        if dataset_size is None:
            raise ValueError("an objective with a weight of its own on the total correlation needs dataset_size, the N")
        loc, scale = place.gather(loc, scale)
        check_batch(self.estimator, loc.shape[0], dataset_size)
        weights = (beta - alpha) / z.shape[0], (gamma - beta) / z.shape[0]
        estimates = (dataset_size, self.estimator, weights, posterior)
        total, joint, product = weighted_log_qz(z, loc, scale, *estimates, first=place.first)
        terms |= {"mutual_information": log_qz_given_x - joint, "total_correlation": joint - product}
        terms |= {"dimension_kl": product - log_pz}
        penalty = tf.reduce_mean(alpha * log_qz_given_x - gamma * log_pz) + total
        return penalty, {name: tf.reduce_mean(term) for name, term in terms.items()}
