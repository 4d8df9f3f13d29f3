"""Keras' training and evaluation steps, traced anew for each shape of batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


def each_shape(kind: str) -> Callable[..., None]:
    """Keras' method `make_train_function`, or with "test" `make_test_function`, for batches of any fixed shapes.

    Keras traces a second shape with the sizes left open where they differ. The estimators of q(z) need the size of a
    batch when they are traced, and bits and bytes have not even the same rank: so each shape has a function of its own.
    """
    name = f"{kind}_function"

    def make(self: keras.Model, force: bool = False) -> None:
        if force or getattr(self, name) is None:
            setattr(self, name, _EachShape(self, kind))

    return make


class _EachShape:
    """One of Keras' step functions, the model's attribute train_function or test_function."""

    def __init__(self, model: keras.Model, kind: str) -> None:
        self._model, self._kind = model, kind
        self._made: dict[Any, Callable[[Any], Any]] = {}

    def __call__(self, batches: Any) -> Any:
        """A step, or as many as Keras takes at a time, from an iterator over batches."""
        if isinstance(batches, (tf.data.Iterator, tf.distribute.DistributedIterator)):
            shapes = tuple(tf.nest.flatten(batches.element_spec))
        else:  # of train_on_batch and test_on_batch
            batches = list(batches)
            arrays = (part for part in tf.nest.flatten(batches[0]) if part is not None)
            shapes = tuple((tuple(part.shape), str(part.dtype)) for part in arrays)
        if shapes not in self._made:
            self._made[shapes] = self._keras_function()
        return self._made[shapes](batches)

    def _keras_function(self) -> Callable[[Any], Any]:
        """A new one, which Keras makes in our place."""
        getattr(keras.Model, f"make_{self._kind}_function")(self._model, force=True)
        made = getattr(self._model, f"{self._kind}_function")
        setattr(self._model, f"{self._kind}_function", self)
        return made
