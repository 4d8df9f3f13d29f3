"""Measures that need no factors: total correlation of a Gaussian fit, active units. Exact over the whole data set."""

from __future__ import annotations

import dataclasses

import numpy as np

from tcvae_tf.codes import Codes
from tcvae_tf.metrics import families


@dataclasses.dataclass(frozen=True, eq=False)
class GaussianTotalCorrelation:
    """Total correlation of normal distributions with the codes' covariance, in nats.

    Attributes:
      score: of the means μ(x), disentanglement_lib's number.
      of_samples: of z ~ q(z), whose covariance is that of the means plus diag(E σ²), for Laplace diag(E 2b²).
      covariance: of the means, [D, D].
    """

    score: float
    of_samples: float
    covariance: np.ndarray


def gaussian_total_correlation(codes: Codes) -> GaussianTotalCorrelation:
    """TC of N(0, Σ): ½ (Σ_j log Σ_jj − log det Σ), an unsupervised score of Locatello et al. (2019).

    Infinite where one mean is a linear function of the others. A latent whose mean never changes is independent of the
    others and left out.

    Args:
      codes: posteriors of the whole data set, normal or Laplace.

    Raises:
      ValueError: posteriors of another family.
    """
    variance = families.of(codes, "gaussian_total_correlation").variance
    cells = codes.grid.cells
    p, loc = codes.grid.probabilities[cells], codes.loc[cells].astype(np.float64)
    centred = loc - loc[0]  # exactly zero for a constant
    moving = np.ptp(centred, axis=0) > 0
    centred = np.where(moving, centred - p @ centred, 0)
    covariance = (p[:, None] * centred).T @ centred
    noise = np.diag(variance * (p @ codes.scale[cells].astype(np.float64) ** 2))
    return GaussianTotalCorrelation(_normal_tc(covariance, moving), _normal_tc(covariance + noise), covariance)


def _normal_tc(covariance: np.ndarray, moving: np.ndarray | None = None) -> float:
    variances = np.diag(covariance)
    moving = np.ones(len(variances), bool) if moving is None else moving
    correlation = covariance[np.ix_(moving, moving)] / np.sqrt(np.outer(variances[moving], variances[moving]))
    eigenvalues = np.linalg.eigvalsh(correlation)
    return float(-0.5 * np.sum(np.log(eigenvalues))) if np.all(eigenvalues > 1e-12) else np.inf


@dataclasses.dataclass(frozen=True, eq=False)
class ActiveUnits:
    """`score`, how many latents are active; `active` [D]; `variances` of their means, [D]."""

    score: int
    active: np.ndarray
    variances: np.ndarray


def active_units(codes: Codes, threshold: float = 0.01) -> ActiveUnits:
    """Latents with Var_x(E_q(z|x) z_j) > 0.01 (Burda, Grosse and Salakhutdinov 2016, section 5.2).

    Args:
      codes: posteriors of the whole data set.
      threshold: of the variance.
    """
    cells = codes.grid.cells
    p, loc = codes.grid.probabilities[cells], codes.loc[cells].astype(np.float64)
    variances = p @ (loc - p @ loc) ** 2
    active = variances > threshold
    return ActiveUnits(int(active.sum()), active, variances)
