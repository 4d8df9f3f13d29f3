"""Keras' steps, traced anew for each shape of batches, and in which parts XLA compiles that of training.

A step is one XLA program, or, where the matrix products are so large that the kernel of each counts, a TensorFlow
graph: oneDNN multiplies in it, which XLA does not call on a CPU, and what lies between the products is XLA programs.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

#: FLOP of a training step from which on its products are multiplied outside of XLA. Measured on two cores of an Intel
#: Xeon: MLP 1200 at batch 1000 (8e10) takes 13% less time so, at batch 2048 18%; MLP 512 at batch 1024 (3e10) 13% more.
LARGE = 6e10

_apart = contextvars.ContextVar("apart", default=False)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A part of a step between its matrix products: an XLA program where the step around it is none, else as it is."""
    return tf.function(function, jit_compile=True, autograph=False) if _apart.get() else function


def apply(optimizer: keras.optimizers.Optimizer, gradients: Sequence[Any], variables: Sequence[keras.Variable]) -> None:
    """A step of the optimizer, as a `compiled` part."""

    def move(gradients: Sequence[Any]) -> None:
        optimizer.apply(gradients, variables)

    compiled(move)(gradients)


@contextlib.contextmanager
def parts(apart: bool = True) -> Iterator[None]:
    """Where a step is traced as a graph with `compiled` parts, or with apart=False as one program."""
    before = _apart.set(apart)
    try:
        yield
    finally:
        _apart.reset(before)


def flop(model: keras.Model, batch_size: int | None) -> float:
    """FLOP of the matrix products of a training step, about: 6·B for each weight of a dense layer.

    0 where the batch has no fixed size, a layer is a convolution (ours are laid out for XLA) or one computes in another
    type than float32 (not measured).
    """
    layers = model._flatten_layers()
    if batch_size is None or any(hasattr(one, "kernel_size") or one.compute_dtype != "float32" for one in layers):
        return 0.0
    return 6.0 * batch_size * sum(math.prod(v.shape) for v in model.trainable_variables if len(v.shape) > 1)


def one_dnn() -> bool:
    """Whether TensorFlow multiplies matrices by oneDNN here: on a CPU that it thinks fit for it, unless told not to."""
    try:
        from tensorflow.python.util import _pywrap_util_port
    except ImportError:  # it is not of TensorFlow's public interface
        return False
    return bool(_pywrap_util_port.IsMklEnabled()) and not tf.config.get_visible_devices("GPU")


class Model(keras.Model):
    """A Keras model whose steps take batches of any fixed shapes, and of its own for training and evaluation.

    Attributes:
      asked_to_compile: the jit_compile that `compile` was given; it is what a saved model is compiled with when it is
        loaded, since "auto" may stand for another choice there.
    """

    asked_to_compile: bool | str = False
    train_function: Any
    test_function: Any
    predict_function: Any

    @property
    def may_be_in_parts(self) -> bool:
        """Whether the training step marks its `compiled` parts, so that it need not be one program of XLA's."""
        return False

    def make_train_function(self, force: bool = False) -> None:
        if force or self.train_function is None:
            self.train_function = _EachShape(self, "train")

    def make_test_function(self, force: bool = False) -> None:
        if force or self.test_function is None:
            self.test_function = _EachShape(self, "test")

    def make_predict_function(self, force: bool = False) -> None:
        if force or self.predict_function is None:
            self.predict_function = _EachShape(self, "predict")

    def _maybe_symbolic_build(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: all is built. Under a strategy Keras would draw a batch for it, and use up an epoch's order."""

    def get_compile_config(self) -> dict:
        config = super().get_compile_config()  # {} before compile
        return {**config, "jit_compile": self.asked_to_compile or config["jit_compile"]} if config else {}

    def compile_from_config(self, config: dict) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))


class _EachShape:
    """One of Keras' step functions, the model's attribute train_function, say: one for each shape.

    Keras traces a second shape with the sizes left open where they differ. The estimators of q(z) need the size of a
    batch when they are traced, and bits and bytes have not even the same rank.
    """

    def __init__(self, model: Model, kind: str) -> None:
        self._model, self._kind = model, kind
        self._made: dict[Any, tuple[Callable[[Any], Any], bool]] = {}

    def __call__(self, batches: Any) -> Any:
        """A step, or as many as Keras takes at a time, from an iterator over batches."""
        if isinstance(batches, (tf.data.Iterator, tf.distribute.DistributedIterator)):
            arrays = tf.nest.flatten(batches.element_spec)
            shapes = tuple(arrays)
        else:  # of predict and of what takes one batch
            batches = list(batches)
            arrays = [part for part in tf.nest.flatten(batches[0], expand_composites=True) if part is not None]
            shapes = tuple((tuple(part.shape), str(part.dtype)) for part in arrays)
        if shapes not in self._made:
            apart = self._apart(arrays)
            self._made[shapes] = (self._keras_function(apart), apart)
        function, apart = self._made[shapes]
        with parts(apart):
            return function(batches)

    def _apart(self, arrays: Sequence[Any]) -> bool:
        """Whether the products are multiplied outside of XLA: in training, where `compile` left us the choice."""
        model = self._model
        free = self._kind == "train" and model.asked_to_compile == "auto" and model.may_be_in_parts
        if not (free and model.jit_compile and not model.run_eagerly and one_dnn()):
            return False
        # One device from here on: what several replicas take has no shape.
        sizes = [array.shape[0] for array in arrays if tf.TensorShape(array.shape).rank]
        return bool(sizes) and flop(model, sizes[0]) >= LARGE

    def _keras_function(self, apart: bool) -> Callable[[Any], Any]:
        """A new one, which Keras makes in our place."""
        model, whole = self._model, self._model.jit_compile
        model.jit_compile = whole and not apart
        try:
            getattr(keras.Model, f"make_{self._kind}_function")(model, force=True)
        finally:
            model.jit_compile = whole
        made = getattr(model, f"{self._kind}_function")
        setattr(model, f"{self._kind}_function", self)
        return made
