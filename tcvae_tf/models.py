"""VAE: a Keras model whose train_step is the decomposed objective."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

import tcvae_tf.networks  # noqa: F401  (a saved model may hold its layers and initializers)
from tcvae_tf import distributions, memory, replicas, tracing
from tcvae_tf.datasets import decode
from tcvae_tf.objective import Objective


def __getattr__(name: str) -> Any:
    """FactorVAE too is had from here, though its own module needs this one."""
    if name == "FactorVAE":
        import tcvae_tf

        return tcvae_tf.FactorVAE
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


#: Streams of noise that never meet: a training step, an evaluation and an encoding draw from different ones.
TRAIN, EVALUATE, ENCODE = range(3)


@keras.saving.register_keras_serializable("tcvae_tf")
class VAE(tracing.Model):
    """A variational autoencoder trained on −E log p(x|z) + α·I + β·TC + γ·Σ KL_j (Chen et al. 2018, section 3).

    All terms are single-sample Monte Carlo. The noise of a step is a function of (seed, step), so that training that
    was cut off and resumed ends with the same bits.

    Saves and loads as any Keras model: `vae.save("vae.keras")`; to load it in another process, import the class first
    (`from tcvae_tf import VAE`), then `keras.models.load_model("vae.keras")`.

    Args:
      encoder: [B, H, W, C] → [B, 2D], loc beside log σ.
      decoder: [B, D] → logits [B, H, W, C].
      objective: α, β, γ and the estimator; a plain VAE by default.
      dataset_size: N, the number of training images; needed unless α = β = γ.
      seed: of the noise.
      prior, posterior: families, see `tcvae_tf.distributions`.

    Attributes:
      beta: a float32 variable, the β in use once any warm-up is over; assign to it to change β during training. Where
        α = β = γ it weights the whole KL.
      step: an int64 variable, the number of training steps taken.
      xla: whether encoding is compiled by XLA; `compile` decides it together with training.

    Raises:
      TypeError: an objective that is no `tc.Objective`.
      ValueError: encoder and decoder that do not fit together, or a dataset_size that is missing or below 1.
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        objective: Objective | None = None,
        dataset_size: int | None = None,
        seed: int = 0,
        prior: str = "normal",
        posterior: str = "normal",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(objective, Objective | None):
            raise TypeError(f"VAE: objective must be a tc.Objective, such as tc.Objective(beta=6.0); got {objective!r}")
        if dataset_size is not None and not int(dataset_size) >= 1:
            raise ValueError(f"VAE: dataset_size is N, the number of training images; got {dataset_size}")
        self.encoder, self.decoder = encoder, decoder
        replicas.synchronise(encoder, decoder)
        self.objective = objective or Objective()
        self.dataset_size, self.seed = None if dataset_size is None else int(dataset_size), seed
        self.prior_family, self.posterior_family = prior, posterior
        distributions.posterior(0.0, 1.0, posterior)
        check_shapes_known(encoder, decoder)
        self.image_shape = tuple(encoder.input_shape[1:])
        self.latent_dim = decoder.input_shape[-1]
        if encoder.output_shape[-1] != 2 * self.latent_dim or tuple(decoder.output_shape[1:]) != self.image_shape:
            raise ValueError(
                f"encoder {encoder.input_shape} → {encoder.output_shape} and decoder {decoder.input_shape} → "
                f"{decoder.output_shape} do not fit: the encoder gives loc beside log σ, twice what the decoder "
                "takes, and the decoder gives one logit for each value of the image"
            )
        if self.objective.pairwise and dataset_size is None:
            raise ValueError("VAE: pass dataset_size=len(data), the N that the estimators of q(z) need")
        # Plain weights: they are saved with the model and XLA updates them on the device.
        self.step = self.add_weight(name="step", shape=(), dtype="int64", initializer="zeros", trainable=False)
        self.beta = self.add_weight(
            name="beta",
            shape=(),
            dtype="float32",
            initializer=keras.initializers.Constant(self.objective.beta),
            trainable=False,
            autocast=False,
        )
        self.xla = not tf.distribute.has_strategy()  # until `compile` says otherwise
        self._flow = None
        if prior == "flow":
            self._flow = self.add_weight(
                name="flow",
                shape=(3, distributions.FLOW_STEPS, self.latent_dim),
                dtype="float32",
                initializer=keras.initializers.RandomNormal(stddev=distributions.FLOW_SPREAD, seed=seed % 2**31),
                autocast=False,
            )
        _ = self.prior  # refuses an unknown family
        names = ("loss", "reconstruction", *self.objective.terms)
        self._trackers = [keras.metrics.Mean(name=name) for name in names]
        self.built = True

    @property
    def prior(self) -> tfp.distributions.Distribution:
        """p(z_j), of batch shape [] or, for the flow prior, [D]."""
        return distributions.prior(self.prior_family, flow=None if self._flow is None else self._flow.value)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return self._trackers

    def compile(self, optimizer: Any = "adam", *, jit_compile: bool | str = "auto", **kwargs: Any) -> None:
        """Keras' compile, but "auto" means XLA wherever it can be had: everywhere but under tf.distribute.

        On a CPU too: there XLA halves the time of a step. Of a large MLP, such as the paper's, and batches of a fixed
        size the step on a CPU is XLA programs between matrix products by oneDNN: see `tcvae_tf.tracing`. With True it
        is one program in any case. No loss is given: the objective is the loss.
        """
        self.asked_to_compile = jit_compile
        with self.distribute_strategy.scope():
            super().compile(optimizer=optimizer, jit_compile=replicas.xla(jit_compile, kwargs), **kwargs)
            replicas.check_optimizers(self.optimizer)
            # Otherwise the first step makes the moments, and is traced again because it made variables.
            self.optimizer.build(self.trainable_variables)
        self.xla = bool(self.jit_compile)
        self.__dict__.pop("encode_batch", None)  # traced for the compilation before

    @property
    def may_be_in_parts(self) -> bool:
        """A subclass's own step may not: what it does beside our parts would be outside of XLA."""
        return type(self).train_step is VAE.train_step

    def encode(self, images: tf.Tensor, training: bool = False) -> tfp.distributions.Distribution:
        """q(z|x) for images [B, H, W, C] in [0, 1]: a distribution of batch shape [B, D]."""
        loc, log_scale = tf.split(tf.cast(self.encoder(images, training=training), tf.float32), 2, axis=-1)
        return distributions.posterior(loc, tf.exp(log_scale), self.posterior_family)

    def decode(self, z: tf.Tensor, training: bool = False) -> tfp.distributions.Distribution:
        """p(x|z) for latents [B, D]: a distribution of event shape [H, W, C]."""
        return distributions.likelihood(tf.cast(self.decoder(z, training=training), tf.float32))

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Pixel probabilities of the reconstruction from the posterior mean, [B, H, W, C]."""
        return self.decode(self.encode(decode(images, self.image_shape), training).mean(), training).mean()

    def noise_seed(self, stream: int, index: tf.Tensor) -> tf.Tensor:
        """The stateless seed, int32 [2], of draw number `index` in one of the streams TRAIN, EVALUATE and ENCODE."""
        base = tf.constant([self.seed % 2**31, stream], tf.int32)
        return tf.random.fold_in(base, tf.cast(index, tf.int32))

    def elbo_sample(self, images: tf.Tensor, seed: tf.Tensor, training: bool = False, place=replicas.WHOLE):
        """One z ~ q(z|x) an image: loc, scale and z, each [B, D], and log p(x|z), [B] in nats; `place` as in _loss."""
        posterior = self.encode(images, training)
        z = self.sample(posterior, seed, place)
        return posterior.loc, posterior.scale, z, self.decode(z, training).log_prob(images)

    def sample(self, posterior: tfp.distributions.Distribution, seed: tf.Tensor, place=replicas.WHOLE) -> tf.Tensor:
        """z ~ q(z|x), [B, D], from a stateless seed, int32 [2]; `place` as in _loss."""

        def draw(loc: tf.Tensor, scale: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
            return place.sample(posterior.copy(loc=loc, scale=scale), seed)

        return tracing.compiled(draw)(posterior.loc, posterior.scale, seed)

    def penalty(
        self, z: tf.Tensor, loc: tf.Tensor, scale: tf.Tensor, place=replicas.WHOLE, step: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, dict]:
        """The objective's penalty, and its terms, each a batch mean in nats; of z ~ q(z|x).

        Warm-ups take the number of the step: `self.step`, which our train_step counts. A train_step of another model
        that owns this one counts it too, or gives a step of its own.
        """
        step = self.step.value if step is None else tf.convert_to_tensor(step)

        def weighted(z: tf.Tensor, loc: tf.Tensor, scale: tf.Tensor) -> tuple[tf.Tensor, dict]:
            families = (self.posterior_family, self.prior)
            return self.objective.penalty(
                z, loc, scale, self.dataset_size, self.beta.value, *families, step=step, place=place
            )

        return tracing.compiled(weighted)(z, loc, scale)

    @functools.cached_property
    def encode_batch(self) -> Any:
        """Of a stored batch, loc, scale and −E_q(z_j|x) log p(z_j), each [B, D], and one sample of log p(x|z), [B].

        Traced once for each shape, without AutoGraph, as Keras traces training, and compiled by XLA where that is.
        """

        @tf.function(jit_compile=self.xla, autograph=False)
        def encode_batch(batch: tf.Tensor, seed: tf.Tensor):
            loc, scale, _, log_px = self.elbo_sample(decode(batch, self.image_shape), seed)
            return loc, scale, distributions.prior_cross_entropy(loc, scale, self.posterior_family, self.prior), log_px

        return encode_batch

    def unpacked(self, stored: tf.Tensor) -> tf.Tensor:
        """Images [B, H, W, C] in [0, 1] from a batch as it is stored, within a step."""
        return tracing.compiled(lambda stored: decode(stored, self.image_shape))(stored)

    def _loss(self, data: Any, seed: tf.Tensor, training: bool) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """The minibatch loss, of several replicas this one's share of it, its terms, each a batch mean in nats, and
        beside them the number of images.

        `place` is where this replica's images stand in the global batch.
        """
        images = self.unpacked(stored_images(data))
        place = replicas.place(images)
        loc, scale, z, log_px = self.elbo_sample(images, seed, training, place)
        penalty, terms = self.penalty(z, loc, scale, place)
        reconstruction = mean(log_px)
        loss = penalty - reconstruction
        means = place.means({"loss": loss, "reconstruction": reconstruction, **terms})
        return place.share(loss), {**means, "images": place.count(images)}

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One step of the optimizer; returns the running means of the loss and its terms, in nats."""
        with tf.GradientTape() as tape:
            loss, terms = self._loss(data, self.noise_seed(TRAIN, self.step.value), training=True)
            scaled = self.optimizer.scale_loss(loss)
        variables = self.trainable_variables
        gradients = tape.gradient(scaled, variables)
        # Without XLA nothing else keeps the counters from going on when the data have run out.
        with tf.control_dependencies([loss]):
            tracing.apply(self.optimizer, gradients, variables)
            self.step.assign_add(1)
        return track(self._trackers, terms)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """The same terms without a step, means over all images. How many came before, which the trackers count, chooses
        the noise."""
        _, terms = self._loss(data, self.noise_seed(EVALUATE, self._trackers[0].count), training=False)
        return track(self._trackers, terms, terms["images"])

    def predict_step(self, data: Any) -> tf.Tensor:
        return self(keras.utils.unpack_x_y_sample_weight(data)[0], training=False)

    def fit(self, *args: Any, callbacks: Any = None, **kwargs: Any) -> keras.callbacks.History:
        """Keras' fit, stopped by a FloatingPointError that names the step and the term when one is not finite."""
        callbacks, kwargs = fit_arguments(args, callbacks, kwargs)
        return super().fit(*args, callbacks=callbacks, **kwargs)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "objective": dataclasses.asdict(self.objective),
            "dataset_size": self.dataset_size,
            "seed": self.seed,
            "prior": self.prior_family,
            "posterior": self.posterior_family,
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> VAE:
        config = dict(config)
        for part in ("encoder", "decoder"):
            config[part] = keras.saving.deserialize_keras_object(config[part], custom_objects)
        return cls(**{**config, "objective": Objective(**config["objective"])})


def check_shapes_known(*networks: keras.Model) -> None:
    """Raises ValueError for a subclassed network by itself, which Keras lets have any shapes."""
    for network in networks:
        if not hasattr(network, "input_shape"):
            raise ValueError(
                f"{network.name}: pass keras.Sequential([keras.Input(shape), network]), so that it has shapes"
            )


def mean(log_px: tf.Tensor) -> tf.Tensor:
    """The batch mean, summed in float64.

    XLA would make one sum of two, over the pixels and over the batch, and that by one thread; not across a cast.
    """
    return tf.cast(tf.reduce_mean(tf.cast(log_px, tf.float64)), log_px.dtype)


def stored_images(data: Any) -> Any:
    """The images of what Keras hands a step.

    Raises:
      ValueError: there are weights of single images too.
    """
    images, _, weights = keras.utils.unpack_x_y_sample_weight(data)
    if weights is not None:
        raise ValueError("weights of single images have no place in the objective; see Dataset.weighted for p(n)")
    return images


def track(trackers: list[keras.metrics.Metric], terms: dict[str, tf.Tensor], weight: Any = None) -> dict:
    """Counts the terms of a batch in, by a weight where one is given, and returns the running means by name."""
    for tracker in trackers:
        tracker.update_state(terms[tracker.name], weight)
    return {tracker.name: replicas.logged(tracker.result()) for tracker in trackers}


def fit_arguments(args: tuple, callbacks: Any, kwargs: dict) -> tuple[Any, dict]:
    """What our models add to the arguments of Keras' fit."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        if not any(isinstance(callback, _EachStep) for callback in callbacks.callbacks):
            first = _EachStep()
            first.set_model(callbacks.model)
            callbacks.callbacks.insert(0, first)  # before one that would save the model
    else:
        given = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks] if callbacks else []
        callbacks = [_EachStep(), *given]
    if isinstance(args[0] if args else kwargs.get("x"), tf.data.Dataset):
        # It has an order of its own; Keras warns that it cannot shuffle it.
        kwargs = {"shuffle": False, **kwargs}
    return callbacks, kwargs


class _EachStep(keras.callbacks.Callback):
    """Looks at the running means after each step, where a NaN or infinity stays once it has come.

    From the first step on it also keeps freed memory: before, compiling the step has taken and freed its own.
    """

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        memory.keep()
        logs = logs or {}
        if math.isfinite(float(logs.get("loss", 0.0))):  # a train_step of one's own may give none
            return
        last, count = int(self.model.step.numpy()) - 1, self.model.steps_per_execution
        where = f"step {last}" if count == 1 else f"steps {last - count + 1} to {last}"
        bad = ", ".join(f"{name} = {float(value)}" for name, value in logs.items() if not math.isfinite(float(value)))
        raise FloatingPointError(f"{where}: {bad}; lower the learning rate or the weights of the objective")
