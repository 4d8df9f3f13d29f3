r"""Entropies of one-dimensional mixtures of Laplace densities, by integration: no sampling.

With rates c = 1/b the density of a mixture is q(z) = Σ_n p(n) ½c_n exp(−c_n|z − μ_n|): smooth but for kinks at the
means. Three steps make it quick for 10⁶ components:

1. exp(−cx) is interpolated, in log c, from ten of the rates c_l = c_0 2^(l/8): all components share those.
2. On a mesh with nodes t_k, a component of rate c with its mean μ between t_k and t_k + h is replaced by two at these
   nodes, with the shares sinh(c(t_k + h − μ))/sinh(ch) and sinh(c(μ − t_k))/sinh(ch). Outside of that cell this changes
   nothing at all; so q is exact at every node, by one sum from the left and one from the right for each rate. In the
   cell it leaves out a small tent r(z) ≥ 0 with a known integral and a known centre.
3. Between nodes q is then a sum of exponentials, and −∫ q log q is taken by the trapezoidal rule with its end
   correction h²/12 [f'], whose error is below h⁵/720 max |f''''|.

With M_k = Σ p(n) ½c_n^(k+1) exp(−c_n|z − μ_n|) one has |q^(k)| ≤ M_k ≤ √(q M_2k); so f = q log q has
|f''''| ≤ M_4 (|1 + log q| + 15), and |(log q)''| ≤ √(M_4/q). These make the bounds. M_4 is convex in a cell, so that it
is largest at an end.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from tcvae_tf.metrics import mesh
from tcvae_tf.metrics.entropy import MixtureEntropies

#: Rates an octave, and from how many of them a component is interpolated.
_LEVELS, _STENCIL = 8, 10
#: ∫ |e(x)| dx and ∫ |e(x)| x dx, with e(x) what the interpolation of exp(−x) leaves out; rounded up.
_LEFT_OUT, _LEFT_OUT_AFAR = 3e-10, 3e-9
#: Numbers in one array for a block of label values.
_BLOCK = 2**20
#: Within 64 b of a component cells are at most 2b wide, and its rates at most 2^(5/8)/b: where a cell is wider than
#: this over the rate, all components that use the rate end; less than 1e-17 of them is lost.
_WIDEST = 3.2
#: Where nodes further away need not be visited at all, over the rate.
_REACH = 45
#: The least density.
_TINY = 1e-300


class LaplaceMixture:
    """The components Laplace(μ_n, b_n) of one latent with probabilities p(n), on a mesh.

    Args:
      loc, scale: μ and b > 0, [N].
      weights: p(n), [N], or None for uniform.
      order: of the accuracy, even; two orders more halve the mesh's steps and make the error ten times smaller.

    Time and memory grow with N and with (what the μ fill without a gap) / b; time also with the octaves that b spans.

    Raises:
      ValueError: that ratio is too large; see `mesh.nodes`.
    """

    def __init__(self, loc: np.ndarray, scale: np.ndarray, weights: np.ndarray | None = None, order: int = 6) -> None:
        loc, scale = np.asarray(loc, np.float64), np.asarray(scale, np.float64)
        self.weights = np.full(len(loc), 1 / len(loc)) if weights is None else np.asarray(weights, np.float64)
        self._rounding = _rounding(loc, scale, self.weights)
        loc = loc - loc.min()
        self._nodes, reached = mesh.nodes(loc, scale, order)
        self._width = np.where(reached, np.diff(self._nodes), 0)[:, None]

        level = np.log2(scale.max() / scale) * _LEVELS
        base = np.floor(level).astype(np.int64)
        self._order = np.argsort(base, kind="stable")
        base, fraction, loc = base[self._order], (level - base)[self._order], loc[self._order]
        self._starts = np.searchsorted(base, np.arange(-_STENCIL, base[-1] + _STENCIL + 1))
        exponents = np.arange(base[-1] + _STENCIL) - (_STENCIL // 2 - 1)
        self._rates = 2.0 ** (exponents / _LEVELS) / scale.max()
        self._cell = np.searchsorted(self._nodes, loc, side="right") - 1
        self._share(loc, 1 / scale[self._order], self.weights[self._order], base, fraction)

    def _share(self, loc, c, p, base, fraction) -> None:
        """The shares of each component's rates at the ends of its cell, [stencil, N], and its tent's, [3, N]."""
        x, h = loc - self._nodes[self._cell], np.diff(self._nodes)[self._cell]
        self._left, self._right, self._tents = _lagrange(fraction) * (0.5 * c * p), None, None
        if np.any(x > 0):
            left, right = _ends(c, x, h)
            self._tents = np.stack([p * (1 - x / h - left), p * (x / h - right), p * c**2 * x * (1 - x / h)])
            self._right = np.empty_like(self._left)
            for i in range(_STENCIL):
                left, right = _ends(self._rates[base + i], x, h)
                np.multiply(self._left[i], right, out=self._right[i])
                self._left[i] *= left

    def entropies(self, labels: np.ndarray, count: int) -> MixtureEntropies:
        """H(z) and H(z|v) for labels v in 0 … count − 1, [N]."""
        mass = np.bincount(labels, self.weights, count)
        labels = labels[self._order]
        total = _Densities(len(self._nodes), 1)
        found, error = np.zeros((2, count + 1))  # conditionals, then the marginal
        block = max(1, _BLOCK // len(self._nodes))
        for start in range(0, count, block):
            values = np.arange(start, min(start + block, count))
            densities = self._densities(labels, values)
            total.add(densities)
            present = mass[values] > 0
            conditional = densities.scaled(present, 1 / mass[values[present]])
            found[values[present]], error[values[present]] = conditional.entropies(self._width)
        found[count:], error[count:] = total.entropies(self._width)
        error[np.append(mass > 0, True)] += self._rounding
        return MixtureEntropies(float(found[count]), found[:count], float(error[count]), error[:count])

    def _densities(self, labels: np.ndarray, values: np.ndarray) -> _Densities:
        """p(v)·q(z|v) on the mesh, for a run of label values."""
        size, width = len(self._nodes), len(values)
        inside: np.ndarray | slice = slice(None)
        starts = self._starts
        if width <= labels.max():
            inside = np.flatnonzero((labels >= values[0]) & (labels <= values[-1]))
            starts = np.searchsorted(inside, starts)
        place = self._cell[inside] * width + (labels[inside] - values[0])
        found = _Densities(size, width)
        for rate, left, right, chosen in self._levels(inside, starts):
            masses = np.bincount(place[chosen], left, size * width)
            if right is not None:
                masses += np.bincount(place[chosen] + width, right, size * width)
            found.spread(masses.reshape(size, width), rate, self._nodes)
        if self._tents is not None:
            left, right, height = (np.bincount(place, tent[inside], size * width) for tent in self._tents)
            found.tents(*(part.reshape(size, width) for part in (left, right, height)))
        return found

    def _levels(self, inside, starts) -> Iterator[tuple[float, np.ndarray, np.ndarray | None, slice]]:
        """Each rate that is used, what its components leave at the left and right ends of their cells, and which of the
        components `inside` these are."""
        for k, rate in enumerate(self._rates):
            bounds = starts[k + 1 : k + _STENCIL + 2]  # of the bases k − stencil + 1 … k
            if bounds[0] == bounds[-1]:
                continue
            parts = [(_STENCIL - 1 - i, slice(bounds[i], bounds[i + 1])) for i in range(_STENCIL)]

            def gather(shares: np.ndarray, parts=parts) -> np.ndarray:
                rows = [shares[i, part] if isinstance(inside, slice) else shares[i, inside[part]] for i, part in parts]
                return np.concatenate(rows)

            right = None if self._right is None else gather(self._right)
            yield rate, gather(self._left), right, slice(bounds[0], bounds[-1])


class _Densities:
    """What is summed on the nodes for a run of label values, linear in the probabilities, each [M, V].

    The parts of q that come from components on the left of a node, on the right of it and at it; the same of Σ c_l q_l,
    for the slopes; M_4; of the tents in each cell their integral, shared between its ends as their centre demands, and
    a bound on their height, which stands at the cell's left end.
    """

    def __init__(self, size: int, width: int) -> None:
        self._sums = np.zeros((9, size, width))

    def add(self, other: _Densities) -> None:
        """Adds the sum over another's label values to this one's only value."""
        self._sums[:, :, 0] += other._sums.sum(axis=2)

    def scaled(self, values: np.ndarray, factors: np.ndarray) -> _Densities:
        """Some of the label values, each multiplied by a factor."""
        found = _Densities(0, 0)
        found._sums = self._sums[:, :, values] * factors
        return found

    def spread(self, masses: np.ndarray, rate: float, nodes: np.ndarray) -> None:
        """Adds components of one rate at the nodes, Σ masses·exp(−rate·|z − node|), as far as they reach."""
        used = np.flatnonzero(masses.any(axis=1))
        if not len(used):
            return
        first, last = np.searchsorted(nodes, nodes[used[[0, -1]]] + np.array([-_REACH, _REACH]) / rate)
        masses, nodes, sums = masses[first:last], nodes[first:last], self._sums[:, first:last]
        steps = np.diff(nodes, prepend=-np.inf, append=np.inf) * rate
        decay, near = np.exp(-steps), (steps <= _WIDEST)[:, None]
        decay *= near[:, 0]
        from_left = (mesh.carry(masses, decay[:-1]) - masses) * near[1:]
        from_right = (mesh.carry(masses[::-1], decay[:0:-1])[::-1] - masses) * near[:-1]
        for part, values in enumerate((from_left, from_right, masses)):
            sums[part] += values
            values *= rate
            sums[part + 3] += values
            values *= rate**3
            sums[6] += values

    def tents(self, left: np.ndarray, right: np.ndarray, height: np.ndarray) -> None:
        """Adds tents in the cells on the right of the nodes: their integral's shares at both ends, and their height."""
        self._sums[7] += left
        self._sums[7, 1:] += right[:-1]
        self._sums[8] += height

    def entropies(self, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """−∫ q log q over the cells of these widths, [M − 1, 1], and a bound on the error, [V] each.

        With q = q̃ + r, −∫ q log q = −∫ q̃ log q̃ − ∫ r (1 + log q̃) − ∫ r²/2ξ with some ξ ≥ q̃. Left out are, in each
        cell: h⁵/720 |f''''| of the rule; ∫r · h²/8 |(log q̃)''| of the second term, where log q̃ is taken to be linear;
        and the last. A tent is convex on both sides of its mean, so ∫r ≤ ½h·height.
        """
        left, right, here, left_slope, right_slope, here_slope, fourth, lost, height = self._sums
        q = np.maximum(left + right + here, _TINY)
        log_q = np.log(q)
        f, slope = q * log_q, right_slope - left_slope
        rise, fall = ((slope + sign * here_slope) * (1 + log_q) for sign in (-1, 1))  # f' to the right, to the left
        integral = np.sum(h / 2 * (f[:-1] + f[1:]) + h**2 / 12 * (rise[:-1] - fall[1:]), axis=0)
        integral += np.sum(lost * (1 + log_q), axis=0)

        least = np.maximum(left[1:] + right[:-1], _TINY)  # of q in the cell
        fourth = np.maximum(np.maximum(fourth[:-1], fourth[1:]), 0)
        size = np.maximum(np.abs(1 + np.log(least)), np.abs(1 + np.maximum(log_q[:-1], log_q[1:])))
        error = h**5 / 720 * fourth * (size + 15)
        error += height[:-1] * h**3 / 16 * np.sqrt(fourth) / np.sqrt(least) + height[:-1] ** 2 * h / (4 * least)
        return -integral, error.sum(axis=0)


def _ends(c: np.ndarray, x: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the left and the right end of a cell of width h for a component of rate c at x in it."""
    whole = np.sinh(c * h)
    return np.sinh(c * (h - x)) / whole, np.sinh(c * x) / whole


def _lagrange(fraction: np.ndarray) -> np.ndarray:
    """Weights of equidistant nodes for a place between the two middle ones, [stencil, N]."""
    offsets = [fraction + (_STENCIL // 2 - 1 - i) for i in range(_STENCIL)]
    weights = np.ones((_STENCIL, len(fraction)))
    for i, k in itertools.permutations(range(_STENCIL), 2):
        weights[i] *= offsets[k] / (i - k)
    return weights


def _rounding(loc: np.ndarray, scale: np.ndarray, weights: np.ndarray) -> float:
    """A bound on what interpolated rates and rounded means change: Σ_n p(n) ∫ |e_n| |1 + log q|.

    By its own component, whatever the label, q(z) ≥ ½c p(n) exp(−c|z − μ|), and q(z) ≤ ½c for the largest c.
    """
    least = weights[weights > 0].min() / scale.max()
    size = 1 + max(abs(np.log(0.5 * least)), abs(np.log(0.5 / scale.min())))
    eps = np.finfo(np.float64).eps
    return _LEFT_OUT * size + _LEFT_OUT_AFAR + 4 * eps * (1 + np.abs(loc).max() / scale.min())
