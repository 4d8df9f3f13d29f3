r"""Densities of large mixtures of normals on lattices of points.

With ~10⁶ components a mixture is summed in the Fourier domain, where a component is exp(−iωμ − ½σ²ω²). Each is moved to
the nearest node of a lattice of positions m and variances s², and what that changes is put back as a power series: with
d = μ − m and δ = σ² − s²,

    exp(−iωd − ½δω²) = Σ_p c_p(d, δ) (−iω)^p / p!,    c_0 = 1,  c_{p+1} = d·c_p + p·δ·c_{p−1}.

So a node needs only the sums of c_0 … c_P over its components. Where components are few, their densities are summed as
they are. Each octave of σ has lattices of its own, spaced by a
quarter of its narrowest width, wherever its components reach; the next coarser octave's reach around them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np

#: Ratio of neighbouring widths s is 2^(1/LEVELS).
LEVELS = 8
#: Positions are spaced by the narrowest width of the octave over this.
POSITIONS = 4
#: The spectrum of a normal ends at this frequency times its σ; beyond, it is less than 1e-16.
_BAND = 8.6
#: Components reach this many σ; beyond, a normal holds less than 1e-15.
_REACH = math.ceil(8.5 * 2.1 * POSITIONS)
#: Lattices end within so many nodes, by a step with this standard deviation.
_JOIN, _STEP = 64, 4.0
#: Weights that interpolate midway between the two middle ones of 14 equidistant nodes.
_MIDPOINT = [math.prod((6.5 - b) / (a - b) for b in range(14) if b != a) for a in range(14)]
#: So many components, and so many for each node, are summed one by one sooner than by a series.
_FEW, _FEW_A_NODE = 15_000, 8
#: Nodes from one end to the other: more would leave a mean less than three digits between them.
_FARTHEST = 2.0**43
#: Components whose series are made at a time: what that takes stays in a processor's cache.
_ROWS = 8192
#: The largest lattice: means may be spread without a gap over four million σ.
_LARGEST = 2**24


@dataclasses.dataclass(frozen=True)
class Lattice:
    """The points (first + i)·spacing, i = 0 … size − 1. Node k is node 2k of the next finer octave's lattices."""

    spacing: float
    first: int
    size: int

    @classmethod
    def covering(cls, loc: np.ndarray, spacing: float, finer: Iterable[Lattice]) -> list[Lattice]:
        """Disjoint lattices, left to right, where normals with these means reach, and around the finer lattices.

        Raises:
          ValueError: one would have more than 16 million nodes.
        """
        if np.ptp(loc, axis=0) > _FARTHEST * spacing if len(loc) else False:
            raise ValueError(
                f"scale {spacing * POSITIONS:.2g} is too small beside means spread over {np.ptp(loc):.3g} for float64; "
                "bound the smallest scale"
            )
        nodes = np.sort(np.rint(loc / spacing)).astype(np.int64)
        gaps = np.flatnonzero(np.diff(nodes) > 2 * (_REACH + _JOIN))
        spans = list(zip(nodes[[0, *gaps + 1]] - _REACH, nodes[[*gaps, -1]] + _REACH, strict=True)) if len(loc) else []
        spans += [(other.first // 2, (other.first + other.size) // 2) for other in finer]
        lattices: list[Lattice] = []
        for low, high in sorted(spans):
            first, end = int(low - _JOIN) // 2 * 2, -int(-high - _JOIN) // 2 * 2
            if lattices and first < lattices[-1].first + lattices[-1].size:
                first, end = lattices[-1].first, max(end, lattices[-1].first + lattices[-1].size)
                lattices.pop()
            lattices.append(cls(spacing, first, end - first))
        if max(lattice.size for lattice in lattices) > _LARGEST:
            raise ValueError(
                f"scale {spacing * POSITIONS:.2g} is too small beside means that fill {np.ptp(loc):.3g}: the exact "
                "integrals need their ratio below four million; bound the smallest scale"
            )
        return lattices

    def refine(self, values: np.ndarray, finer: Lattice) -> np.ndarray:
        """Values of smooth functions here → on a lattice of the next finer octave, along the last axis."""
        start, half = finer.first // 2 - self.first, finer.size // 2
        nodes = [values[..., start + k - 6 : start + k - 6 + half] for k in range(14)]
        fine = np.empty((*values.shape[:-1], finer.size))
        fine[..., ::2] = nodes[6]
        np.multiply(nodes[0], _MIDPOINT[0], out=fine[..., 1::2])
        for weight, node in zip(_MIDPOINT[1:], nodes[1:], strict=True):
            fine[..., 1::2] += weight * node
        return fine

    def quadrature(self, finer: Sequence[Lattice]) -> np.ndarray:
        """Weights of the trapezoidal rule on this lattice for what the finer lattices in it leave over, [size].

        A lattice fades out towards its ends by a smooth step, where the coarser one fades in: for smooth integrands the
        rule keeps converging faster than any power of the spacing.
        """
        taken = self._share()
        for other in finer:
            start = other.first // 2 - self.first
            taken[start : start + other.size // 2] -= other._share()[::2]
        return self.spacing * taken

    def _share(self) -> np.ndarray:
        rise = np.cumsum(np.exp(-0.5 * ((np.arange(_JOIN) - (_JOIN - 1) / 2) / _STEP) ** 2))
        share = np.ones(self.size)
        share[:_JOIN], share[-_JOIN:] = rise / rise[-1], 1 - rise / rise[-1]
        return share


def components(lattice: Lattice, inside, loc, scale, weights, level, order: int) -> Few | Many:
    """The components of one octave that lie on a lattice, in the quicker of two ways: as `Few` or as `Many`."""
    if len(loc) <= min(_FEW, _FEW_A_NODE * lattice.size):
        return Few(lattice, np.arange(len(loc)) if isinstance(inside, slice) else inside, loc, scale, weights)
    return Many(lattice, inside, loc, scale, weights, level, order)


def _fast_length(size: int) -> int:
    """The next even number of nodes with a quick Fourier transform."""
    power = 1 << max(3, size.bit_length() - 3)
    return next(m * power for m in (1, 2, 3, 4, 5, 6, 8) if m * power >= size)


class Few:
    """Few components whose σ lies in one octave, on the lattice that they reach: each density at each point.

    Args:
      lattice: where.
      inside: which of the mixture's components these are.
      loc, scale, weights: theirs, [n].
    """

    def __init__(self, lattice: Lattice, inside: np.ndarray, loc, scale, weights) -> None:
        self.lattice, self._inside = lattice, inside
        node, offsets = np.rint(loc / lattice.spacing), np.arange(-_REACH, _REACH + 1)
        d = loc - node * lattice.spacing
        z = (offsets * lattice.spacing - d[:, None]) / scale[:, None]
        self._node = node.astype(np.int64)[:, None] + (offsets - lattice.first)
        self._density = np.exp(-0.5 * z**2) * (weights / (scale * math.sqrt(2 * math.pi)))[:, None]

    @property
    def bytes_per_value(self) -> int:
        """Memory of one label value in `densities`."""
        return 32 * self.lattice.size

    def densities(self, labels: np.ndarray, values: np.ndarray) -> np.ndarray:
        """p(v)·q(z|v) for a run of label values, and zero for what is left out; [2, n_v, size]."""
        found = np.zeros((2, len(values), self.lattice.size))
        label = labels[self._inside]
        chosen = np.flatnonzero((label >= values[0]) & (label <= values[-1]))
        if len(chosen):
            place = (label[chosen] - values[0])[:, None] * self.lattice.size + self._node[chosen]
            sums = np.bincount(place.ravel(), self._density[chosen].ravel(), found[0].size)
            found[0] = sums.reshape(found.shape[1:])
        return found


class Many:
    """Many components whose σ lies in one octave, on the lattice that they reach: the series, in the Fourier domain.

    Args:
      lattice: where.
      inside: which of the mixture's components these are.
      loc, scale, weights: theirs, [n].
      level: of the width s nearest to each σ, from 0, the narrowest of the octave, to LEVELS − 1.
      order: P of the series.
    """

    def __init__(self, lattice: Lattice, inside, loc, scale, weights, level, order: int) -> None:
        self.lattice, self._inside, self._order = lattice, inside, order
        self._period = _fast_length(lattice.size)
        width = lattice.spacing * POSITIONS
        self._widths = width * 2.0 ** (np.arange(LEVELS) / LEVELS)
        self._cell = np.empty(len(loc), np.int64)
        self._moments = np.empty((order + 1, len(loc)))
        for start in range(0, len(loc), _ROWS):
            rows = slice(start, start + _ROWS)
            node = np.rint(loc[rows] / lattice.spacing)
            self._cell[rows] = level[rows] * self._period + (node.astype(np.int64) - lattice.first)
            d = loc[rows] - node * lattice.spacing
            delta = scale[rows] ** 2 - (self._widths**2)[level[rows]]
            moments = self._moments[:, rows]
            moments[0] = weights[rows]
            np.multiply(d, moments[0], out=moments[1])
            for p in range(1, order):
                np.multiply(delta, moments[p - 1], out=moments[p + 1])
                moments[p + 1] *= p
                moments[p + 1] += d * moments[p]

    @property
    def bytes_per_value(self) -> int:
        """Memory of one label value in `densities`."""
        return 8 * self._period * (2 * LEVELS + 6)

    def densities(self, labels: np.ndarray, values: np.ndarray) -> np.ndarray:
        """p(v)·q(z|v) for a run of label values, and the part of it that is of the last order; [2, n_v, size]."""
        label = labels[self._inside]
        chosen: slice | np.ndarray = slice(None)
        if len(label) and (values[0] > 0 or values[-1] < label.max()):
            chosen = np.flatnonzero((label >= values[0]) & (label <= values[-1]))
            label = label[chosen]
        if not len(label):
            return np.zeros((2, len(values), self.lattice.size))
        shape = (len(values), LEVELS, self._period)
        omega = 2 * np.pi / (self._period * self.lattice.spacing) * np.arange(self._period // 2 + 1)
        omega = omega[omega * self._widths[0] < _BAND]
        kernels = np.exp(-0.5 * (self._widths[:, None] * omega) ** 2)  # [levels, ω]
        place = (label - values[0]) * (LEVELS * self._period) + self._cell[chosen]
        spectrum = np.zeros((2, len(values), len(omega)), np.complex128)
        factor: np.ndarray = np.ones(len(omega), np.complex128)
        for p, moment in enumerate(self._moments):
            sums = np.bincount(place, moment[chosen], math.prod(shape)).reshape(shape)
            part = np.einsum("vlw,lw->vw", np.fft.rfft(sums, axis=-1)[..., : len(omega)], kernels)
            spectrum[int(p == self._order)] += part * factor
            factor = factor * (-1j * omega) / (p + 1)
        spectrum[0] += spectrum[1]
        return np.fft.irfft(spectrum, self._period, axis=-1)[..., : self.lattice.size] / self.lattice.spacing
