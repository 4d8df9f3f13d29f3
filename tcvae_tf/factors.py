"""FactorGrid: which generative factors a data set has, and which image stands where.

A grid of K factors with sizes n_1, …, n_K lists its N = ∏ n_k cells in C order: the last factor varies fastest.
Everything a metric needs to know of a data set is in here; no metric ever asks for its name.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tcvae_tf.words import suggest

#: Joint distributions of two factors, the likeliest cell four times as likely as the least likely (figure 5).
JOINTS = ("uniform", "independent", "dependent", "correlated")


@dataclasses.dataclass(frozen=True, eq=False)
class FactorGrid:
    """The full grid of a data set's generative factors.

    Args:
      names: K factor names, slowest varying first.
      sizes: K numbers of values.
      scored: the names that the MIG scores, each with at least two values; when None, all of which two occur. The
        others still vary: to the measure they are noise.
      weights: p(n) over the N cells in C order, summing to 1; None means uniform. Cells of weight zero are ignored.

    Raises:
      ValueError: names and sizes that do not fit together, an unknown scored name, weights that are no distribution.
    """

    names: Sequence[str]
    sizes: Sequence[int]
    scored: Sequence[str] | None = None
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        if isinstance(self.names, str) or isinstance(self.scored, str):
            raise ValueError(f"FactorGrid: give sequences of names, not a string; got {self.names!r}, {self.scored!r}")
        if not np.iterable(self.names) or not np.iterable(self.sizes):
            raise ValueError(f"FactorGrid: give sequences of names and sizes; got {self.names!r} and {self.sizes!r}")
        if not all(isinstance(size, (int, np.integer)) for size in self.sizes):
            raise ValueError(f"FactorGrid: sizes must be whole numbers; got {self.sizes}")
        chosen = self.scored is not None
        names, sizes = tuple(self.names), tuple(int(size) for size in self.sizes)
        several = tuple(name for name, size in zip(names, sizes, strict=False) if size > 1)
        scored = several if self.scored is None else tuple(self.scored)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "sizes", sizes)
        object.__setattr__(self, "scored", scored)
        if len(names) != len(sizes) or len(set(names)) != len(names) or not names:
            raise ValueError(f"FactorGrid: give one size for each distinct name; got names {names} and sizes {sizes}")
        if min(sizes) < 1:
            raise ValueError(f"FactorGrid: every factor needs at least one value; got sizes {sizes}")
        unknown = [name for name in scored if name not in names]
        if unknown:
            raise ValueError(f"FactorGrid: no factor {unknown[0]!r} to be scored; {suggest(unknown[0], names)}")
        if len(set(scored)) < len(scored):
            raise ValueError(f"FactorGrid: a factor is scored once; got {', '.join(map(str, scored))}")
        if set(scored) - set(several):
            raise ValueError(f"FactorGrid: scored factors need two values or more; got {scored} with sizes {sizes}")
        if self.weights is not None:
            object.__setattr__(self, "weights", _distribution(self.weights, len(self)))
            if not chosen:
                object.__setattr__(self, "scored", self.varying)

    def __len__(self) -> int:
        return math.prod(self.sizes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FactorGrid):
            return NotImplemented
        return self._key() == other._key() and np.array_equal(self.probabilities, other.probabilities)

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple:
        return (self.names, self.sizes, self.scored)

    @property
    def probabilities(self) -> np.ndarray:
        """p(n), [N] float64."""
        return np.full(len(self), 1 / len(self)) if self.weights is None else self.weights

    @property
    def cells(self) -> np.ndarray:
        """Flat indices of the cells that can occur, p(n) > 0."""
        return np.arange(len(self)) if self.weights is None else np.flatnonzero(self.weights)

    def values(self, name: str) -> np.ndarray:
        """Value index of factor `name` in every cell, [N]."""
        axis = self.axis(name)
        shape = [1] * len(self.sizes)
        shape[axis] = -1
        column = np.arange(self.sizes[axis]).reshape(shape)
        return np.ascontiguousarray(np.broadcast_to(column, self.sizes)).reshape(-1)

    def axis(self, name: str) -> int:
        """Position of factor `name`."""
        if name not in self.names:
            raise ValueError(f"FactorGrid: no factor {name!r}; there are {', '.join(self.names)}")
        return tuple(self.names).index(name)

    def to_values(self, indices: Any) -> np.ndarray:
        """Flat cell indices [n] to value indices [n, K]."""
        return np.stack(np.unravel_index(np.asarray(indices), self.sizes), axis=-1)

    def to_indices(self, values: Any) -> np.ndarray:
        """Value indices [n, K] to flat cell indices [n]."""
        return np.ravel_multi_index(tuple(np.moveaxis(np.asarray(values), -1, 0)), self.sizes)

    def marginal(self, name: str) -> np.ndarray:
        """p(v_k) of factor `name`, [n_k]."""
        others = tuple(axis for axis in range(len(self.sizes)) if axis != self.axis(name))
        return self.probabilities.reshape(self.sizes).sum(axis=others)

    @property
    def varying(self) -> tuple[str, ...]:
        """The factors of which two values or more can occur, scored or not."""
        return tuple(name for name in self.names if np.count_nonzero(self.marginal(name)) > 1)

    def entropy(self, name: str) -> float:
        """H(v_k) = −Σ p(v) log p(v) in nats; log n_k on a uniform grid."""
        p = self.marginal(name)
        p = p[p > 0]
        return float(-np.sum(p * np.log(p)))

    def thin(self, step: int) -> tuple[FactorGrid, np.ndarray]:
        """Every `step`-th value of each factor; otherwise as `select`."""
        if step < 1:
            raise ValueError(f"thin must be 1 or more; got {step}")
        return self.select({name: range(0, size, step) for name, size in zip(self.names, self.sizes, strict=True)})

    def select(self, values: Mapping[str, Sequence[int]]) -> tuple[FactorGrid, np.ndarray]:
        """Some values of some factors, by index: the smaller grid and the flat indices of its cells in this one.

        A factor that keeps a single value that can occur is no longer scored. Weights are divided by what is left of
        them.

        Raises:
          ValueError: an unknown factor, no value, a doubled one or one out of range, or nothing that can occur.
        """
        for name, chosen in values.items():
            size = self.sizes[self.axis(name)]
            if np.ndim(chosen) != 1:
                raise ValueError(f"FactorGrid: give a list of value indices for {name}; got {chosen!r}")
            if not len(chosen) or len(set(chosen)) < len(chosen) or not all(0 <= value < size for value in chosen):
                raise ValueError(f"FactorGrid: {name} needs distinct values from 0 to {size - 1}; got {list(chosen)}")
        kept = np.ix_(
            *(np.asarray(values.get(name, range(size))) for name, size in zip(self.names, self.sizes, strict=True))
        )
        indices = np.ravel_multi_index(kept, self.sizes)
        weights = None if self.weights is None else self.weights[indices.reshape(-1)]
        if weights is not None:
            if weights.sum() == 0:
                raise ValueError("FactorGrid: no cell of the selection can occur: its weights are zero")
            weights = weights / weights.sum()
        found = FactorGrid(self.names, indices.shape, weights=weights)
        scored = [name for name in self.scored or () if name in found.varying]
        return dataclasses.replace(found, scored=scored), indices.reshape(-1)

    def to_config(self) -> dict:
        """A JSON-ready description, without the weights."""
        return {"names": list(self.names), "sizes": list(self.sizes), "scored": list(self.scored or ())}


def joint_weights(grid: FactorGrid, joint: str) -> np.ndarray:
    """p(n), [N], with a joint distribution of the first two scored factors, uniform in the others (figure 5).

    With u, v ∈ [−1, 1] for the first and the last value of the two, p is proportional to

      uniform      1
      independent  (3 + u)(3 + v): larger values of each are likelier, one says nothing of the other
      dependent    1 + 3|uv|: uncorrelated, but extremes come together
      correlated   4 − 3|u − v|/2: likely near the diagonal

    stretched so that the likeliest cell has four times the probability of the least likely one. The paper draws four
    such distributions; the formulas are ours.

    Raises:
      ValueError: an unknown distribution, or a grid with fewer than two scored factors.
    """
    if joint not in JOINTS:
        raise ValueError(f"unknown joint distribution {joint!r}; choose from {', '.join(JOINTS)}")
    scored = list(grid.scored or ())
    if len(scored) < 2:
        raise ValueError(f"joint={joint} needs two scored factors; the grid has {', '.join(scored) or 'none'}")
    u, v = (2 * grid.values(name) / (grid.sizes[grid.axis(name)] - 1) - 1 for name in scored[:2])
    shapes = {
        "uniform": np.ones(len(grid)),
        "independent": (3 + u) * (3 + v),
        "dependent": np.abs(u * v),
        "correlated": -np.abs(u - v),
    }
    p = shapes[joint]
    spread = np.ptp(p)
    if spread and joint != "independent":  # which has the ratio already, and would lose its independence
        p = 1 + 3 * (p - p.min()) / spread
    return p / p.sum()


def _distribution(weights: Any, count: int) -> np.ndarray:
    """Checks that `weights` is a distribution over `count` cells and returns it as float64."""
    p = np.array(weights, np.float64)  # a copy, so that nobody changes it
    if p.shape != (count,):
        raise ValueError(f"FactorGrid: weights must have shape ({count},), one per cell in C order; got {p.shape}")
    if not np.all(np.isfinite(p)) or p.min() < 0:
        raise ValueError("FactorGrid: weights must be finite and not negative")
    total = p.sum()
    if abs(total - 1) > 1e-6:
        raise ValueError(f"FactorGrid: weights must sum to 1; they sum to {total:.6g}; divide them by their sum")
    return p if abs(total - 1) < 1e-12 else p / total
