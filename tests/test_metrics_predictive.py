"""Known answers of the predictive measures: perfect, duplicated, rotated and random codes."""

import sys

import numpy as np
import pytest

import tcvae_tf as tc
from tcvae_tf import metrics

GRID = tc.FactorGrid(("noise", "a", "b"), (5, 6, 8), scored=("a", "b"))
N = len(GRID)


def standard(columns):
    columns = np.asarray(columns, float)
    return (columns - columns.mean(axis=0)) / columns.std(axis=0)


PERFECT = standard(GRID.to_values(np.arange(N)))
TURN = np.linalg.qr(np.array([[1.0, 0.5, 0.3], [0.2, 1.0, 0.7], [0.9, 0.1, 1.0]]))[0]
LOC = {
    "perfect": PERFECT,
    "duplicated": np.concatenate([PERFECT, PERFECT], axis=1),
    "rotated": PERFECT @ TURN,
    "random": np.random.default_rng(0).normal(size=(N, 3)),
}


def codes(kind, grid=GRID):
    loc = LOC[kind] if isinstance(kind, str) else np.asarray(kind, float)
    return tc.Codes(loc=loc, scale=np.full(loc.shape, 0.05), grid=grid)


def test_factor_vae_score():
    found = tc.factor_vae_score(codes("perfect"), train=2000, evaluate=1000)
    assert found.score == 1 == found.train_accuracy
    assert found.factors == ("noise", "a", "b")  # the references score every factor
    assert np.all(found.votes == np.diag(found.votes.diagonal())) and found.votes.sum() == 2000
    assert tc.factor_vae_score(codes("duplicated"), train=2000, evaluate=1000).score == 1
    random = tc.factor_vae_score(codes("random"), train=5000, evaluate=2000)
    assert 1 / 3 - 0.05 < random.score < 0.6


def test_factor_vae_score_of_a_latent_that_mixes_two_factors():
    """One latent that follows a and b and one that follows the third: votes for a and b cannot be told apart."""
    loc = np.stack([PERFECT[:, 1] + PERFECT[:, 2], PERFECT[:, 0]], axis=1)
    assert tc.factor_vae_score(codes(loc), train=3000, evaluate=3000).score == pytest.approx(2 / 3, abs=0.04)


def test_factor_vae_score_drops_latents_that_hardly_move():
    dead = np.concatenate([PERFECT, 1e-3 * LOC["random"]], axis=1)
    found = tc.factor_vae_score(codes(dead), train=1000, evaluate=500)
    assert found.active.tolist() == [True] * 3 + [False] * 3
    assert found.score == 1
    nothing = tc.factor_vae_score(codes(1e-3 * LOC["random"]))
    assert nothing.score == 0 and not nothing.active.any()


def test_beta_vae_score():
    small = {"train": 1500, "evaluate": 500}
    assert tc.beta_vae_score(codes("perfect"), **small).score == 1
    assert tc.beta_vae_score(codes("duplicated"), **small).score == 1
    # Far above chance although no latent is aligned with a factor: the measure hardly asks for that.
    assert tc.beta_vae_score(codes("rotated"), **small).score > 0.8
    assert tc.beta_vae_score(codes("random"), **small).score == pytest.approx(1 / 3, abs=0.1)


def test_dci():
    small = {"train": 300, "test": 200}
    perfect = tc.dci(codes("perfect"), **small)
    assert perfect.score == perfect.disentanglement == pytest.approx(1, abs=1e-6)
    assert (perfect.completeness, perfect.informativeness) == pytest.approx((1, 1), abs=1e-6)
    assert perfect.importance == pytest.approx(np.eye(3), abs=1e-6)
    # Either copy knows one factor; a factor is known by two of six latents.
    duplicated = tc.dci(codes("duplicated"), **small)
    assert duplicated.disentanglement == pytest.approx(1, abs=1e-6)
    assert duplicated.completeness == pytest.approx(1 - np.log(2) / np.log(6), abs=0.05)
    random = tc.dci(codes("random"), **small)
    assert random.disentanglement < 0.05 and random.completeness < 0.05
    assert random.informativeness_train > random.informativeness


def test_dci_with_another_classifier_and_its_seed():
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(20, random_state=0)
    rotated, again = (tc.dci(codes("rotated"), train=1000, test=500, classifier=forest) for _ in range(2))
    assert rotated.disentanglement == again.disentanglement
    assert 0.05 < rotated.disentanglement < 0.6
    assert tc.dci(codes("random"), seed=1, train=200, test=99, classifier=forest).score != rotated.score


def test_sap():
    """Two values in each factor: a perfect latent predicts all, any other one half."""
    grid = tc.FactorGrid(("a", "b", "c"), (2, 2, 50))
    values = standard(grid.to_values(np.arange(200)))[:, :2]
    noise = np.random.default_rng(0).normal(size=(200, 1))
    found = tc.sap(codes(np.concatenate([values, noise], axis=1), grid), train=2000, test=1000)
    assert found.gaps[:2] == pytest.approx([0.5, 0.5], abs=0.06)
    assert found.accuracies[[0, 1], [0, 1]] == pytest.approx([1, 1])
    duplicated = tc.sap(codes(np.concatenate([values, values], axis=1), grid), train=500, test=500)
    assert duplicated.gaps[:2] == pytest.approx([0, 0], abs=1e-12)


def test_sap_of_continuous_factors_is_a_gap_of_squared_correlations():
    found = tc.sap(codes("perfect"), train=20_000, continuous=True)
    assert found.accuracies == pytest.approx(np.eye(3), abs=1e-3)
    assert found.score == pytest.approx(1, abs=1e-3)
    rotated = tc.sap(codes("rotated"), train=20_000, continuous=True)
    assert rotated.accuracies == pytest.approx(TURN.T**2, abs=0.03)


def test_modularity_and_explicitness():
    perfect = tc.modularity_explicitness(codes("perfect"), train=3000, test=1000)
    assert perfect.score == perfect.modularity == pytest.approx(1, abs=1e-3)
    assert perfect.explicitness > 0.95
    assert tc.modularity_explicitness(codes("duplicated"), train=3000, test=1000).modularity > 0.99
    rotated = tc.modularity_explicitness(codes("rotated"), train=3000, test=1000)
    assert rotated.explicitness > 0.95 and rotated.modularity < 0.97
    random = tc.modularity_explicitness(codes("random"), train=3000, test=1000)
    assert random.explicitness < 0.65
    dead = tc.modularity_explicitness(codes(np.zeros((N, 2))), train=300, test=500)
    assert dead.modularity == 0 and dead.explicitness == pytest.approx(0.5)


def test_infomec():
    perfect = tc.infomec(codes("perfect"), samples=2000)
    assert perfect.score == perfect.modularity > 0.95 and perfect.compactness > 0.95 and perfect.explicitness > 0.95
    duplicated = tc.infomec(codes("duplicated"), samples=2000)
    assert duplicated.modularity > 0.95
    assert duplicated.compactness == pytest.approx((1 / 2 - 1 / 6) / (1 - 1 / 6), abs=0.03)
    rotated = tc.infomec(codes("rotated"), samples=2000)
    assert rotated.explicitness > 0.95 and rotated.modularity < 0.7 and rotated.compactness < 0.7
    assert tc.infomec(codes("random"), samples=2000).explicitness < 0.1
    # Repeated images would be their own nearest neighbours, and every latent would know every factor.
    jittered = tc.infomec(codes(PERFECT + 0.01 * LOC["random"]))
    assert jittered.modularity > 0.95 and jittered.information[0, 1:].max() < 0.1
    assert tc.infomec(codes(np.zeros((N, 2)))).compactness == 0
    dead = np.concatenate([PERFECT, 1e-3 * LOC["random"]], axis=1)
    assert tc.infomec(codes(dead), samples=2000).active.tolist() == [True] * 3 + [False] * 3


@pytest.mark.parametrize(
    "measure",
    [tc.factor_vae_score, tc.beta_vae_score, tc.sap, tc.modularity_explicitness],
    ids=lambda measure: measure.__name__,
)
def test_the_seed_decides_the_score(measure):
    sizes = {"train": 300, "evaluate" if measure in (tc.factor_vae_score, tc.beta_vae_score) else "test": 200}
    scores = [measure(codes("random"), seed=seed, **sizes).score for seed in (0, 0, 1)]
    assert scores[0] == scores[1] != scores[2]


def test_a_factor_that_cannot_vary_takes_no_part():
    """By weights only one value of the first factor occurs; its mass may round to something beside 1."""
    weights = np.where(GRID.values("noise") == 0, 1.0, 0.0)
    grid = tc.FactorGrid(GRID.names, GRID.sizes, ("a", "b"), weights / weights.sum())
    fixed = codes("perfect", grid)
    found = tc.factor_vae_score(fixed, train=500, evaluate=500)
    assert found.factors == ("a", "b") and found.score == 1
    assert tc.mig(fixed, method="histogram").factors == ("a", "b")
    assert tc.infomec(fixed, samples=100).factors == ("a", "b")
    scored = tc.FactorGrid(GRID.names, GRID.sizes, ("noise", "a"), grid.weights)
    with pytest.raises(ValueError, match="two values or more that occur"):
        tc.mig(codes("perfect", scored))


def test_a_common_offset_changes_no_score():
    for measure in (tc.factor_vae_score, tc.beta_vae_score):
        sizes = {"train": 500, "evaluate": 200}
        assert measure(codes(PERFECT + 1e8), **sizes).score == 1
    assert tc.modularity_explicitness(codes(PERFECT + 1e8), train=500, test=200).modularity > 0.95


def test_measures_keep_nothing_of_the_codes():
    import gc
    import weakref

    measured = codes(PERFECT.copy())
    gone = weakref.ref(measured.loc)
    tc.factor_vae_score(measured, train=100, evaluate=100)
    del measured
    gc.collect()
    assert gone() is None


def test_cells_of_weight_zero_take_no_part(rng):
    """The same part of the grid, by weights and by itself; elsewhere the codes are nonsense."""
    part, indices = GRID.thin(2)
    weights = np.zeros(N)
    weights[indices] = 1 / len(indices)
    whole = tc.FactorGrid(GRID.names, GRID.sizes, GRID.scored, weights)
    loc = 1e3 * rng.normal(size=(N, 3))
    loc[indices] = PERFECT[indices]
    assert tc.factor_vae_score(codes(loc, whole), train=1000, evaluate=500).score == 1
    assert tc.sap(codes(loc, whole), train=5000, continuous=True).score == pytest.approx(1, abs=0.01)
    assert len(part) == len(indices)


def test_without_scikit_learn_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for measure in (tc.dci, tc.sap, tc.beta_vae_score, tc.modularity_explicitness, tc.infomec):
        with pytest.raises(ImportError, match=r"needs scikit-learn; pip install -e '\.\[metrics\]'"):
            measure(codes("perfect"))


def test_without_scikit_learn_a_record_lacks_one_score_and_says_so(monkeypatch, caplog):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = metrics.summary(codes("perfect"), samples=100, verbose=0)
    assert found["beta_vae_score"] is None and found["factor_vae_score"] == 1
    assert "left out of the record: beta_vae_score needs scikit-learn; pip install" in caplog.text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: tc.factor_vae_score(c, train=0), "train must be 2 or more; got 0"),
        (lambda c: tc.factor_vae_score(c, batch_size=1), "batch_size must be 2 or more"),
        (lambda c: tc.beta_vae_score(c, evaluate=0), "evaluate must be 2 or more"),
        (lambda c: tc.dci(c, test=-5), "test must be 2 or more"),
        (lambda c: tc.sap(c, train=0), "train must be 2 or more"),
        (lambda c: tc.modularity_explicitness(c, bins=0), "bins must be 2 or more"),
        (lambda c: tc.infomec(c, samples=0), "samples must be 2 or more"),
        (lambda c: tc.infomec(c, samples=50, neighbours=500), "fewer than the 50 images; got 500"),
    ],
)
def test_sizes_out_of_range_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(codes("perfect"))


def test_a_classifier_that_is_none_is_refused():
    with pytest.raises(TypeError, match="scikit-learn classifier; got 'rf'"):
        tc.dci(codes("perfect"), classifier="rf")
