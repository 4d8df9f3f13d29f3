"""Entropies of mixtures against closed forms and a dense float64 quadrature of the defining integral."""

import itertools

import numpy as np
import pytest

from tcvae_tf.metrics import lattice
from tcvae_tf.metrics.entropy import Mixture

#: Where the oracle cuts the line around every component, in its σ.
CUTS = np.array([0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9, 10, 12, 20, 40])


def quadrature(loc, scale, labels, count, weights):
    """H(z) and H(z|v) by Gauss's rule between cuts around every component, every density at every point."""
    edges = np.unique((loc[:, None] + scale[:, None] * np.concatenate([-CUTS, CUTS])).ravel())
    nodes, rule = np.polynomial.legendre.leggauss(12)
    z = (edges[:-1, None] + np.diff(edges)[:, None] * (nodes + 1) / 2).ravel()
    dz = (np.diff(edges)[:, None] * rule / 2).ravel()
    density = np.zeros((count, len(z)))
    for mean, sigma, value, p in zip(loc, scale, labels, weights, strict=True):
        density[value] += p * np.exp(-0.5 * ((z - mean) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))

    def entropy(q):
        return -np.sum(dz * q * np.log(np.maximum(q, 1e-300)))

    mass = np.bincount(labels, weights, count)
    return entropy(density.sum(axis=0)), np.array(
        [entropy(q / p) if p else 0 for q, p in zip(density, mass, strict=True)]
    )


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [
        (1, 1, 1),
        (2, 1e-6, 100),
        (6, 0.3, 0.3),
        (40, 0.05, 0.05),
        (40, 0.05, 1),
        (200, 0.02, 0.5),
        (200, 0.1, 0.12),
        (60, 0.003, 1),
        (60, 1e-4, 10),
        (200, 1e-4, 10),
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("order", [6, 10, None])  # None: few components, summed as they are
def test_entropies_equal_the_quadrature_within_the_stated_bound(rng, monkeypatch, count, low, high, weighted, order):
    monkeypatch.setattr(lattice, "_FEW", 0 if order else 15_000)
    loc = rng.normal(size=count)
    scale = np.exp(rng.uniform(np.log(low), np.log(high), count))
    scale[: min(2, count)] = [low, high][:count]
    labels = np.arange(count) % 4
    weights = rng.dirichlet(np.ones(count)) if weighted else np.full(count, 1 / count)
    marginal, conditional = quadrature(loc, scale, labels, 4, weights)
    found = Mixture(loc, scale, weights if weighted else None, order or 6).entropies(labels, 4)
    slack = 1e-10  # of the oracle and of rounding
    assert abs(found.marginal - marginal) <= found.marginal_error + slack
    assert np.all(np.abs(found.conditional - conditional) <= found.conditional_error + slack)
    assert max(found.marginal_error, found.conditional_error.max()) < {6: 1e-3, 10: 3e-6, None: 1e-6}[order]
    assert found.marginal == pytest.approx(marginal, abs=1e-5)


def test_every_four_orders_more_gain_a_factor_of_ten_or_more(rng, monkeypatch):
    monkeypatch.setattr(lattice, "_FEW", 0)
    loc, scale, labels = rng.normal(size=60), np.exp(rng.uniform(-6, 0, 60)), np.zeros(60, int)
    truth, _ = quadrature(loc, scale, labels, 1, np.full(60, 1 / 60))
    found = [Mixture(loc, scale, order=order).entropies(labels, 1) for order in (2, 6, 10, 14)]
    for coarse, fine in itertools.pairwise(found):
        assert fine.marginal_error < coarse.marginal_error / 10
    assert abs(found[-1].marginal - truth) < 1e-9


def test_narrow_components_far_apart_cost_no_more_than_near_ones(rng):
    """A lattice lies only where components are: 50 of them with σ = 1e-4 over a range of 200."""
    loc, scale = rng.uniform(-100, 100, 50), np.full(50, 1e-4)
    mixture = Mixture(loc, scale)
    assert sum(region.lattice.size for region in mixture._regions) < 50 * 1000
    truth = np.log(50) + 0.5 * np.log(2 * np.pi * np.e * 1e-8)
    assert mixture.entropies(np.zeros(50, int), 1).marginal == pytest.approx(truth, abs=1e-9)


def test_a_single_component_has_the_entropy_of_a_normal():
    found = Mixture(np.array([3.0]), np.array([0.2])).entropies(np.array([0]), 1)
    assert found.marginal == pytest.approx(0.5 * np.log(2 * np.pi * np.e * 0.04), abs=1e-9)


def test_far_components_add_the_entropy_of_the_choice():
    loc = np.repeat([0.0, 100.0, 300.0, 700.0], 5)
    found = Mixture(loc, np.full(20, 0.5)).entropies(np.arange(20) // 5, 4)
    normal = 0.5 * np.log(2 * np.pi * np.e * 0.25)
    assert found.marginal == pytest.approx(np.log(4) + normal, abs=1e-8)
    assert found.conditional == pytest.approx(np.full(4, normal), abs=1e-8)


@pytest.mark.parametrize("few", [0, 15_000])
def test_blocks_of_values_change_nothing(rng, monkeypatch, few):
    from tcvae_tf.metrics import entropy

    monkeypatch.setattr(lattice, "_FEW", few)
    loc, scale, labels = rng.normal(size=300), rng.uniform(0.1, 1, 300), rng.integers(0, 9, 300)
    whole = Mixture(loc, scale).entropies(labels, 9)
    monkeypatch.setattr(entropy, "_BLOCK_BYTES", 1)
    blocked = Mixture(loc, scale).entropies(labels, 9)
    assert blocked.conditional == pytest.approx(whole.conditional, abs=1e-12)
    assert blocked.marginal == pytest.approx(whole.marginal, abs=1e-12)


@pytest.mark.parametrize("few", [0, 15_000])
def test_blocks_of_values_keep_components_of_another_octave_apart(rng, monkeypatch, few):
    """Narrow components that all have the first label must not be counted again in later blocks."""
    from tcvae_tf.metrics import entropy

    monkeypatch.setattr(lattice, "_FEW", few)
    loc, labels = rng.normal(size=90), np.arange(90) % 9
    scale = np.where(labels == 0, 0.05, 1.0)
    whole = Mixture(loc, scale).entropies(labels, 9)
    monkeypatch.setattr(entropy, "_BLOCK_BYTES", 1)
    blocked = Mixture(loc, scale).entropies(labels, 9)
    assert blocked.marginal == pytest.approx(whole.marginal, abs=1e-12)
    assert blocked.conditional == pytest.approx(whole.conditional, abs=1e-12)


def test_narrow_components_that_fill_too_long_a_line_are_refused(rng, monkeypatch):
    monkeypatch.setattr(lattice, "_LARGEST", 4096)
    with pytest.raises(ValueError, match=r"scale 0\.001 is too small beside means that fill 9"):
        Mixture(np.linspace(0, 9, 3000), np.full(3000, 0.001))


def test_scales_halfway_between_two_levels_keep_to_their_octave(monkeypatch):
    """σ = 2^(i/16): whether such a σ counts to the octave above or below must be decided once."""
    monkeypatch.setattr(lattice, "_FEW", 0)
    for least in range(-24, 24, 5):
        scale = 2.0 ** ((least + np.arange(40)) / 16)
        labels, weights = np.arange(40) % 4, np.full(40, 1 / 40)
        marginal, conditional = quadrature(np.zeros(40), scale, labels, 4, weights)
        found = Mixture(np.zeros(40), scale).entropies(labels, 4)
        assert abs(found.marginal - marginal) <= found.marginal_error
        assert np.all(np.abs(found.conditional - conditional) <= found.conditional_error)


@pytest.mark.parametrize("sigma", [1e-7, 1e-8, 1e-10, 1e-11])
def test_what_rounding_costs_very_narrow_components_is_in_the_bound(sigma):
    truth = np.log(2) + 0.5 * np.log(2 * np.pi * np.e * sigma**2)
    for gap in (1.0, 1.37, 2 / 3):
        found = Mixture(np.array([0.123, 0.123 + gap]), np.full(2, sigma)).entropies(np.arange(2), 2)
        assert abs(found.marginal - truth) <= found.marginal_error


def test_scales_below_what_float64_can_place_are_refused():
    with pytest.raises(ValueError, match="scale 1e-20 is too small beside means spread over 3 for float64"):
        Mixture(np.array([0.0, 3.0]), np.full(2, 1e-20))
    far = Mixture(np.array([1e6, 1e6 + 1]), np.full(2, 1e-4)).entropies(np.arange(2), 2)
    assert far.marginal == pytest.approx(np.log(2) + 0.5 * np.log(2 * np.pi * np.e * 1e-8), abs=1e-9)


def test_values_that_do_not_occur_have_no_entropy(rng):
    found = Mixture(rng.normal(size=10), np.ones(10)).entropies(np.full(10, 2), 4)
    assert found.conditional[[0, 1, 3]].tolist() == [0, 0, 0]
    assert found.conditional[2] == pytest.approx(found.marginal)
