"""Measures by predictors of the factors: DCI and SAP. They need scikit-learn."""

from __future__ import annotations

import dataclasses
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from tcvae_tf import provenance
from tcvae_tf.codes import Codes
from tcvae_tf.metrics import sampling
from tcvae_tf.metrics.draws import Draws, entropy, need_sklearn
from tcvae_tf.metrics.votes import beta_vae_score, factor_vae_score  # noqa: F401  (they predict: had from here as well)


@dataclasses.dataclass(frozen=True, eq=False)
class DCI:
    """Disentanglement, completeness, informativeness.

    Attributes:
      score: the disentanglement.
      disentanglement: Σ_j ρ_j (1 − H_K(P_j)), P_j the importance of latent j for each factor.
      completeness: Σ_k ρ_k (1 − H_D(P_k)), P_k the importance of each latent for factor k.
      informativeness: mean accuracy of the predictors on new images.
      informativeness_train: the same on those that they were fitted to.
      importance: [D, K], each column with the sum 1.
      factors: K names.
    """

    disentanglement: float
    completeness: float
    informativeness: float
    informativeness_train: float
    importance: np.ndarray
    factors: tuple[str, ...]

    @property
    def score(self) -> float:
        return self.disentanglement


def dci(
    codes: Codes,
    seed: int = 0,
    train: int = 10_000,
    test: int = 5_000,
    classifier: Any = None,
    verbose: str | int = "auto",
) -> DCI:
    """Eastwood and Williams (2018), section 2: how predictors of the factors share out their attention.

    Defaults as in disentanglement_lib: gradient-boosted trees with scikit-learn's settings, fitted to the means of
    10,000 images. That takes minutes on dSprites: each factor has a tree for every value and each of a hundred stages.

    Args:
      codes: posteriors of the whole data set; the means are used.
      seed: of the images and the trees.
      train, test: numbers of images.
      classifier: another scikit-learn classifier with feature_importances_ to fit to each factor, such as
        RandomForestClassifier(10, max_depth=8), which the original paper's code used in kind.
      verbose: 0 for no progress bar, 1 for one, "auto" for one where there is a terminal and more than a moment's work.

    Raises:
      ImportError: scikit-learn is not installed.
      TypeError, ValueError: something else than Codes, no varying factor.
    """
    need_sklearn("dci")
    if classifier is not None and not hasattr(classifier, "fit"):
        raise TypeError(f"dci: classifier must be a scikit-learn classifier; got {classifier!r}")
    from sklearn.base import clone
    from sklearn.ensemble import GradientBoostingClassifier

    draws = Draws(codes, seed, train=train, test=test)
    (x, values), (x_test, values_test) = draws.sample(train), draws.sample(test)
    prototype = GradientBoostingClassifier(random_state=seed) if classifier is None else classifier

    def fit(name: str) -> tuple[np.ndarray, float, float]:
        if len(np.unique(values[name])) < 2:
            return np.zeros(codes.latent_dim), 1.0, float(np.mean(values_test[name] == values[name][0]))
        model = clone(prototype).fit(x, values[name])
        advance(len(model.classes_))
        return (
            np.abs(model.feature_importances_),
            float(model.score(x, values[name])),
            float(model.score(x_test, values_test[name])),
        )

    # The longest first, so that two cores end together.
    by_size = sorted(draws.factors, key=lambda name: -len(np.unique(values[name])))
    trees = sum(len(np.unique(value)) for value in values.values())
    with (
        sampling.progress(trees, "DCI", verbose, long=train * trees > 1e5) as advance,
        ThreadPoolExecutor(provenance.threads()) as pool,
    ):
        found = dict(zip(by_size, pool.map(fit, by_size), strict=True))
    importance = np.stack([found[name][0] for name in draws.factors], axis=1)
    train_scores, test_scores = (np.mean([found[name][i] for name in draws.factors]) for i in (1, 2))
    return DCI(
        _concentration(importance),
        _concentration(importance.T),
        float(test_scores),
        float(train_scores),
        importance,
        draws.factors,
    )


def _concentration(importance: np.ndarray) -> float:
    """Mean over the rows, weighted by their sums, of 1 − (entropy of the row) / log(its length)."""
    total = importance.sum()
    if total == 0 or importance.shape[1] < 2:
        return 0.0 if total == 0 else 1.0
    sums = importance.sum(axis=1)
    rows = importance / np.where(sums > 0, sums, 1)[:, None]
    even = np.array([entropy(row) for row in rows]) / np.log(importance.shape[1])
    return float(sums @ (1 - even) / total)


@dataclasses.dataclass(frozen=True, eq=False)
class SAP:
    """Separated attribute predictability.

    Attributes:
      score: mean over the factors of the gap between the two best latents.
      gaps: [K].
      accuracies: of each latent alone as a predictor of each factor, or R² where factors are continuous, [D, K].
      factors: K names.
    """

    score: float
    gaps: np.ndarray
    accuracies: np.ndarray
    factors: tuple[str, ...]


def sap(
    codes: Codes,
    seed: int = 0,
    train: int = 10_000,
    test: int = 5_000,
    continuous: bool = False,
    verbose: str | int = "auto",
) -> SAP:
    """Kumar, Sattigeri and Balakrishnan (2018), section 3: how much better the best latent predicts than the second.

    Defaults as in disentanglement_lib: a linear support vector classifier (C = 0.01, balanced classes) on one mean.

    Args:
      codes: posteriors of the whole data set; the means are used.
      seed: of the images.
      train, test: numbers of images.
      continuous: take value indices for numbers, with the squared correlation for an accuracy; no test images then.
      verbose: 0 for no progress bar, 1 for one, "auto" for one where there is a terminal and more than a moment's work.

    Raises:
      ImportError: scikit-learn is not installed.
      TypeError, ValueError: something else than Codes, no varying factor.
    """
    need_sklearn("sap")
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    draws = Draws(codes, seed, train=train, test=test)
    (x, values), (x_test, values_test) = draws.sample(train), draws.sample(test)

    def accuracy(pair: tuple[int, str]) -> float:
        j, name = pair
        z, v = x[:, j], values[name]
        if continuous:
            moving = z.var() > 1e-12 and np.ptp(v) > 0
            return float(np.corrcoef(z, v)[0, 1] ** 2) if moving else 0.0
        if len(np.unique(v)) < 2:
            return float(np.mean(values_test[name] == v[0]))
        model = LinearSVC(C=0.01, class_weight="balanced", random_state=seed).fit(z[:, None], v)
        advance(1)
        return float(model.score(x_test[:, j, None], values_test[name]))

    pairs = [(j, name) for j in range(codes.latent_dim) for name in draws.factors]
    with (
        warnings.catch_warnings(),
        sampling.progress(len(pairs), "SAP", verbose, long=train * len(pairs) > 1e5) as advance,
        ThreadPoolExecutor(provenance.threads()) as pool,
    ):
        warnings.simplefilter("ignore", ConvergenceWarning)
        table = np.array(list(pool.map(accuracy, pairs))).reshape(codes.latent_dim, -1)
    ordered = np.sort(np.vstack([np.zeros(table.shape[1]), table]), axis=0)
    gaps = ordered[-1] - ordered[-2]
    return SAP(float(gaps.mean()), gaps, table, draws.factors)
