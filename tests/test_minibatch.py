"""Theorems about the estimates of log q(z). The oracle of the blocks is the whole batch at once, in float64."""

import math
import re

import numpy as np
import pytest
import tensorflow as tf

from tcvae_tf import minibatch, objective

N = 1000
ESTIMATORS = list(objective.ESTIMATORS)


def log_normal(z, loc, scale):
    return -0.5 * ((z - loc) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)


def drawn(rng, batch_size, sigma=None, latents=10):
    """z, loc and scale as float32 has them, [B, D]."""
    loc, noise = rng.normal(size=(2, batch_size, latents)).astype(np.float32)
    scale = np.exp(rng.normal(size=loc.shape) - 1) if sigma is None else np.full(loc.shape, sigma)
    scale = scale.astype(np.float32)
    return loc + scale * noise, loc, scale


def far_apart(rng, batch_size, latents=3):
    """The same of images in turn with σ = 10² and 10⁻⁴."""
    loc, noise = rng.normal(size=(2, batch_size, latents)).astype(np.float32)
    scale = np.where(np.arange(batch_size) % 2, 1e-4, 1e2).astype(np.float32)[:, None].repeat(latents, axis=1)
    return loc + scale * noise, loc, scale


def value_and_gradient(arrays, dtype, function):
    arrays = [tf.constant(array.astype(dtype)) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(arrays)
        value = function(*arrays)
    return value.numpy(), np.concatenate([part.numpy().ravel() for part in tape.gradient(value, arrays)])


def whole(estimator, posterior="normal"):
    """2 Σ log q̂(z_i) − 3 Σ log q̂(z_ik) by the readable function, without blocks."""

    def total(z, loc, scale):
        log_weights = tf.constant(objective.ESTIMATORS[estimator](z.shape[0], N), z.dtype)
        joint, product = minibatch.log_qz(*map(tf.transpose, (z, loc, scale)), log_weights, posterior)
        return tf.reduce_sum(2 * joint - 3 * product)

    return total


def in_blocks(estimator, rows, posterior="normal"):
    return lambda *arrays: minibatch.weighted_log_qz(*arrays, N, estimator, (2.0, -3.0), posterior, rows)[0]


# --- blocks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("posterior", ["normal", "laplace"])
@pytest.mark.parametrize("rows", [1, 4, 12])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_blocks_give_the_value_and_the_gradient_of_the_whole(rng, estimator, rows, posterior):
    arrays = drawn(rng, 12, latents=3)
    value, gradient = value_and_gradient(arrays, np.float64, in_blocks(estimator, rows, posterior))
    expected, expected_gradient = value_and_gradient(arrays, np.float64, whole(estimator, posterior))
    assert value == pytest.approx(expected, rel=1e-12)
    assert gradient == pytest.approx(expected_gradient, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("jit_compile", [True, False])
@pytest.mark.parametrize("sigma", [None, 1e-3, 0.1, 1.0])
def test_the_gradient_in_float32_is_as_good_as_in_float64(rng, sigma, jit_compile):
    arrays = drawn(rng, 128, sigma)
    blocks = tf.function(in_blocks("mss", 8), jit_compile=jit_compile)
    value, gradient = value_and_gradient(arrays, np.float32, blocks)
    value64, gradient64 = value_and_gradient(arrays, np.float64, whole("mss"))
    assert value == pytest.approx(value64, rel=1e-5)
    assert np.linalg.norm(gradient - gradient64) <= 1e-5 * np.linalg.norm(gradient64)


@pytest.mark.parametrize(("batch_size", "latents", "rows"), [(48, 3, 16), (48, 3, 24), (32, 3, 32), (96, 10, None)])
def test_sums_by_eights_give_the_value_and_the_gradient_of_the_whole(rng, batch_size, latents, rows):
    arrays = drawn(rng, batch_size, latents=latents)
    assert rows or minibatch.rows_of_a_block(batch_size, latents) == 16
    value, gradient = value_and_gradient(arrays, np.float64, in_blocks("mss", rows))
    expected, expected_gradient = value_and_gradient(arrays, np.float64, whole("mss"))
    assert value == pytest.approx(expected, rel=1e-12)
    assert gradient == pytest.approx(expected_gradient, rel=1e-9, abs=1e-12)


def test_a_gpu_sums_without_a_product_and_finds_the_same(rng, monkeypatch):
    arrays = drawn(rng, 96)
    on_a_cpu = value_and_gradient(arrays, np.float64, in_blocks("mss", 4))
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["a GPU"])
    monkeypatch.setattr(tf.linalg, "matvec", None)
    value, gradient = value_and_gradient(arrays, np.float64, in_blocks("mss", None))
    assert value == pytest.approx(on_a_cpu[0], rel=1e-12)
    assert gradient == pytest.approx(on_a_cpu[1], rel=1e-9, abs=1e-12)


def test_widths_far_apart_lose_nothing(rng):
    """Where one density is e¹⁴ times the other."""
    arrays = far_apart(rng, 64)
    value, gradient = value_and_gradient(arrays, np.float32, tf.function(in_blocks("mss", 8), jit_compile=True))
    value64, gradient64 = value_and_gradient(arrays, np.float64, whole("mss"))
    assert value == pytest.approx(value64, rel=1e-5)
    assert np.linalg.norm(gradient - gradient64) <= 1e-5 * np.linalg.norm(gradient64)


def test_the_estimates_of_blocks_are_those_of_the_whole(rng):
    arrays = [tf.constant(array, tf.float64) for array in drawn(rng, 24)]
    _, *found = minibatch.weighted_log_qz(*arrays, N, "mss", (1.0, 1.0), rows=6)
    expected = minibatch.log_qz(*map(tf.transpose, arrays), minibatch.mss_log_weights(24, N))
    for estimate, value in zip(found, expected, strict=True):
        assert estimate.numpy() == pytest.approx(value.numpy(), rel=1e-12)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("widths", ["alike", "far apart"])
def test_parts_of_the_samples_against_the_whole_batch_sum_to_the_whole(rng, estimator, widths):
    """As replicas share a batch: rows 0…7 and 8…11, each with its own rows of the weights and its own densities."""
    arrays = drawn(rng, 12, latents=3) if widths == "alike" else far_apart(rng, 12)

    def in_parts(z, loc, scale):
        parts = [(slice(0, 8), 4), (slice(8, 12), None)]
        weights = (2.0, -3.0)
        return sum(
            minibatch.weighted_log_qz(z[part], loc, scale, N, estimator, weights, rows=rows, first=part.start)[0]
            for part, rows in parts
        )

    value, gradient = value_and_gradient(arrays, np.float64, in_parts)
    expected, expected_gradient = value_and_gradient(arrays, np.float64, whole(estimator))
    assert value == pytest.approx(expected, rel=1e-12)
    assert gradient == pytest.approx(expected_gradient, rel=1e-9, abs=1e-12)


def test_the_gradient_of_the_loss_scales_with_what_comes_from_above(rng):
    arrays = drawn(rng, 12, latents=3)
    _, once = value_and_gradient(arrays, np.float64, in_blocks("mws", 4))
    _, thrice = value_and_gradient(arrays, np.float64, lambda *z: 3 * in_blocks("mws", 4)(*z))
    assert thrice == pytest.approx(3 * once, rel=1e-12)


@pytest.mark.parametrize(("batch_size", "latents"), [(7, 3), (64, 10), (512, 10), (1000, 10), (1009, 10), (8192, 64)])
def test_a_block_divides_the_batch_and_is_small(batch_size, latents):
    rows = minibatch.rows_of_a_block(batch_size, latents)
    assert batch_size % rows == 0
    assert rows * batch_size * latents <= max(2**16, 16 * batch_size * latents)


def test_a_block_of_the_paper_s_batch_has_32_rows_where_they_are_few_numbers():
    assert [minibatch.rows_of_a_block(2048, latents) for latents in (10, 16, 17)] == [32, 32, 16]
    assert minibatch.rows_of_a_block(1024, 10) == minibatch.rows_of_a_block(4096, 10) == 16


def test_no_tensor_of_a_compiled_step_holds_all_pairs(rng):
    """At B = 96 and D = 10 all pairs are 92,160 numbers; the largest tensor that XLA makes is one block."""
    arrays = [tf.constant(array) for array in drawn(rng, 96)]

    @tf.function(jit_compile=True)
    def gradient(*arrays):
        with tf.GradientTape() as tape:
            tape.watch(arrays)
            total = in_blocks("mss", None)(*arrays)
        return tape.gradient(total, arrays)

    compiled = gradient.experimental_get_compiler_ir(*arrays)(stage="optimized_hlo")
    shapes = re.findall(r"f32\[([\d,]+)\]", compiled)
    largest = max(math.prod(map(int, shape.split(","))) for shape in shapes)
    assert largest == 16 * 96 * 10


# --- weights by rows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("batch_size", [2, 3, 8])
def test_rows_of_weights_are_those_of_the_matrix(estimator, batch_size):
    matrix = objective.ESTIMATORS[estimator](batch_size, 40)
    for rows in (range(batch_size), [batch_size - 1], [batch_size - 2, 0]):
        found = minibatch.log_weight_rows(estimator, tf.constant(list(rows)), batch_size, 40, tf.float64)
        assert np.broadcast_to(found, (len(rows), batch_size)) == pytest.approx(matrix[list(rows)])


def test_an_unknown_batch_size_is_refused():
    with pytest.raises(ValueError, match="drop_remainder=True"):
        minibatch.check_batch("mws", None, N)


# --- weights --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch_size", "dataset_size"), [(2, 2), (2, 9), (8, 8), (8, 40), (64, 737_280)])
def test_mss_rows_sum_to_one_with_a_sample_s_own_weight_on_the_diagonal(batch_size, dataset_size):
    weights = np.exp(objective.mss_log_weights(batch_size, dataset_size))
    assert weights.sum(axis=1) == pytest.approx(np.ones(batch_size))
    assert np.diag(weights) == pytest.approx(np.full(batch_size, 1 / dataset_size))
    m = batch_size - 1
    stratified = weights[np.arange(batch_size), (np.arange(batch_size) + 1) % batch_size]
    assert stratified == pytest.approx(np.full(batch_size, (dataset_size - m) / (dataset_size * m)))


def test_the_released_mss_puts_the_own_weight_into_column_0():
    n, m = 40, 7
    flat = np.full(64, 1 / m)
    flat[:: m + 1] = 1 / n
    flat[1 :: m + 1] = (n - m) / (n * m)
    flat[(m - 1) * 8] = (n - m) / (n * m)
    assert np.exp(objective.mss_released_log_weights(8, n)) == pytest.approx(flat.reshape(8, 8))


def test_mws_and_uniform_weights():
    assert np.exp(objective.mws_log_weights(5, 20)) == pytest.approx(np.full((5, 5), 1 / 100))
    assert np.exp(objective.uniform_log_weights(5, 20)) == pytest.approx(np.full((5, 5), 1 / 5))


def mean_ratio(log_weights, batches=8000, n=40, batch_size=8):
    """E[q̂(z)] / q(z) over random batches of a mixture of n separated two-dimensional normals, with its error."""
    rng = np.random.default_rng(0)
    loc, scale = 20 * rng.uniform(size=(n, 2)), 0.3
    weights = np.exp(log_weights(batch_size, n))

    def density(z, components):
        return np.exp(log_normal(z[..., None, :], components, scale).sum(axis=-1))

    images = np.argsort(rng.uniform(size=(batches, n)), axis=1)[:, :batch_size]
    centres = loc[images]  # [batches, B, 2]
    z = centres + scale * rng.normal(size=centres.shape)
    estimate = np.einsum("ij,bij->bi", weights, density(z, centres[:, None]))
    truth = density(z, loc).mean(axis=-1)
    ratios = (estimate / truth).mean(axis=1)
    return ratios.mean(), ratios.std() / np.sqrt(batches)


def test_mss_is_unbiased_for_q_of_z():
    mean, error = mean_ratio(objective.mss_log_weights)
    assert abs(mean - 1) < 4 * error
    assert error < 0.02


def test_mss_as_released_is_biased():
    mean, error = mean_ratio(objective.mss_released_log_weights)
    assert mean - 1 > 20 * error


def test_mws_is_biased_downwards():
    mean, error = mean_ratio(objective.mws_log_weights)
    assert 1 - mean > 20 * error


@pytest.mark.parametrize("estimator", ["mss", "mss_released"])
def test_mss_needs_two_images(estimator):
    with pytest.raises(ValueError, match="needs 2 ≤ batch size ≤ N"):
        objective.ESTIMATORS[estimator](1, 10)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_batch_larger_than_the_data_is_refused(estimator):
    with pytest.raises(ValueError, match="≤ N; got batch size 11"):
        objective.ESTIMATORS[estimator](11, 10)


def test_sizes_of_any_kind_of_integer_give_the_same_weights():
    """Their product is beyond int32."""
    for weights in (objective.mws_log_weights, objective.mss_log_weights, objective.mss_released_log_weights):
        plain = weights(3_000, 737_280)
        assert np.isfinite(plain).all()
        for size in (np.int32(737_280), tf.constant(737_280)):
            assert np.array_equal(weights(np.int32(3_000), size), plain)
