"""The full-data ELBO decomposition against closed forms, and against every density at many samples."""

import numpy as np
import pytest

import tcvae_tf as tc
from tcvae_tf.metrics import sampling

GRID = tc.FactorGrid(("a", "b"), (8, 12))


def brute_force(loc, scale, weights, rng, samples=200_000):
    """I and TC of the mixture as means over samples of log-ratios, each density written out."""
    images = rng.choice(len(loc), size=samples, p=weights)
    z = loc[images] + scale[images] * rng.normal(size=(samples, loc.shape[1]))
    log_q = -0.5 * ((z[:, None] - loc) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)  # [S, N, D]
    own = np.take_along_axis(log_q, images[:, None, None], axis=1).sum(axis=(1, 2))
    joint = np.log(np.exp(log_q.sum(axis=2)) @ weights)
    product = np.log(np.einsum("snd,n->sd", np.exp(log_q), weights)).sum(axis=1)
    return own - joint, joint - product


@pytest.mark.parametrize("weighted", [False, True])
def test_information_and_total_correlation_equal_brute_force(rng, weighted):
    weights = rng.dirichlet(np.ones(96)) if weighted else np.full(96, 1 / 96)
    grid = tc.FactorGrid(GRID.names, GRID.sizes, weights=weights if weighted else None)
    loc = rng.normal(size=(96, 3)) @ rng.normal(size=(3, 3))
    scale = rng.uniform(0.1, 0.8, size=(96, 3))
    found = tc.elbo_decomposition(tc.Codes(loc=loc, scale=scale, grid=grid), samples=40_000)
    information, correlation = brute_force(loc, scale, weights, rng, 50_000)
    for ours, sample in ((found.mutual_information, information), (found.total_correlation, correlation)):
        error = np.hypot(found.standard_error, sample.std() / np.sqrt(len(sample)))
        assert abs(ours - sample.mean()) < 4 * error
    assert 0 < found.standard_error < 0.02


def test_a_correlated_gaussian_has_its_closed_form(rng):
    """q(z) = N(0, Σ) as a mixture of very many narrow components: TC = −½ log det of the correlation, H(z) Gaussian."""
    n, sigma, rho = 10_000, 0.3, 0.8
    grid = tc.FactorGrid(("image",), (n,))
    covariance = np.array([[1, rho, 0], [rho, 1, 0], [0, 0, 1]]) - sigma**2 * np.eye(3)
    loc = rng.normal(size=(n, 3))
    loc -= loc.mean(axis=0)
    whitened = np.linalg.solve(np.linalg.cholesky(np.cov(loc.T, bias=True)), loc.T)
    loc = (np.linalg.cholesky(covariance) @ whitened).T  # of just that covariance
    found = tc.elbo_decomposition(tc.Codes(loc=loc, scale=np.full((n, 3), sigma), grid=grid), samples=20_000)
    total = covariance + sigma**2 * np.eye(3)
    entropy = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * total)[1]
    assert found.total_correlation == pytest.approx(-0.5 * np.log(1 - rho**2), abs=4 * found.standard_error + 0.01)
    assert found.joint_entropy == pytest.approx(entropy, abs=4 * found.standard_error + 0.01)
    expected = entropy - 1.5 * np.log(2 * np.pi * np.e * sigma**2)
    assert found.mutual_information == pytest.approx(expected, abs=4 * found.standard_error + 0.01)
    assert found.dimension_kl == pytest.approx(np.zeros(3), abs=0.02)


def test_independent_latents_have_no_total_correlation(rng):
    """Latent j sees factor j alone, and the grid is full: q(z) is the product of its marginals."""
    values = GRID.to_values(np.arange(96)).astype(float)
    found = tc.elbo_decomposition(tc.Codes(loc=values, scale=np.full((96, 2), 0.7), grid=GRID), samples=40_000)
    assert abs(found.total_correlation) < 4 * found.standard_error


def test_a_duplicated_latent_adds_its_own_entropy_to_the_total_correlation(rng):
    """z' = z + little noise: TC = I(z; z'), which for narrow q is at least the information about the image."""
    values = np.repeat(GRID.to_values(np.arange(96))[:, 1:].astype(float), 2, axis=1)
    found = tc.elbo_decomposition(tc.Codes(loc=values, scale=np.full((96, 2), 0.05), grid=GRID), samples=5_000)
    assert found.total_correlation == pytest.approx(np.log(12), abs=1e-6)
    assert found.mutual_information == pytest.approx(np.log(12), abs=1e-6)


def test_images_that_are_told_apart_carry_the_logarithm_of_their_number():
    loc = np.arange(96.0)[:, None]
    found = tc.elbo_decomposition(tc.Codes(loc=loc, scale=np.full((96, 1), 0.01), grid=GRID), samples=1000)
    assert found.mutual_information == pytest.approx(np.log(96), abs=1e-6)
    assert found.standard_error < 1e-6


def test_dead_latents_have_no_part_in_anything():
    found = tc.elbo_decomposition(tc.Codes(loc=np.zeros((96, 2)), scale=np.ones((96, 2)), grid=GRID), samples=1000)
    assert found.mutual_information == pytest.approx(0, abs=1e-6)
    assert found.total_correlation == pytest.approx(0, abs=1e-6)
    assert found.dimension_kl == pytest.approx([0, 0], abs=1e-9)


def test_permuting_flipping_shifting_and_scaling_latents_changes_neither_information_nor_correlation(rng):
    loc, scale = rng.normal(size=(96, 3)), rng.uniform(0.05, 0.5, size=(96, 3))
    before = tc.elbo_decomposition(tc.Codes(loc=loc, scale=scale, grid=GRID), samples=20_000)
    factor, order = np.array([-1.0, 20.0, 0.1]), [2, 0, 1]
    moved = tc.Codes(loc=loc[:, order] * factor + 7, scale=scale[:, order] * np.abs(factor), grid=GRID)
    after = tc.elbo_decomposition(moved, samples=20_000)
    error = 4 * np.hypot(before.standard_error, after.standard_error)
    assert after.mutual_information == pytest.approx(before.mutual_information, abs=error)
    assert after.total_correlation == pytest.approx(before.total_correlation, abs=error)


def test_scales_of_any_size_meet_in_one_code(rng):
    """The mixture's density where a component a thousand times narrower is nearer than the sample's own."""
    loc = np.concatenate([np.zeros((48, 2)), rng.normal(size=(48, 2))])
    scale = np.repeat([1e-4, 10.0], 48)[:, None] * np.ones(2)
    z = np.concatenate([np.full((70, 2), 1e-5), rng.normal(size=(70, 2)), np.full((10, 2), 30.0)])
    shift = sampling.log_normal(z, loc[60], scale[60])  # all drawn, let us say, from a wide one
    found = sampling.log_mixture(z, loc, scale, None, shift)
    exponents = sampling.log_normal(z[:, None], loc, scale) - np.log(96)
    largest = exponents.max(axis=1)
    expected = largest + np.log(np.exp(exponents - largest[:, None]).sum(axis=1))
    assert found == pytest.approx(expected, abs=2e-6)


def test_blocks_change_nothing(rng, monkeypatch):
    loc, scale, z = rng.normal(size=(500, 4)), rng.uniform(0.1, 1, (500, 4)), rng.normal(size=(130, 4))
    shift = sampling.log_normal(z, loc[0], scale[0])
    weights = rng.dirichlet(np.ones(500))
    whole = sampling.log_mixture(z, loc, scale, weights, shift)
    monkeypatch.setattr(sampling, "_POSTERIORS", 77)
    monkeypatch.setattr(sampling, "_PRODUCT", 130 * 10 * 13)
    assert sampling.log_mixture(z, loc, scale, weights, shift) == pytest.approx(whole, abs=1e-6)


def test_the_parts_are_those_of_the_elbo(rng):
    """With log p(x|z) and another prior: ELBO = reconstruction − Σ_n p(n) KL, KL by its own closed form."""
    loc, scale, log_px = rng.normal(size=(96, 2)), rng.uniform(0.1, 1, size=(96, 2)), rng.normal(size=96) - 50
    found = tc.elbo_decomposition(tc.Codes(loc=loc, scale=scale, grid=GRID, log_px=log_px), samples=100)
    kl = 0.5 * np.sum(loc**2 + scale**2 - 1 - 2 * np.log(scale), axis=1)
    assert found.kl == pytest.approx(kl.mean())
    assert found.reconstruction == pytest.approx(log_px.mean())
    assert found.elbo == found.score == pytest.approx((log_px - kl).mean())
    assert found.reconstruction_error == pytest.approx(log_px.std() / np.sqrt(96))

    # p(z_j) = N(0, 2²): −E log p = log 2 + ½ log 2π + E(μ² + σ²)/8.
    cross_entropy = np.log(2) + 0.5 * np.log(2 * np.pi) + np.mean(loc**2 + scale**2, axis=0) / 8
    other = tc.Codes(loc=loc, scale=scale, grid=GRID, prior_cross_entropy=cross_entropy)
    wider = np.log(2 / scale) + (loc**2 + scale**2) / 8 - 0.5
    found = tc.elbo_decomposition(other, samples=100)
    assert found.kl == pytest.approx(wider.sum(axis=1).mean())
    assert found.reconstruction is None and found.elbo is None and found.reconstruction_error is None


def test_the_standard_error_is_that_of_repeated_seeds(rng):
    codes = tc.Codes(loc=rng.normal(size=(96, 2)), scale=np.full((96, 2), 0.5), grid=GRID)
    found = [tc.elbo_decomposition(codes, samples=200, seed=seed) for seed in range(40)]
    spread = np.std([one.mutual_information for one in found])
    assert spread == pytest.approx(found[0].standard_error, rel=0.4)
    assert tc.elbo_decomposition(codes, samples=200, seed=0).mutual_information == found[0].mutual_information


def test_scales_below_what_float64_can_weigh_are_refused():
    loc, scale = np.arange(192.0).reshape(96, 2), np.full((96, 2), [1.0, 1e-7])
    with pytest.raises(ValueError, match="scale 1e-07 of latent 1 is too small beside z, which spreads over 1"):
        tc.elbo_decomposition(tc.Codes(loc=loc, scale=scale, grid=GRID), samples=10)


def test_bad_calls_are_refused(rng):
    codes = tc.Codes(loc=np.zeros((96, 2)), scale=np.ones((96, 2)), grid=GRID)
    with pytest.raises(TypeError, match="elbo_decomposition takes codes"):
        tc.elbo_decomposition(codes.loc)
    with pytest.raises(ValueError, match="samples must be 2 or more; got 1"):
        tc.elbo_decomposition(codes, samples=1)
