"""Measures that guess which factor was held fixed: the FactorVAE score and the β-VAE score."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np

from tcvae_tf.codes import Codes
from tcvae_tf.metrics.draws import Draws, need_sklearn

#: Votes worked on at a time.
_CHUNK = 500


@dataclasses.dataclass(frozen=True, eq=False)
class FactorVAEScore:
    """The FactorVAE score.

    Attributes:
      score: accuracy of the majority vote on the votes for evaluation, in 0…1; 0 when no latent is active.
      train_accuracy: on those that made the majority.
      votes: how often each latent varied least while each factor was fixed, training votes, [D, K].
      active: which latents took part, [D].
      factors: K names.
    """

    score: float
    train_accuracy: float
    votes: np.ndarray
    active: np.ndarray
    factors: tuple[str, ...]


def factor_vae_score(
    codes: Codes,
    seed: int = 0,
    batch_size: int = 64,
    train: int = 10_000,
    evaluate: int = 5_000,
    threshold: float = 0.05,
) -> FactorVAEScore:
    """Kim and Mnih (2018), section 4: which latent varies least while one factor is held fixed?

    A vote: a factor k and a value are drawn, then L images with that value; the vote is for
    argmin_j Var_L(μ_j) / Var(μ_j). The classifier gives each latent the factor that most of its votes came from.
    Defaults as in disentanglement_lib, which drops latents whose means have a standard deviation below 0.05.

    Args:
      codes: posteriors of the whole data set; the means are used.
      seed: of all draws.
      batch_size: L.
      train, evaluate: numbers of votes.
      threshold: smallest standard deviation of the means of an active latent.

    Raises:
      TypeError, ValueError: something else than Codes, no varying factor.
    """
    draws = Draws(codes, seed, batch_size=batch_size, train=train, evaluate=evaluate)
    cells = codes.grid.cells
    p, loc = codes.grid.probabilities[cells], codes.loc.astype(np.float64)
    loc -= p @ loc[cells]
    variances = p @ loc[cells] ** 2
    active = np.sqrt(variances) >= threshold
    votes = np.zeros((2, codes.latent_dim, len(draws.factors)), np.int64)
    if not active.any():
        return FactorVAEScore(0.0, 0.0, votes[0], active, draws.factors)
    scaled = (loc[:, active] / np.sqrt(variances[active])).astype(np.float32)
    latents = np.flatnonzero(active)
    for table, count in zip(votes, (train, evaluate), strict=True):
        chosen = draws.rng.integers(len(draws.factors), size=count)
        for k, factor in enumerate(draws.factors):
            remaining = int(np.sum(chosen == k))
            while remaining > 0:
                first = draws.images(min(remaining, _CHUNK), 1)
                images = draws.sharing(factor, np.repeat(first, batch_size, axis=1))
                least = scaled[images].var(axis=1).argmin(axis=1)
                np.add.at(table[:, k], latents[least], 1)
                remaining -= _CHUNK
    majority = votes[0].argmax(axis=1)
    right = votes[:, np.arange(codes.latent_dim), majority].sum(axis=1) / votes.sum(axis=(1, 2))
    return FactorVAEScore(float(right[1]), float(right[0]), votes[0], active, draws.factors)


@dataclasses.dataclass(frozen=True, eq=False)
class BetaVAEScore:
    """The β-VAE score: `score`, accuracy of the linear classifier on new points; `train_accuracy`; K `factors`."""

    score: float
    train_accuracy: float
    factors: tuple[str, ...]


def beta_vae_score(
    codes: Codes, seed: int = 0, batch_size: int = 64, train: int = 10_000, evaluate: int = 5_000
) -> BetaVAEScore:
    """Higgins et al. (2017), section 3: which factor do pairs of images share?

    A point: a factor k is drawn, then L pairs of images that agree in it; its features are (1/L) Σ |μ − μ'|, [D]. A
    linear classifier, logistic regression, predicts k. Defaults as in disentanglement_lib.

    Args:
      codes: posteriors of the whole data set; the means are used.
      seed: of all draws.
      batch_size: L.
      train, evaluate: numbers of points.

    Raises:
      ImportError: scikit-learn is not installed.
      TypeError, ValueError: something else than Codes, fewer than two varying factors.
    """
    need_sklearn("beta_vae_score")
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    draws = Draws(codes, seed, batch_size=batch_size, train=train, evaluate=evaluate)
    if len(draws.factors) < 2:
        raise ValueError("beta_vae_score needs two factors or more that vary, to tell them apart")
    points, labels = _difference_points(draws, train + evaluate, batch_size)
    with warnings.catch_warnings():  # a hundred iterations, as the reference has it, may not be enough
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(random_state=seed).fit(points[:train], labels[:train])
    scores = model.score(points[train:], labels[train:]), model.score(points[:train], labels[:train])
    return BetaVAEScore(float(scores[0]), float(scores[1]), draws.factors)


def _difference_points(draws: Draws, count: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean absolute differences of pairs that share a factor, [count, D], and which factor, [count]."""
    loc = draws.codes.loc
    labels = draws.rng.integers(len(draws.factors), size=count)
    points = np.empty((count, loc.shape[1]))
    for k, factor in enumerate(draws.factors):
        rows = np.flatnonzero(labels == k)
        for chunk in np.array_split(rows, max(1, len(rows) // _CHUNK)):
            images = draws.images(len(chunk), batch_size)
            points[chunk] = np.abs(loc[images] - loc[draws.sharing(factor, images)]).mean(axis=1)
    return points, labels
