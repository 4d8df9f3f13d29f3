"""The ELBO over the whole data set and the three parts of its KL (Chen et al. 2018, section 3, equation 2)."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tcvae_tf import provenance
from tcvae_tf.codes import Codes
from tcvae_tf.metrics import families, sampling
from tcvae_tf.metrics.families import Family


@dataclasses.dataclass(frozen=True, eq=False)
class ELBODecomposition:
    """ELBO = reconstruction − mutual_information − total_correlation − Σ_j dimension_kl, all in nats an image.

    Attributes:
      reconstruction: E log p(x|z); None where the codes do not have it.
      mutual_information: I_q(z; n), the index-code mutual information.
      total_correlation: KL(q(z) ‖ ∏_j q(z_j)).
      dimension_kl: KL(q(z_j) ‖ p(z_j)), [D].
      elbo: None without the reconstruction.
      kl: E_n KL(q(z|x_n) ‖ p(z)), the sum of the three parts, in closed form; with a flow as prior its cross-entropy
        is by a Gauss rule, without a bound.
      joint_entropy: H(z).
      latent_entropies: H(z_j), [D].
      conditional_entropy: H(z|n), in closed form.
      standard_error: of mutual_information, total_correlation and joint_entropy, which share the one sampled number.
      reconstruction_error: standard error of reconstruction and elbo for one sample z an image, taken from the spread
        over images, which makes it too large rather than too small; None without the reconstruction.
      numerical_error: bound on the numerical error of each of dimension_kl and latent_entropies, [D]; without that of
        the codes' prior_cross_entropy, which only the flow prior has (see `distributions.prior_cross_entropy`).
      samples: S.
    """

    reconstruction: float | None
    mutual_information: float
    total_correlation: float
    dimension_kl: np.ndarray
    elbo: float | None
    kl: float
    joint_entropy: float
    latent_entropies: np.ndarray
    conditional_entropy: float
    standard_error: float
    reconstruction_error: float | None
    numerical_error: np.ndarray
    samples: int

    def __str__(self) -> str:
        known = self.elbo is not None
        left = f"ELBO {self.elbo:.3f} = {self.reconstruction:.3f} − " if known else f"KL {self.kl:.3f} = "
        sign = "−" if known else "+"
        return (
            f"{left}I {self.mutual_information:.3f} {sign} TC {self.total_correlation:.3f} {sign} "
            f"Σ KL_j {self.dimension_kl.sum():.3f} nats (I and TC ± {self.standard_error:.3f})"
        )

    @property
    def score(self) -> float | None:
        """The ELBO."""
        return self.elbo


def elbo_decomposition(
    codes: Codes, samples: int = 10_000, seed: int = 0, verbose: str | int = "auto"
) -> ELBODecomposition:
    """Splits the ELBO over the whole data set (section 3, equation 2, in its full-data form).

    With q(z) = Σ_n p(n) q(z|x_n):

        I_q(z; n) = E_{p(n) q(z|x_n)} [log q(z|x_n) − log q(z)]     from S samples, each against all N posteriors
        TC = Σ_j H(z_j) − H(z),  H(z) = I_q(z; n) + H(z|n)           H(z_j) exact, H(z|n) in closed form
        KL_j = −E_q(z_j) log p(z_j) − H(z_j)                         exact

    Only I is sampled, as the mean of a ratio: what log q(z|x_n) and log q(z) have in common cancels. The cost is
    S · N · D; memory stays below a gigabyte for normal posteriors, and about that for Laplace ones.

    Args:
      codes: posteriors of the whole data set, normal or Laplace.
      samples: S, 2 or more.
      seed: of the samples; the same call gives the same numbers.
      verbose: 0 for no progress bar, 1 for one, "auto" for one where there is a terminal and more than a moment's work.

    Raises:
      TypeError: something else than Codes.
      ValueError: posteriors of another family, fewer than 2 samples, a scale too small for float64.
    """
    if not isinstance(codes, Codes):
        raise TypeError(f"elbo_decomposition takes codes, as tc.encode(vae, data) gives; got {type(codes).__name__}")
    family = families.of(codes, "elbo_decomposition")
    if samples < 2:
        raise ValueError(f"elbo_decomposition: samples must be 2 or more; got {samples}")
    grid = codes.grid
    cells = slice(None) if grid.weights is None else grid.cells
    p = grid.probabilities[cells]
    weights = None if grid.weights is None else p
    loc, scale = codes.loc[cells].astype(np.float64), codes.scale[cells].astype(np.float64)

    conditional = float(p @ np.log(scale).sum(axis=1) + codes.latent_dim * family.entropy)
    cross_entropy = codes.prior_cross_entropy
    if cross_entropy is None:
        cross_entropy = 0.5 * np.log(2 * np.pi) + 0.5 * p @ (loc**2 + family.variance * scale**2)
    latents, numerical = _latent_entropies(family, loc, scale, weights)
    information, error = _mutual_information(family, loc, scale, weights, samples, seed, verbose)
    reconstruction = reconstruction_error = None
    if codes.log_px is not None:
        log_px = codes.log_px[cells].astype(np.float64)
        reconstruction = float(p @ log_px)
        reconstruction_error = float(np.sqrt(p**2 @ (log_px - reconstruction) ** 2))
    kl = float(np.sum(cross_entropy) - conditional)
    return ELBODecomposition(
        reconstruction=reconstruction,
        mutual_information=information,
        total_correlation=float(latents.sum() - information - conditional),
        dimension_kl=cross_entropy - latents,
        elbo=None if reconstruction is None else reconstruction - kl,
        kl=kl,
        joint_entropy=information + conditional,
        latent_entropies=latents,
        conditional_entropy=conditional,
        standard_error=error,
        reconstruction_error=reconstruction_error,
        numerical_error=numerical,
        samples=samples,
    )


def _latent_entropies(
    family: Family, loc: np.ndarray, scale: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """H(z_j) and a bound on the numerical error of each, [D]."""
    labels = np.zeros(len(loc), np.int64)

    def measure(j: int) -> tuple[float, float]:
        found = family.mixture(loc[:, j], scale[:, j], weights).entropies(labels, 1)
        return found.marginal, found.marginal_error

    with ThreadPoolExecutor(min(provenance.threads(), 4)) as pool:
        entropies, errors = zip(*pool.map(measure, range(loc.shape[1])), strict=True)
    return np.array(entropies), np.array(errors)


def _mutual_information(
    family: Family,
    loc: np.ndarray,
    scale: np.ndarray,
    weights: np.ndarray | None,
    samples: int,
    seed: int,
    verbose: str | int,
) -> tuple[float, float]:
    """I_q(z; n) and its standard error."""
    images, z = family.draw(loc, scale, weights, samples, np.random.default_rng(seed))
    log_qz_given_x = family.log_density(z, loc[images], scale[images])
    with sampling.progress(samples * len(loc), "ELBO decomposition", verbose) as advance:
        log_qz = family.log_mixture(z, loc, scale, weights, log_qz_given_x, advance)
    ratio = log_qz_given_x - log_qz
    return float(ratio.mean()), float(ratio.std(ddof=1) / np.sqrt(samples))
