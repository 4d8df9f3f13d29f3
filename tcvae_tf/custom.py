"""Methods of one's own, `module:function`: made, checked, trained and encoded like ours.

The function takes the run and its data, and returns a compiled Keras model, all of whose parts are built:

    def make_model(run: tc.Run, data: tc.Dataset) -> keras.Model

* It is trained by `fit` on batches of images, float32 [B, H, W, C] in [0, 1]; one whose train_step is that of `tc.VAE`
  or `tc.FactorVAE` is given what those decode themselves.
* It is a `tc.VAE`, owns one as `.vae`, or has `encode(images)`, which gives q(z|x): a `tfd.Normal` or `tfd.Laplace` of
  batch shape [B, D], or either in `tfd.Independent`, or a `tfd.MultivariateNormalDiag`. The prior is then N(0, 1).
* It may have `decode(z)`, which gives p(x|z), a distribution whose `log_prob(images)` is [B] and whose `mean()` is
  [B, H, W, C]. Without it reconstruction and ELBO are not known and stay None in the record.
* Its steps are counted by `model.step` where it has such a variable, else by `model.optimizer.iterations`.

It need not be serializable: a checkpoint holds weights and the state of optimizers, which fill a model that the
function makes anew. Training that was cut off ends with the same bits where the noise is a function of the step:
tf.random.stateless_normal(shape, [seed, step]), say, or `vae.noise_seed(0, step)`. Layers that draw by themselves, such
as Dropout, draw other numbers after a resumption.
"""

from __future__ import annotations

import contextlib
import math
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tcvae_tf import datasets
from tcvae_tf.datasets import named

if TYPE_CHECKING:
    from tcvae_tf.datasets import Dataset

#: Where a .keras file holds its weights.
_WEIGHTS = "model.weights.h5"


def function(method: str) -> Callable[..., Any]:
    """The function that `module:function` names.

    Raises:
      ValueError: there is none.
    """
    return named.function("method", method)


def make(run: Any, data: Dataset) -> Own:
    """The untrained model of a run.

    Raises:
      ValueError: what the function returned is not what the contract above asks for; the message says what it lacks.
    """
    import keras

    model = function(run.method)(run, data)
    name = f"method {run.method!r}"
    if not isinstance(model, keras.Model):
        raise ValueError(f"{name} returned {type(model).__name__}; return a compiled keras.Model")
    if not model.compiled or model.optimizer is None:
        raise ValueError(f"{name} returned a model that is not compiled; call model.compile(optimizer) before")
    own = Own(model, data.image_shape, name)
    own.build()
    return own


class Own:
    """A model of one's own as runs, callbacks, codes and pictures meet ours.

    Args:
      model: see the contract above; to be encoded it need not be compiled.
      image_shape: (H, W, C).
      name: for messages.

    Attributes:
      vae: the `tc.VAE` that the model is or owns; there is no such attribute where it does not.

    Raises:
      ValueError: no `encode`, or other shapes or families than the contract asks for.
    """

    prior_family = "normal"

    def __init__(self, model: Any, image_shape: tuple[int, int, int], name: str = "the model") -> None:
        import tensorflow as tf

        from tcvae_tf.models import VAE

        self.model, self.image_shape, self.name = model, image_shape, name
        inner = getattr(model, "vae", model)
        if isinstance(inner, VAE):
            self.vae = inner
            if inner.image_shape != tuple(image_shape):
                raise ValueError(f"{name} takes images {inner.image_shape}, the data have {self.image_shape}")
            return
        if not callable(getattr(model, "encode", None)):
            raise ValueError(f"{name} has no encode(images) and is no tc.VAE, nor owns one as .vae")
        images = tf.zeros((2, *self.image_shape))
        self.posterior_family, loc, _ = self._posterior(images)
        self.latent_dim = int(loc.shape[1])
        if self.decode is not None:
            self._check_likelihood(self.decode(loc), images)

    def _check_likelihood(self, found: Any, images: Any) -> None:
        shape = tuple(found.log_prob(images).shape) if hasattr(found, "log_prob") else type(found).__name__
        if shape != (2,):
            raise ValueError(
                f"{self.name}: decode(z).log_prob(images) must be [B] = (2,), of whole images; got {shape}"
            )
        try:
            means = tuple(found.mean().shape)
        except (AttributeError, NotImplementedError):  # not every distribution of TFP's has a mean
            means = ()
        if means != (2, *self.image_shape):
            raise ValueError(f"{self.name}: decode(z).mean() must be the images, [B, H, W, C]; got {means}")

    @property
    def decode(self) -> Callable[..., Any] | None:
        """z [B, D] → p(x|z); None where the model has none."""
        found = getattr(self.model, "decode", None)
        return found if callable(found) else None

    @property
    def likelihood(self) -> bool:
        """Whether log p(x|z) is known."""
        return hasattr(self, "vae") or self.decode is not None

    def _posterior(self, images: Any) -> tuple[str, Any, Any]:
        """Family, loc and scale, each [B, D], of q(z|x)."""
        import tensorflow as tf
        from tensorflow_probability import distributions as tfd

        q = self.model.encode(images)
        while isinstance(q, tfd.Independent):
            q = q.distribution
        if isinstance(q, tfd.MultivariateNormalDiag):
            q = tfd.Normal(q.mean(), q.stddev())
        if not isinstance(q, (tfd.Normal, tfd.Laplace)):
            raise ValueError(f"{self.name}: encode(images) must give a tfd.Normal or Laplace; got {type(q).__name__}")
        loc, scale = (tf.cast(part, tf.float32) for part in (q.loc, q.scale))
        shape = tf.broadcast_static_shape(loc.shape, scale.shape)
        if shape.rank != 2 or shape[0] not in (images.shape[0], None):
            raise ValueError(f"{self.name}: encode(images) must be of batch shape [B, D]; got {tuple(shape)} for B = 2")
        ones = tf.ones(tf.broadcast_dynamic_shape(tf.shape(loc), tf.shape(scale)))
        return "laplace" if isinstance(q, tfd.Laplace) else "normal", loc * ones, scale * ones

    # --- training ---------------------------------------------------------------------------------------------------

    @property
    def step(self) -> Any:
        """The number of training steps taken, a variable."""
        own = getattr(self.model, "step", None)
        return own if hasattr(own, "numpy") else self.model.optimizer.iterations

    @property
    def stop_training(self) -> bool:
        """Whether `fit` ends after this step."""
        return self.model.stop_training

    @stop_training.setter
    def stop_training(self, value: bool) -> None:
        self.model.stop_training = value

    def build(self) -> None:
        """Sees to it that all variables exist, which a checkpoint is to fill. `encode` and `decode` have built theirs.

        Raises:
          ValueError: some do not, nor can be had by calling the model.
        """
        import tensorflow as tf

        if not all(layer.built for layer in self.model.layers):
            with contextlib.suppress(NotImplementedError):  # no call()
                self.model(tf.zeros((2, *self.image_shape)))
        if missing := [layer.name for layer in self.model.layers if not layer.built]:
            raise ValueError(f"{self.name}: {', '.join(missing)} is not built; call it once before returning the model")
        self.model.built = True
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)

    def fit(self, batches: Any, *, callbacks: Sequence[Any], **options: Any) -> None:
        """Keras' fit, stopped by a FloatingPointError when the loss is not finite. Callbacks meet this object, which
        counts its steps and knows how to save itself, in the place of the model."""
        import keras

        stop = keras.callbacks.LambdaCallback(on_train_batch_end=self._stop_when_not_finite)
        for callback in callbacks:
            callback.set_model(self)
            callback.set_model = lambda model: None  # Keras would have it meet the model
        told = [stop, *callbacks]  # in this order: what is not finite is not saved
        self.model.fit(self._fed(batches), callbacks=told, shuffle=False, **options)

    def _fed(self, batches: Any) -> Any:
        """Stored batches for a train_step of ours, images for others."""
        from tcvae_tf.factor_vae import FactorVAE
        from tcvae_tf.models import VAE

        if type(self.model).train_step in (VAE.train_step, FactorVAE.train_step):
            return batches
        return batches.map(lambda batch: datasets.decode(batch, self.image_shape)).prefetch(2)

    def _stop_when_not_finite(self, batch: int, logs: dict | None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            raise FloatingPointError(f"step {int(self.step.numpy()) - 1}: loss = {loss}; lower the learning rate")

    def save(self, path: str | Path) -> None:
        """Writes weights and the state of optimizers, without a config, as .keras."""
        path = Path(path)
        weights = path.with_name(f"{path.stem}.weights.h5")
        try:
            self.model.save_weights(weights)
            with zipfile.ZipFile(path, "w") as archive:
                archive.write(weights, _WEIGHTS)
        finally:
            weights.unlink(missing_ok=True)

    def restore(self, path: str | Path) -> None:
        """Reads what `save` wrote.

        Raises:
          ValueError: of another model, or of one with variables that this one has not yet.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Skipping variable loading")  # of an optimizer
            try:
                self.model.load_weights(path)
            except UserWarning as error:
                raise ValueError(f"{error} Build every optimizer before returning the model") from error

    # --- encoding ---------------------------------------------------------------------------------------------------

    def noise_seed(self, stream: int, index: Any) -> Any:
        """The stateless seed, int32 [2], of draw number `index`."""
        import tensorflow as tf

        return tf.random.fold_in(tf.constant([0, stream], tf.int32), tf.cast(index, tf.int32))

    @property
    def encode_batch(self) -> Any:
        """See `VAE.encode_batch`; the cross-entropy is None, and log p(x|z) where there is no `decode`."""
        if not hasattr(self, "_encode_batch"):
            self._encode_batch = self._traced()
        return self._encode_batch

    def _traced(self) -> Any:
        import tensorflow as tf

        from tcvae_tf import distributions

        @tf.function
        def encode_batch(batch: Any, seed: Any):
            images = datasets.decode(batch, self.image_shape)
            family, loc, scale = self._posterior(images)
            z = distributions.posterior(loc, scale, family).sample(seed=seed)
            log_px = None if self.decode is None else tf.cast(self.decode(z).log_prob(images), tf.float32)
            return loc, scale, None, log_px

        return encode_batch
