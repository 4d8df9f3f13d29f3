r"""One batch over several replicas of a `tf.distribute` strategy, with the loss and the gradients of one device.

Replica r = 0…R − 1 holds n_r rows of a global batch of B = Σ_r n_r: those from f_r = Σ_{q<r} n_q on. The estimates of
log q(z_i) need the posteriors of all B images, and a row of the weights W is one of the global batch, so that the loss

    L = (1/B) Σ_i ℓ_i(z_i; q(·|x_1), …, q(·|x_B)) = Σ_r (n_r/B) · L_r,    L_r = (1/n_r) Σ_{i = f_r}^{f_r + n_r − 1} ℓ_i

is that of one device, not a mean of R losses of smaller batches, whose log q̂ would be another. Keras' optimizers add
the gradients of the replicas, so each takes that of (n_r/B) · L_r; what it asks of the posteriors of others goes back
to them through `gather`. The noise of all B rows is drawn everywhere, from the same seed, and each replica takes its
own.
"""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp


class Whole:
    """One device holds the whole batch: nothing to gather, nothing to weigh."""

    #: f_r, the place of this replica's first row in the global batch.
    first: int | tf.Tensor = 0

    def gather(self, *own: tf.Tensor) -> list[tf.Tensor]:
        """Rows of all replicas, each [B, ...], from those of this one, each [n_r, ...].

        The gradient of each replica's rows is the sum of what all replicas ask of them.
        """
        return list(own)

    def own(self, whole: tf.Tensor) -> tf.Tensor:
        """This replica's rows, [n_r, ...], of something [B, ...] that all replicas have."""
        return whole

    def sample(self, posterior: tfp.distributions.Distribution, seed: tf.Tensor) -> tf.Tensor:
        """z ~ q(z|x) of this replica's images, [n_r, D]: the rows of what one device draws from this seed."""
        return posterior.sample(seed=seed)

    def share(self, mean: tf.Tensor) -> tf.Tensor:
        """(n_r/B) · L_r of a mean L_r over this replica's rows: the shares of all replicas sum to the global mean."""
        return mean

    def split(self, own: tf.Tensor, parts: int) -> tuple[Whole, list[tf.Tensor]]:
        """The global batch in equal parts, of each its rows for this replica, and their place in their part."""
        return self, tf.split(own, parts)

    def means(self, terms: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Means over the global batch, the same on all replicas, from scalar means over this replica's rows."""
        return terms

    def count(self, own: tf.Tensor) -> tf.Tensor:
        """Rows of the global batch, as a float, from those of this replica."""
        return tf.cast(tf.shape(own)[0], tf.float32)


WHOLE = Whole()


class Part(Whole):
    """This replica holds the rows first, …, first + rows − 1 of `total`; `rows` is an int where it is static."""

    def __init__(self, first: tf.Tensor, rows: int | tf.Tensor, total: tf.Tensor) -> None:
        self.first, self.rows, self.total = first, rows, total
        self._fraction = tf.cast(rows / total, tf.float32)

    def gather(self, *own: tf.Tensor) -> list[tf.Tensor]:
        context = tf.distribute.get_replica_context()
        static = context.num_replicas_in_sync * self.rows if isinstance(self.rows, int) else None
        return [tf.ensure_shape(context.all_gather(rows, axis=0), [static, *rows.shape[1:]]) for rows in own]

    def own(self, whole: tf.Tensor) -> tf.Tensor:
        return tf.slice(whole, [self.first] + [0] * (whole.shape.rank - 1), [self.rows] + [-1] * (whole.shape.rank - 1))

    def sample(self, posterior: tfp.distributions.Distribution, seed: tf.Tensor) -> tf.Tensor:
        shape = [self.total, posterior.loc.shape[1]]
        standard = posterior.copy(loc=tf.zeros(shape), scale=tf.ones(shape)).sample(seed=seed)
        return posterior.loc + posterior.scale * self.own(standard)

    def share(self, mean: tf.Tensor) -> tf.Tensor:
        # Of a replica that has no rows the mean is NaN, and its share zero.
        return tf.math.multiply_no_nan(mean, self._fraction)

    def split(self, own: tf.Tensor, parts: int) -> tuple[Whole, list[tf.Tensor]]:
        first, end = self.first // parts, (self.first + self.rows) // parts
        rows = self.rows // parts if isinstance(self.rows, int) else end - first
        part = Part(first, rows, self.total // parts)
        if parts == 1:
            return part, [own]
        # A part begins on one replica and ends on another: all rows are gathered as they are stored. Bytes cannot be
        # sent, and are whole numbers in float16 too.
        sent = own if own.dtype.is_floating else tf.cast(own, tf.float16)
        whole = tf.cast(self.gather(sent)[0], own.dtype)
        return part, [part.own(rows) for rows in tf.split(whole, parts)]

    def means(self, terms: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        shares = tf.stack([self.share(tf.stop_gradient(mean)) for mean in terms.values()])
        total = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, shares)
        return dict(zip(terms, tf.unstack(total), strict=True))

    def count(self, own: tf.Tensor) -> tf.Tensor:
        return tf.cast(self.total, tf.float32)


def place(own: tf.Tensor) -> Whole:
    """Where the rows of this batch, [n_r, ...], stand in the global batch; `WHOLE` but in one of several replicas."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return WHOLE
    counts = context.all_gather(tf.shape(own)[:1], axis=0)
    first = tf.reduce_sum(counts[: context.replica_id_in_sync_group])
    static = own.shape[0]
    return Part(first, tf.shape(own)[0] if static is None else static, tf.reduce_sum(counts))


def logged(value: tf.Tensor) -> tf.Tensor:
    """A scalar as a step returns it to Keras: over several workers, of shape [1].

    There Keras takes the mean along a first axis, which a scalar has not (tensorflow/tensorflow#72388).
    """
    several = isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy)
    return value[None] if several else value


def distribute(
    data: Any, batch_size: int, strategy: tf.distribute.Strategy, seed: int = 0, first_step: int = 0
) -> tf.distribute.DistributedDataset:
    """The global batches of `data.batches(batch_size, seed)`, of each its rows for each replica of all workers.

    For `fit(…, steps_per_epoch=data.steps_per_epoch(batch_size))` over several workers, whose shares as TensorFlow
    makes them have no static size, which log q̂ asks for. Within one process `fit(data.batches(…))` does without it.

    Args:
      data: a `tc.Dataset`.
      batch_size: B, of the global batch.
      seed: of the order.
      first_step: the step to begin with, counted from the first epoch on; for training that goes on where it stopped.

    Raises:
      ValueError: a batch that the number of replicas does not divide, or that is larger than the data.
    """
    steps, replicas = data.steps_per_epoch(batch_size), strategy.num_replicas_in_sync
    size = batch_size // replicas
    if batch_size % replicas:
        raise ValueError(f"{replicas} replicas share a batch: make its size a multiple of {replicas}, not {batch_size}")

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        here = replicas // context.num_input_pipelines
        mine = range(context.input_pipeline_id * here, (context.input_pipeline_id + 1) * here)

        def shares() -> Iterator[np.ndarray]:
            order = functools.lru_cache(maxsize=1)(lambda epoch: data.order(seed, epoch))
            for step, replica in ((step, replica) for step in itertools.count(first_step) for replica in mine):
                epoch, place = divmod(step, steps)
                begin = place * batch_size + replica * size
                yield data.stored(order(epoch)[begin : begin + size])

        spec = tf.TensorSpec((size, *data.storage.shape[1:]), tf.uint8)
        stream = tf.data.Dataset.from_generator(shares, output_signature=spec)
        # Where data might run out on one worker before another, TensorFlow forgets the size again.
        return stream.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)).prefetch(2)

    return strategy.distribute_datasets_from_function(of_worker)


def synchronise(*models: keras.Model) -> None:
    """Under a strategy, has batch normalisation take the mean and the variance of the global batch.

    Keras' default is each replica's own, with which R replicas are another model than one device. Without a strategy
    nothing changes.
    """
    if not tf.distribute.has_strategy():
        return
    for model in models:
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True


def xla(jit_compile: bool | str, kwargs: dict) -> bool:
    """Whether `compile` is to use XLA: it cannot where replicas meet within a step, or a step is run eagerly."""
    if jit_compile == "auto":
        return not (tf.distribute.has_strategy() or kwargs.get("run_eagerly", False))
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    if several and jit_compile:
        warnings.warn("XLA and several replicas do not mix: jit_compile is off", stacklevel=3)
    return bool(jit_compile) and not several


def check_optimizers(*optimizers: keras.optimizers.Optimizer) -> None:
    """Within the scope of a strategy, raises ValueError where an optimizer was made outside.

    Its variables are then one for all replicas, and each would count a step of its own.
    """
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    for optimizer in optimizers:
        if several and not isinstance(optimizer.iterations.value, tf.distribute.DistributedValues):
            raise ValueError("make the optimizers within `with strategy.scope():`, as the model")
