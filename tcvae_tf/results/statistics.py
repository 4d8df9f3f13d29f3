"""What samples over seeds say: medians and means with intervals, and exact rank tests. NumPy alone."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Values = Sequence[float] | np.ndarray

#: A 90% interval of the median takes as many seeds: the range of four has it with but 88%, that of five with 94%.
FEW = 5


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A median or mean with its 90% bootstrap interval and the number of seeds; of up to five seeds with their range,
    which for a median of five the bootstrap would give too, of a single one with NaN."""

    value: float
    low: float
    high: float
    n: int

    def text(self, digits: int = 3) -> str:
        """The value with its interval, with so many digits behind the point."""
        if self.n == 0:
            return "not run"
        if self.n == 1:
            return f"{self.value:.{digits}f} (one seed, no interval)"
        said = "range, " if self.n <= FEW else ""
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}] ({said}n = {self.n})"

    def __str__(self) -> str:
        return self.text()


def median(sample: Values, resamples: int = 10_000, seed: int = 0) -> Estimate:
    """The median of a sample and its 90% percentile-bootstrap interval, or its range."""
    return _estimate(np.median, sample, resamples, seed)


def mean(sample: Values, resamples: int = 10_000, seed: int = 0) -> Estimate:
    """The mean of a sample and its 90% percentile-bootstrap interval, or its range."""
    return _estimate(np.mean, sample, resamples, seed)


def _estimate(statistic: Callable[..., np.ndarray], sample: Values, resamples: int, seed: int) -> Estimate:
    sample = np.sort(np.asarray(sample, np.float64))  # so that the order of seeds changes no interval
    n = len(sample)
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    if n == 1:
        return Estimate(float(sample[0]), np.nan, np.nan, 1)
    if n <= FEW:
        return Estimate(float(statistic(sample)), float(sample[0]), float(sample[-1]), n)
    draws = np.random.Generator(np.random.Philox(seed)).integers(n, size=(resamples, n))
    low, high = np.quantile(statistic(sample[draws], axis=1), [0.05, 0.95])
    return Estimate(float(statistic(sample)), float(low), float(high), n)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How often one sample is above another; all None where one of them is empty.

    Attributes:
      effect: Cliff's δ = P(a > b) − P(a < b).
      p: of the exact one-sided Mann–Whitney rank test that a is above b.
      p_less: of the same test that a is below b.
      na, nb: sizes of the samples; of several pairs of them, the seeds there are.
    """

    effect: float | None
    p: float | None
    p_less: float | None
    na: int
    nb: int

    @property
    def two_sided(self) -> float | None:
        return None if self.p is None or self.p_less is None else min(1.0, 2 * min(self.p, self.p_less))

    def one_sided(self, above: bool) -> float | None:
        """p of the test that a is above b, or of that it is below."""
        return self.p if above else self.p_less

    def told(self, above: bool) -> str:
        """The effect, and the p of one of the two tests: that a is above b, or the opposite."""
        if self.effect is None:
            return "not compared"
        return f"δ = {self.effect:+.2f}, {p_text(self.one_sided(above))}" + ("" if above else " of the opposite")

    def __str__(self) -> str:
        return self.told(True)


def p_text(p: float | None) -> str:
    """A p-value in words of fixed length."""
    if p is None:
        return "no p"
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def compare(a: Values, b: Values) -> Comparison:
    """Whether a is above b: by ranks, exactly, with ties too."""
    return compare_within([(dict(enumerate(a)), dict(enumerate(b)))])


def compare_within(pairs: Sequence[tuple[Mapping[Any, float], Mapping[Any, float]]]) -> Comparison:
    """Whether a is above b in pairs of samples, such as one for each β; values of different pairs are not compared.

    The values of a sample are named, by seed: those of one name in several pairs are of one draw, since the runs of a
    seed begin with the same weights and see the images in the same order whatever their β. So the statistic is
    Σ sign(a − b) over all comparisons made; under the null hypothesis every split of the seeds in two is as likely,
    each with all of its values. With one pair that is the rank test of Mann and Whitney.
    """
    names = [list(dict.fromkeys(name for pair in pairs for name in pair[side])) for side in (0, 1)]
    scores, count = np.zeros(sum(map(len, names))), 0
    for pair in pairs:
        values = np.array([pair[side].get(name, np.nan) for side in (0, 1) for name in names[side]])
        scores += np.nan_to_num(np.sign(values[:, None] - values)).sum(axis=1)
        count += len(pair[0]) * len(pair[1])
    na, nb = map(len, names)
    if not count:
        return Comparison(None, None, None, na, nb)
    # Of seeds on the same side each comparison is counted once up and once down.
    signs, null = scores[:na].sum(), _null(scores, na)
    at = round(signs - na * scores.min())
    above, below = (min(1.0, float(part.sum())) for part in (null[at:], null[: at + 1]))
    return Comparison(float(signs) / count, above, below, na, nb)


def _null(scores: np.ndarray, na: int) -> np.ndarray:
    """Probabilities of the sums 0, 1, … of `na` scores drawn at random, whole numbers counted from the least of them:
    counts the subsets of each size by their sum, one score after the other."""
    lifted = (scores - scores.min()).astype(int)
    subsets = np.zeros((na + 1, lifted.sum() + 1))
    subsets[0, 0] = 1
    for score in lifted:
        subsets[1:, score:] += subsets[:-1, : subsets.shape[1] - score]
    return subsets[na] / subsets[na].sum()


def least_effect(na: int, nb: int, level: float) -> float:
    """The least |δ| that the two-sided test of `compare` calls significant, of samples of these sizes without ties;
    infinite where it calls none so."""
    scores = 2 * np.arange(na + nb) - (na + nb - 1)  # of each rank: how many are below it less how many above
    null = _null(scores, na)
    chance = 2 * null[::-1].cumsum()[::-1]
    sums = np.flatnonzero((null > 0) & (chance < level))
    return float(sums[0] + na * scores.min()) / (na * nb) if len(sums) else math.inf


@dataclasses.dataclass(frozen=True)
class Correlation:
    """The mean over seeds of Spearman's rank correlation ρ; all None where no seed has three runs that vary.

    Attributes:
      rho: −1 … 1.
      p: of the one-sided test that it is above 0; no less than 2 to the power of −seeds.
      p_less: of the same test that it is below 0.
      n: pairs of values.
      seeds: those with three runs that vary, which alone are counted.
    """

    rho: float | None
    p: float | None
    p_less: float | None
    n: int
    seeds: int

    def __str__(self) -> str:
        if self.rho is None:
            return f"none (n = {self.n})"
        return f"{self.rho:+.2f} (n = {self.n}, {self.seeds} seed{'s' if self.seeds > 1 else ''})"


def correlation(x: Values, y: Values, seeds: Sequence[Any], resamples: int = 10_000) -> Correlation:
    """How far y rises with x among the runs of a seed, by ranks.

    The runs of a seed begin with the same weights and see the images in the same order, so seeds are the draws: under
    the null hypothesis the ρ of a seed is as likely to have the other sign. Every choice of signs is counted, of many
    seeds so many at random.
    """
    left, right, names = np.asarray(x, np.float64), np.asarray(y, np.float64), np.asarray(seeds)
    own = [names == name for name in dict.fromkeys(seeds)]
    found = [(rho, int(of.sum())) for of in own if of.sum() > 2 and (rho := _rho(left[of], right[of])) is not None]
    if not found:
        return Correlation(None, None, None, len(left), 0)
    rhos = np.sort([rho for rho, _ in found])  # so that the order of seeds changes no sum
    null, rho = _signs(len(rhos), resamples) @ rhos, rhos.sum()
    above, below = _share(null >= rho - 1e-12), _share(null <= rho + 1e-12)
    return Correlation(float(rhos.mean()), above, below, sum(n for _, n in found), len(found))


def _rho(x: np.ndarray, y: np.ndarray) -> float | None:
    left, right = _ranks(x), _ranks(y)
    norm = math.sqrt((left @ left) * (right @ right))
    return float(left @ right) / norm if norm else None


def _signs(n: int, resamples: int) -> np.ndarray:
    """Every choice of n signs where there are no more than `resamples`, else random ones, and all +1."""
    if 2**n <= resamples:
        return np.array(list(itertools.product((1, -1), repeat=n)))
    drawn = np.random.Generator(np.random.Philox(0)).choice((1, -1), size=(resamples, n))
    return np.concatenate([np.ones((1, n), int), drawn])


@dataclasses.dataclass(frozen=True)
class Separation:
    """How far groups lie apart.

    Attributes:
      share: of the variance of ranks, that between groups: 0 … 1; None where there is no variance.
      p: of the permutation test that it is more than chance gives (Kruskal and Wallis' test).
    """

    share: float | None
    p: float | None

    def __str__(self) -> str:
        return "not compared" if self.share is None else f"{self.share:.2f}, {p_text(self.p)}"


def separation(groups: Sequence[Values], resamples: int = 10_000, seed: int = 0) -> Separation:
    """How far groups of values lie apart, by ranks. Even at random the share is (groups − 1) / (values − 1)."""
    filled = [np.sort(np.asarray(group, np.float64)) for group in groups if len(group)]
    ranks = _ranks(np.concatenate(filled)) if filled else np.zeros(0)
    if len(filled) < 2 or not ranks.any():
        return Separation(None, None)
    sizes = [len(group) for group in filled]
    member = np.repeat(np.eye(len(filled)) / np.sqrt(sizes), sizes, axis=0)
    share = float(((ranks @ member) ** 2).sum() / (ranks @ ranks))
    null = ((_shuffles(ranks, resamples, seed) @ member) ** 2).sum(axis=1) / (ranks @ ranks)
    return Separation(share, _share(null >= share - 1e-12))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Twice the ranks, ties in the middle of theirs, minus the mean: how many values are below less how many above."""
    return np.sign(values[:, None] - values).sum(axis=1)


def _shuffles(values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """The values in every order where there are no more than `resamples`, else in random orders and in their own."""
    if math.factorial(min(len(values), 20)) <= resamples:
        return np.array(list(itertools.permutations(values)))
    rng = np.random.Generator(np.random.Philox(seed))
    return np.concatenate([values[None], rng.permuted(np.tile(values, (resamples, 1)), axis=1)])


def _share(found: np.ndarray) -> float:
    return float(np.mean(found))
