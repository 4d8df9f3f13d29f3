"""Theorems about the MIG, and the paper's Monte Carlo definition as oracle."""

import numpy as np
import pytest

import tcvae_tf as tc

GRID = tc.FactorGrid(("noise", "a", "b"), (3, 4, 8), scored=("a", "b"))


def make(rng, grid=GRID, latents=4, spread=0.3):
    """Latents 0 and 1 follow a and b; the others are dead."""
    n = len(grid)
    loc = 0.01 * rng.normal(size=(n, latents))
    scale = np.ones((n, latents))
    for j, name in enumerate(("a", "b")):
        loc[:, j] += grid.values(name) * 1.0
        scale[:, j] = spread * rng.uniform(0.7, 1.3, n)
    return loc, scale


def score(loc, scale, grid=GRID):
    return tc.mig(tc.Codes(loc=loc, scale=scale, grid=grid))


def test_a_perfect_code_has_mig_one(rng):
    loc, _ = make(rng)
    found = score(np.rint(loc), np.where(np.arange(4) < 2, 0.02, 1.0) * np.ones((96, 1)))
    assert found.score == pytest.approx(1, abs=1e-3)
    assert found.winners[:, 0].tolist() == [0, 1]


def test_information_equals_the_paper_s_definition_by_monte_carlo(rng):
    """I(z_j; v) = E_q(z,v) [log q(z_j|v) − log q(z_j)], with z ~ q(z|x) and every density a sum over all images."""
    loc, scale = make(rng, spread=0.6)
    found = score(loc, scale)
    images = rng.integers(len(GRID), size=20_000)
    for j in range(2):
        z = loc[images, j] + scale[images, j] * rng.normal(size=20_000)
        density = np.exp(-0.5 * ((z[:, None] - loc[:, j]) / scale[:, j]) ** 2) / scale[:, j]  # [S, N]
        for k, name in enumerate(GRID.scored):
            values = GRID.values(name)
            same = values == values[images][:, None]
            ratios = np.log((density * same).sum(axis=1) / same.sum(axis=1)) - np.log(density.mean(axis=1))
            error = ratios.std() / np.sqrt(len(ratios))
            assert abs(found.mutual_information[j, k] - ratios.mean()) < 4 * error


def test_information_is_bounded_by_the_entropy_of_the_factor(rng):
    loc, scale = rng.normal(size=(96, 5)), rng.uniform(0.001, 1, size=(96, 5))
    found = score(loc, scale)
    assert np.all(found.mutual_information <= found.entropies + found.error_bound)
    assert np.all(found.mutual_information >= 0)
    assert found.entropies == pytest.approx([np.log(4), np.log(8)])


def test_a_duplicated_latent_leaves_no_gap(rng):
    loc, scale = make(rng)
    loc[:, 2], scale[:, 2] = loc[:, 0], scale[:, 0]
    assert score(loc, scale).gaps[0] == pytest.approx(0, abs=1e-12)


def test_permuting_flipping_shifting_and_scaling_latents_changes_nothing(rng):
    loc, scale = make(rng)
    before = score(loc, scale)
    order = [2, 0, 3, 1]
    factor = np.array([-1.0, 2.0, 0.1, -3.0])
    after = score(loc[:, order] * factor + 7, scale[:, order] * np.abs(factor))
    assert after.score == pytest.approx(before.score, abs=1e-5)
    assert after.mutual_information == pytest.approx(before.mutual_information[order], abs=1e-5)


def test_permuting_images_within_a_cell_of_the_scored_factors_changes_nothing(rng):
    loc, scale = make(rng)
    order = np.arange(96).reshape(3, 4, 8)
    order[:, 1, 3] = order[[2, 0, 1], 1, 3]
    assert score(loc[order.ravel()], scale[order.ravel()]).score == pytest.approx(score(loc, scale).score, abs=1e-9)


def test_dead_latents_carry_no_information(rng):
    found = score(np.zeros((96, 3)), np.ones((96, 3)))
    assert found.mutual_information == pytest.approx(np.zeros((3, 2)), abs=1e-12)
    assert found.score == pytest.approx(0, abs=1e-12)


def test_a_lone_latent_has_the_gap_of_its_information(rng):
    loc, scale = make(rng)
    found = score(loc[:, :1], scale[:, :1])
    assert found.gaps[0] == pytest.approx(found.normalised[0, 0])
    assert found.winners[:, 1].tolist() == [-1, -1]


def test_weights_on_a_part_of_the_grid_equal_that_part_alone(rng):
    part, indices = GRID.thin(2)
    weights = np.zeros(96)
    weights[indices] = 1 / len(indices)
    whole = tc.FactorGrid(GRID.names, GRID.sizes, GRID.scored, weights)
    loc, scale = make(rng)
    assert score(loc, scale, whole).score == pytest.approx(score(loc[indices], scale[indices], part).score, abs=1e-9)


def test_weights_equal_repeated_images(rng):
    """A cell of weight 3/… stands for three equal images."""
    grid = tc.FactorGrid(("a",), (3,), weights=np.array([0.5, 0.25, 0.25]))
    repeated = tc.FactorGrid(("a", "copy"), (2, 2), scored=("a",))
    loc, scale = np.array([[0.0], [1.0], [1.5]]), np.array([[0.4], [0.5], [0.3]])
    weighted = tc.mig(tc.Codes(loc=loc, scale=scale, grid=grid))
    again = tc.mig(tc.Codes(loc=loc[[0, 0, 1, 2]], scale=scale[[0, 0, 1, 2]], grid=repeated))
    assert weighted.latent_entropies == pytest.approx(again.latent_entropies, abs=1e-9)


def test_the_same_codes_give_the_same_bits(rng):
    loc, scale = make(rng)
    assert score(loc, scale).score == score(loc, scale).score


def test_unscored_factors_are_noise(rng):
    """A latent that follows the unscored factor gets no gap and takes none away."""
    loc, scale = make(rng)
    before = score(loc, scale).score
    loc[:, 2], scale[:, 2] = GRID.values("noise"), 0.01
    assert score(loc, scale).score == pytest.approx(before, abs=1e-6)


def test_bad_calls_are_refused(rng):
    loc, scale = make(rng)
    codes = tc.Codes(loc=loc, scale=scale, grid=GRID)
    with pytest.raises(TypeError, match=r"tc.mig\(tc.encode\(vae, data\)\); got ndarray"):
        tc.mig(loc)
    with pytest.raises(ValueError, match="unknown method 'histogramm'"):
        tc.mig(codes, method="histogramm")
    with pytest.raises(ValueError, match="two values or more"):
        score(loc[:1], scale[:1], tc.FactorGrid(("a",), (1,)))
    with pytest.raises(ValueError, match="normal posteriors"):
        tc.mig(tc.Codes(loc=loc, scale=scale, grid=GRID, posterior="laplace"))
