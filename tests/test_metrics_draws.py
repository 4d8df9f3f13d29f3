"""Random images by their factors."""

import numpy as np
import pytest

import tcvae_tf as tc
from tcvae_tf.metrics.draws import Draws, binned, discrete_information

WEIGHTS = np.array([0.1, 0, 0.2, 0.3, 0.15, 0.25])


def draws(weights=None, seed=0):
    grid = tc.FactorGrid(("a", "b"), (2, 3), weights=weights)
    return Draws(tc.Codes(loc=np.zeros((6, 1)), scale=np.ones((6, 1)), grid=grid), seed)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_images_are_drawn_with_their_probabilities(weights):
    p = np.full(6, 1 / 6) if weights is None else weights
    found = np.bincount(draws(weights).images(100, 1000).ravel(), minlength=6) / 1e5
    assert found == pytest.approx(p, abs=6e-3)
    assert np.all(found[p == 0] == 0)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("factor", ["a", "b"])
def test_partners_share_the_factor_and_are_else_drawn_with_their_probabilities(weights, factor):
    p = np.full(6, 1 / 6) if weights is None else weights
    source = draws(weights)
    values = source.values(factor)
    for value in np.unique(values):
        start = np.flatnonzero((values == value) & (p > 0))[0]
        found = np.bincount(source.sharing(factor, np.full(50_000, start)), minlength=6) / 5e4
        expected = np.where(values == value, p, 0) / p[values == value].sum()
        assert found == pytest.approx(expected, abs=1e-2)
        assert np.all(found[expected == 0] == 0)


def test_the_seed_decides():
    assert np.array_equal(draws(seed=1).images(50), draws(seed=1).images(50))
    assert not np.array_equal(draws(seed=1).images(50), draws(seed=2).images(50))


def test_discrete_information_of_equal_and_of_independent_columns():
    a, b = np.divmod(np.arange(12), 4)
    found = discrete_information(np.stack([a, b]), [a, b], np.full(12, 1 / 12))
    assert found == pytest.approx(np.diag(np.log([3, 4])), abs=1e-12)


def test_bins_have_equal_width_and_the_last_is_closed():
    assert binned(np.array([[0.0], [0.49], [0.5], [0.99], [1.0]]), 2).tolist() == [[0, 0, 1, 1, 1]]


def test_a_data_set_without_a_varying_factor_is_refused():
    grid = tc.FactorGrid(("a",), (1,))
    with pytest.raises(ValueError, match="a factor with two values"):
        Draws(tc.Codes(loc=np.zeros((1, 1)), scale=np.ones((1, 1)), grid=grid), 0)
    with pytest.raises(TypeError, match="measures take codes"):
        Draws(np.zeros((6, 1)), 0)
