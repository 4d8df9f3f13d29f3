"""Networks of a layer or two, for what holds of any: to trace the paper's takes most of the time of such a test."""

import math

import keras


def dense(size, seed):
    return keras.layers.Dense(size, kernel_initializer=keras.initializers.GlorotUniform(seed))


def networks(image_shape, latent_dim, seed=0):
    """A linear encoder and a linear decoder."""
    encoder = keras.layers.Flatten(), dense(2 * latent_dim, seed)
    decoder = dense(math.prod(image_shape), seed + 1), keras.layers.Reshape(image_shape)
    inputs = keras.Input(image_shape), keras.Input((latent_dim,))
    return keras.Sequential([inputs[0], *encoder]), keras.Sequential([inputs[1], *decoder])


def discriminator(latent_dim, seed=2):
    layers = dense(4, seed), keras.layers.LeakyReLU(), dense(2, seed + 1)
    return keras.Sequential([keras.Input((latent_dim,)), *layers])
