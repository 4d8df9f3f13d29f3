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


def test_the_same_codes_give_the_same_bits_whatever_the_threads(rng, monkeypatch):
    loc, scale = make(rng)
    codes = tc.Codes(loc=loc, scale=scale, grid=GRID)
    found = []
    for threads in (1, 1, 4):
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", str(threads))
        found.append((tc.mig(codes).score, tc.elbo_decomposition(codes, samples=300).total_correlation))
    assert found[0] == found[1] == found[2]


def test_unscored_factors_are_noise(rng):
    """A latent that follows the unscored factor gets no gap and takes none away."""
    loc, scale = make(rng)
    before = score(loc, scale).score
    loc[:, 2], scale[:, 2] = GRID.values("noise"), 0.01
    assert score(loc, scale).score == pytest.approx(before, abs=1e-6)


def dense(loc, scale, labels, points=400_001):
    """I(z; v) in nats from every density at every point of a fine grid."""
    z = np.linspace((loc - 9 * scale).min(), (loc + 9 * scale).max(), points)
    density = np.zeros((labels.max() + 1, points))
    for mean, sigma, value in zip(loc, scale, labels, strict=True):
        density[value] += np.exp(-0.5 * ((z - mean) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi)) / len(loc)
    p = np.bincount(labels) / len(labels)
    marginal = density.sum(axis=0)
    ratio = np.maximum(density, 1e-300) / p[:, None] / np.maximum(marginal, 1e-300)
    return np.sum(density * np.log(ratio)) * (z[1] - z[0])


def test_the_score_is_within_a_hundred_thousandth_of_a_dense_quadrature(rng):
    loc, scale = rng.normal(size=(96, 3)), rng.uniform(0.02, 1, size=(96, 3))
    found = score(loc, scale)
    truth = np.array([[dense(loc[:, j], scale[:, j], GRID.values(name)) for name in GRID.scored] for j in range(3)])
    ordered = np.sort(truth, axis=0)
    expected = np.mean((ordered[-1] - ordered[-2]) / np.log([4, 8]))
    assert found.error_bound <= 1e-5
    assert abs(found.score - expected) <= min(found.error_bound + 1e-9, 1e-5)
    assert np.all(np.abs(found.mutual_information - truth) <= found.information_error + 1e-9)


def test_scales_from_a_ten_thousandth_to_ten_meet_in_one_code(rng):
    """Narrow and wide components in the same latent: to shift and scale a latent still changes nothing."""
    loc = rng.normal(size=(96, 3))
    scale = np.exp(rng.uniform(np.log(1e-4), np.log(10), size=(96, 3)))
    scale[0], scale[1] = 1e-4, 10
    before, after = score(loc, scale), score(3.3 * loc - 5, 3.3 * scale)
    assert before.error_bound < 1e-5
    assert abs(after.score - before.score) <= before.error_bound + after.error_bound
    # z of so narrow a component tells the image; a wide one tells nothing.
    assert 0.2 < before.normalised.max() < 0.9


def test_a_smaller_tolerance_gives_a_smaller_bound(rng, monkeypatch):
    from tcvae_tf.metrics import lattice

    monkeypatch.setattr(lattice, "_FEW", 0)  # so few components would be summed as they are, exactly
    loc, scale = rng.normal(size=(96, 3)), rng.uniform(0.02, 1, size=(96, 3))
    codes = tc.Codes(loc=loc, scale=scale, grid=GRID)
    coarse, fine = tc.mig(codes, tolerance=1.0), tc.mig(codes, tolerance=1e-7)
    assert fine.error_bound <= 1e-7 < coarse.error_bound
    assert abs(fine.score - coarse.score) <= coarse.error_bound


def test_monte_carlo_converges_to_the_exact_information(rng):
    loc, scale = make(rng, spread=0.6)
    codes = tc.Codes(loc=loc, scale=scale, grid=GRID)
    exact, errors = tc.mig(codes), []
    for samples in (100, 40_000):
        found = tc.mig(codes, method="monte_carlo", samples=samples, seed=1)
        assert np.all(np.abs(found.mutual_information - exact.mutual_information) <= 4.5 * found.information_error)
        errors.append(found.information_error.max())
    assert errors[1] < 0.06 * errors[0]  # √400 times smaller
    assert found.score == pytest.approx(exact.score, abs=0.01)
    assert found.method == "monte_carlo" and found.error_bound is None


def test_monte_carlo_uses_the_weights_and_its_seed(rng):
    weights = rng.dirichlet(np.ones(96))
    weights[:7] = 0
    grid = tc.FactorGrid(GRID.names, GRID.sizes, GRID.scored, weights / weights.sum())
    loc, scale = make(rng, spread=0.6)
    codes = tc.Codes(loc=loc, scale=scale, grid=grid)
    one, again, other = (tc.mig(codes, method="monte_carlo", samples=20_000, seed=seed) for seed in (0, 0, 1))
    assert one.score == again.score != other.score
    difference = np.abs(one.mutual_information - tc.mig(codes).mutual_information)
    assert np.all(difference <= 4.5 * one.information_error)


def test_the_runner_up_of_dead_latents_is_a_maximum_over_noise(rng):
    """Monte Carlo MIG of one live and many dead latents is below the exact one, on the average over seeds."""
    loc, scale = make(rng, latents=8)
    codes = tc.Codes(loc=loc, scale=scale, grid=GRID)
    estimates = [tc.mig(codes, method="monte_carlo", samples=200, seed=seed).score for seed in range(10)]
    assert np.mean(estimates) < tc.mig(codes).score - 0.01


def test_the_histogram_scores_every_factor_and_reports_its_ceiling():
    """A perfect code of 32 equidistant values reaches 0.902 with 20 bins, and never more than ln 20 / ln 32."""
    grid = tc.FactorGrid(("noise", "x"), (3, 32), scored=("x",))
    loc = np.stack([grid.values("x"), grid.values("noise")], axis=1).astype(float)
    codes = tc.Codes(loc=loc, scale=np.full(loc.shape, 0.1), grid=grid)
    found = tc.mig(codes, method="histogram", samples=None)
    assert found.factors == ("noise", "x")
    # 32 equidistant values in 20 bins: 8 bins with one value and 12 with two.
    binned = -(8 / 32) * np.log(1 / 32) - (24 / 32) * np.log(2 / 32)
    assert found.gaps[1] * np.log(32) == pytest.approx(binned)
    assert found.gaps[1] < np.log(20) / np.log(32)
    assert found.ceiling == pytest.approx((1 + np.log(20) / np.log(32)) / 2)
    assert found.gaps[0] == pytest.approx(1)
    assert tc.mig(codes, method="histogram", samples=None, bins=32).gaps[1] == pytest.approx(1)


def test_the_ceiling_on_dsprites_is_that_of_twenty_bins():
    from tcvae_tf.datasets import dsprites

    grid = dsprites.GRID
    codes = tc.Codes(loc=np.zeros((len(grid), 1)), scale=np.ones((len(grid), 1)), grid=grid)
    assert tc.mig(codes, method="histogram", samples=None).ceiling == pytest.approx(0.908, abs=5e-4)


def test_the_histogram_of_sampled_images_comes_near_that_of_all(rng):
    loc, scale = make(rng)
    codes = tc.Codes(loc=loc, scale=scale, grid=GRID)
    all_images = tc.mig(codes, method="histogram", samples=None).score
    assert tc.mig(codes, method="histogram", seed=3).score == pytest.approx(all_images, abs=0.03)


def test_results_print_as_a_line(rng):
    loc, scale = make(rng)
    codes = tc.Codes(loc=loc, scale=scale, grid=GRID, log_px=np.full(96, -5.0))
    found = tc.mig(codes)
    assert str(found).startswith(f"MIG {found.score:.4f} (exact, numerical error at most ")
    assert f"a {found.gaps[0]:.3f}" in str(found)
    parts = tc.elbo_decomposition(codes, samples=100)
    assert str(parts).startswith(f"ELBO {parts.elbo:.3f} = -5.000 − I {parts.mutual_information:.3f} − TC")
    alone = tc.elbo_decomposition(tc.Codes(loc=loc, scale=scale, grid=GRID), samples=100)
    assert str(alone).startswith(f"KL {alone.kl:.3f} = I {alone.mutual_information:.3f} + TC")


def test_a_progress_bar_is_drawn_when_asked_for(rng, capsys):
    loc, scale = make(rng)
    codes = tc.Codes(loc=loc, scale=scale, grid=GRID)
    tc.mig(codes, method="monte_carlo", samples=50, verbose=1)
    assert "Monte Carlo MIG" in capsys.readouterr().err
    tc.mig(codes, method="monte_carlo", samples=50)
    assert capsys.readouterr().err == ""


def test_bad_calls_are_refused(rng):
    loc, scale = make(rng)
    codes = tc.Codes(loc=loc, scale=scale, grid=GRID)
    with pytest.raises(TypeError, match=r"tc.mig\(tc.encode\(vae, data\)\); got ndarray"):
        tc.mig(loc)
    with pytest.raises(ValueError, match="unknown method 'histogramm'"):
        tc.mig(codes, method="histogramm")
    with pytest.raises(ValueError, match="bins and samples must be 2 or more"):
        tc.mig(codes, method="monte_carlo", samples=None)
    with pytest.raises(ValueError, match="bins and samples must be 2 or more"):
        tc.mig(codes, method="histogram", bins=1)
    with pytest.raises(ValueError, match="two values or more"):
        score(loc[:1], scale[:1], tc.FactorGrid(("a",), (1,)))


@pytest.mark.parametrize("method", ["monte_carlo", "histogram"])
def test_no_samples_are_not_taken_for_all(rng, method):
    codes = tc.Codes(rng.normal(size=(12, 2)), np.ones((12, 2)), tc.FactorGrid(("a", "b"), (3, 4)))
    with pytest.raises(ValueError, match="bins and samples must be 2 or more"):
        tc.mig(codes, method=method, samples=0)
