"""The paper's networks, as plain Keras models without logic."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

INITIALIZERS = ("pytorch", "keras")


def mlp(
    image_shape: tuple[int, int, int],
    latent_dim: int = 10,
    width: int = 1200,
    initializer: str = "pytorch",
    seed: int | None = None,
) -> tuple[keras.Model, keras.Model]:
    """The paper's multilayer perceptrons for dSprites (appendix on architectures; released vae_quant.py).

    Encoder: pixels – width – width, ReLU, then 2D outputs, loc beside log σ (not log variance).
    Decoder: D – width – width – width, tanh, then one logit for each pixel.

    Args:
      image_shape: (H, W, C).
      latent_dim: D.
      width: units of every hidden layer; 1200 in the paper.
      initializer: "pytorch", U(±1/√fan_in) for kernels and biases as the released code has by default, or "keras",
        Keras' own default.
      seed: makes the initial weights reproducible; None draws from Keras' global generator.

    Returns:
      encoder: [B, H, W, C] → [B, 2D], and decoder: [B, D] → [B, H, W, C].

    Raises:
      ValueError: a size below one or an unknown initializer.
    """
    if min(*image_shape, latent_dim, width) < 1:
        raise ValueError(f"mlp: sizes must be at least 1; got {image_shape=}, {latent_dim=}, {width=}")
    if initializer not in INITIALIZERS:
        raise ValueError(f"mlp: unknown initializer {initializer!r}; choose from {', '.join(INITIALIZERS)}")
    seeds = _seeds(seed)

    def dense(inputs, units: int, activation: str | None = None, name: str | None = None):
        options = _pytorch_dense(inputs.shape[-1], seeds) if initializer == "pytorch" else _keras_dense(seeds)
        return keras.layers.Dense(units, activation, name=name, **options)(inputs)

    pixels = math.prod(image_shape)
    image = keras.Input(image_shape, name="image")
    hidden = keras.layers.Flatten()(image)
    for _ in range(2):
        hidden = dense(hidden, width, "relu")
    encoder = keras.Model(image, dense(hidden, 2 * latent_dim, name="loc_and_log_scale"), name="encoder")

    latent = keras.Input((latent_dim,), name="latent")
    hidden = latent
    for _ in range(3):
        hidden = dense(hidden, width, "tanh")
    logits = keras.layers.Reshape(image_shape)(dense(hidden, pixels, name="logits"))
    return encoder, keras.Model(latent, logits, name="decoder")


def discriminator(
    latent_dim: int = 10, width: int = 1000, layers: int = 6, slope: float = 0.2, seed: int | None = None
) -> keras.Model:
    """FactorVAE's discriminator (Kim and Mnih 2018, appendix): D – width × layers, leaky ReLU, then two logits.

    Args:
      latent_dim: D.
      width, layers: of the hidden layers; 6 × 1000 in the paper.
      slope: of the leaky ReLU below zero; 0.2 in disentanglement_lib.
      seed: makes the initial weights reproducible; None draws from Keras' global generator.

    Returns:
      [B, D] → [B, 2]: logits of "from q(z)" and "from the product of its marginals".

    Raises:
      ValueError: a size below one.
    """
    if min(latent_dim, width, layers) < 1:
        raise ValueError(f"discriminator: sizes must be at least 1; got {latent_dim=}, {width=}, {layers=}")
    seeds = _seeds(seed)
    latent = keras.Input((latent_dim,), name="latent")
    hidden = latent
    for _ in range(layers):
        hidden = keras.layers.Dense(width, **_keras_dense(seeds))(hidden)
        hidden = keras.layers.LeakyReLU(slope)(hidden)
    logits = keras.layers.Dense(2, name="logits", **_keras_dense(seeds))(hidden)
    return keras.Model(latent, logits, name="discriminator")


def _seeds(seed: int | None) -> Iterator[int | None]:
    """An endless stream of independent seeds for initializers, all None when `seed` is."""
    sequence = np.random.SeedSequence(seed)
    while True:
        yield None if seed is None else int(sequence.spawn(1)[0].generate_state(1)[0] >> 1)


def _keras_dense(seeds: Iterator[int | None]) -> dict[str, Any]:
    return {"kernel_initializer": keras.initializers.GlorotUniform(next(seeds))}


def _pytorch_dense(fan_in: int, seeds: Iterator[int | None]) -> dict[str, Any]:
    """torch.nn.Linear's default: U(−1/√fan_in, 1/√fan_in) for the kernel and the bias."""
    bound = 1 / math.sqrt(fan_in)
    return {
        "kernel_initializer": keras.initializers.RandomUniform(-bound, bound, next(seeds)),
        "bias_initializer": keras.initializers.RandomUniform(-bound, bound, next(seeds)),
    }
