"""A trained model as others can use it: a SavedModel with named endpoints, ONNX or LiteRT.

`tc.export(model, path)` is `export` below; `tc.export.onnx` and `tc.export.litert` are its siblings.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import tempfile
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from tcvae_tf.export import card as cards
from tcvae_tf.export import directory
from tcvae_tf.export.endpoints import Served, owned
from tcvae_tf.export.formats import litert, onnx
from tcvae_tf.factors import FactorGrid

__all__ = ["export", "litert", "onnx"]


def export(
    model: Any,
    path: str | Path,
    grid: FactorGrid | None = None,
    record: Mapping[str, Any] | str | Path | None = None,
) -> Path:
    """Writes a SavedModel that needs TensorFlow alone: no Keras objects, no TFP, nothing of this package.

    Its functions and signatures are described in `endpoints`: encode, decode, reconstruct, sample and traverse, for
    float32 images in [0, 1] and uint8 images 0…255, of any batch. Beside saved_model.pb stands README.md, the model
    card, which also is an asset in Markdown and JSON; its example loads the model. XLA is left to the user, and
    nothing is bound to a device. What was trained in mixed precision computes in it here too.

    The directory is written whole or not at all: it takes the place of an older export in one step, and an export that
    is cut off changes nothing.

    Args:
      model: a `tc.VAE`, or what owns one as `.vae`, such as `tc.FactorVAE`.
      path: the directory; new, empty, or an older export.
      grid: the factors of the training images, for the card.
      record: what `tc.execute` returned, or the path of a record.json, for the card: run id, MIG, provenance.

    Returns:
      The path.

    Raises:
      TypeError: no VAE, or grid or record of another type.
      ValueError: a record of another model, or that cannot be read; or networks that call Python, which no SavedModel
        holds.
      FileExistsError: there is something else at `path`.

    Example:
      >>> tc.export(vae, "exported/", grid=data.grid)
      >>> model = tf.saved_model.load("exported/")
      >>> loc, scale = model.encode(images)
    """
    path = Path(path).expanduser()
    where = path.resolve()
    directory.refuse_foreign(where)
    vae = owned(model)
    given = cards.read_record(record, vae)
    served = Served(vae)
    signatures = served.signatures()
    card = cards.card(model, vae, signatures, grid, given)
    text = cards.markdown(card)
    with tempfile.TemporaryDirectory() as staging:
        served.model_card = _asset(Path(staging) / cards.JSON, json.dumps(card, indent=2, allow_nan=False) + "\n")
        served.model_card_markdown = _asset(Path(staging) / cards.MARKDOWN, text)
        with directory.replacing(where) as temporary:
            with _quiet():
                tf.saved_model.save(served, str(temporary), signatures=signatures)
            (temporary / directory.README).write_text(text, encoding="utf-8")
    return path


def _asset(path: Path, text: str) -> tf.saved_model.Asset:
    path.write_text(text, encoding="utf-8")
    return tf.saved_model.Asset(str(path))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without TensorFlow's line that names the temporary directory."""
    log = tf.get_logger()
    level = log.level
    log.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        log.setLevel(level)


class _Callable(types.ModuleType):
    """This module under the name of its function: `tc.export` is the same thing, whichever was imported first."""

    def __call__(
        self,
        model: Any,
        path: str | Path,
        grid: FactorGrid | None = None,
        record: Mapping[str, Any] | str | Path | None = None,
    ) -> Path:
        return export(model, path, grid, record)


_Callable.__call__.__doc__ = export.__doc__
sys.modules[__name__].__class__ = _Callable
