"""The block layers are Keras' layers: the same weights give the same images and gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tcvae_tf import convolutions


def outputs_and_gradients(layer, x, upstream, jit_compile):
    @tf.function(jit_compile=jit_compile)
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x)
            loss = tf.reduce_sum(outputs * upstream)
        return outputs, *tape.gradient(loss, [x, *layer.trainable_variables])

    return [part.numpy() for part in step(x)]


PAIRS = {
    "halving": (convolutions.BlockConv2D, keras.layers.Conv2D),
    "doubling": (convolutions.BlockConv2DTranspose, keras.layers.Conv2DTranspose),
}


@pytest.mark.parametrize("jit_compile", [True, False])
@pytest.mark.parametrize("which", PAIRS)
@pytest.mark.parametrize("channels", [1, 3])
def test_blocks_give_what_strides_give(rng, which, channels, jit_compile):
    ours, theirs = (kind(5, 4, 2, padding="same", activation="tanh") for kind in PAIRS[which])
    x = tf.constant(rng.normal(size=(2, 8, 6, channels)), tf.float32)
    shape = theirs(x).shape
    assert ours(x).shape == ours.compute_output_shape(x.shape) == shape
    theirs.set_weights([rng.normal(size=weight.shape) for weight in theirs.get_weights()])
    ours.set_weights(theirs.get_weights())
    upstream = tf.constant(rng.normal(size=shape), tf.float32)
    pairs = zip(*(outputs_and_gradients(layer, x, upstream, jit_compile) for layer in (ours, theirs)), strict=True)
    for found, expected in pairs:
        assert found == pytest.approx(expected, abs=1e-5 * float(np.abs(expected).max()))


@pytest.mark.parametrize("which", PAIRS)
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 2, "same"), (4, 1, "same"), (4, 2, "valid")])
def test_other_convolutions_are_keras_own(rng, which, kernel, stride, padding):
    ours, theirs = (kind(2, kernel, stride, padding=padding) for kind in PAIRS[which])
    x = tf.constant(rng.normal(size=(2, 8, 8, 1)), tf.float32)
    theirs(x), ours(x)
    ours.set_weights(theirs.get_weights())
    assert np.array_equal(ours(x), theirs(x))


@pytest.mark.parametrize("which", PAIRS)
def test_a_gpu_gets_keras_own(rng, which, monkeypatch):
    ours, theirs = (kind(2, 4, 2, padding="same") for kind in PAIRS[which])
    x = tf.constant(rng.normal(size=(2, 8, 8, 1)), tf.float32)
    theirs(x), ours(x)
    ours.set_weights(theirs.get_weights())
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["a GPU"])
    assert np.array_equal(ours(x), theirs(x))
