"""The families against TensorFlow Probability's own."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tcvae_tf import distributions


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("size", [(3, 3), (3, 2), (4, 4)], ids=["no pixels share a logarithm", "two do", "four do"])
def test_the_likelihood_is_tfp_s_bernoulli_with_its_gradient(rng, jit, size):
    logits = tf.constant(rng.normal(scale=5, size=(4, *size, 1)), tf.float32)
    x = tf.constant(rng.uniform(size=(4, *size, 1)), tf.float32)

    def value_and_gradient(log_prob):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = log_prob(logits)
        return value, tape.gradient(value, logits)

    def ours(logits):
        return distributions.likelihood(logits).log_prob(x)

    def theirs(logits):
        return tf.reduce_sum(tfp.distributions.Bernoulli(logits=logits, dtype=tf.float32).log_prob(x), axis=[1, 2, 3])

    found = tf.function(lambda: value_and_gradient(ours), jit_compile=jit)()
    expected = value_and_gradient(theirs)
    for a, b in zip(found, expected, strict=True):
        assert a.numpy() == pytest.approx(b.numpy(), rel=1e-5, abs=1e-5)


def test_the_likelihood_stays_finite_and_right_at_extreme_logits():
    logits = tf.constant([[[[-200.0]], [[200.0]], [[-200.0]], [[200.0]]]])
    x = tf.constant([[[[0.0]], [[1.0]], [[1.0]], [[0.0]]]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = distributions.likelihood(logits).log_prob(x)
    assert value.numpy() == pytest.approx([-400.0])
    assert tape.gradient(value, logits).numpy().ravel() == pytest.approx([0, 0, 1, -1])


def test_the_likelihood_of_an_image_is_summed_without_a_drift_of_rounding(rng):
    """One float32 sum over 4096 pixels, one after the other, is 2e-6 of the value off."""
    logits, x = rng.normal(scale=12, size=(64, 64, 64, 1)), rng.uniform(size=(64, 64, 64, 1)) < 0.2
    logits = logits.astype(np.float32)
    found = tf.function(lambda: distributions.likelihood(tf.constant(logits)).log_prob(x), jit_compile=True)()
    logits = np.float64(logits)
    assert found.numpy() == pytest.approx((x * logits - np.logaddexp(0, logits)).sum(axis=(1, 2, 3)), rel=5e-7)


@pytest.mark.parametrize("seed", [[3, 1], [-98765, 1234567], [2**31 - 1, -(2**31)]])
@pytest.mark.parametrize("family", ["normal", "laplace"])
@pytest.mark.parametrize("rows", [4, 5])
def test_noise_is_what_xla_draws_from_the_seed_with_a_sign_with_xla_and_without(seed, family, rows):
    loc, scale = tf.constant([[1.0, -2.0, 0.5]] * rows), tf.constant([[0.5, 2.0, 1e-3]] * rows)
    posterior, seed = distributions.posterior(loc, scale, family), tf.constant(seed)

    def draw(seed):
        return posterior.sample(seed=seed)

    def plain(seed):
        if family == "laplace":
            return tfp.distributions.Laplace(loc, scale).sample(seed=seed)
        return loc + scale * tf.random.stateless_normal([rows, 3], seed)

    found = tf.function(draw, jit_compile=True)(seed)
    assert np.array_equal(found, tf.function(plain, jit_compile=True)(seed))
    for other in (draw(seed), tf.function(draw)(seed)):
        assert other.numpy() == pytest.approx(found.numpy(), rel=1e-6, abs=1e-6)


def test_noise_of_a_batch_of_open_size_is_that_of_its_size():
    spec = tf.TensorSpec([None, 3])

    @tf.function(input_signature=[spec])
    def draw(loc):
        return distributions.posterior(loc, tf.ones_like(loc)).sample(seed=tf.constant([3, 1]))

    for rows in (4, 5):
        whole = distributions.posterior(tf.zeros([rows, 3]), tf.ones([rows, 3]))
        found = whole.sample(seed=tf.constant([3, 1]))
        assert np.array_equal(draw(tf.zeros([rows, 3])), found)


def test_samples_have_the_shape_that_is_asked_for_whatever_the_seed():
    posterior = distributions.posterior(tf.zeros([4, 3]), tf.ones([4, 3]))
    for seed in (None, 5, [1, 2], tf.constant([1, 2])):
        assert posterior.sample([2, 5], seed=seed).shape == (2, 5, 4, 3)
    assert distributions.prior().sample(7, seed=tf.constant([1, 2])).shape == (7,)


def test_posterior_and_prior_are_normal():
    z = np.linspace(-3, 3, 7)
    expected = -0.5 * ((z - 1) / 0.5) ** 2 - np.log(0.5) - 0.5 * np.log(2 * np.pi)
    assert distributions.posterior(tf.constant(1.0, tf.float64), 0.5).log_prob(z).numpy() == pytest.approx(expected)
    assert float(distributions.prior().log_prob(0.0)) == pytest.approx(-0.5 * np.log(2 * np.pi))


def test_unknown_families_name_the_known_ones():
    with pytest.raises(ValueError, match="unknown prior 'gaussian'; choose from normal, laplace, flow"):
        distributions.prior("gaussian")


# --- Laplace and the flow -------------------------------------------------------------------------------------------


LINE = np.linspace(-60, 60, 120_001)


def flow(rng, spread=0.3, latents=3, steps=32):
    return tf.constant(spread * rng.normal(size=(3, steps, latents)))


def test_laplace_has_its_density():
    z = np.linspace(-3, 3, 7)
    found = distributions.posterior(tf.constant(1.0, tf.float64), 0.5, "laplace").prob(z).numpy()
    assert found == pytest.approx(np.exp(-np.abs(z - 1) / 0.5))
    assert float(distributions.prior("laplace").log_prob(0.0)) == pytest.approx(-np.log(2))


def test_the_flow_is_a_density_of_each_latent(rng):
    density = distributions.prior("flow", flow=flow(rng, spread=0.4)).prob(LINE[:, None]).numpy()
    assert np.trapezoid(density, LINE, axis=0) == pytest.approx(np.ones(3), abs=1e-6)


def test_the_flow_never_folds_the_line(rng):
    """The released code's steps do where u w < −1, and then theirs is no density."""
    parameters = flow(rng, spread=2.0)
    assert np.min(parameters[0] * parameters[1]) < -3
    x = distributions.prior("flow", flow=parameters).bijector.inverse(LINE[:, None]).numpy()
    assert np.all(np.diff(x, axis=0) >= 0)


def test_a_sharp_step_of_the_flow_stays_finite_in_float32():
    """û w is −1 there but for less than float32 can tell."""
    parameters = tf.constant([[[-7.0]], [[3.0]], [[0.0]]])
    z = np.linspace(-1, 1, 9, dtype=np.float32)[:, None]
    found = distributions.prior("flow", flow=parameters).log_prob(z).numpy()
    assert found[4, 0] == pytest.approx(-0.5 * np.log(2 * np.pi) - 21, rel=1e-6)
    assert np.all(np.isfinite(found))


def test_an_unbent_flow_is_a_standard_normal():
    z = np.linspace(-3, 3, 7)[:, None]
    found = distributions.prior("flow", flow=tf.zeros((3, 32, 1), tf.float64)).log_prob(z).numpy()
    assert found == pytest.approx(-0.5 * z**2 - 0.5 * np.log(2 * np.pi))


def test_near_zero_the_flow_is_the_released_code_s(rng):
    u, w, b = parameters = flow(rng, spread=0.02).numpy()
    z = rng.normal(size=(5, 3))
    x, log_slope = z, 0
    for k in range(32):
        bend = np.tanh(x * w[k] + b[k])
        x, log_slope = x + u[k] * bend, log_slope + np.log(np.abs(1 + u[k] * w[k] * (1 - bend**2)))
    expected = -0.5 * x**2 - 0.5 * np.log(2 * np.pi) + log_slope
    found = distributions.prior("flow", flow=tf.constant(parameters)).log_prob(z).numpy()
    assert found == pytest.approx(expected, abs=1e-4)


def test_samples_of_the_flow_follow_its_density(rng):
    prior = distributions.prior("flow", flow=flow(rng, spread=0.8, steps=4))
    z = prior.sample(20_000, seed=[1, 2]).numpy()
    density = prior.prob(LINE[:, None]).numpy()
    for j in range(3):
        below = np.cumsum(density[:, j]) * (LINE[1] - LINE[0])
        assert np.abs(np.interp(np.sort(z[:, j]), LINE, below) - np.linspace(0, 1, 20_000)).max() < 0.02


@pytest.mark.parametrize("posterior", ["normal", "laplace"])
@pytest.mark.parametrize("prior", ["normal", "laplace", "flow"])
def test_cross_entropies_with_the_prior_are_integrals(rng, posterior, prior):
    parameters = flow(rng, spread=0.1) if prior == "flow" else None
    p = distributions.prior(prior, tf.float64, parameters)
    loc, scale = tf.constant(rng.normal(size=(2, 3))), tf.constant(rng.uniform(0.1, 1, size=(2, 3)))
    found = distributions.prior_cross_entropy(loc, scale, posterior, p).numpy()
    q = distributions.posterior(loc, scale, posterior).prob(LINE[:, None, None])
    expected = -np.trapezoid((q * p.log_prob(LINE[:, None, None])).numpy(), LINE, axis=0)
    assert found == pytest.approx(expected, abs=3e-5)


def test_a_flow_without_parameters_is_refused():
    with pytest.raises(ValueError, match="pass flow="):
        distributions.prior("flow")
