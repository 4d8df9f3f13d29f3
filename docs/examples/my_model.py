"""A β-VAE whose KL is held to a capacity C that grows (Burgess et al. 2018): −E log p(x|z) + γ |KL − C|, in nats."""

import keras
import tensorflow as tf

import tcvae_tf as tc


class CapacityVAE(keras.Model):
    def __init__(self, vae, steps, gamma=30.0, capacity=25.0):
        super().__init__()
        self.vae, self.steps, self.gamma, self.capacity = vae, steps, gamma, capacity

    @property
    def step(self):
        return self.vae.step

    def train_step(self, images):
        capacity = self.capacity * tf.minimum(1.0, tf.cast(self.step, tf.float32) / self.steps)
        with tf.GradientTape() as tape:
            # Noise by step: training that was cut off ends with the same bits.
            loc, scale, z, log_px = self.vae.elbo_sample(images, self.vae.noise_seed(0, self.step), training=True)
            kl, _ = self.vae.penalty(z, loc, scale)
            loss = self.gamma * tf.abs(kl - capacity) - tf.reduce_mean(log_px)
            scaled = self.optimizer.scale_loss(loss)  # for mixed precision
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(scaled, variables), variables)
        self.step.assign_add(1)
        return {"loss": loss, "kl": kl, "capacity": capacity}


def make_model(run, data):
    networks = tc.networks.mlp(data.image_shape, run.latent_dim, run.width, seed=run.seed)
    steps = run.step_count(data.steps_per_epoch(run.batch_size))
    model = CapacityVAE(tc.VAE(*networks, seed=run.seed), steps=max(1, steps // 2))
    model.compile(keras.optimizers.Adam(run.learning_rate))
    return model
