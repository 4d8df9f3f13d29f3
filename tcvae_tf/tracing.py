"""Keras' training and evaluation steps, traced anew for each shape of batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


class EachShape:
    """One of Keras' step functions, "train_function" or "test_function", for batches of any fixed shapes.

    Keras traces a second shape with the sizes left open where they differ. The estimators of q(z) need the size of a
    batch when they are traced, and bits and bytes have not even the same rank: so each shape has a function of its own.

    Args:
      model: the model whose attribute `name` this is.
      name: of the attribute.
      make: Keras' way to make that function, `make_train_function` or `make_test_function`.
    """

    def __init__(self, model: keras.Model, name: str, make: Callable[..., Any]) -> None:
        self._model, self._name, self._make = model, name, make
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
            self._make(force=True)
            self._made[shapes] = getattr(self._model, self._name)
            setattr(self._model, self._name, self)
        return self._made[shapes](batches)
