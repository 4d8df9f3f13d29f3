r"""Entropies of one-dimensional mixtures of normals, by integration: no sampling.

For one latent and one factor, q(z|v) is the mixture of the N(μ_n, σ_n²) over the images with that value, and q(z) the
mixture of them all. With ~10⁶ components the mixture is summed in the Fourier domain, where a component is
exp(−iωμ − ½σ²ω²). Each component is moved to the nearest node of a lattice of positions m and variances s², and what
that changes is put back as a power series: with d = μ − m and δ = σ² − s²,

    exp(−iωd − ½δω²) = Σ_p c_p(d, δ) (−iω)^p / p!,    c_0 = 1,  c_{p+1} = d·c_p + p·δ·c_{p−1}.

So a node needs only the sums of c_0 … c_P over its components. Wide components live on coarse lattices, one for each
octave of σ: their spectra are short, and are added to the low end of the finest one. A single inverse transform gives
the densities on a grid finer than the narrowest component, where the trapezoidal rule for −∫ q log q converges faster
than any power of the spacing. What the highest order of the series and every second point of the grid contribute
bounds the error of the result.
"""

from __future__ import annotations

import dataclasses

import numpy as np

#: Order P of the series.
_ORDER = 6
#: Ratio of neighbouring widths s is 2^(1/_LEVELS).
_LEVELS = 8
#: Positions are spaced by the narrowest width of the octave over this.
_POSITIONS = 4
#: The final grid is this much finer than the finest lattice.
_REFINE = 2
#: Components reach this many σ; beyond, a normal holds less than 1e-15.
_REACH = 8.5
#: The finest lattice that fits into memory: (range + 17 σ_max) / σ_min up to a million.
_LARGEST = 2**22
#: Bytes that one block of lattices may take.
_BLOCK_BYTES = 2**28


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

    Time and memory grow with (range of μ + 17 σ_max) / σ_min.

    Raises:
      ValueError: that ratio is above a million.
    """

    def __init__(self, loc: np.ndarray, scale: np.ndarray, weights: np.ndarray | None = None) -> None:
        loc, scale = np.asarray(loc, np.float64), np.asarray(scale, np.float64)
        self.count = len(loc)
        self.weights = weights
        low, high, least = loc.min(), loc.max(), scale.min()
        reach = _REACH * scale.max()
        self.origin = low - reach
        # The finest lattice has a power of two of positions over one period; each coarser octave half as many.
        self.size = 1 << int(np.ceil(np.log2((high - low + 2 * reach) * _POSITIONS / least)))
        if self.size > _LARGEST:
            raise ValueError(
                f"scale {least:.2g} is too small beside means {low:.3g} to {high:.3g} and scale {scale.max():.2g}: the "
                "exact integrals need their ratio below 1e6; bound the smallest scale, or drop outliers"
            )
        self.period = self.size * least / _POSITIONS
        level = np.rint(np.log2(scale / least) * _LEVELS).astype(np.int64)
        self.octaves = []
        for octave in np.flatnonzero(np.bincount(level // _LEVELS)):
            found = np.flatnonzero(level // _LEVELS == octave)
            inside = slice(None) if len(found) == self.count else found
            self.octaves.append(self._octave(loc[inside], scale[inside], level[inside], int(octave), least, inside))

    def _octave(self, loc, scale, level, octave: int, least: float, inside) -> _Octave:
        size = max(self.size >> octave, 64)
        spacing = self.period / size
        position = np.rint((loc - self.origin) / spacing)
        d = loc - self.origin - position * spacing
        local = level - octave * _LEVELS
        widths = least * 2.0 ** ((octave * _LEVELS + np.arange(_LEVELS)) / _LEVELS)
        delta = scale**2 - widths[local] ** 2
        cell = local * size + position.astype(np.int64) % size
        weights = 1.0 / self.count if self.weights is None else self.weights[inside]
        moments = [np.broadcast_to(np.asarray(weights, np.float64), d.shape), d * weights]
        for p in range(1, _ORDER):
            moments.append(d * moments[p] + p * delta * moments[p - 1])
        return _Octave(size, widths, cell, moments, inside)

    def entropies(self, labels: np.ndarray, count: int) -> MixtureEntropies:
        """H(z) and H(z|v) for labels v in 0 … count − 1, [N]."""
        fine = self.size * _REFINE
        mass = np.bincount(labels, self.weights, count) / (1 if self.weights is not None else self.count)
        conditional, errors = np.zeros((2, count))
        total, total_last = np.zeros((2, fine))
        block = max(1, int(_BLOCK_BYTES / (8 * self.size * (_LEVELS * 2 + 4 * _REFINE + 4))))
        for start in range(0, count, block):
            values = np.arange(start, min(start + block, count))
            density, last = self._densities(labels, values)
            total += density.sum(axis=0)
            total_last += last.sum(axis=0)
            present = values[mass[values] > 0]
            parts = density[present - start], last[present - start]
            conditional[present], errors[present] = self._entropy(*(part / mass[present, None] for part in parts))
        marginal, marginal_error = self._entropy(total, total_last)
        return MixtureEntropies(float(marginal), conditional, float(marginal_error), errors)

    def _entropy(self, density: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """−∫ q log q over one period by the trapezoidal rule, along the last axis, and a bound on its error.

        What the series leaves out is taken to be smaller than its last order, r(z), and so to move the entropy by less
        than ∫ |r| |1 + log q|; what the rule leaves out, to be smaller than what every second point changes. Both
        converge fast, so the bound is wide in practice; it is tested against quadrature, not proven.
        """
        spacing = self.period / density.shape[-1]
        q = np.maximum(density, 1e-300)
        log_q = np.log(q)
        entropy = -spacing * np.einsum("...z,...z", q, log_q)
        coarse = -2 * spacing * np.einsum("...z,...z", q[..., ::2], log_q[..., ::2])
        series = spacing * np.sum(np.abs(last * (1 + log_q)), axis=-1)
        return entropy, series + np.abs(coarse - entropy)

    def _densities(self, labels: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """p(v)·q(z|v) on the fine grid for a run of values, and the last order's part of it; [n_v, G] each."""
        fine = self.size * _REFINE
        spectrum = np.zeros((2, len(values), fine // 2 + 1), np.complex128)
        for octave in self.octaves:
            omega = 2 * np.pi / self.period * np.arange(octave.size // 2 + 1)
            kernels = np.exp(-0.5 * (octave.widths[:, None] * omega) ** 2)  # [levels, ω]
            part = np.zeros((len(values), len(omega)), np.complex128)
            factor = np.ones(len(omega), np.complex128)
            for p in range(_ORDER + 1):
                lattice = octave.lattice(p, labels, values)  # [n_v, levels, positions]
                part += np.einsum("vlw,lw->vw", np.fft.rfft(lattice, axis=-1), kernels) * factor
                factor = factor * (-1j * omega) / (p + 1)
                if p == _ORDER - 1:
                    spectrum[1, :, : len(omega)] -= part
            spectrum[0, :, : len(omega)] += part
            spectrum[1, :, : len(omega)] += part
        densities = np.fft.irfft(spectrum, fine, axis=-1) * (fine / self.period)
        return densities[0], densities[1]


@dataclasses.dataclass(frozen=True)
class _Octave:
    """The components whose σ lies in one octave: the lattice node of each, and its moments c_p times p(n)."""

    size: int  # positions
    widths: np.ndarray  # s of each level
    cell: np.ndarray  # level · size + position, [n]
    moments: list[np.ndarray]  # c_p · p(n) for p = 0 … P, [n] each
    inside: np.ndarray | slice  # which components these are

    def lattice(self, p: int, labels: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Sums of c_p over the nodes for a run of label values, [n_v, levels, positions]."""
        nodes = len(self.widths) * self.size
        label, cell, moment = labels[self.inside], self.cell, self.moments[p]
        if values[0] > 0 or values[-1] < label.max():
            chosen = np.flatnonzero((label >= values[0]) & (label <= values[-1]))
            label, cell, moment = label[chosen] - values[0], cell[chosen], moment[chosen]
        sums = np.bincount(label * nodes + cell, moment, len(values) * nodes)
        return sums.reshape(len(values), len(self.widths), self.size)
