"""The Mutual Information Gap (Chen et al. 2018, section 4), computed exactly over the whole data set."""

from __future__ import annotations

import dataclasses

import numpy as np

from tcvae_tf.codes import Codes
from tcvae_tf.metrics.entropy import Mixture


@dataclasses.dataclass(frozen=True, eq=False)
class MIG:
    """The Mutual Information Gap and what it is made of.

    Attributes:
      score: the mean of `gaps`.
      gaps: [I(z_(1); v_k) − I(z_(2); v_k)] / H(v_k) for each scored factor, K of them, in 0…1.
      factors: names of the scored factors.
      mutual_information: I(z_j; v_k) in nats, [D, K].
      entropies: H(v_k) in nats, [K].
      latent_entropies: H(z_j) in nats, [D].
      winners: for each factor the latents with the largest and the second largest I, [K, 2]; the second is −1 when
        there is but one latent.
      error_bound: bound on the numerical error of `score`.
      method: how it was computed.
    """

    score: float
    gaps: np.ndarray
    factors: tuple[str, ...]
    mutual_information: np.ndarray
    entropies: np.ndarray
    latent_entropies: np.ndarray
    winners: np.ndarray
    error_bound: float
    method: str

    @property
    def normalised(self) -> np.ndarray:
        """I(z_j; v_k) / H(v_k), [D, K]."""
        return self.mutual_information / self.entropies


def mig(codes: Codes, method: str = "exact") -> MIG:
    """MIG = (1/K) Σ_k [I(z_(1); v_k) − I(z_(2); v_k)] / H(v_k) (section 4.1, equation 6).

    I(z_j; v_k) = H(z_j) − H(z_j|v_k), where q(z_j) is the mixture of q(z_j|x_n) over all images and q(z_j|v) the one
    over the images with v_k = v, all other factors free. Both are one-dimensional: the entropies are integrals, and
    nothing is sampled. K counts the grid's scored factors; the others are noise. Weighted grids use p(n).

    Args:
      codes: posteriors of the whole data set.
      method: "exact".

    Raises:
      TypeError: something else than Codes.
      ValueError: an unknown method, a posterior family without exact entropies, a scored factor with one value.
    """
    if not isinstance(codes, Codes):
        raise TypeError(f"mig takes codes, tc.mig(tc.encode(vae, data)); got {type(codes).__name__}")
    if method != "exact":
        raise ValueError(f"unknown method {method!r}; choose from exact")
    if codes.posterior != "normal":
        raise ValueError(f"exact MIG needs normal posteriors; these codes are {codes.posterior!r}")
    grid = codes.grid
    factors = tuple(grid.scored or ())
    entropies = np.array([grid.entropy(name) for name in factors])
    if not factors or entropies.min() <= 0:
        raise ValueError("MIG: scored factors need two values or more that occur; choose others")
    information, errors, latent_entropies = _information(codes, factors)
    gaps, winners, bound = _gaps(information, errors, entropies)
    return MIG(float(gaps.mean()), gaps, factors, information, entropies, latent_entropies, winners, bound, method)


def _information(codes: Codes, factors: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """I(z_j; v_k) and a bound on the error of each, [D, K], and H(z_j), [D], in nats."""
    grid = codes.grid
    cells = slice(None) if grid.weights is None else grid.cells
    weights = None if grid.weights is None else grid.weights[cells]
    labels = [grid.values(name)[cells] for name in factors]
    information, errors = np.zeros((2, codes.latent_dim, len(factors)))
    latent_entropies = np.zeros(codes.latent_dim)
    for j in range(codes.latent_dim):
        mixture = Mixture(codes.loc[cells, j], codes.scale[cells, j], weights)
        for k, name in enumerate(factors):
            p = grid.marginal(name)
            found = mixture.entropies(labels[k], len(p))
            information[j, k] = found.marginal - p @ found.conditional
            errors[j, k] = found.marginal_error + p @ found.conditional_error
            latent_entropies[j] = found.marginal
    return np.maximum(information, 0), errors, latent_entropies


def _gaps(information: np.ndarray, errors: np.ndarray, entropies: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Gaps [K] and winners [K, 2] of a matrix of mutual information [D, K], and a bound on the mean gap's error.

    The largest and the second largest of D numbers move by no more than the largest error among those that can be
    among the first two.
    """
    columns = np.arange(len(entropies))
    order = np.argsort(-information, axis=0, kind="stable")
    padded = np.vstack([information, np.zeros(len(columns))])  # a lone latent's runner-up has no information
    first, second = order[0], order[1] if len(order) > 1 else np.full(len(columns), -1)
    gaps = (information[first, columns] - padded[second, columns]) / entropies
    certain = np.sort(np.vstack([information - errors, np.full(len(columns), -1.0)]), axis=0)[-2]
    largest = np.where(information + errors >= certain, errors, 0).max(axis=0)
    return gaps, np.stack([first, second], axis=-1), float(np.mean(2 * largest / entropies))
