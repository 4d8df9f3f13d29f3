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

from tcvae_tf.metrics.lattice import LEVELS, POSITIONS, Few, Lattice, Many, components

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
        self._regions = _regions(loc - loc.min(), scale, self.weights, order)
        # Places of means are rounded, which moves narrow components against each other, and what is smooth on a coarse
        # lattice is interpolated on a finer one.
        self._rounding = 4 * np.finfo(np.float64).eps * (1 + np.abs(loc).max() / scale.min())
        self._rounding += 1e-9 if len(self._regions) > 1 else 0

    def entropies(self, labels: np.ndarray, count: int) -> MixtureEntropies:
        """H(z) and H(z|v) for labels v in 0 … count − 1, [N]."""
        mass = np.bincount(labels, self.weights, count)
        totals = [np.zeros((2, region.lattice.size)) for region in self._regions]
        sums = np.zeros((3, count + 1))  # conditionals, then the marginal
        block = max(1, int(_BLOCK_BYTES / sum(region.components.bytes_per_value for region in self._regions)))
        for start in range(0, count, block):
            values = np.arange(start, min(start + block, count))
            present = values[mass[values] > 0]
            for place, densities in self._densities(labels, values):
                totals[place] += densities.sum(axis=1)
                conditional = densities[:, present - start] / mass[present, None]
                sums[:, present] += self._regions[place].integrals(*conditional)
        for region, total in zip(self._regions, totals, strict=True):
            sums[:, count] += region.integrals(*total)
        entropy, coarse, series = sums
        error = series + np.abs(coarse - entropy) + self._rounding
        return MixtureEntropies(float(entropy[count]), entropy[:count], float(error[count]), error[:count])

    def _densities(self, labels: np.ndarray, values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """The place of each region, widest first, and p(v)·q(z|v) on its lattice for a run of values beside the part of
        it that is of the series' last order, [2, n_v, size]. Narrower components are left out: they do not reach where
        it counts."""
        found: dict[int, np.ndarray] = {}
        for place, region in reversed(list(enumerate(self._regions))):
            found[place] = region.components.densities(labels, values)
            if region.parent is not None:
                found[place] += self._regions[region.parent].lattice.refine(found[region.parent], region.lattice)
            yield place, found[place]


@dataclasses.dataclass
class _Region:
    """A lattice with the components of one octave of σ that reach it."""

    components: Few | Many
    quadrature: np.ndarray  # weights of the lattice's points in an integral over the line
    parent: int | None = None  # place of the wider octave's region around it

    @property
    def lattice(self) -> Lattice:
        return self.components.lattice

    def integrals(self, density: np.ndarray, last: np.ndarray) -> np.ndarray:
        """What this region adds to −∫ q log q, to the same from every second point, and to the error of the series.

        What the series leaves out is taken to be smaller than its last order, r(z), and so to move the entropy by less
        than ∫ |r| |1 + log q|; what the rule leaves out, to be smaller than what every second point changes. Both
        converge fast, so the bound is wide in practice; it is tested against quadrature, not proven.
        """
        q = np.maximum(density, 1e-300)
        log_q = np.log(q)
        integrand = q * log_q
        coarse = integrand[..., ::2] @ (2 * self.quadrature[::2])
        return np.stack([-(integrand @ self.quadrature), -coarse, np.abs(last * (1 + log_q)) @ self.quadrature])


def _regions(loc: np.ndarray, scale: np.ndarray, weights: np.ndarray, order: int) -> list[_Region]:
    """Regions that together cover the line wherever components reach, the narrowest octave first."""
    least = scale.min()
    level = np.rint(np.log2(scale / least) * LEVELS).astype(np.int64)
    octave = level // LEVELS
    regions: list[_Region] = []
    finer: list[_Region] = []
    for k in range(int(octave.max()) + 1):
        inside = np.flatnonzero(octave == k)
        spacing = least * 2.0**k / POSITIONS
        lattices = Lattice.covering(loc[inside], spacing, [region.lattice for region in finer])
        firsts = [lattice.first for lattice in lattices]
        within: list[list[Lattice]] = [[] for _ in lattices]
        for region in finer:
            i = int(np.searchsorted(firsts, region.lattice.first // 2, side="right")) - 1
            region.parent = len(regions) + i
            within[i].append(region.lattice)
        finer = []
        home = np.searchsorted(firsts, loc[inside] / spacing, side="right") - 1 if len(lattices) > 1 else None
        for i, lattice in enumerate(lattices):
            own = inside if home is None else inside[home == i]
            chosen = slice(None) if len(own) == len(loc) else own
            own_level = level[chosen] - k * LEVELS
            parts = components(lattice, chosen, loc[chosen], scale[chosen], weights[chosen], own_level, order)
            finer.append(_Region(parts, lattice.quadrature(within[i])))
        regions += finer
    return regions
