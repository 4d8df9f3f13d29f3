"""A decoder as data: a list of operations on flat arrays that decoder.js runs in a browser."""

from __future__ import annotations

import base64
import dataclasses
from typing import Any

import numpy as np

#: Decoders of up to so many weights keep them in float32, and so do those where halves would change the probability of
#: a pixel by more than the tolerance.
SMALL, TOLERANCE = 250_000, 1e-3
ACTIVATIONS = ("linear", "relu", "leaky_relu", "tanh", "sigmoid")
_KNOWN = (
    "Dense, EinsumDense 'bi,oi->bo', Reshape, Flatten, Conv2DTranspose, BatchNormalization over channels, ReLU, "
    f"LeakyReLU, Dropout, and the activations {', '.join(ACTIVATIONS)}"
)


@dataclasses.dataclass(frozen=True)
class Portable:
    """What decoder.js takes.

    Attributes:
      operations: one after the other; a kernel is an array that was packed by `pack`.
      dtype: of the kernels, "float32" or "float16".
      rounding: the largest change of a pixel's probability that the dtype makes, over the codes it was measured at.
    """

    operations: list[dict[str, Any]]
    dtype: str
    rounding: float


def pack(array: Any, dtype: str = "float32") -> dict[str, str]:
    """{dtype: numbers in C order, little-endian, base64}, the array of the page."""
    order = np.dtype(dtype).newbyteorder("<")
    return {dtype: base64.b64encode(np.asarray(array).astype(order).tobytes()).decode()}


def portable(decoder: Any, z: np.ndarray) -> Portable:
    """The operations of a decoder. Its kernels are rounded in place, so that it draws what the page does.

    Args:
      decoder: a Keras model [B, D] → logits [B, H, W, C], a chain of layers.
      z: codes at which the cost of rounding is measured, [n, D].

    Raises:
      ValueError: a layer that the page does not know, or layers that are no chain.
    """
    import keras

    layers = [layer for layer in decoder.layers if not isinstance(layer, keras.layers.InputLayer)]
    makers = [_maker(layer) for layer in layers]
    shown = [keras.Input(decoder.input_shape[1:])]
    exact = _probabilities(decoder, z)
    try:
        for layer in layers:
            shown.append(layer(shown[-1]))
        alike = np.allclose(_probabilities(keras.Model(shown[0], shown[-1]), z), exact, atol=1e-5)
    except ValueError:  # the layers before and after do not fit
        alike = False
    if not alike:
        raise ValueError(f"explore: the page runs chains of layers; those of {decoder.name!r} branch, or come twice")
    dtype, rounding = "float32", 0.0
    if decoder.count_params() > SMALL:
        dtype, rounding = _round(decoder, z, exact)
    shapes = [tensor.shape[1:] for tensor in shown]
    taken = zip(makers, layers, shapes, shapes[1:], strict=False)
    operations = [found for make, *given in taken for found in make(*given, dtype)]
    return Portable(operations, dtype, rounding)


def _round(decoder: Any, z: np.ndarray, exact: np.ndarray) -> tuple[str, float]:
    """Rounds the kernels to halves, unless that costs too much: what they are then, and what it costs."""
    kernels = [layer.kernel for layer in decoder.layers if hasattr(layer, "kernel")]
    before = [_array(kernel) for kernel in kernels]
    if max(np.abs(values).max() for values in before) < np.finfo(np.float16).max:
        for kernel, values in zip(kernels, before, strict=True):
            kernel.assign(values.astype(np.float16).astype(np.float32))
        cost = float(np.abs(_probabilities(decoder, z) - exact).max())
        if cost <= TOLERANCE:
            return "float16", cost
    for kernel, values in zip(kernels, before, strict=True):
        kernel.assign(values)
    return "float32", 0.0


def _probabilities(decoder: Any, z: np.ndarray) -> np.ndarray:
    """Pixel probabilities [n, H, W, C]."""
    import keras

    return _array(keras.ops.sigmoid(decoder(np.asarray(z, "f4"), training=False)))


def _array(tensor: Any) -> np.ndarray:
    import keras

    return keras.ops.convert_to_numpy(tensor)


def _maker(layer: Any) -> Any:
    """The function that turns a layer into operations: layer, input shape, output shape, dtype → list."""
    from keras import layers

    kinds = {
        layers.Conv2DTranspose: _conv_transpose,
        layers.EinsumDense: _dense,
        layers.Dense: _dense,
        layers.BatchNormalization: _normalisation,
        layers.ReLU: _relu,
        layers.LeakyReLU: _leaky,
        layers.Activation: _activation,
        layers.Reshape: _nothing,
        layers.Flatten: _nothing,
        layers.Dropout: _nothing,
    }
    for kind, make in kinds.items():
        if isinstance(layer, kind):
            return make
    raise _refused(layer)


def _refused(layer: Any, why: str = "") -> ValueError:
    what = f"{layer.name!r} ({type(layer).__name__}{', ' + why if why else ''})"
    return ValueError(f"explore: the page cannot run the decoder's layer {what}; it knows {_KNOWN}")


def _nothing(layer: Any, before: tuple, after: tuple, dtype: str) -> list[dict]:
    """Numbers stay in their C order."""
    return []


def _dense(layer: Any, before: tuple, after: tuple, dtype: str) -> list[dict]:
    """y_o = Σ_i K_oi x_i + b_o, the kernel with its inputs last."""
    kernel = _array(layer.kernel)
    if len(before) != 1 or getattr(layer, "equation", "bi,oi->bo") != "bi,oi->bo":
        raise _refused(layer, f"of {before} to {after}")
    kernel = kernel if hasattr(layer, "equation") else kernel.T
    return [{"kind": "dense", "kernel": pack(kernel, dtype), "bias": _bias(layer, after)}, *_activation(layer)]


def _conv_transpose(layer: Any, before: tuple, after: tuple, dtype: str) -> list[dict]:
    """y_(i·s + u − p),o = Σ_c K_uoc x_i,c + b_o in rows and columns, where p is what "same" cuts off at the start."""
    plain = layer.data_format == "channels_last" and set(layer.dilation_rate) == {1}
    if not plain or layer.output_padding is not None or layer.padding not in ("same", "valid"):
        raise _refused(layer, "channels first, dilated or with output padding")
    sides = zip(layer.kernel_size, layer.strides, strict=True)
    cut = [max(size - stride, 0) // 2 if layer.padding == "same" else 0 for size, stride in sides]
    shapes = {"before": list(before), "after": list(after), "size": list(layer.kernel_size)}
    kernel = pack(_array(layer.kernel), dtype)
    convolution = {"kind": "conv_transpose", **shapes, "strides": list(layer.strides), "cut": cut, "kernel": kernel}
    return [{**convolution, "bias": _bias(layer, after)}, *_activation(layer)]


def _bias(layer: Any, after: tuple) -> dict:
    return pack(np.zeros(after[-1]) if layer.bias is None else _array(layer.bias))


def _normalisation(layer: Any, before: tuple, after: tuple, dtype: str) -> list[dict]:
    """y = a x + b in each channel, by the moving statistics."""
    axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]
    if axis not in (-1, len(before)):
        raise _refused(layer, f"over axis {axis}")
    mean, variance = _array(layer.moving_mean), _array(layer.moving_variance)
    a = (_array(layer.gamma) if layer.scale else 1.0) / np.sqrt(variance + layer.epsilon)
    b = (_array(layer.beta) if layer.center else 0.0) - mean * a
    return [{"kind": "affine", "factor": pack(a), "shift": pack(b)}]


def _relu(layer: Any, *_: Any) -> list[dict]:
    if layer.max_value is not None or layer.negative_slope or layer.threshold:
        raise _refused(layer, "with a slope, a threshold or a ceiling")
    return [{"kind": "activation", "name": "relu"}]


def _leaky(layer: Any, *_: Any) -> list[dict]:
    return [{"kind": "activation", "name": "leaky_relu", "slope": float(layer.negative_slope)}]


def _activation(layer: Any, *_: Any) -> list[dict]:
    """What follows the sums of a layer."""
    import keras

    name = keras.activations.serialize(layer.activation)
    if name not in ACTIVATIONS:
        raise _refused(layer, f"activation {getattr(layer.activation, '__name__', layer.activation)}")
    slope = {"slope": 0.2} if name == "leaky_relu" else {}  # Keras' default
    return [] if name == "linear" else [{"kind": "activation", "name": name, **slope}]
