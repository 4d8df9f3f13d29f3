"""Measures that need no factors."""

import numpy as np
import pytest

import tcvae_tf as tc

GRID = tc.FactorGrid(("image",), (5000,))


def test_the_gaussian_fit_has_the_closed_form_of_its_covariance(rng):
    covariance = np.array([[1, 0.6, 0.1], [0.6, 2, 0], [0.1, 0, 0.5]])
    loc = rng.normal(size=(5000, 3))
    loc = (loc - loc.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(loc.T, ddof=0))).T
    loc = loc @ np.linalg.cholesky(covariance).T  # exactly this covariance
    found = tc.gaussian_total_correlation(tc.Codes(loc=loc, scale=np.full((5000, 3), 0.5), grid=GRID))

    def expected(matrix):
        return 0.5 * (np.log(np.diag(matrix)).sum() - np.log(np.linalg.det(matrix)))

    assert found.covariance == pytest.approx(covariance)
    assert found.score == pytest.approx(expected(covariance))
    assert found.of_samples == pytest.approx(expected(covariance + 0.25 * np.eye(3)))


def test_a_duplicated_mean_is_infinitely_correlated_its_samples_are_not(rng):
    loc = np.repeat(rng.normal(size=(5000, 1)), 2, axis=1)
    found = tc.gaussian_total_correlation(tc.Codes(loc=loc, scale=np.full((5000, 2), 0.5), grid=GRID))
    assert found.score == np.inf
    variance = loc[:, 0].var()
    assert found.of_samples == pytest.approx(-0.5 * np.log(1 - (variance / (variance + 0.25)) ** 2))


def test_constant_latents_are_left_out():
    loc = np.tile([0.1, 0.11, 0.17], (5000, 1))
    found = tc.gaussian_total_correlation(tc.Codes(loc=loc, scale=np.ones((5000, 3)), grid=GRID))
    assert found.score == 0 == found.of_samples


def test_a_tiny_copy_is_a_copy(rng):
    loc = rng.normal(size=(5000, 1)) * np.array([1, 1e-7])
    assert tc.gaussian_total_correlation(tc.Codes(loc=loc, scale=np.ones((5000, 2)), grid=GRID)).score == np.inf


def test_active_units_are_those_whose_mean_moves(rng):
    loc = rng.normal(size=(5000, 4)) * np.array([1, 0.2, 0.05, 0])
    found = tc.active_units(tc.Codes(loc=loc, scale=np.ones((5000, 4)), grid=GRID))
    assert found.active.tolist() == [True, True, False, False]
    assert found.score == 2
    assert tc.active_units(tc.Codes(loc=loc, scale=np.ones((5000, 4)), grid=GRID), threshold=0.5).score == 1


def test_weights_count(rng):
    weights = rng.dirichlet(np.ones(5000))
    loc = rng.normal(size=(5000, 2))
    grid = tc.FactorGrid(("image",), (5000,), weights=weights)
    found = tc.active_units(tc.Codes(loc=loc, scale=np.ones((5000, 2)), grid=grid))
    assert found.variances == pytest.approx(np.cov(loc.T, aweights=weights, ddof=0).diagonal())
