"""A mesh of points for mixtures of Laplace densities: fine next to the means, coarser with the distance from them."""

from __future__ import annotations

import math

import numpy as np

#: The finest steps at a mean are 1/64 … 1/32 of b for order 6; two orders more halve them.
_COARSEST = 2
#: A component takes part in a lattice as far as this many steps. The last is spaced by more than b.
_REACH = 64
#: The largest mesh: means may be spread without a gap over some eighty thousand b.
_LARGEST = 2**22
#: The finest steps from one end to the other: more would leave a mean less than three digits between them.
_FARTHEST = 2.0**43
#: Octaves from the finest step to the coarsest.
_OCTAVES = 50


def nodes(loc: np.ndarray, scale: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes in ascending order, [M], and which of the cells between them a component reaches, [M − 1].

    The nodes are points of lattices whose spacings are powers of two. A component takes part in the lattices from the
    step 2^−(2 + order/2)·b, rounded down to a power of two, up to between b and 2b, each as far as 64 (2^(3 + order/2),
    if larger) of its steps on both sides: so the last goes beyond 64 b. Where means are so few that it does not double
    the mesh, they are nodes as well.

    Raises:
      ValueError: the scale is so small beside the spread of the means that the mesh would be too large.
    """
    halvings = _COARSEST + order // 2
    level = np.floor(np.log2(scale)).astype(np.int64) - halvings
    least, spread = int(level.min()), np.ptp(loc)
    if spread > _FARTHEST * 2.0**least:
        raise ValueError(
            f"scale {scale.min():.2g} is too small beside means spread over {spread:.3g} for float64; bound the "
            "smallest scale"
        )
    arranged = np.argsort(loc, kind="stable")
    loc, level = loc[arranged], level[arranged]
    starts, ends = [], []
    parts, size = [], 0
    reach = max(_REACH, 2 << halvings)
    widest = int(level.max()) + halvings + 1
    if widest - least > _OCTAVES:
        raise ValueError(
            f"scales from {scale.min():.2g} to {scale.max():.2g} are too unlike for float64; bound the smallest scale"
        )
    for k in range(least, widest + 1):
        first, last = _runs(loc[(level <= k) & (k <= level + halvings + 1)], 2.0**k, reach)
        size += int(np.sum(last - first + 1))
        if size > _LARGEST:
            raise ValueError(
                f"scale {scale.min():.2g} is too small beside means that fill {spread:.3g}: the exact integrals would "
                f"need more than {_LARGEST:,} points; bound the smallest scale"
            )
        unit = 1 << (k - least)
        parts.append(_ranges(first, last) * unit)
        starts.append(first * unit)
        ends.append(last * unit)
    found = np.unique(np.concatenate(parts)) * 2.0**least
    means = loc[np.flatnonzero(np.diff(loc, prepend=-np.inf))]
    if len(means) <= len(found):
        found = np.union1d(found, means)
    return found, _covered(found, np.concatenate(starts) * 2.0**least, np.concatenate(ends) * 2.0**least)


def _runs(loc: np.ndarray, step: float, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last points of the runs that are within `reach` steps of means, given in ascending order."""
    cells = np.floor(loc / step).astype(np.int64)
    breaks = np.flatnonzero(np.diff(cells) > 2 * reach)
    if not len(cells):
        return cells, cells
    return cells[np.append(0, breaks + 1)] - reach, cells[np.append(breaks, len(cells) - 1)] + reach + 1


def _ranges(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """first[0] … last[0], first[1] … last[1], …"""
    lengths = last - first + 1
    return np.arange(lengths.sum()) + np.repeat(first - np.cumsum(lengths) + lengths, lengths)


def _covered(found: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Which cells lie within one of the runs."""
    change = np.bincount(np.searchsorted(found, starts), minlength=len(found))
    change -= np.bincount(np.searchsorted(found, ends), minlength=len(found))
    return np.cumsum(change)[:-1] > 0


def carry(mass: np.ndarray, decay: np.ndarray) -> np.ndarray:
    """x with x[k] = decay[k]·x[k − 1] + mass[k] along the first axis, x[−1] = 0.

    Args:
      mass: [M, V].
      decay: [M].

    Chunks of about √M points advance together; then each takes over what came out of the one before. Nothing grows, so
    nothing overflows.
    """
    count, width = mass.shape
    steps = max(1, math.isqrt(count))
    chunks = -(-count // steps)
    x, d = np.zeros((chunks * steps, width)), np.zeros(chunks * steps)
    x[:count], d[:count] = mass, decay
    x, d = x.reshape(chunks, steps, width), d.reshape(chunks, steps)
    for t in range(1, steps):
        x[:, t] += d[:, t, None] * x[:, t - 1]
    through = np.cumprod(d, axis=1)[:, :, None]
    for c in range(1, chunks):
        x[c] += through[c] * x[c - 1, -1]
    return x.reshape(-1, width)[:count]
