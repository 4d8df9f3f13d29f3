"""Laplace posteriors: entropies against quadrature and closed forms, measures against their definitions."""

import itertools

import numpy as np
import pytest

import tcvae_tf as tc
from tcvae_tf.metrics import laplace, mesh, sampling
from tcvae_tf.metrics.laplace import LaplaceMixture

GRID = tc.FactorGrid(("a", "b"), (8, 12))
#: Where the oracle cuts the line around every component, in its b; fewer where means lie dense.
CUTS, DENSE = np.append(0, np.geomspace(0.1, 60, 14)), np.array([0, 2, 5, 12, 40])


def quadrature(loc, scale, labels, count, weights, cuts=CUTS):
    """H(z) and H(z|v) by Gauss's rule between cuts around every component, every density at every point."""
    edges = np.unique((loc[:, None] + scale[:, None] * np.concatenate([-cuts, cuts])).ravel())
    nodes, rule = np.polynomial.legendre.leggauss(8)
    z = (edges[:-1, None] + np.diff(edges)[:, None] * (nodes + 1) / 2).ravel()
    dz = (np.diff(edges)[:, None] * rule / 2).ravel()
    density = np.zeros((count, len(z)))
    for mean, b, value, p in zip(loc, scale, labels, weights, strict=True):
        density[value] += p * np.exp(-np.abs(z - mean) / b) / (2 * b)

    def entropy(q):
        return -np.sum(dz * q * np.log(np.maximum(q, 1e-300)))

    mass = np.bincount(labels, weights, count)
    conditional = [entropy(q / p) if p else 0 for q, p in zip(density, mass, strict=True)]
    return entropy(density.sum(axis=0)), np.array(conditional)


def assert_within_the_bound(loc, scale, labels, weights=None, order=6, largest=5e-7, cuts=CUTS):
    count = labels.max() + 1
    p = np.full(len(loc), 1 / len(loc)) if weights is None else weights
    marginal, conditional = quadrature(loc, scale, labels, count, p, cuts)
    found = LaplaceMixture(loc, scale, weights, order).entropies(labels, count)
    slack = 1e-10  # of the oracle
    assert abs(found.marginal - marginal) <= found.marginal_error + slack
    assert np.all(np.abs(found.conditional - conditional) <= found.conditional_error + slack)
    assert max(found.marginal_error, found.conditional_error.max()) < largest
    return found


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [
        (1, 1, 1),
        (2, 1e-6, 100),
        (6, 0.3, 0.3),
        (40, 0.05, 1),
        (150, 0.1, 0.12),
        (60, 0.003, 1),
        (30, 1e-4, 10),
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_entropies_equal_the_quadrature_within_the_stated_bound(rng, count, low, high, weighted):
    loc, scale = rng.normal(size=count), np.exp(rng.uniform(np.log(low), np.log(high), count))
    scale[: min(2, count)] = [low, high][:count]
    weights = rng.dirichlet(np.ones(count)) if weighted else None
    assert_within_the_bound(loc, scale, np.arange(count) % 4, weights)


@pytest.mark.parametrize("seed", range(3))
def test_the_bound_holds_where_means_are_moved_to_the_nodes(seed):
    """So many components that their means are no nodes; label 1 has three of them, far from any smooth density."""
    rng = np.random.default_rng(seed)
    loc, scale = 0.5 * rng.normal(size=900), rng.uniform(0.9, 1.8, 900)
    labels = np.where(np.arange(900) < 3, 1, 2 * rng.integers(2, size=900))
    assert LaplaceMixture(loc, scale)._tents is not None
    found = assert_within_the_bound(loc, scale, labels, rng.dirichlet(np.ones(900)), largest=3e-6, cuts=DENSE)
    assert found.marginal_error < 1e-7


def test_two_orders_more_gain_a_factor_of_ten_until_interpolation_ends_it(rng):
    loc, scale, labels = rng.normal(size=60), np.exp(rng.uniform(-4, 0, 60)), np.zeros(60, int)
    bounds = []
    for order in (6, 8, 10):
        found = assert_within_the_bound(loc, scale, labels, order=order)
        bounds.append(found.marginal_error - LaplaceMixture(loc, scale)._rounding)
    assert all(fine < coarse / 10 for coarse, fine in itertools.pairwise(bounds))
    assert LaplaceMixture(loc, scale)._rounding < 2e-8


def test_a_thousand_components_as_training_leaves_them(rng):
    labels = np.arange(1200) % 5
    loc = labels + 0.3 * rng.normal(size=1200)
    assert_within_the_bound(loc, np.exp(rng.uniform(np.log(0.02), 0, 1200)), labels, cuts=DENSE)


@pytest.mark.parametrize("b", [1e-6, 0.02, 1.0, 300.0])
def test_a_single_component_has_the_entropy_of_a_laplace_density(b):
    found = LaplaceMixture(np.array([3.0]), np.array([b])).entropies(np.array([0]), 1)
    assert found.marginal == pytest.approx(1 + np.log(2 * b), abs=2e-7)
    assert abs(found.marginal - 1 - np.log(2 * b)) <= found.marginal_error < 5e-7


def test_far_components_add_the_entropy_of_the_choice_and_equal_ones_nothing():
    loc = np.repeat([0.0, 100.0, 300.0, 700.0], 5)
    found = LaplaceMixture(loc, np.full(20, 0.5)).entropies(np.arange(20) // 5, 4)
    assert found.marginal == pytest.approx(np.log(4) + 1, abs=1e-7)
    assert found.conditional == pytest.approx(np.ones(4), abs=1e-7)


@pytest.mark.parametrize("b", [0.02, 0.3])
def test_very_many_means_have_the_entropy_of_their_smooth_limit(b):
    """50,000 means fill (0, 1): q is the uniform density convolved with Laplace's, in closed form."""
    loc = (np.arange(50_000) + 0.5) / 50_000
    found = LaplaceMixture(loc, np.full(50_000, b)).entropies(np.arange(50_000) % 2, 2)
    nodes, rule = np.polynomial.legendre.leggauss(100)
    x, dx = 0.5 * (nodes + 1), 0.5 * rule
    inside = 1 - 0.5 * (np.exp(-x / b) + np.exp((x - 1) / b))
    tail = 0.5 * (1 - np.exp(-1 / b)) * np.exp(-40 * x)  # at 40·b·x from the end
    expected = -np.sum(dx * inside * np.log(inside)) - 2 * 40 * b * np.sum(dx * tail * np.log(tail))
    assert found.marginal == pytest.approx(expected, abs=1e-7)
    assert found.conditional == pytest.approx(np.full(2, expected), abs=1e-7)
    assert found.marginal_error < 3e-7


def test_blocks_of_values_change_nothing(rng, monkeypatch):
    loc, labels = rng.normal(size=300), rng.integers(0, 9, 300)
    for scale in (rng.uniform(0.1, 1, 300), np.where(labels == 0, 0.01, 1.0)):
        whole = LaplaceMixture(loc, scale).entropies(labels, 9)
        monkeypatch.setattr(laplace, "_BLOCK", 1)
        blocked = LaplaceMixture(loc, scale).entropies(labels, 9)
        monkeypatch.undo()
        assert blocked.conditional == pytest.approx(whole.conditional, abs=1e-12)
        assert blocked.marginal == pytest.approx(whole.marginal, abs=1e-12)


def test_values_that_do_not_occur_have_no_entropy(rng):
    found = LaplaceMixture(rng.normal(size=10), np.ones(10)).entropies(np.full(10, 2), 4)
    assert found.conditional[[0, 1, 3]].tolist() == [0, 0, 0]
    assert found.conditional[2] == pytest.approx(found.marginal)


@pytest.mark.parametrize("b", [1e-7, 1e-8, 1e-10, 1e-11])
def test_what_rounding_costs_very_narrow_components_is_in_the_bound(b):
    for gap in (1.0, 1.37, 2 / 3):
        found = LaplaceMixture(np.array([0.123, 0.123 + gap]), np.full(2, b)).entropies(np.arange(2), 2)
        assert abs(found.marginal - np.log(2) - 1 - np.log(2 * b)) <= found.marginal_error


def test_scales_that_the_mesh_cannot_hold_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="scale 1e-20 is too small beside means spread over 3 for float64"):
        LaplaceMixture(np.array([0.0, 3.0]), np.full(2, 1e-20))
    monkeypatch.setattr(mesh, "_LARGEST", 4096)
    with pytest.raises(ValueError, match=r"scale 0\.001 is too small beside means that fill 9"):
        LaplaceMixture(np.linspace(0, 9, 3000), np.full(3000, 0.001))


def test_interpolated_rates_leave_out_no_more_than_is_stated():
    x = np.linspace(0, 120, 30_001)
    for fraction in np.linspace(0, 1, 11):
        shares = laplace._lagrange(np.array([fraction]))[:, 0]
        rates = 2.0 ** ((np.arange(laplace._STENCIL) - laplace._STENCIL // 2 + 1 - fraction) / laplace._LEVELS)
        left_out = np.abs(shares @ np.exp(-rates[:, None] * x) - np.exp(-x))
        assert np.trapezoid(left_out, x) < laplace._LEFT_OUT
        assert np.trapezoid(left_out * x, x) < laplace._LEFT_OUT_AFAR


def test_two_components_at_the_ends_of_a_cell_replace_one_inside_exactly():
    c, x, h = 1.7, 0.3, 0.8
    left, right = laplace._ends(c, x, h)
    z = np.array([-5, -0.1, 0, h, 1, 6])
    assert left * np.exp(-c * np.abs(z)) + right * np.exp(-c * np.abs(z - h)) == pytest.approx(np.exp(-c * abs(z - x)))


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_sums_are_carried_along_the_nodes(rng, size):
    mass, decay = rng.normal(size=(size, 3)), rng.uniform(size=size)
    expected = np.zeros((size, 3))
    for k in range(size):
        expected[k] = mass[k] + (decay[k] * expected[k - 1] if k else 0)
    assert mesh.carry(mass, decay) == pytest.approx(expected)


def test_the_mesh_is_fine_at_the_means_and_grows_with_the_distance(rng):
    loc, scale = rng.normal(size=20), np.exp(rng.uniform(-8, 2, 20))
    nodes, reached = mesh.nodes(loc, scale, 6)
    step, ends = np.diff(nodes), np.stack([nodes[:-1], nodes[1:]])
    assert np.all(step > 0)
    for mean, b in zip(loc, scale, strict=True):
        distance = np.abs(ends - mean).min(axis=0)
        near = distance < 64 * b
        assert np.all(reached[near])
        assert np.all(step[near] <= np.maximum(b / 32, distance[near] / 32 * (1 + 1e-9)))


def codes(loc, scale, grid=GRID, **more):
    return tc.Codes(loc=loc, scale=scale, grid=grid, posterior="laplace", **more)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_score_of_three_factors_equals_the_quadrature(rng, weighted):
    weights = rng.dirichlet(np.ones(96)) if weighted else None
    grid = tc.FactorGrid(("a", "b", "c"), (3, 4, 8), weights=weights)
    p = grid.probabilities
    loc = grid.to_values(np.arange(96)) @ rng.normal(size=(3, 3)) + 0.2 * rng.normal(size=(96, 3))
    scale = np.exp(rng.uniform(np.log(0.02), 0, (96, 3)))
    found = tc.mig(codes(loc, scale, grid))
    truth = np.zeros((3, 3))
    for j in range(3):
        for k, name in enumerate(grid.names):
            marginal, conditional = quadrature(loc[:, j], scale[:, j], grid.values(name), grid.sizes[k], p)
            truth[j, k] = marginal - grid.marginal(name) @ conditional
    ordered = np.sort(truth, axis=0)
    expected = np.mean((ordered[-1] - ordered[-2]) / found.entropies)
    assert abs(found.score - expected) <= found.error_bound < 1e-6
    assert np.all(np.abs(found.mutual_information - truth) <= found.information_error)


def test_exact_information_is_what_monte_carlo_converges_to(rng):
    weights = rng.dirichlet(np.ones(96))
    for grid in (GRID, tc.FactorGrid(GRID.names, GRID.sizes, weights=weights)):
        loc = 0.5 * GRID.to_values(np.arange(96)) + 0.1 * rng.normal(size=(96, 2))
        both = codes(loc, rng.uniform(0.1, 0.6, (96, 2)), grid)
        exact, sampled = tc.mig(both), tc.mig(both, "monte_carlo", samples=20_000)
        difference = np.abs(exact.mutual_information - sampled.mutual_information)
        assert np.all(difference <= 4.5 * sampled.information_error)
        assert sampled.information_error.max() < 0.03
        assert sampled.score == pytest.approx(exact.score, abs=0.02)


def test_a_family_is_not_mistaken_for_another(rng):
    loc, scale = rng.normal(size=(96, 2)), rng.uniform(0.1, 0.6, (96, 2))
    ours, normal = codes(loc, scale), tc.Codes(loc=loc, scale=scale, grid=GRID)
    assert abs(tc.mig(ours).score - tc.mig(normal).score) > 1e-3
    ours, normal = (tc.elbo_decomposition(one, samples=4000) for one in (ours, normal))
    assert ours.mutual_information < normal.mutual_information - 5 * ours.standard_error
    assert ours.conditional_entropy - normal.conditional_entropy == pytest.approx(
        2 * (1 + np.log(2) - 0.5 * np.log(2 * np.pi * np.e))
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_information_and_total_correlation_equal_brute_force(rng, weighted):
    weights = rng.dirichlet(np.ones(96)) if weighted else np.full(96, 1 / 96)
    grid = tc.FactorGrid(GRID.names, GRID.sizes, weights=weights if weighted else None)
    loc, scale = rng.normal(size=(96, 3)) @ rng.normal(size=(3, 3)), rng.uniform(0.1, 0.8, size=(96, 3))
    found = tc.elbo_decomposition(codes(loc, scale, grid), samples=40_000)
    images = rng.choice(96, size=30_000, p=weights)
    z = loc[images] + rng.laplace(scale=scale[images])
    log_q = -np.abs(z[:, None] - loc) / scale - np.log(2 * scale)
    own = np.take_along_axis(log_q, images[:, None, None], axis=1).sum(axis=(1, 2))
    joint = np.log(np.exp(log_q.sum(axis=2)) @ weights)
    product = np.log(np.einsum("snd,n->sd", np.exp(log_q), weights)).sum(axis=1)
    for ours, sample in ((found.mutual_information, own - joint), (found.total_correlation, joint - product)):
        assert abs(ours - sample.mean()) < 4 * np.hypot(found.standard_error, sample.std() / np.sqrt(len(sample)))


def test_the_total_correlation_of_two_latents_equals_its_integral(rng):
    grid = tc.FactorGrid(("image",), (6,))
    loc, scale = rng.normal(size=(6, 2)), rng.uniform(0.3, 0.8, (6, 2))
    z = np.linspace(-14, 14, 2801)
    density = np.exp(-np.abs(z[:, None, None] - loc) / scale) / (2 * scale)  # [Z, N, 2]
    joint = np.einsum("xn,yn->xy", density[..., 0], density[..., 1]) / 6
    product = np.outer(density[..., 0].mean(axis=1), density[..., 1].mean(axis=1))
    expected = np.sum(joint * np.log(joint / product)) * 0.01**2
    found = tc.elbo_decomposition(codes(loc, scale, grid), samples=100_000)
    assert found.total_correlation == pytest.approx(expected, abs=4 * found.standard_error + 1e-4)


def test_the_parts_sum_to_the_kl_whose_cross_entropy_is_an_integral(rng):
    """KL(Laplace(μ, b) ‖ N(0, 1)) = ½ log 2π + ½(μ² + 2b²) − 1 − log 2b."""
    loc, scale, log_px = rng.normal(size=(96, 2)), rng.uniform(0.1, 1, size=(96, 2)), rng.normal(size=96) - 50
    found = tc.elbo_decomposition(codes(loc, scale, log_px=log_px), samples=100)
    kl = 0.5 * np.log(2 * np.pi) + 0.5 * (loc**2 + 2 * scale**2) - 1 - np.log(2 * scale)
    assert found.kl == pytest.approx(kl.sum(axis=1).mean())
    assert found.mutual_information + found.total_correlation + found.dimension_kl.sum() == pytest.approx(found.kl)
    assert found.elbo == pytest.approx(log_px.mean() - found.kl)
    z = loc[0, 0] + np.linspace(-40, 40, 400_001) * scale[0, 0]
    q = np.exp(-np.abs(z - loc[0, 0]) / scale[0, 0]) / (2 * scale[0, 0])
    integral = np.trapezoid(q * (np.log(q) + 0.5 * z**2 + 0.5 * np.log(2 * np.pi)), z)
    assert kl[0, 0] == pytest.approx(integral, abs=1e-6)

    other = tc.elbo_decomposition(codes(loc, scale, prior_cross_entropy=np.array([3.0, 4.0])), samples=100)
    assert other.kl == pytest.approx(7 - (2 + np.log(2 * scale).sum(axis=1)).mean())


def test_independent_latents_have_no_total_correlation():
    values = GRID.to_values(np.arange(96)).astype(float)
    found = tc.elbo_decomposition(codes(values, np.full((96, 2), 0.7)), samples=40_000)
    assert abs(found.total_correlation) < 4 * found.standard_error < 0.05


def test_images_that_are_told_apart_carry_the_logarithm_of_their_number():
    found = tc.elbo_decomposition(codes(np.arange(96.0)[:, None], np.full((96, 1), 0.01)), samples=1000)
    assert found.mutual_information == pytest.approx(np.log(96), abs=1e-5)


def log_sum(z, loc, scale, log_p):
    exponents = sampling.log_laplace(z[:, None], loc, scale) + log_p
    largest = exponents.max(axis=1)
    return largest + np.log(np.exp(exponents - largest[:, None]).sum(axis=1))


@pytest.mark.parametrize("least", [0.1, 1e-5])  # float32, float64
def test_blocks_and_precision_change_nothing(rng, monkeypatch, least):
    loc, z = rng.normal(size=(500, 4)), rng.normal(size=(130, 4))
    scale = np.maximum(rng.uniform(0.1, 1, (500, 4)) * np.where(np.arange(500) < 9, least, 1)[:, None], 1e-6)
    shift, weights = sampling.log_laplace(z, loc[20], scale[20]), rng.dirichlet(np.ones(500))
    arguments = (z, loc, scale, weights, shift)
    whole = sampling.log_mixture(*arguments, posteriors=sampling.Laplaces)
    assert whole == pytest.approx(log_sum(z, loc, scale, np.log(weights)), abs=1e-5)
    monkeypatch.setattr(sampling, "_POSTERIORS", 77)
    monkeypatch.setattr(sampling, "_PRODUCT", 130 * 10 * 13)
    assert sampling.log_mixture(*arguments, posteriors=sampling.Laplaces) == pytest.approx(whole, abs=1e-5)


@pytest.mark.parametrize("narrow", [1e-2, 1e-5])
def test_the_density_is_right_where_a_far_narrower_component_is_nearer(rng, narrow):
    loc = np.concatenate([np.zeros((48, 20)), rng.normal(size=(48, 20))])
    scale = np.repeat([narrow, 10.0], 48)[:, None] * np.ones(20)
    z = np.concatenate([rng.laplace(scale=narrow, size=(70, 20)), rng.normal(size=(70, 20))])
    shift = sampling.log_laplace(z, loc[60], scale[60])  # all drawn, let us say, from a wide one
    found = sampling.log_mixture(z, loc, scale, None, shift, posteriors=sampling.Laplaces)
    assert found == pytest.approx(log_sum(z, loc, scale, -np.log(96)), abs=1e-4)


def test_the_covariance_of_samples_has_twice_the_squared_scale(rng):
    loc, scale = rng.normal(size=(96, 2)) @ [[1, 0.8], [0, 0.6]], rng.uniform(0.2, 0.5, (96, 2))
    found = tc.gaussian_total_correlation(codes(loc, scale))
    covariance = np.cov(loc.T, ddof=0) + np.diag(2 * np.mean(scale**2, axis=0))
    assert found.of_samples == pytest.approx(-0.5 * np.log(1 - covariance[0, 1] ** 2 / covariance.diagonal().prod()))
    assert tc.active_units(codes(loc, scale)).score == 2


def test_a_summary_is_the_same_whatever_the_threads(rng, monkeypatch):
    from tcvae_tf.metrics import summary

    both = codes(rng.normal(size=(96, 3)), rng.uniform(0.05, 1, (96, 3)))
    found = []
    for threads in (1, 4):
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", str(threads))
        found.append(summary(both, samples=300))
    assert found[0] == found[1]
    assert found[0]["mig_error_bound"] < 1e-6 and found[0]["elbo"] is None


def test_other_families_are_refused(rng):
    other = tc.Codes(loc=rng.normal(size=(96, 2)), scale=np.ones((96, 2)), grid=GRID)
    object.__setattr__(other, "posterior", "cauchy")
    for measure in (tc.mig, lambda c: tc.mig(c, "monte_carlo"), tc.elbo_decomposition, tc.gaussian_total_correlation):
        with pytest.raises(ValueError, match="needs normal or laplace posteriors; these codes are 'cauchy'"):
            measure(other)
    assert tc.mig(other, "histogram").error_bound is None


@pytest.mark.parametrize(("least", "largest"), [(1e-9, 1e8), (1e-8, 1e9), (1e-12, 1e6)])
def test_scales_too_unlike_for_float64_are_refused(least, largest):
    with pytest.raises(ValueError, match="too unlike for float64; bound the smallest scale"):
        LaplaceMixture(np.zeros(2), np.array([least, largest]))
