"""Does a latent know of one factor only? Modularity and explicitness, and InfoMEC. They need scikit-learn."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np

from tcvae_tf.codes import Codes
from tcvae_tf.metrics.draws import Draws, binned, discrete_information, entropy, need_sklearn


@dataclasses.dataclass(frozen=True, eq=False)
class ModularityExplicitness:
    """Modularity and explicitness.

    Attributes:
      score: the modularity.
      modularity: mean over the latents of 1 − Σ_{k ≠ k*} I_jk² / (I_jk*² (K − 1)), k* the factor of latent j.
      explicitness: mean area under the ROC curve of logistic regression for every value of every factor, new images.
      explicitness_train: the same on the images that it was fitted to.
      mutual_information: of binned means with factors, in nats, [D, K].
      factors: K names.
    """

    modularity: float
    explicitness: float
    explicitness_train: float
    mutual_information: np.ndarray
    factors: tuple[str, ...]

    @property
    def score(self) -> float:
        return self.modularity


def modularity_explicitness(
    codes: Codes, seed: int = 0, train: int = 10_000, test: int = 5_000, bins: int = 20
) -> ModularityExplicitness:
    """Ridgeway and Mozer (2018), section 3: does a latent know of one factor only, and are factors linearly readable?

    Every latent counts alike, the dead ones too, which the little that they know makes more or less modular by chance.
    Defaults as in disentanglement_lib: 20 bins of equal width, logistic regression with scikit-learn's settings.

    Args:
      codes: posteriors of the whole data set; the means are used.
      seed: of the images.
      train, test: numbers of images.
      bins: of each latent.

    Raises:
      ImportError: scikit-learn is not installed.
      TypeError, ValueError: something else than Codes, no varying factor.
    """
    need_sklearn("modularity_explicitness")
    draws = Draws(codes, seed, train=train, test=test, bins=bins)
    (x, values), (x_test, values_test) = draws.sample(train), draws.sample(test)
    information = discrete_information(binned(x, bins), list(values.values()), np.full(train, 1 / train))
    squares = information**2
    most = squares.max(axis=1)
    others = (squares.sum(axis=1) - most) / np.where(most > 0, most, 1) / max(1, len(draws.factors) - 1)
    mean, deviation = x.mean(axis=0), np.where(x.std(axis=0) > 0, x.std(axis=0), 1)
    x, x_test = (x - mean) / deviation, (x_test - mean) / deviation
    areas = np.array([_areas(x, values[name], x_test, values_test[name]) for name in draws.factors]).mean(axis=0)
    modularity = float(np.mean(np.where(most > 0, 1 - others, 0)))
    return ModularityExplicitness(modularity, float(areas[1]), float(areas[0]), information, draws.factors)


def _areas(x: np.ndarray, v: np.ndarray, x_test: np.ndarray, v_test: np.ndarray) -> tuple[float, float]:
    """Area under the ROC curve, averaged over the values, on the images for fitting and on the others."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    if len(np.unique(v)) < 2:
        return 0.5, 0.5
    with warnings.catch_warnings():  # a hundred iterations, as the reference has it, may not be enough
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression().fit(x, v)

    def area(points: np.ndarray, truth: np.ndarray) -> float:
        probabilities = model.predict_proba(points)
        is_value = truth[:, None] == model.classes_
        told_apart = [c for c in range(len(model.classes_)) if 0 < is_value[:, c].sum() < len(truth)]
        return float(np.mean([roc_auc_score(is_value[:, c], probabilities[:, c]) for c in told_apart]))

    return area(x, v), area(x_test, v_test)


@dataclasses.dataclass(frozen=True, eq=False)
class InfoMEC:
    """InfoM, InfoE and InfoC.

    Attributes:
      score: the modularity.
      modularity: InfoM, (mean over active latents of max_k R_jk / Σ_k R_jk − 1/K) / (1 − 1/K).
      explicitness: InfoE, mean over the factors of the share of H(v_k) that logistic regression on z explains.
      compactness: InfoC, as InfoM with the roles of latents and factors exchanged.
      information: R, mutual information over H(v_k), [D, K].
      active: latents whose means spread over more than a twentieth of the widest range, [D].
      factors: K names.
    """

    modularity: float
    explicitness: float
    compactness: float
    information: np.ndarray
    active: np.ndarray
    factors: tuple[str, ...]

    @property
    def score(self) -> float:
        return self.modularity


def infomec(codes: Codes, seed: int = 0, samples: int = 10_000, neighbours: int = 10) -> InfoMEC:
    """Hsu et al. (2023), Disentanglement via latent quantization: modularity, explicitness, compactness in information.

    Settings as in the authors' code for continuous latents: mutual information by nearest neighbours (Ross 2014,
    k = 10), logistic regression without a penalty and with balanced classes, measured on the images it was fitted to.
    The number of images is ours. They are distinct, since an image would be its own nearest neighbour: no more than
    there are, and p(n) decides which of them, not how much each counts.

    Args:
      codes: posteriors of the whole data set; the means are used.
      seed: of the images.
      samples: number of images.
      neighbours: k.

    Raises:
      ImportError: scikit-learn is not installed.
      TypeError, ValueError: something else than Codes, no varying factor.
    """
    need_sklearn("infomec")
    from sklearn.feature_selection import mutual_info_classif

    draws = Draws(codes, seed, samples=samples)
    x, values = draws.sample(samples, distinct=True)
    values = {name: value for name, value in values.items() if np.ptp(value) > 0}
    if not 1 <= neighbours < len(x):
        raise ValueError(f"infomec: neighbours must be 1 or more and fewer than the {len(x)} images; got {neighbours}")
    ranges = np.ptp(x, axis=0)
    active = ranges > ranges.max() / 20
    x = (x - x.mean(axis=0)) / np.where(x.std(axis=0) > 0, x.std(axis=0), 1)
    p = np.full(len(x), 1 / len(x))
    rows = []
    for value in values.values():
        found = mutual_info_classif(x, value, discrete_features=False, n_neighbors=neighbours, random_state=seed)
        rows.append(found / entropy(np.bincount(value, p)))
    information = np.stack(rows, axis=1)
    explicitness = np.mean([_explained(x, value) for value in values.values()])
    return InfoMEC(
        _share(information[active]),
        float(explicitness),
        _share(information[active].T),
        information,
        active,
        tuple(values),
    )


def _share(information: np.ndarray) -> float:
    """Mean over the rows of max / sum, from 1/columns … 1 to 0 … 1. A row without information counts as even."""
    rows, columns = information.shape
    if rows == 0 or columns < 2:
        return 1.0 if rows and columns else 0.0
    sums = information.sum(axis=1)
    shares = np.where(sums > 0, information.max(axis=1) / np.where(sums > 0, sums, 1), 1 / columns)
    return float((shares.mean() - 1 / columns) / (1 - 1 / columns))


def _explained(x: np.ndarray, v: np.ndarray) -> float:
    """1 − cross-entropy of logistic regression / that of the same without inputs."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    if len(np.unique(v)) < 2:
        return 0.0
    losses = []
    for inputs in (x, np.zeros_like(x)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(C=np.inf, class_weight="balanced").fit(inputs, v)
        losses.append(log_loss(v, model.predict_proba(inputs), labels=model.classes_))
    return float(1 - losses[0] / losses[1])
