"""ONNX and LiteRT: encode and decode for other runtimes, float32 images in [0, 1], of any batch.

Networks of mixed precision compute in float32 there.
"""

from __future__ import annotations

import contextlib
import importlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from tcvae_tf import files
from tcvae_tf.export.endpoints import Served, layers, owned
from tcvae_tf.models import VAE

#: What other runtimes are given; drawing and asserting are TensorFlow's own.
_ENDPOINTS = ("encode", "decode")


def onnx(model: Any, path: str | Path, opset: int = 18) -> list[Path]:
    """Writes `encode` and `decode` as ONNX, a file each, since an ONNX file holds one function.

    encode: images [B, H, W, C] → loc, scale [B, D]. decode: z [B, D] → probabilities [B, H, W, C].

    Args:
      model: as for `export`.
      path: "model.onnx" gives model-encode.onnx and model-decode.onnx.
      opset: the version of ONNX' operators.

    Returns:
      The two paths.

    Raises:
      ImportError: tf2onnx is not installed.
      TypeError, ValueError: as `export`.
    """
    vae, convert = owned(model), _need("tf2onnx", "onnx").convert
    made = {}
    with _in_float32(vae):
        signatures = Served(vae).signatures()
        for name in _ENDPOINTS:
            specs = list(signatures[name].structured_input_signature[1].values())
            made[name], _ = convert.from_function(_positional(signatures[name], specs), specs, opset)
    path = Path(path)
    stem = path.stem if path.suffix.lower() == ".onnx" else path.name
    paths = {name: path.with_name(f"{stem}-{name}.onnx") for name in _ENDPOINTS}
    for name, path in paths.items():
        _write(path, made[name].SerializeToString())
    return list(paths.values())


def litert(model: Any, path: str | Path) -> list[Path]:
    """Writes `encode` and `decode` as two signatures of one LiteRT (TFLite) file.

    Args:
      model: as for `export`.
      path: "model.tflite".

    Returns:
      The path, in a list.

    Raises:
      ImportError: this TensorFlow has no converter.
      TypeError, ValueError: as `export`.
    """
    if not hasattr(getattr(tf, "lite", None), "TFLiteConverter"):
        raise ImportError(
            "this TensorFlow has no tf.lite.TFLiteConverter: pip install 'tensorflow==2.21.*', which has it"
        )
    vae = owned(model)
    with tempfile.TemporaryDirectory() as staging, _in_float32(vae):
        served = Served(vae)
        signatures = {name: made for name, made in served.signatures().items() if name in _ENDPOINTS}
        tf.saved_model.save(served, staging, signatures=signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(staging, signature_keys=list(_ENDPOINTS))
        made = converter.convert()
    _write(Path(path), made)
    return [Path(path)]


def _need(package: str, extra: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(f"{extra} needs {package}: pip install -e '.[{extra}]'") from error


def _positional(signature: Any, specs: list[tf.TensorSpec]) -> Any:
    """A tf.function of one argument that calls a signature."""
    return tf.function(lambda argument: signature(**{specs[0].name: argument}))


@contextlib.contextmanager
def _in_float32(vae: VAE) -> Iterator[None]:
    """Has networks of mixed precision compute in float32 meanwhile: other runtimes have no products of halves."""
    policies = [(layer, layer.dtype_policy) for layer in layers(vae)]
    try:
        for layer, policy in policies:
            if policy.compute_dtype != policy.variable_dtype:
                layer.dtype_policy = "float32"
        yield
    finally:
        for layer, policy in policies:
            layer.dtype_policy = policy


def _write(path: Path, data: bytes) -> None:
    with files.replacing(path) as temporary:
        temporary.write_bytes(data)
