"""Theorems about the objective. The oracle is the paper's formula, written with loops in float64."""

import numpy as np
import pytest
import tensorflow as tf

import tcvae_tf as tc
from tcvae_tf import objective

N = 50
ESTIMATORS = list(objective.ESTIMATORS)


@pytest.fixture
def batch(rng):
    """z, loc and scale of a batch of 6 images and 3 latents, float64."""
    loc, scale = rng.normal(size=(6, 3)), np.exp(rng.normal(size=(6, 3)) - 1)
    return loc + scale * rng.normal(size=(6, 3)), loc, scale


def log_normal(z, loc, scale):
    return -0.5 * ((z - loc) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)


def terms_by_loops(z, loc, scale, weights):
    """Equation 2 with log q̂(z_i) = log Σ_j W_ij q(z_i|x_j), sample by sample."""
    information, correlation, dimension = [], [], []
    for i in range(len(z)):
        log_q = np.array([log_normal(z[i], loc[j], scale[j]) for j in range(len(z))])  # [j, latent]
        log_qz = np.log(np.sum(weights[i] * np.exp(log_q.sum(axis=1))))
        log_qz_product = np.sum(np.log(weights[i] @ np.exp(log_q)))
        information.append(log_q[i].sum() - log_qz)
        correlation.append(log_qz - log_qz_product)
        dimension.append(log_qz_product - log_normal(z[i], 0, 1).sum())
    return {
        "mutual_information": information,
        "total_correlation": correlation,
        "dimension_kl": dimension,
    }


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_terms_equal_the_formula(batch, estimator):
    weights = np.exp(objective.ESTIMATORS[estimator](6, N))
    expected = terms_by_loops(*batch, weights)
    found = objective.kl_terms(*batch, N, estimator)
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert found[name].numpy() == pytest.approx(values, rel=1e-10), name


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_terms_sum_to_the_kl(batch, estimator):
    z, loc, scale = batch
    kl = (log_normal(z, loc, scale) - log_normal(z, 0, 1)).sum(axis=1)
    assert sum(objective.kl_terms(*batch, N, estimator).values()).numpy() == pytest.approx(kl, rel=1e-12)


def test_the_terms_with_the_whole_data_set_as_batch_are_exact(batch):
    z, loc, scale = batch
    density = np.exp(log_normal(z[:, None], loc, scale))  # [i, n, latent]
    log_qz = np.log(density.prod(axis=2).mean(axis=1))
    log_qz_product = np.log(density.mean(axis=1)).sum(axis=1)
    found = objective.kl_terms(*batch, 6, "uniform")
    own = log_normal(z, loc, scale).sum(axis=1)
    assert found["mutual_information"].numpy() == pytest.approx(own - log_qz)
    assert found["total_correlation"].numpy() == pytest.approx(log_qz - log_qz_product)


# --- symmetries -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_permuting_latents_changes_nothing(batch, estimator):
    permuted = [array[:, [2, 0, 1]] for array in batch]
    before, after = objective.kl_terms(*batch, N, estimator), objective.kl_terms(*permuted, N, estimator)
    for name, value in before.items():
        assert after[name].numpy() == pytest.approx(value.numpy(), rel=1e-12), name


@pytest.mark.parametrize("estimator", ["mws", "uniform"])
def test_permuting_images_permutes_the_terms(batch, estimator, rng):
    order = rng.permutation(6)
    before = objective.kl_terms(*batch, N, estimator)
    after = objective.kl_terms(*(array[order] for array in batch), N, estimator)
    for name, value in before.items():
        assert after[name].numpy() == pytest.approx(value.numpy()[order], rel=1e-12), name


def test_mss_does_not_depend_on_the_order_of_images_in_expectation(batch):
    """Averaged over all orders of the other images, a sample's q̂ does not depend on its own place in the batch."""
    z, loc, scale = batch
    density = np.exp(log_normal(z[:, None], loc, scale).sum(axis=2))  # q(z_i|x_j)
    weights = np.exp(objective.mss_log_weights(6, N))

    def mean_estimate(image, place):
        total, count = 0.0, 0
        for shift in range(5):
            order = np.roll(np.delete(np.arange(6), image), shift)
            order = np.insert(order, place, image)
            total, count = total + weights[place] @ density[image, order], count + 1
        return total / count

    assert mean_estimate(2, 0) == pytest.approx(mean_estimate(2, 4), rel=1e-9)


# --- precision ------------------------------------------------------------------------------------------------------


def weighted_sum(arrays, estimator):
    terms = objective.kl_terms(*arrays, 1000, estimator)
    return tf.reduce_sum(terms["mutual_information"] + 6 * terms["total_correlation"] + 0.5 * terms["dimension_kl"])


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_gradients_equal_finite_differences(batch, estimator):
    arrays = [tf.constant(array) for array in batch]
    with tf.GradientTape() as tape:
        tape.watch(arrays)
        loss = weighted_sum(arrays, estimator)
    for which, gradient in enumerate(tape.gradient(loss, arrays)):
        numeric = np.zeros((6, 3))
        for index in np.ndindex(6, 3):
            sides = []
            for step in (1e-6, -1e-6):
                moved = [array.copy() for array in batch]
                moved[which][index] += step
                sides.append(float(weighted_sum(moved, estimator)))
            numeric[index] = (sides[0] - sides[1]) / 2e-6
        assert gradient.numpy() == pytest.approx(numeric, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("sigma", [1e-3, 0.1, 1.0])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_float32_is_as_good_as_float64(rng, estimator, sigma):
    loc, noise = rng.normal(size=(64, 10)), rng.normal(size=(64, 10))
    loc32 = loc.astype(np.float32)
    scale32 = np.full((64, 10), sigma, np.float32)
    z32 = loc32 + scale32 * noise.astype(np.float32)

    def value_and_gradient(dtype):
        arrays = [tf.constant(array.astype(dtype)) for array in (z32, loc32, scale32)]
        with tf.GradientTape() as tape:
            tape.watch(arrays)
            loss = weighted_sum(arrays, estimator)
        return np.array(loss), np.concatenate([part.numpy().ravel() for part in tape.gradient(loss, arrays)])

    (value, gradient), (value64, gradient64) = value_and_gradient(np.float32), value_and_gradient(np.float64)
    assert value == pytest.approx(value64, rel=1e-5)
    assert np.linalg.norm(gradient - gradient64) <= 1e-5 * np.linalg.norm(gradient64)


# --- Objective ------------------------------------------------------------------------------------------------------


def weighted(weights, arrays, estimator="mws", posterior="normal"):
    """α·I + β·TC + γ·Σ KL_j by the readable form, a batch mean, and the terms."""
    terms = objective.kl_terms(*arrays, N, estimator, posterior)
    return tf.reduce_mean(sum(weight * term for weight, term in zip(weights, terms.values(), strict=True))), terms


def test_mws_counts_the_information_beyond_log_b_as_total_correlation():
    """Two latents that take each of four places once in a batch of four of the 16 images: I = log 16, and TC = 0."""
    loc = tf.constant([[0.0, 2.0], [1.0, 0.0], [2.0, 3.0], [3.0, 1.0]], tf.float64)
    terms = objective.kl_terms(loc, loc, tf.fill([4, 2], tf.constant(1e-3, tf.float64)), 16, "mws")
    of_no_code = {"mutual_information": np.log(16), "total_correlation": (2 - 1) * np.log(16)}
    assert np.allclose(terms["mutual_information"] - of_no_code["mutual_information"], np.log(4))
    assert np.allclose(terms["total_correlation"] - of_no_code["total_correlation"], np.log(16) - np.log(4))


def test_equal_weights_give_beta_times_the_kl_without_the_pairwise_term(batch):
    """The β-VAE identity: log q(z) cancels, so the value is the same with and without it."""
    shortcut, terms = tc.Objective(4.0, 4.0, 4.0).penalty(*batch)
    assert set(terms) == {"kl"}
    assert shortcut.numpy() == pytest.approx(weighted((4.0, 4.0, 4.0), batch)[0].numpy(), rel=1e-12)


@pytest.mark.parametrize("posterior", ["normal", "laplace"])
@pytest.mark.parametrize("weights", [(0.5, 6.0, 2.0), (1.0, 6.0, 1.0), (4.0, 4.0, 4.0)])
def test_the_penalty_and_its_gradient_are_those_of_the_weighted_terms(batch, weights, posterior):
    arrays, method = [tf.constant(array) for array in batch], tc.Objective(*weights, estimator="mss")
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(arrays)
        expected, terms = weighted(weights, arrays, "mss", posterior)
        found, means = method.penalty(*arrays, N, posterior=posterior)
    assert found.numpy() == pytest.approx(expected.numpy(), rel=1e-12)
    assert tuple(means) == method.terms
    assert means["kl"].numpy() == pytest.approx(np.mean(sum(terms.values())), rel=1e-10)
    for name in means.keys() & terms.keys():
        assert means[name].numpy() == pytest.approx(np.mean(terms[name]), rel=1e-10), name
    pairs = zip(tape.gradient(found, arrays), tape.gradient(expected, arrays), strict=True)
    for gradient, oracle in pairs:
        assert gradient.numpy() == pytest.approx(oracle.numpy(), rel=1e-9, abs=1e-12)


def test_beta_can_be_replaced(batch):
    changed, _ = tc.Objective(1.0, 6.0, 1.0).penalty(*batch, dataset_size=N, beta=2.0)
    assert changed.numpy() == pytest.approx(tc.Objective(1.0, 2.0, 1.0).penalty(*batch, dataset_size=N)[0].numpy())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beta": -1.0}, "finite and not negative"),
        ({"gamma": float("nan")}, "finite and not negative"),
        ({"estimator": "mvs"}, "unknown estimator 'mvs'; choose from mws, mss"),
    ],
)
def test_bad_objectives_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        tc.Objective(**arguments)


def test_a_total_correlation_of_its_own_needs_the_size_of_the_data(batch):
    with pytest.raises(ValueError, match="needs dataset_size"):
        tc.Objective(beta=6.0).penalty(*batch)


# --- schedules and families -----------------------------------------------------------------------------------------


def test_beta_warms_up_and_gamma_anneals_as_the_released_code_has_them():
    objective = tc.Objective(0.5, 6.0, 2.0, beta_warmup=10, lambda_annealing=20)
    for step in (0, 4, 9, 15, 19, 40):
        t = step + 1  # its iterations begin with 1
        alpha, beta, gamma = (float(weight) for weight in objective.weights(step))
        assert alpha == 0.5
        assert beta == pytest.approx(min(6.0, 6.0 / 10 * t))
        assert gamma == pytest.approx(2.0 * (1 - max(0, 0.95 - t / 20)))
    assert objective.weights() == (0.5, 6.0, 2.0)


def test_a_beta_vae_warms_up_as_a_whole_and_annealing_takes_it_apart():
    warming = tc.Objective(4.0, 4.0, 4.0, beta_warmup=8)
    assert not warming.pairwise
    assert [float(weight) for weight in warming.weights(1)] == [1.0, 1.0, 1.0]
    annealing = tc.Objective(4.0, 4.0, 4.0, lambda_annealing=10)
    assert annealing.pairwise
    assert [float(weight) for weight in annealing.weights(0)] == pytest.approx([4.0, 4.0, 4.0 * 0.15])


def test_negative_schedules_are_refused():
    with pytest.raises(ValueError, match="numbers of steps"):
        tc.Objective(beta_warmup=-1)


@pytest.mark.parametrize("prior", ["normal", "laplace", "flow"])
def test_the_terms_of_laplace_posteriors_sum_to_the_kl_whatever_the_prior(rng, prior):
    from tcvae_tf import distributions

    z, loc, scale = rng.normal(size=(3, 8, 2)).astype(np.float32)
    scale = np.exp(scale)
    if prior == "flow":
        prior = distributions.prior("flow", flow=tf.constant(rng.normal(scale=0.1, size=(3, 4, 2)), tf.float32))
    terms = tc.objective.kl_terms(z, loc, scale, 20, "mss", "laplace", prior)
    log_q = -np.abs(z - loc) / scale - np.log(2 * scale)
    log_p = (distributions.prior(prior) if isinstance(prior, str) else prior).log_prob(z)
    assert sum(terms.values()).numpy() == pytest.approx(np.sum(log_q - log_p, axis=1), abs=1e-4)
    exact = tc.objective.kl_terms(z, loc, scale, 8, "uniform", "laplace", prior)
    q = np.exp(-np.abs(z[:, None] - loc) / scale - np.log(2 * scale))
    expected = log_q.sum(axis=1) - np.log(q.prod(axis=2).mean(axis=1))
    assert exact["mutual_information"].numpy() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": np.ones(3)}, r"must all be \[B, D\]; got \(8, 3\), \(8, 3\) and \(3,\)"),
        ({"z": np.zeros((2, 8, 3))}, r"must all be \[B, D\]; got \(2, 8, 3\)"),
        ({"loc": np.zeros((8, 3), np.float32)}, "one dtype; got float64, float32, float64"),
        (dict.fromkeys(("z", "loc", "scale"), np.ones((8, 3), int)), "floating-point numbers; got int64"),
    ],
)
def test_terms_of_tensors_that_do_not_fit_are_refused(change, message):
    arrays = {"z": np.zeros((8, 3)), "loc": np.zeros((8, 3)), "scale": np.ones((8, 3))}
    with pytest.raises(ValueError, match=message):
        objective.kl_terms(**{**arrays, **change}, dataset_size=16, estimator="mws")


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_terms_of_half_precision_are_those_of_its_numbers_in_float32(rng, dtype):
    arrays = [tf.cast(part, dtype) for part in (rng.normal(size=(64, 10)), np.zeros((64, 10)), np.full((64, 10), 0.1))]
    found = objective.kl_terms(*arrays, 737_280)
    expected = objective.kl_terms(*(tf.cast(array, tf.float32) for array in arrays), 737_280)
    for name, term in found.items():
        assert term.dtype == tf.float32
        assert np.array_equal(term, expected[name])


def test_weights_that_are_no_numbers_are_refused():
    with pytest.raises(TypeError, match="alpha, beta and gamma are numbers; got"):
        tc.Objective(beta="6")
