"""Images drawn at random by their factors, and what the predictive measures need of them."""

from __future__ import annotations

import importlib.util

import numpy as np

from tcvae_tf.codes import Codes


class Draws:
    """Random images of a data set, n ~ p(n), with replacement.

    Args:
      codes: of the whole data set.
      seed: of all draws.
      sizes: the measure's numbers of images and the like, which must be 2 or more.

    Raises:
      TypeError: something else than Codes.
      ValueError: a size below 2; no factor has two values or more that occur.
    """

    def __init__(self, codes: Codes, seed: int, **sizes: int) -> None:
        if not isinstance(codes, Codes):
            raise TypeError(f"measures take codes, as tc.encode(vae, data) gives; got {type(codes).__name__}")
        for name, size in sizes.items():
            if size < 2:
                raise ValueError(f"{name} must be 2 or more; got {size}")
        self.codes, self.grid = codes, codes.grid
        self.rng = np.random.default_rng(seed)
        self._values: dict[str, np.ndarray] = {}
        self._orders: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        #: Every factor that varies, scored by the MIG or not: the references make no difference.
        self.factors = codes.grid.varying
        if not self.factors:
            raise ValueError("measures need a factor with two values or more that occur")

    def images(self, *shape: int) -> np.ndarray:
        """Flat indices of images."""
        u = self.rng.random(shape)
        if self.grid.weights is None:
            return (u * len(self.grid)).astype(np.int64)
        return np.minimum(np.searchsorted(np.cumsum(self.grid.weights), u, side="right"), self.grid.cells[-1])

    def sharing(self, factor: str, images: np.ndarray) -> np.ndarray:
        """For each image another one, n ~ p(n|v), that has the same value of a factor."""
        order, cumulative, starts = self._by_value(factor)
        values = self.values(factor)[images]
        low, high = starts[values], starts[values + 1]
        u = low + (high - low) * self.rng.random(images.shape)
        place = np.searchsorted(cumulative, u, side="right")
        # Rounding may step over the end of a value's run.
        return order[np.minimum(place, np.searchsorted(cumulative, high, side="left"))]

    def values(self, factor: str) -> np.ndarray:
        """Value index of a factor in every image, [N]."""
        if factor not in self._values:
            self._values[factor] = self.grid.values(factor)
        return self._values[factor]

    def _by_value(self, factor: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Images that can occur, ordered by their value; p(n) summed in that order, and where each value begins."""
        if factor in self._orders:
            return self._orders[factor]
        cells = self.grid.cells
        order = cells[np.argsort(self.values(factor)[cells], kind="stable")]
        cumulative = np.cumsum(self.grid.probabilities[order])
        last = np.cumsum(np.bincount(self.values(factor)[cells], minlength=self.grid.sizes[self.grid.axis(factor)]))
        starts = np.concatenate([[0.0], np.concatenate([[0.0], cumulative])[last]])
        self._orders[factor] = order, cumulative, starts
        return self._orders[factor]

    def sample(self, count: int, distinct: bool = False) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Posterior means of `count` images, [count, D], and their value of each factor.

        Distinct images are no more than there are: nearest neighbours would find an image in itself.
        """
        cells = self.grid.cells
        if distinct:
            p = None if self.grid.weights is None else self.grid.weights[cells]
            images = self.rng.choice(cells, size=min(count, len(cells)), replace=False, p=p)
        else:
            images = self.images(count)
        means = self.codes.loc[images].astype(np.float64)
        return means, {name: self.values(name)[images] for name in self.factors}


def binned(means: np.ndarray, bins: int) -> np.ndarray:
    """Bins of equal width of each latent, 0 … bins − 1, [D, n]; a constant has but one."""

    def column(z: np.ndarray) -> np.ndarray:
        if np.ptp(z) <= 1e-12 * np.abs(z).max():
            return np.zeros(len(z), np.int64)
        return np.digitize(z, np.linspace(z.min(), z.max(), bins + 1)[1:-1])

    return np.stack([column(z) for z in means.T])


def entropy(p: np.ndarray) -> float:
    """−Σ p log p in nats."""
    p = p[p > 0]
    return float(-np.sum(p * np.log(p)))


def discrete_information(columns: np.ndarray, values: list[np.ndarray], p: np.ndarray) -> np.ndarray:
    """Mutual information in nats of discrete latents, [D, n], with discrete factors, K of them; [D, K]."""
    size = int(columns.max()) + 1
    latents = np.array([entropy(np.bincount(column, p)) for column in columns])
    factors = np.array([entropy(np.bincount(value, p)) for value in values])
    joint = [[entropy(np.bincount(value * size + column, p)) for value in values] for column in columns]
    information = latents[:, None] + factors - joint
    return np.where(information > 1e-12, information, 0)  # less is rounding


def need_sklearn(what: str) -> None:
    """One line where scikit-learn, an extra, is not installed."""
    if importlib.util.find_spec("sklearn") is None:
        raise ImportError(f"{what} needs scikit-learn; pip install -e '.[metrics]'")
