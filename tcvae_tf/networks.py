"""The paper's networks, as plain Keras models without logic."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tcvae_tf import convolutions

INITIALIZERS = ("pytorch", "keras")
#: What the last layer of an encoder gives beside loc. Encoders return log σ in any case.
HEADS = ("log_scale", "log_variance")


def mlp(
    image_shape: tuple[int, int, int],
    latent_dim: int = 10,
    width: int = 1200,
    initializer: str = "pytorch",
    seed: int | None = None,
    head: str = "log_scale",
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
      head: "log_scale", the paper's, or "log_variance": the last layer gives log σ², as in most other VAEs, and the
        encoder halves it.

    Returns:
      encoder: [B, H, W, C] → [B, 2D], and decoder: [B, D] → [B, H, W, C].

    Raises:
      ValueError: a size below one, an unknown initializer or head.
    """
    layers = _Layers("mlp", image_shape, latent_dim, width, initializer, seed, head)
    pixels = math.prod(image_shape)
    image = keras.Input(image_shape, name="image")
    hidden = layers.from_pixels(keras.layers.Flatten()(image), width, "relu")
    hidden = layers.dense(hidden, width, "relu")
    outputs = layers.head(layers.dense(hidden, 2 * latent_dim, name=layers.head_name))
    encoder = keras.Model(image, outputs, name="encoder")

    latent = keras.Input((latent_dim,), name="latent")
    hidden = latent
    for _ in range(3):
        hidden = layers.dense(hidden, width, "tanh")
    logits = keras.layers.Reshape(image_shape)(layers.to_pixels(hidden, pixels, name="logits"))
    return encoder, keras.Model(latent, logits, name="decoder")


def conv(
    image_shape: tuple[int, int, int],
    latent_dim: int = 10,
    width: int = 512,
    initializer: str = "pytorch",
    seed: int | None = None,
    head: str = "log_scale",
) -> tuple[keras.Model, keras.Model]:
    """The paper's convolutional networks for 3D Faces (appendix on architectures; released vae_quant.py).

    Encoder: convolutions of 4×4 with stride 2, 32 – 32 – 64 – 64 channels, then one over all that is left, 4×4 for
    images of 64×64, to 512, each with batch normalisation and ReLU; then 2D outputs, loc beside log σ.
    Decoder: the mirror image by transposed convolutions, D – 512 – 64 – 64 – 32 – 32 – one logit for each value.

    Batch normalisation counts with the batch in training and with its moving statistics otherwise, in `encode` too.

    Args:
      image_shape: (H, W, C); H and W multiples of 16.
      latent_dim: D.
      width: channels of the last hidden layer, 512 in the paper; the others follow in proportion.
      initializer: "pytorch", U(±1/√fan_in) as torch.nn has by default, or "keras", Keras' own default.
      seed: makes the initial weights reproducible; None draws from Keras' global generator.
      head: "log_scale", the paper's, or "log_variance", as in `mlp`.

    Returns:
      encoder: [B, H, W, C] → [B, 2D], and decoder: [B, D] → [B, H, W, C].

    Raises:
      ValueError: a size below one, H or W that four halvings do not divide, an unknown initializer or head.
    """
    layers = _Layers("conv", image_shape, latent_dim, width, initializer, seed, head)
    channels, left = _channels(width / 512), (image_shape[0] // 16, image_shape[1] // 16)

    image = hidden = keras.Input(image_shape, name="image")
    for count in channels:
        hidden = layers.normalised(layers.conv(hidden, count))
    hidden = layers.normalised(layers.conv(hidden, width, left, 1, "valid"))
    outputs = layers.conv(hidden, 2 * latent_dim, 1, 1, name=layers.head_name)
    encoder = keras.Model(image, layers.head(keras.layers.Flatten()(outputs)), name="encoder")

    latent = keras.Input((latent_dim,), name="latent")
    hidden = layers.normalised(layers.transposed(keras.layers.Reshape((1, 1, latent_dim))(latent), width, 1, 1))
    hidden = layers.normalised(layers.transposed(hidden, channels[-1], left, 1, "valid"))
    for count in channels[-2::-1]:
        hidden = layers.normalised(layers.transposed(hidden, count))
    return encoder, keras.Model(latent, layers.transposed(hidden, image_shape[-1], name="logits"), name="decoder")


def conv_plain(
    image_shape: tuple[int, int, int],
    latent_dim: int = 10,
    width: int = 128,
    initializer: str = "pytorch",
    seed: int | None = None,
    head: str = "log_scale",
) -> tuple[keras.Model, keras.Model]:
    """FactorVAE's convolutional networks (Kim and Mnih 2018, appendix, as we recall it), without normalisation.

    Encoder: convolutions of 4×4 with stride 2, 32 – 32 – 64 – 64 channels, a dense layer of 128, each with ReLU; then
    2D outputs, loc beside log σ. Decoder: the mirror image.

    Args:
      width: units of the dense layer, 128 in the paper; the channels follow in proportion.
      For the others, what is returned and what is raised see `conv`.
    """
    layers = _Layers("conv_plain", image_shape, latent_dim, width, initializer, seed, head)
    channels, left = _channels(width / 128), (image_shape[0] // 16, image_shape[1] // 16)

    image = hidden = keras.Input(image_shape, name="image")
    for count in channels:
        hidden = layers.conv(hidden, count, activation="relu")
    hidden = layers.dense(keras.layers.Flatten()(hidden), width, "relu")
    outputs = layers.head(layers.dense(hidden, 2 * latent_dim, name=layers.head_name))
    encoder = keras.Model(image, outputs, name="encoder")

    latent = keras.Input((latent_dim,), name="latent")
    hidden = layers.dense(layers.dense(latent, width, "relu"), math.prod(left) * channels[-1], "relu")
    hidden = keras.layers.Reshape((*left, channels[-1]))(hidden)
    for count in channels[-2::-1]:
        hidden = layers.transposed(hidden, count, activation="relu")
    return encoder, keras.Model(latent, layers.transposed(hidden, image_shape[-1], name="logits"), name="decoder")


def _channels(multiple: float) -> list[int]:
    """Channels of the four convolutions that halve the image."""
    return [max(1, round(multiple * count)) for count in (32, 32, 64, 64)]


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
    seeds = _seeds(seed, stream=(1,))
    latent = keras.Input((latent_dim,), name="latent")
    hidden = latent
    for _ in range(layers):
        hidden = keras.layers.Dense(width, **_keras_initial(seeds))(hidden)
        hidden = keras.layers.LeakyReLU(slope)(hidden)
    logits = keras.layers.Dense(2, name="logits", **_keras_initial(seeds))(hidden)
    return keras.Model(latent, logits, name="discriminator")


class _Layers:
    """Makes layers that share an initializer and a stream of seeds.

    Raises:
      ValueError: a size below one, an unknown initializer or head, or an image that convolutions cannot halve four
        times.
    """

    def __init__(
        self,
        network: str,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        width: int,
        initializer: str,
        seed: int | None,
        head: str,
    ) -> None:
        if min(*image_shape, latent_dim, width) < 1:
            raise ValueError(f"{network}: sizes must be at least 1; got {image_shape=}, {latent_dim=}, {width=}")
        if initializer not in INITIALIZERS:
            raise ValueError(f"{network}: unknown initializer {initializer!r}; choose from {', '.join(INITIALIZERS)}")
        if head not in HEADS:
            raise ValueError(f"{network}: unknown head {head!r}; choose from {', '.join(HEADS)}")
        if network != "mlp" and (image_shape[0] % 16 or image_shape[1] % 16):
            raise ValueError(
                f"{network}: height and width must be multiples of 16, since four convolutions halve them; got "
                f"{image_shape}; pad or resize the images, or use mlp"
            )
        self._pytorch, self._seeds = initializer == "pytorch", _seeds(seed)
        self._latent_dim, self._halved = latent_dim, head == "log_variance"
        self.head_name = f"loc_and_{head}"

    def head(self, outputs):
        """loc beside log σ, from what the last layer gives."""
        if not self._halved:
            return outputs
        factors = [1.0] * self._latent_dim + [0.5] * self._latent_dim
        return keras.layers.Rescaling(factors, name="loc_and_log_scale")(outputs)

    def dense(self, inputs, units: int, activation: str | None = None, name: str | None = None):
        units = operator.index(units)  # Keras takes none of NumPy's integers
        return keras.layers.Dense(units, activation, name=name, **self._initial(inputs.shape[-1]))(inputs)

    # A kernel's first axis is the shorter one of these two: its gradient is a product over the batch of two matrices,
    # the first of them transposed, at which XLA on a CPU is slow where that one is wide.

    def from_pixels(self, inputs, units: int, activation: str | None = None, name: str | None = None):
        """A dense layer of many more inputs than units, with a kernel of units × inputs."""
        options = {"activation": activation, "bias_axes": "o", "name": name, **self._initial_transposed(inputs)}
        return keras.layers.EinsumDense("bi,oi->bo", operator.index(units), **options)(inputs)

    def to_pixels(self, inputs, units: int, name: str | None = None):
        """A dense layer of many more units than inputs, with a kernel of inputs × units."""
        return keras.layers.Dense(units, name=name, **self._initial_transposed(inputs))(inputs)

    def conv(self, inputs, channels: int, kernel=4, stride: int = 2, padding: str = "same", activation=None, name=None):
        fan_in = _area(kernel) * inputs.shape[-1]
        options = {"padding": padding, "activation": activation, "name": name, **self._initial(fan_in)}
        return convolutions.BlockConv2D(channels, kernel, stride, **options)(inputs)

    def transposed(
        self, inputs, channels: int, kernel=4, stride: int = 2, padding: str = "same", activation=None, name=None
    ):
        # PyTorch takes the second axis of the kernel for its inputs: here that is the outputs.
        options = {"padding": padding, "activation": activation, "name": name}
        options |= self._initial(_area(kernel) * channels)
        return convolutions.BlockConv2DTranspose(channels, kernel, stride, **options)(inputs)

    def normalised(self, inputs):
        """Batch normalisation as PyTorch has it by default, and ReLU."""
        hidden = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(inputs)
        return keras.layers.ReLU()(hidden)

    def _initial_transposed(self, inputs) -> dict[str, Any]:
        """The numbers of a kernel as they are drawn for one with its axes the other way round."""
        initial = self._initial(inputs.shape[-1])
        return {**initial, "kernel_initializer": Transposed(initial["kernel_initializer"])}

    def _initial(self, fan_in: int) -> dict[str, Any]:
        return _pytorch_initial(fan_in, self._seeds) if self._pytorch else _keras_initial(self._seeds)


@keras.saving.register_keras_serializable("tcvae_tf")
class Transposed(keras.initializers.Initializer):
    """The transpose of the matrix that another initializer draws."""

    def __init__(self, initializer: keras.initializers.Initializer | dict) -> None:
        self.initializer = keras.initializers.get(initializer)

    def __call__(self, shape, dtype=None):
        return keras.ops.transpose(self.initializer(shape[::-1], dtype))

    def get_config(self) -> dict[str, Any]:
        return {"initializer": keras.initializers.serialize(self.initializer)}


def _area(kernel: int | tuple[int, int]) -> int:
    return kernel**2 if isinstance(kernel, int) else math.prod(kernel)


def _seeds(seed: int | None, stream: tuple[int, ...] = ()) -> Iterator[int | None]:
    """An endless stream of independent seeds for initializers, all None when `seed` is."""
    sequence = np.random.SeedSequence(seed, spawn_key=stream)
    while True:
        yield None if seed is None else int(sequence.spawn(1)[0].generate_state(1)[0] >> 1)


def _keras_initial(seeds: Iterator[int | None]) -> dict[str, Any]:
    return {"kernel_initializer": keras.initializers.GlorotUniform(next(seeds))}


def _pytorch_initial(fan_in: int, seeds: Iterator[int | None]) -> dict[str, Any]:
    """The default of torch.nn's layers: U(−1/√fan_in, 1/√fan_in) for the kernel and the bias."""
    bound = 1 / math.sqrt(fan_in)
    return {
        "kernel_initializer": keras.initializers.RandomUniform(-bound, bound, next(seeds)),
        "bias_initializer": keras.initializers.RandomUniform(-bound, bound, next(seeds)),
    }
