"""What the measures need to know of a family of posteriors q(z_j|x) with a location and a scale."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tcvae_tf.codes import Codes
from tcvae_tf.metrics import sampling
from tcvae_tf.metrics.entropy import Mixture
from tcvae_tf.metrics.laplace import LaplaceMixture


def _laplace(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    return rng.laplace(size=size)


@dataclasses.dataclass(frozen=True)
class Family:
    """A family of location and scale.

    Attributes:
      variance, entropy: of the density with scale 1; the entropy in nats.
      noise: (rng, size=) -> samples of the density with location 0 and scale 1.
      log_density: (z, loc, scale) -> Σ_j log q(z_j|x) over the last axis.
      mixture: (loc, scale, weights, order) of one latent -> what gives the exact entropies.
      posteriors: for log-densities of mixtures at samples.
    """

    variance: float
    entropy: float
    noise: Callable[..., np.ndarray]
    log_density: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    mixture: type[Mixture] | type[LaplaceMixture]
    posteriors: type[sampling.Normals] | type[sampling.Laplaces]

    def draw(self, loc, scale, weights, samples: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Images and z ~ q(z|x), as `sampling.draw`."""
        return sampling.draw(loc, scale, weights, samples, rng, self.noise)

    def log_mixture(self, z, loc, scale, weights, shift, advance: Callable[[int], Any]) -> np.ndarray:
        """log q(z), as `sampling.log_mixture`."""
        return sampling.log_mixture(z, loc, scale, weights, shift, advance, self.posteriors)


FAMILIES = {
    # exp(−(z − μ)²/2σ²) / √(2πσ²)
    "normal": Family(
        variance=1.0,
        entropy=0.5 * np.log(2 * np.pi * np.e),
        noise=np.random.Generator.standard_normal,
        log_density=sampling.log_normal,
        mixture=Mixture,
        posteriors=sampling.Normals,
    ),
    # exp(−|z − μ|/b) / 2b
    "laplace": Family(
        variance=2.0,
        entropy=1 + math.log(2),
        noise=_laplace,
        log_density=sampling.log_laplace,
        mixture=LaplaceMixture,
        posteriors=sampling.Laplaces,
    ),
}


def of(codes: Codes, measure: str) -> Family:
    """The family of these codes.

    Raises:
      ValueError: it is none of those that the measure knows.
    """
    if codes.posterior not in FAMILIES:
        raise ValueError(f"{measure} needs {' or '.join(FAMILIES)} posteriors; these codes are {codes.posterior!r}")
    return FAMILIES[codes.posterior]
