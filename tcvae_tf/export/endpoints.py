"""What an exported model can do: tf.functions of a dynamic batch, and the signatures by which servers call them."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tcvae_tf import datasets
from tcvae_tf.models import VAE

#: What each endpoint does, takes and gives, in words; the model card's too.
DOES = {
    "encode": "q(z|x): what the images' latents are, and how uncertain each is.",
    "decode": "E p(x|z): the image that latents stand for.",
    "reconstruct": "Encodes images and decodes the posterior mean; what calling the model in Keras gives.",
    "sample": "Images of latents drawn from the prior p(z).",
    "traverse": "Encodes one image and decodes its posterior mean with one latent moved, all others held.",
    "serving_default": "The same as reconstruct.",
}
_PIXELS = "float32 in [0, 1], or uint8 0…255, for which the signature is the one whose name ends in _uint8"
TAKES = {
    "images": f"a batch of any size; {_PIXELS}",
    "image": f"one image, without a batch axis; {_PIXELS}",
    "z": "latents, a batch of any size",
    "count": "the number of images",
    "seed": "of the draw; the same seed gives the same images",
    "latent": "which latent moves, from 0; one that is not there is an InvalidArgumentError",
    "range": "the values that it takes, T of them, as many as you like: tf.linspace(-2.0, 2.0, 9), say",
}
GIVES = {
    "loc": "means of q(z|x)",
    "scale": "scale parameters of q(z|x), not their logarithms",
    "probabilities": "pixel probabilities, or greys, in [0, 1]",
    "images": "pixel probabilities, or greys, in [0, 1]; not drawn to black and white",
}
_OUTPUTS = {
    "encode": ("loc", "scale"),
    "decode": ("probabilities",),
    "reconstruct": ("probabilities",),
    "sample": ("images",),
    "traverse": ("images",),
}
#: Nodes that call back into the process that made them.
_PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}

#: Without AutoGraph, as Keras traces training: it would read every function's source first.
_traced = functools.partial(tf.function, autograph=False)


class Posterior(NamedTuple):
    """loc and scale of q(z|x), each [B, D]; still a named tuple when it is loaded."""

    loc: tf.Tensor
    scale: tf.Tensor


def owned(model: Any) -> VAE:
    """The VAE that a model is, or owns as `.vae`.

    Raises:
      TypeError: it is neither.
    """
    vae = getattr(model, "vae", model)
    if not isinstance(vae, VAE):
        raise TypeError(f"export takes a tc.VAE, or a model that owns one as .vae; got {type(model).__name__}")
    return vae


def layers(vae: VAE) -> list[keras.layers.Layer]:
    """All layers of its networks, those within others too."""
    return [layer for network in (vae.encoder, vae.decoder) for layer in network._flatten_layers()]


class Served(tf.Module):
    """A VAE's endpoints: encode, decode, reconstruct, sample and traverse, traced for all types that they take.

    It tracks the variables that these read and nothing else of the model, so that no Keras object is saved. Tracing is
    outside of XLA: its programs hold for one kind of device, and for one batch size.

    Raises:
      ValueError: networks that call Python.
    """

    def __init__(self, vae: VAE) -> None:
        super().__init__(name="served")
        self._model = lambda: vae  # as an attribute it would be tracked
        specs = _specs(vae)

        # The others call these two, so that each network is traced once.
        @_traced(input_signature=specs["encode"][0])
        def encode(images: tf.Tensor) -> Posterior:
            posterior = vae.encode(images)
            return Posterior(posterior.loc, posterior.scale)

        @_traced(input_signature=specs["decode"][0])
        def decode(z: tf.Tensor) -> tf.Tensor:
            return vae.decode(z).mean()

        def loc(images: tf.Tensor) -> tf.Tensor:
            return encode(datasets.decode(images, vae.image_shape)).loc

        self.encode = _traced(lambda images: encode(datasets.decode(images, vae.image_shape)))
        self.decode = decode
        self.reconstruct = _traced(lambda images: decode(loc(images)))
        self.sample = _traced(lambda count, seed: decode(_draw(vae, count, seed)))
        self.traverse = _traced(lambda image, latent, range: decode(_moved(loc(image[None])[0], latent, range)))
        traces = [getattr(self, name).get_concrete_function(*one) for name, every in specs.items() for one in every]
        _refuse_python(traces)
        self.read = tuple({id(variable): variable for one in traces for variable in one.graph.variables}.values())

    @property
    def vae(self) -> VAE:
        return self._model()

    def signatures(self) -> dict[str, Any]:
        """Concrete functions from and to tensors by name; `encode_uint8` is `encode` for uint8 images, and so on."""
        found = {}
        for name, every in _specs(self.vae).items():
            for specs in every:
                if any(spec.dtype == tf.float64 for spec in specs):
                    continue  # signatures take float32, as before
                suffix = "_uint8" if specs[0].dtype == tf.uint8 else ""
                found[name + suffix] = _by_name(getattr(self, name), _OUTPUTS[name], specs)
        specs = _specs(self.vae)["reconstruct"][0]
        return {**found, "serving_default": _by_name(self.reconstruct, _OUTPUTS["reconstruct"], specs)}


def _specs(vae: VAE) -> dict[str, list[tuple[tf.TensorSpec, ...]]]:
    """The arguments that each endpoint takes, one tuple for each type: NumPy's float64 is taken too."""
    kinds = (tf.float32, tf.uint8, tf.float64)
    batches = [(tf.TensorSpec((None, *vae.image_shape), kind, "images"),) for kind in kinds]
    one = [tf.TensorSpec(vae.image_shape, kind, "image") for kind in kinds]
    latent = tf.TensorSpec((), tf.int32, "latent")
    ranges = [tf.TensorSpec((None,), kind, "range") for kind in (tf.float32, tf.float64)]
    return {
        "encode": batches,
        "decode": [(tf.TensorSpec((None, vae.latent_dim), tf.float32, "z"),)],
        "reconstruct": batches,
        "sample": [(tf.TensorSpec((), tf.int32, "count"), tf.TensorSpec((), tf.int32, "seed"))],
        "traverse": [(image, latent, values) for image in one for values in ranges],
    }


def _draw(vae: VAE, count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """z ~ p(z), [count, D], a function of the seed alone."""
    prior = vae.prior
    shape = tf.stack([count] if prior.batch_shape.rank else [count, vae.latent_dim])
    return prior.sample(shape, seed=tf.stack([seed, 0]))


def _moved(z: tf.Tensor, latent: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """z [D] once for each of T values of one latent, [T, D].

    Raises:
      tf.errors.InvalidArgumentError: no such latent.
    """
    last = z.shape[0] - 1
    there = tf.debugging.Assert((latent >= 0) & (latent <= last), [f"latent must be 0 to {last}; got", latent])
    with tf.control_dependencies([there]):
        moves = tf.equal(tf.range(last + 1), latent)
    return tf.where(moves, tf.cast(values, z.dtype)[:, None], z)


def _by_name(function: Any, outputs: tuple[str, ...], specs: tuple[tf.TensorSpec, ...]) -> Any:
    """A trace of the function that takes and gives tensors by name."""

    @_traced
    def signature(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        found = function(*(inputs[spec.name] for spec in specs))
        return dict(zip(outputs, found if len(outputs) > 1 else (found,), strict=True))

    return signature.get_concrete_function(**{spec.name: spec for spec in specs})


def _refuse_python(concrete: list[Any]) -> None:
    for one in concrete:
        graph = one.graph.as_graph_def()
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        if found := next((node.name for node in nodes if node.op in _PYTHON), None):
            raise ValueError(
                f"the networks call Python ({found}), which an exported model cannot; use TensorFlow or keras.ops there"
            )
