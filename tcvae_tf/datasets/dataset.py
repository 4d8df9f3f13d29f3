"""Dataset: all images of a factor grid, kept as bits or bytes and decoded on the device."""

from __future__ import annotations

import dataclasses
import hashlib
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tcvae_tf.datasets import cache
from tcvae_tf.factors import FactorGrid

if TYPE_CHECKING:
    import tensorflow as tf


class Dataset:
    """Images x(n) for the N cells of a FactorGrid.

    Args:
      storage: uint8 [N, H, W, C] with 0…255 standing for 0…1, or, for binary images, [N, ⌈HWC/8⌉] as numpy.packbits
        makes it; in the grid's C order. A memory map is welcome.
      grid: the factors.
      image_shape: (H, W, C).
      name: a short name for run ids and captions.
      source: where the images come from, for the record.
      sha256: the checksum of `storage`, where it is known already.

    `len(data)` is the number of images that can be drawn, p(n) > 0: the N of the paper's estimators.
    """

    def __init__(
        self,
        storage: np.ndarray,
        grid: FactorGrid,
        image_shape: tuple[int, int, int],
        name: str = "custom",
        source: str = "arrays",
        sha256: str | None = None,
    ) -> None:
        packed_shape = (len(grid), -(-int(np.prod(image_shape)) // 8))
        if storage.dtype != np.uint8 or storage.shape not in (packed_shape, (len(grid), *image_shape)):
            raise ValueError(
                f"Dataset: storage must be uint8 {(len(grid), *image_shape)}, or packed bits {packed_shape}; "
                f"got {storage.dtype} {storage.shape}; tc.datasets.from_arrays converts plain arrays"
            )
        self.storage, self.grid = storage, grid
        self.image_shape: tuple[int, int, int] = (image_shape[0], image_shape[1], image_shape[2])
        self.name, self.source, self._sha256 = name, source, sha256
        self._cells = None if grid.weights is None else grid.cells

    def __len__(self) -> int:
        return len(self.grid) if self._cells is None else len(self._cells)

    @property
    def sha256(self) -> str:
        """The checksum of the stored images."""
        if self._sha256 is None:
            self._sha256 = hashlib.sha256(np.ascontiguousarray(self.storage).data).hexdigest()
        return self._sha256

    def images(self, indices: Any) -> np.ndarray:
        """Images at flat C-order grid indices, float32 [n, H, W, C] in [0, 1].

        Raises:
          TypeError: indices that are not integers.
          ValueError: indices of more than one axis.
        """
        indices = np.atleast_1d(np.asarray(indices))
        if indices.ndim != 1:
            raise ValueError(f"images: indices must be one or a list of them, flat in C order; got {indices.shape}")
        if indices.size and indices.dtype.kind not in "iu":
            raise TypeError(f"images: indices must be integers, flat in C order; got {indices.dtype}")
        rows = self.stored(indices.astype(np.intp))
        if self.storage.ndim == 2:
            pixels = np.unpackbits(rows, axis=1, count=int(np.prod(self.image_shape)))
            return pixels.reshape(-1, *self.image_shape).astype(np.float32)
        return rows.astype(np.float32) / np.float32(255)

    def stored(self, indices: np.ndarray) -> np.ndarray:
        """Images at flat C-order grid indices as they are stored, bits or bytes; see `decode`."""
        return cache.take(self.storage, indices)

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """The flat indices of one epoch, a function of (seed, epoch) alone, [len(data)].

        A permutation of the images; with weights that are not uniform, independent draws from p(n).
        """
        rng = np.random.Generator(np.random.Philox(key=[seed % 2**64, epoch]))
        if self._cells is None:
            return rng.permutation(len(self))
        p = self.grid.probabilities[self._cells]
        if np.ptp(p) <= 1e-12:
            return rng.permutation(self._cells)
        return rng.choice(self._cells, size=len(self), p=p)

    def steps_per_epoch(self, batch_size: int, batches: int = 1) -> int:
        """Whole steps in an epoch, each of so many batches. The ragged rest is dropped: it would change B, and with it
        the estimators.

        Raises:
          ValueError: there are not as many images.
        """
        most = len(self) // batches
        if not 1 <= batch_size <= most:
            taken = f", {batches} batches a step" if batches > 1 else ""
            told = f"batch_size {batch_size} does not fit {self.name} with {len(self)} images{taken}"
            raise ValueError(f"{told}; choose 1 to {most}")
        return most // batch_size

    def batches(self, batch_size: int, seed: int = 0, first_epoch: int = 0, first_step: int = 0) -> tf.data.Dataset:
        """A tf.data.Dataset for `fit`: each pass over it is the next epoch, in the order of (seed, epoch).

        It yields stored batches, bits or bytes, which `VAE.train_step` decodes on the device (see `decode`).

        Args:
          batch_size: B; at most `len(data)`.
          seed: of the order.
          first_epoch: the epoch that the first pass stands for; for training that goes on where it stopped.
          first_step: the step within it that the first pass begins with; later passes are whole.
        """
        import tensorflow as tf

        steps, seed = self.steps_per_epoch(batch_size), operator.index(seed)
        epoch, begin = first_epoch, first_step

        def one_epoch() -> Iterator[np.ndarray]:
            nonlocal epoch, begin
            order, these = self.order(seed, epoch), range(begin, steps)
            epoch, begin = epoch + 1, 0
            for step in these:
                yield self.stored(order[step * batch_size : (step + 1) * batch_size])

        spec = tf.TensorSpec((batch_size, *self.storage.shape[1:]), tf.uint8)
        stream = tf.data.Dataset.from_generator(one_epoch, output_signature=spec)
        if first_step == 0:  # otherwise the passes differ in length
            stream = stream.apply(tf.data.experimental.assert_cardinality(steps))
        return stream.prefetch(2)

    def thin(self, step: int) -> Dataset:
        """Every `step`-th value of each factor, for trials."""
        if step == 1:
            return self
        grid, indices = self.grid.thin(step)
        return Dataset(self.storage[indices], grid, self.image_shape, f"{self.name}-thin{step}", self.source)

    def select(self, values: Mapping[str, Sequence[int]]) -> Dataset:
        """The part of the grid with these value indices of the named factors, as in `FactorGrid.select`."""
        grid, indices = self.grid.select(values)
        name = "-".join([self.name, *(f"{factor}{len(chosen)}" for factor, chosen in values.items())])
        return Dataset(self.storage[indices], grid, self.image_shape, name, self.source)

    def weighted(self, weights: np.ndarray) -> Dataset:
        """The same images with probabilities p(n), [N]: epochs then draw from p(n), and measures weigh by it.

        They stand in the order of the grid, the last factor fastest, whatever the order in which `from_arrays` was
        given the images; an array of the grid's sizes, flattened, has it.

        Raises:
          ValueError: no distribution over the cells, or one that gives more than 0 to a cell that has 0 now, since it
            may have no image.
        """
        grid = dataclasses.replace(self.grid, weights=weights)
        if count := np.count_nonzero(grid.probabilities[self.grid.probabilities == 0]):
            raise ValueError(f"{self.name}: {count} cells cannot occur, and may have no image; give them weight 0 too")
        return Dataset(self.storage, grid, self.image_shape, f"{self.name}-weighted", self.source, self._sha256)


def decode(batch: tf.Tensor, image_shape: tuple[int, int, int]) -> tf.Tensor:
    """A batch as a model meets it to float32 [B, H, W, C] in [0, 1], inside the compiled step.

    uint8 [B, ⌈HWC/8⌉] is packed bits, most significant first; uint8 [B, H, W, C] is divided by 255; floats pass.

    Raises:
      ValueError: the batch's shape is neither.
      TypeError: integers other than uint8, whose range is unknown.
    """
    import tensorflow as tf

    batch = tf.convert_to_tensor(batch)
    pixels = int(np.prod(image_shape))
    if batch.dtype == tf.uint8 and batch.shape.rank == 2 and batch.shape[1] == -(-pixels // 8):
        # A table look-up of 8 pixels a byte: on a CPU twice as fast as shifting bits.
        table = tf.constant(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1), tf.float32)
        bits = tf.reshape(tf.gather(table, tf.cast(batch, tf.int32)), [-1, 8 * batch.shape[1]])
        return tf.reshape(bits[:, :pixels], [-1, *image_shape])
    if not batch.shape[1:].is_compatible_with(image_shape):
        raise ValueError(
            f"images of shape {tuple(batch.shape[1:])} do not fit a model for {image_shape}; "
            "pass [B, H, W, C] in [0, 1], or uint8, or data.batches(...)"
        )
    if batch.dtype == tf.uint8:
        return tf.cast(batch, tf.float32) / 255
    if not (batch.dtype.is_floating or batch.dtype.is_bool):
        raise TypeError(f"images have dtype {batch.dtype.name}; pass floats in [0, 1], or uint8 from 0 to 255")
    return tf.cast(batch, tf.float32)
