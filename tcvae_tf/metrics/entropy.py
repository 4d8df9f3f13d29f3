"""Entropies of one-dimensional mixtures of normals, by integration: no sampling.

For one latent and one factor, q(z|v) is the mixture of the N(μ_n, σ_n²) over the images with that value, and q(z) the
mixture of them all. Each octave of σ has its own lattices of points where its components reach, so that σ of very
different sizes may meet in one latent. Densities are summed from the widest octave to the narrowest: what is smooth on
a coarse lattice is interpolated on the finer ones. The integral −∫ q log q takes every point of the line on the finest
lattice that covers it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from tcvae_tf.metrics.lattice import LEVELS, POSITIONS, Lattice, Patch

#: Bytes that one block of lattices may take.
_BLOCK_BYTES = 2**27


@dataclasses.dataclass(frozen=True)
class MixtureEntropies:
    """Entropies in nats and a bound on the numerical error of each."""

    marginal: float  # H(z)
    conditional: np.ndarray  # H(z|v) for every value, [n_v]; 0 for a value of probability zero
    marginal_error: float
    conditional_error: np.ndarray  # [n_v]


class Mixture:
    """The components N(μ_n, σ_n²) of one latent with probabilities p(n), put on lattices.

    Args:
      loc, scale: μ and σ > 0, [N].
      weights: p(n), [N], or None for uniform.
      order: of the series, even; two orders more make the error ten times smaller.

    Time and memory grow with N and, for each octave of σ, with (what its μ fill without a gap) / σ.

    Raises:
      ValueError: that ratio is above four million.
    """

    def __init__(self, loc: np.ndarray, scale: np.ndarray, weights: np.ndarray | None = None, order: int = 6) -> None:
        loc, scale = np.asarray(loc, np.float64), np.asarray(scale, np.float64)
        self.weights = np.full(len(loc), 1 / len(loc)) if weights is None else np.asarray(weights, np.float64)
        least, loc = scale.min(), loc - loc.min()
        octave = np.rint(np.log2(scale / least) * LEVELS).astype(np.int64) // LEVELS
        self._patches: list[Patch] = []  # finest first
        self._parents: list[int] = []  # the patch of the next octave around each
        finer: list[Patch] = []
        for k in range(int(octave.max()) + 1):
            inside = np.flatnonzero(octave == k)
            spacing = least * 2.0**k / POSITIONS
            lattices = Lattice.covering(loc[inside], spacing, [patch.lattice for patch in finer])
            starts = np.array([lattice.first for lattice in lattices]) * spacing
            home = np.searchsorted(starts, loc[inside], side="right") - 1
            self._parents += [
                len(self._patches) + next(i for i, lattice in enumerate(lattices) if lattice.contains(patch.lattice))
                for patch in finer
            ]
            finer = []
            for i, lattice in enumerate(lattices):
                own = inside[home == i] if len(lattices) > 1 else inside
                chosen = slice(None) if len(own) == len(loc) else own
                finer.append(Patch(lattice, chosen, loc[chosen], scale[chosen], self.weights[chosen], order))
            self._patches += finer
        self._parents += [-1] * len(finer)
        children: list[list[Lattice]] = [[] for _ in self._patches]
        for patch, parent in zip(self._patches, self._parents, strict=True):
            if parent >= 0:
                children[parent].append(patch.lattice)
        self._quadrature = [
            patch.lattice.quadrature(within) for patch, within in zip(self._patches, children, strict=True)
        ]

    def entropies(self, labels: np.ndarray, count: int) -> MixtureEntropies:
        """H(z) and H(z|v) for labels v in 0 … count − 1, [N]."""
        mass = np.bincount(labels, self.weights, count)
        totals = [np.zeros((2, patch.lattice.size)) for patch in self._patches]
        sums = np.zeros((3, count + 1))  # conditionals, then the marginal
        block = max(1, int(_BLOCK_BYTES / sum(patch.bytes_per_value for patch in self._patches)))
        for start in range(0, count, block):
            values = np.arange(start, min(start + block, count))
            present = values[mass[values] > 0]
            for place, densities in self._densities(labels, values):
                totals[place] += densities.sum(axis=1)
                sums[:, present] += self._integrals(place, *densities[:, present - start] / mass[present, None])
        for place, total in enumerate(totals):
            sums[:, count] += self._integrals(place, *total)
        entropy, coarse, series = sums
        error = series + np.abs(coarse - entropy)
        return MixtureEntropies(float(entropy[count]), entropy[:count], float(error[count]), error[:count])

    def _densities(self, labels: np.ndarray, values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """p(v)·q(z|v) for a run of values, and the part of it that is of the series' last order, [2, n_v, size], on the
        lattice of each patch, widest first. Narrower components are left out: they do not reach where it counts."""
        found: dict[int, np.ndarray] = {}
        for place in reversed(range(len(self._patches))):
            patch, parent = self._patches[place], self._parents[place]
            found[place] = patch.densities(labels, values)
            if parent >= 0:
                found[place] += self._patches[parent].lattice.refine(found[parent], patch.lattice)
            yield place, found[place]

    def _integrals(self, place: int, density: np.ndarray, last: np.ndarray) -> np.ndarray:
        """What one lattice adds to −∫ q log q, to the same from every second point, and to the error of the series.

        What the series leaves out is taken to be smaller than its last order, r(z), and so to move the entropy by less
        than ∫ |r| |1 + log q|; what the rule leaves out, to be smaller than what every second point changes. Both
        converge fast, so the bound is wide in practice; it is tested against quadrature, not proven.
        """
        weights = self._quadrature[place]
        q = np.maximum(density, 1e-300)
        log_q = np.log(q)
        integrand = q * log_q
        coarse = integrand[..., ::2] @ (2 * weights[::2])
        return np.stack([-(integrand @ weights), -coarse, np.abs(last * (1 + log_q)) @ weights])
