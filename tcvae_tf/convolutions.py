"""Convolutions of 4×4 with stride 2, computed as convolutions of 2×2 over blocks of 2×2 pixels where that is faster.

With p the row within a block and a the block's, u = 2a + p runs over the four rows of the kernel, and so for columns:

    y_i = Σ_u x_(2i+u−1) K_u = Σ_a Σ_p X_(i+a),p K_(2a+p),    X_(i),p = x_(2i+p−1).

It is the same sum in another order. Strided convolutions and, above all, their gradients are slow on a CPU; what the
blocks save is in results/BENCHMARK.md. On a GPU the layers are Keras' own.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def blockwise(layer: Any, height: int, width: int) -> bool:
    """Whether the layer is a 4×4 convolution with stride 2, its larger image has even sides, and there is no GPU."""
    import tensorflow as tf

    fits = (layer.kernel_size, layer.strides, layer.padding) == ((4, 4), (2, 2), "same")
    plain = layer.data_format == "channels_last" and layer.dilation_rate == (1, 1) and getattr(layer, "groups", 1) == 1
    return fits and plain and not (height % 2 or width % 2) and not tf.config.list_logical_devices("GPU")


@keras.saving.register_keras_serializable("tcvae_tf")
class BlockConv2D(keras.layers.Conv2D):
    """keras.layers.Conv2D: [B, H, W, C] → [B, H/2, W/2, filters]."""

    def convolution_op(self, inputs, kernel):
        _, height, width, channels = inputs.shape
        if not blockwise(self, height, width):
            return super().convolution_op(inputs, kernel)
        rows, columns = height // 2 + 1, width // 2 + 1
        padded = ops.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)))
        blocks = ops.transpose(ops.reshape(padded, (-1, rows, 2, columns, 2, channels)), (0, 1, 3, 2, 4, 5))
        blocks = ops.reshape(blocks, (-1, rows, columns, 4 * channels))
        kernel = ops.transpose(ops.reshape(kernel, (2, 2, 2, 2, channels, self.filters)), (0, 2, 1, 3, 4, 5))
        return ops.conv(blocks, ops.reshape(kernel, (2, 2, 4 * channels, self.filters)), 1, "valid", "channels_last")


@keras.saving.register_keras_serializable("tcvae_tf")
class BlockConv2DTranspose(keras.layers.Conv2DTranspose):
    """keras.layers.Conv2DTranspose: [B, H, W, C] → [B, 2H, 2W, filters]."""

    def call(self, inputs):
        if self.output_padding is not None or not blockwise(self, 2, 2):
            return super().call(inputs)
        _, height, width, channels = inputs.shape
        padded = ops.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)))
        # Block i of the output has K_p x_i and K_(2+p) x_(i−1): the kernel's blocks in reverse.
        kernel = ops.reshape(self.kernel, (2, 2, 2, 2, self.filters, channels))
        kernel = ops.transpose(ops.flip(kernel, (0, 2)), (0, 2, 5, 1, 3, 4))
        kernel = ops.reshape(kernel, (2, 2, channels, 4 * self.filters))
        blocks = ops.conv(padded, kernel, 1, "valid", "channels_last")
        blocks = ops.reshape(blocks, (-1, height + 1, width + 1, 2, 2, self.filters))
        outputs = ops.reshape(
            ops.transpose(blocks, (0, 1, 3, 2, 4, 5)), (-1, 2 * height + 2, 2 * width + 2, self.filters)
        )[:, 1:-1, 1:-1]
        return self.activation(outputs + self.bias if self.use_bias else outputs)
