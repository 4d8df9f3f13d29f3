"""The families against TensorFlow Probability's own."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tcvae_tf import distributions


@pytest.mark.parametrize("jit", [True, False])
def test_the_likelihood_is_tfp_s_bernoulli_with_its_gradient(rng, jit):
    logits = tf.constant(rng.normal(scale=5, size=(4, 3, 3, 1)), tf.float32)
    x = tf.constant(rng.uniform(size=(4, 3, 3, 1)), tf.float32)

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


def test_posterior_and_prior_are_normal():
    z = np.linspace(-3, 3, 7)
    expected = -0.5 * ((z - 1) / 0.5) ** 2 - np.log(0.5) - 0.5 * np.log(2 * np.pi)
    assert distributions.posterior(tf.constant(1.0, tf.float64), 0.5).log_prob(z).numpy() == pytest.approx(expected)
    assert float(distributions.prior().log_prob(0.0)) == pytest.approx(-0.5 * np.log(2 * np.pi))


def test_unknown_families_name_the_known_ones():
    with pytest.raises(ValueError, match="unknown prior 'gaussian'; choose from normal"):
        distributions.prior("gaussian")
