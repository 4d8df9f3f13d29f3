"""Entropies of mixtures against closed forms and a dense float64 quadrature of the defining integral."""

import numpy as np
import pytest

from tcvae_tf.metrics.entropy import Mixture


def quadrature(loc, scale, labels, count, weights, points=200_001):
    """H(z) and H(z|v) from the density of every component at every point."""
    z = np.linspace((loc - 9 * scale).min(), (loc + 9 * scale).max(), points)
    density = np.zeros((count, points))
    for mean, sigma, value, p in zip(loc, scale, labels, weights, strict=True):
        density[value] += p * np.exp(-0.5 * ((z - mean) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))

    def entropy(q):
        return -np.sum(q * np.log(np.maximum(q, 1e-300))) * (z[1] - z[0])

    mass = np.bincount(labels, weights, count)
    return entropy(density.sum(axis=0)), np.array(
        [entropy(q / p) if p else 0 for q, p in zip(density, mass, strict=True)]
    )


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(1, 1, 1), (6, 0.3, 0.3), (40, 0.05, 0.05), (40, 0.05, 1), (200, 0.02, 0.5), (200, 0.1, 0.12), (60, 0.003, 1)],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_entropies_equal_the_quadrature_within_the_stated_bound(rng, count, low, high, weighted):
    loc = rng.normal(size=count)
    scale = np.exp(rng.uniform(np.log(low), np.log(high), count))
    labels = np.arange(count) % 4
    weights = rng.dirichlet(np.ones(count)) if weighted else np.full(count, 1 / count)
    marginal, conditional = quadrature(loc, scale, labels, 4, weights)
    found = Mixture(loc, scale, weights if weighted else None).entropies(labels, 4)
    slack = 1e-9  # of the quadrature and of rounding
    assert abs(found.marginal - marginal) <= found.marginal_error + slack
    assert np.all(np.abs(found.conditional - conditional) <= found.conditional_error + slack)
    assert found.marginal == pytest.approx(marginal, abs=2e-5)
    assert found.conditional == pytest.approx(conditional, abs=1e-4)


def test_a_single_component_has_the_entropy_of_a_normal():
    found = Mixture(np.array([3.0]), np.array([0.2])).entropies(np.array([0]), 1)
    assert found.marginal == pytest.approx(0.5 * np.log(2 * np.pi * np.e * 0.04), abs=1e-9)


def test_far_components_add_the_entropy_of_the_choice():
    loc = np.repeat([0.0, 100.0, 300.0, 700.0], 5)
    found = Mixture(loc, np.full(20, 0.5)).entropies(np.arange(20) // 5, 4)
    normal = 0.5 * np.log(2 * np.pi * np.e * 0.25)
    assert found.marginal == pytest.approx(np.log(4) + normal, abs=1e-8)
    assert found.conditional == pytest.approx(np.full(4, normal), abs=1e-8)


def test_blocks_of_values_change_nothing(rng, monkeypatch):
    from tcvae_tf.metrics import entropy

    loc, scale, labels = rng.normal(size=300), rng.uniform(0.1, 1, 300), rng.integers(0, 9, 300)
    whole = Mixture(loc, scale).entropies(labels, 9)
    monkeypatch.setattr(entropy, "_BLOCK_BYTES", 1)
    blocked = Mixture(loc, scale).entropies(labels, 9)
    assert blocked.conditional == pytest.approx(whole.conditional, abs=1e-12)
    assert blocked.marginal == pytest.approx(whole.marginal, abs=1e-12)


def test_blocks_of_values_keep_components_of_another_octave_apart(rng, monkeypatch):
    """Narrow components that all have the first label must not be counted again in later blocks."""
    from tcvae_tf.metrics import entropy

    loc, labels = rng.normal(size=90), np.arange(90) % 9
    scale = np.where(labels == 0, 0.05, 1.0)
    whole = Mixture(loc, scale).entropies(labels, 9)
    monkeypatch.setattr(entropy, "_BLOCK_BYTES", 1)
    blocked = Mixture(loc, scale).entropies(labels, 9)
    assert blocked.marginal == pytest.approx(whole.marginal, abs=1e-12)
    assert blocked.conditional == pytest.approx(whole.conditional, abs=1e-12)


def test_scales_too_far_apart_are_refused():
    with pytest.raises(ValueError, match="scale 1e-08 is too small"):
        Mixture(np.zeros(2), np.array([1e-8, 1.0]))


def test_values_that_do_not_occur_have_no_entropy(rng):
    found = Mixture(rng.normal(size=10), np.ones(10)).entropies(np.full(10, 2), 4)
    assert found.conditional[[0, 1, 3]].tolist() == [0, 0, 0]
    assert found.conditional[2] == pytest.approx(found.marginal)
