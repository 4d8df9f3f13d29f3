"""What this machine can do, which the times of training are held against: matrix products, memory, exponentials.

The matrix products of a training step are timed one by one, at the shapes of the network, by NumPy's BLAS, by XLA and
by TensorFlow's own kernel; the fastest of them counts. Their sum is the bound of a step: nothing that multiplies the
same matrices can be faster.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

#: After a product, BLAS's threads wait for the next one at full speed for up to 30 ms, at the cost of others.
_SPINNING = 0.1


@dataclasses.dataclass(frozen=True)
class Product:
    """[rows, inner] · [inner, columns]; `order` says which of the two lie transposed in memory."""

    rows: int
    inner: int
    columns: int
    order: str = "nn"

    @property
    def flop(self) -> float:
        return 2.0 * self.rows * self.inner * self.columns


def dense(batch: int, sizes: Sequence[int], first_gradient: bool = False, backward: bool = True) -> list[Product]:
    """The products of dense layers: forward, gradients of the kernels, and of the inputs of all but the first."""
    made = []
    for place, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        made.append(Product(batch, inputs, outputs))
        if backward:
            made.append(Product(inputs, batch, outputs, "tn"))
        if backward and (place or first_gradient):
            made.append(Product(batch, outputs, inputs, "nt"))
    return made


def mlp(batch: int, width: int, latents: int = 10, pixels: int = 4096, backward: bool = True) -> list[Product]:
    """The products of a step of `tc.networks.mlp`."""
    encoder = dense(batch, [pixels, width, width, 2 * latents], backward=backward)
    return encoder + dense(batch, [latents, width, width, width, pixels], True, backward)


def discriminator(batch: int, width: int, latents: int = 10, layers: int = 6) -> list[Product]:
    """The products that a discriminator adds to a step of FactorVAE: forward for z and for the permuted z, gradients of
    its kernels from both, of its inputs for z with respect to both losses and, but for the first layer's, for the
    permuted z."""
    sizes = [latents] + [width] * layers + [2]
    back_to_z = [Product(batch, outputs, inputs, "nt") for inputs, outputs in itertools.pairwise(sizes)]
    return 2 * dense(batch, sizes) + back_to_z


class Bound:
    """The time of products, measured a round at a time, between whatever it is compared with.

    Each distinct product is timed by each library; the medians over rounds count, of the fastest library.
    """

    def __init__(self, products: Sequence[Product]) -> None:
        self._counts = collections.Counter(products)
        self._ways = {product: _ways(product) for product in self._counts}
        self._taken: dict[Product, list[list[float]]] = {
            product: [[] for _ in ways] for product, ways in self._ways.items()
        }

    @property
    def flop(self) -> float:
        return sum(count * product.flop for product, count in self._counts.items())

    def measure(self, least: float = 0.02) -> None:
        """One round: all products by one library, then all by the next."""
        for library in range(max(map(len, self._ways.values()))):
            time.sleep(_SPINNING)
            for product, ways in self._ways.items():
                ways[library]()  # its matrices and threads are no longer at hand
                self._taken[product][library].append(stopwatch(ways[library], least))

    def seconds(self) -> float:
        """The sum over all products."""
        return sum(count * min(map(statistics.median, self._taken[product])) for product, count in self._counts.items())


def _ways(product: Product) -> list[Callable[[], Any]]:
    """The product by each library, called once already."""
    ways = [*([] if on_gpu() else [_by_numpy(product)]), *(_by_tensorflow(product, xla) for xla in (True, False))]
    for way in ways:
        way()
    return ways


def stopwatch(act: Callable[[], Any], least: float) -> float:
    """Seconds of one call, the mean of as many as fill the least time."""
    began, count = time.perf_counter(), 0
    while not count or time.perf_counter() - began < least:
        act()
        count += 1
    return (time.perf_counter() - began) / count


def _operands(product: Product) -> tuple[np.ndarray, np.ndarray]:
    shapes = [(product.rows, product.inner), (product.inner, product.columns)]
    rng = np.random.default_rng(0)
    made = (
        rng.standard_normal(shape[::-1] if how == "t" else shape, np.float32)
        for shape, how in zip(shapes, product.order, strict=True)
    )
    first, second = made
    return first, second


def _by_numpy(product: Product) -> Callable[[], Any]:
    first, second = (
        array.T if how == "t" else array for array, how in zip(_operands(product), product.order, strict=True)
    )
    out = np.empty((product.rows, product.columns), np.float32)
    return lambda: np.matmul(first, second, out=out)


def _by_tensorflow(product: Product, xla: bool) -> Callable[[], Any]:
    import tensorflow as tf

    first, second = map(tf.constant, _operands(product))
    which = {"transpose_a": product.order[0] == "t", "transpose_b": product.order[1] == "t"}
    act = tf.function(lambda a, b: tf.matmul(a, b, **which), jit_compile=xla, autograph=False)
    return lambda: act(first, second)[0, 0].numpy()


def on_gpu() -> bool:
    import tensorflow as tf

    return bool(tf.config.list_logical_devices("GPU"))


def bandwidth(rounds: int = 5) -> float:
    """GB/s of a copy of 256 MB, read and written."""
    source, target = np.ones(2**26, np.float32), np.empty(2**26, np.float32)
    taken = [stopwatch(lambda: np.copyto(target, source), 0.05) for _ in range(rounds)]
    return 2 * source.nbytes / statistics.median(taken) / 1e9


def exponentials(rounds: int = 5) -> float:
    """float32 exponentials in a second, in thousands of millions, of 2²² numbers by XLA."""
    import tensorflow as tf

    x = tf.random.stateless_normal([2**22], [0, 0])
    act = tf.function(lambda: tf.exp(x), jit_compile=True, autograph=False)
    act()
    taken = [stopwatch(lambda: act()[0].numpy(), 0.05) for _ in range(rounds)]
    return 2**22 / statistics.median(taken) / 1e9
