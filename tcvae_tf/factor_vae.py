"""FactorVAE: a VAE beside a discriminator that estimates its total correlation by a density ratio."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tcvae_tf import distributions, replicas, tracing
from tcvae_tf.models import EVALUATE, TRAIN, VAE, check_shapes_known, fit_arguments, mean, stored_images, track

#: Draws within a step: z of either batch, and the permutation.
_FIRST, _SECOND, _PERMUTE = range(3)


@keras.saving.register_keras_serializable("tcvae_tf")
class FactorVAE(tracing.Model):
    """FactorVAE (Kim and Mnih 2018): the loss of its VAE plus tc_weight · E_q(z) [log D_0(z) − log D_1(z)].

    D tells samples of q(z), class 0, from samples whose latents were permuted across the batch, each latent by itself,
    which stand for ∏_j q(z_j), class 1: the difference of its logits estimates log q(z)/∏_j q(z_j). Each step takes the
    gradients of both losses at the same weights, then applies both.

    Args:
      vae: a `tc.VAE`, of which this takes encoder, decoder, objective (α = β = γ = 1 in the paper) and noise. It can be
        used by itself: `tc.encode(model.vae, data)`.
      discriminator: [B, D] → two logits [B, 2].
      tc_weight: γ in the paper.
      batches: 2, as in the paper: a step's batch is split, one half for the VAE and class 0, the other to be permuted,
        so give `data.batches(2 * B)`. Or 1, as disentanglement_lib has it: the same images for both.

    Attributes:
      tc_weight: a float32 variable; assign to it to change the weight during training.

    Raises:
      ValueError: a discriminator that does not fit the VAE, a negative weight, another number of batches.
    """

    def __init__(
        self, vae: VAE, discriminator: keras.Model, tc_weight: float = 10.0, batches: int = 2, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_shapes_known(discriminator)
        if tuple(discriminator.input_shape[1:]) != (vae.latent_dim,) or discriminator.output_shape[-1] != 2:
            raise ValueError(
                f"discriminator {discriminator.input_shape} → {discriminator.output_shape} does not fit: it takes "
                f"{vae.latent_dim} latents and gives two logits"
            )
        if not 0 <= tc_weight < np.inf or batches not in (1, 2):
            raise ValueError(f"FactorVAE: tc_weight must be 0 or more, batches 1 or 2; got {tc_weight}, {batches}")
        self.vae, self.discriminator, self.batches = vae, discriminator, batches
        replicas.synchronise(discriminator)
        self._first_tc_weight = float(tc_weight)
        self.tc_weight = self.add_weight(
            name="tc_weight",
            shape=(),
            dtype="float32",
            initializer=keras.initializers.Constant(tc_weight),
            trainable=False,
            autocast=False,
        )
        self.image_shape, self.latent_dim = vae.image_shape, vae.latent_dim
        names = ("loss", "reconstruction", *vae.objective.terms)
        names += ("discriminator_tc", "discriminator_loss", "discriminator_accuracy")
        self._trackers = [keras.metrics.Mean(name=name) for name in names]
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return self._trackers

    @property
    def step(self) -> keras.Variable:
        """The number of training steps taken."""
        return self.vae.step

    def compile(
        self,
        optimizer: Any = "adam",
        discriminator_optimizer: Any = None,
        *,
        jit_compile: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        """Keras' compile with two optimizers; "auto" as in `tc.VAE.compile`, but for one whose VAE estimates log q(z),
        whose step is one program.

        Args:
          optimizer: of the VAE.
          discriminator_optimizer: of the discriminator; Adam(1e-4, 0.5, 0.9) by default, as in the paper.
        """
        self.asked_to_compile = jit_compile
        with self.distribute_strategy.scope():
            super().compile(optimizer=optimizer, jit_compile=replicas.xla(jit_compile, kwargs), **kwargs)
            if discriminator_optimizer is None:
                discriminator_optimizer = keras.optimizers.Adam(1e-4, beta_1=0.5, beta_2=0.9)
            second = keras.optimizers.get(discriminator_optimizer)
            scaled = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
            if scaled and not isinstance(second, keras.optimizers.LossScaleOptimizer):
                # Keras scales the loss of its own optimizer alone.
                second = keras.optimizers.LossScaleOptimizer(second)
            self.discriminator_optimizer = second
            replicas.check_optimizers(self.optimizer, self.discriminator_optimizer)
            self.optimizer.build(self.vae.trainable_variables)
            self.discriminator_optimizer.build(self.discriminator.trainable_variables)
        self.vae.xla = bool(self.jit_compile)

    @property
    def may_be_in_parts(self) -> bool:
        """Not with log q̂(z): between two programs its loop has no gradient that is taken from a persistent tape."""
        return type(self).train_step is FactorVAE.train_step and not self.vae.objective.pairwise

    def get_compile_config(self) -> dict:
        config = super().get_compile_config()
        if not config:
            return {}
        second = keras.saving.serialize_keras_object(self.discriminator_optimizer)
        return {**config, "discriminator_optimizer": second}

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "vae": keras.saving.serialize_keras_object(self.vae),
            "discriminator": keras.saving.serialize_keras_object(self.discriminator),
            "tc_weight": self._first_tc_weight,
            "batches": self.batches,
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> FactorVAE:
        config = dict(config)
        for part in ("vae", "discriminator"):
            config[part] = keras.saving.deserialize_keras_object(config[part], custom_objects)
        return cls(**config)

    def fit(self, *args: Any, callbacks: Any = None, **kwargs: Any) -> keras.callbacks.History:
        """Keras' fit, stopped by a FloatingPointError that names the step and the term when one is not finite."""
        callbacks, kwargs = fit_arguments(args, callbacks, kwargs)
        history = super().fit(*args, callbacks=callbacks, **kwargs)
        # With use_ema the averages take the place of the weights in the end; Keras does it for the VAE's optimizer.
        self.discriminator_optimizer.finalize_variable_values(self.discriminator.trainable_variables)
        return history

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Pixel probabilities of the reconstruction from the posterior mean, [B, H, W, C]."""
        return self.vae(images, training=training)

    def _two_losses(
        self, data: Any, seed: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
        """The loss of the VAE, that of the discriminator, of several replicas this one's share, and terms, in nats."""
        stored = stored_images(data)
        if stored.shape[0] is not None and stored.shape[0] % self.batches:
            raise ValueError(f"a step takes two batches: give an even number of images, not {stored.shape[0]}")
        # Each half is decoded by itself: XLA takes twice as long over the halves of what it has decoded.
        place, stored = replicas.place(stored).split(stored, self.batches)
        seeds = [distributions.fold_in(seed, draw) for draw in (_FIRST, _SECOND, _PERMUTE)]
        vae, images = self.vae, self.vae.unpacked(stored[0])
        loc, scale, z, log_px = vae.elbo_sample(images, seeds[_FIRST], training, place)
        penalty, terms = vae.penalty(z, loc, scale, place)
        other = z if self.batches == 1 else self._another_z(stored[1], seeds[_SECOND], training, place)
        logits = tf.cast(self.discriminator(z, training=training), tf.float32)
        (others,) = place.gather(other)  # permuted across the global batch
        permuted = tracing.compiled(permute_latents)(others, seeds[_PERMUTE])
        permuted = tf.stop_gradient(place.own(permuted))
        logits_permuted = tf.cast(self.discriminator(permuted, training=training), tf.float32)

        total_correlation = tf.reduce_mean(logits[:, 0] - logits[:, 1])
        reconstruction = mean(log_px)
        loss = penalty - reconstruction + self.tc_weight.value * total_correlation
        # Cross-entropy of class 0 for z and class 1 for the permuted: softplus of the other class's lead.
        joint = tf.nn.softplus(logits[:, 1] - logits[:, 0])
        product = tf.nn.softplus(logits_permuted[:, 0] - logits_permuted[:, 1])
        discriminator_loss = 0.5 * (tf.reduce_mean(joint) + tf.reduce_mean(product))
        right = tf.concat([logits[:, 0] > logits[:, 1], logits_permuted[:, 1] > logits_permuted[:, 0]], axis=0)
        means = {**terms, "loss": loss, "reconstruction": reconstruction, "discriminator_tc": total_correlation}
        means |= {"discriminator_loss": discriminator_loss}
        means |= {"discriminator_accuracy": tf.reduce_mean(tf.cast(right, tf.float32))}
        means = {**place.means(means), "images": place.count(images)}
        return place.share(loss), place.share(discriminator_loss), means

    def _another_z(self, stored: tf.Tensor, seed: tf.Tensor, training: bool, place: replicas.Whole) -> tf.Tensor:
        """z of the second batch, which no gradient passes."""
        return self.vae.sample(self.vae.encode(self.vae.unpacked(stored), training), seed, place)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One step of both optimizers; returns running means of the losses and their terms, in nats."""
        with tf.GradientTape(persistent=True) as tape:
            seed = self.vae.noise_seed(TRAIN, self.step.value)
            loss, discriminator_loss, terms = self._two_losses(data, seed, training=True)
            scaled = self.optimizer.scale_loss(loss)
            scaled_discriminator = self.discriminator_optimizer.scale_loss(discriminator_loss)
        variables = self.vae.trainable_variables, self.discriminator.trainable_variables
        # Each gradient is taken with respect to its own network alone, and both before either network moves.
        gradients = tape.gradient(scaled, variables[0]), tape.gradient(scaled_discriminator, variables[1])
        with tf.control_dependencies([loss]):  # as in VAE.train_step
            tracing.apply(self.optimizer, gradients[0], variables[0])
            tracing.apply(self.discriminator_optimizer, gradients[1], variables[1])
            self.step.assign_add(1)
        return track(self._trackers, terms)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """The same terms without a step, as `VAE.test_step` has them."""
        seed = self.vae.noise_seed(EVALUATE, self._trackers[0].count)
        _, _, terms = self._two_losses(data, seed, training=False)
        return track(self._trackers, terms, terms["images"])

    def judge(self, z: np.ndarray, seed: int = 0) -> dict[str, float]:
        """What the discriminator says of samples of q(z) over the whole data set, such as `codes.sample(100_000)`.

        Args:
          z: samples, [S, D].
          seed: of the permutation.

        Returns:
          total_correlation: E_q(z) [log D_0(z) − log D_1(z)] in nats, to be held against the exact one of
            `tc.elbo_decomposition`; accuracy: the share of samples, permuted or not, that are put in their class.
        """
        lead = []
        for sample in (z, np.random.default_rng(seed).permuted(z, axis=0)):
            logits = self.discriminator.predict(sample.astype(np.float32), batch_size=4096, verbose=0)
            lead.append(np.float64(logits[:, 0]) - logits[:, 1])
        accuracy = (np.mean(lead[0] > 0) + np.mean(lead[1] < 0)) / 2
        return {"total_correlation": float(lead[0].mean()), "accuracy": float(accuracy)}

    def predict_step(self, data: Any) -> tf.Tensor:
        return self(keras.utils.unpack_x_y_sample_weight(data)[0], training=False)


def permute_latents(z: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Each latent permuted across the batch by itself: samples of ∏_j q(z_j) from samples of q(z), [B, D], and a
    stateless seed, int32 [2]."""
    columns = tf.transpose(z)
    order = tf.argsort(distributions.uniform(tf.shape(columns), seed), axis=1)
    return tf.transpose(tf.gather(columns, order, batch_dims=1))
