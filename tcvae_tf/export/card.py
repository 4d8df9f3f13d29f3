"""The model card of an export: what the model is, where it comes from and how to use it, as JSON and as Markdown."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tcvae_tf import files
from tcvae_tf.export.endpoints import DOES, GIVES, TAKES, layers
from tcvae_tf.factors import FactorGrid
from tcvae_tf.models import VAE
from tcvae_tf.version import __version__

#: The card's names in the assets.
JSON, MARKDOWN = "model_card.json", "model_card.md"

_IMAGES = (
    "Images are float32 in [0, 1] or uint8 from 0 to 255, which are divided by 255. Binary images that are stored as "
    "0 and 1 must be floats, or multiplied by 255: as uint8 a 1 would be nearly black."
)
_MEASURES = {
    "mig": "MIG",
    "elbo": "ELBO, nats",
    "reconstruction": "reconstruction, nats",
    "mutual_information": "I(z; n), nats",
    "total_correlation": "total correlation, nats",
    "factor_vae_score": "FactorVAE score",
}
_EXAMPLE = """import json

import numpy as np
import tensorflow as tf

model = tf.saved_model.load(".")  # the directory of this file
images = np.zeros({batch}, np.float32)  # or np.uint8
loc, scale = model.encode(images)
probabilities = model.decode(loc)
same = model.reconstruct(images)
drawn = model.sample(16, seed=0)
row = model.traverse(images[0], 0, range=tf.linspace(-2.0, 2.0, 9))
by_name = model.signatures["encode_uint8"](images=tf.zeros({batch}, tf.uint8))["loc"]
card = json.loads(tf.io.read_file(model.model_card.asset_path).numpy())
print(loc.shape, probabilities.shape, drawn.shape, row.shape, card["beta"])
"""


def read_record(record: Mapping[str, Any] | str | Path | None, vae: VAE) -> dict | None:
    """A record, given or read from a file; None where there is none.

    Raises:
      TypeError: it is something else.
      ValueError: it cannot be read, has no id or run, or is of a model with other latents or families.
    """
    if record is None:
        return None
    where = "the record"
    if isinstance(record, (str, Path)):
        where = str(record)
        try:
            record = files.read_json(record)
        except (OSError, ValueError) as error:
            raise ValueError(f"record {where} cannot be read: {error}; give the path of a record.json") from error
    if not isinstance(record, Mapping):
        raise TypeError(f"record must be what tc.execute returned, or the path of a record.json; got {record!r:.60}")
    if not ("id" in record and isinstance(record.get("run"), Mapping)):
        raise ValueError(f"{where} has no id and run; give what tc.execute returned, or the path of a record.json")
    has = {"latent_dim": vae.latent_dim, "prior": vae.prior_family, "posterior": vae.posterior_family}
    if ":" not in record["run"].get("method", ""):  # one of one's own may take its fields for something else
        weights = {name: getattr(vae.objective, name) for name in ("alpha", "beta", "gamma")}
        has = {**has, "seed": vae.seed, **weights}
    for name, value in has.items():
        if record["run"].get(name, value) != value:
            raise ValueError(
                f"{where} is of another model: {name} is {record['run'][name]!r} there and {value!r} in the model"
            )
    return dict(record)


def card(
    model: Any, vae: VAE, signatures: Mapping[str, Any], grid: FactorGrid | None = None, record: dict | None = None
) -> dict:
    """What JSON holds; `run_id`, `mig`, `grid` and `record` are None where they were not given.

    Raises:
      TypeError: a grid that is none.
    """
    if not (grid is None or isinstance(grid, FactorGrid)):
        raise TypeError(f"grid must be a tc.FactorGrid, such as data.grid; got {type(grid).__name__}")
    record_or_nothing = record or {}
    return {
        "format": "tcvae_tf SavedModel",
        "run_id": record_or_nothing.get("id"),
        "beta": float(vae.beta.numpy()),
        "mig": record_or_nothing.get("mig"),
        "model": _description(model, vae, record_or_nothing),
        "grid": None if grid is None else {**grid.to_config(), "cells": len(grid), "uniform": grid.weights is None},
        "images": _IMAGES,
        "endpoints": {name: _endpoint(name, one, vae) for name, one in signatures.items()},
        "versions": _versions(),
        "record": record,
    }


def _description(model: Any, vae: VAE, record: Mapping[str, Any]) -> dict:
    """What the model is, without its weights."""
    tc_weight = getattr(model, "tc_weight", None)
    return {
        "class": type(model).__name__,
        "image_shape": list(vae.image_shape),
        "latent_dim": vae.latent_dim,
        "prior": vae.prior_family,
        "posterior": vae.posterior_family,
        "objective": dataclasses.asdict(vae.objective),
        "tc_weight": None if tc_weight is None else float(tc_weight),
        "training_images": vae.dataset_size,
        "steps": record.get("steps", int(vae.step.numpy())),
        "parameters": vae.encoder.count_params() + vae.decoder.count_params(),
        "computes_in": sorted({layer.compute_dtype for layer in layers(vae) if layer.weights}),
    }


def _versions() -> dict[str, str]:
    """What wrote the export; the record has what trained it."""
    packages = {package.__name__: package.__version__ for package in (keras, np, tf, tfp)}
    return {"tcvae_tf": __version__, "python": platform.python_version(), **packages}


def _endpoint(name: str, signature: Any, vae: VAE) -> dict:
    """A signature in words."""
    plain = name.removesuffix("_uint8")
    gives = GIVES | {"scale": f"{GIVES['scale']}: {_SCALES[vae.posterior_family]}"}
    return {
        "does": DOES[plain],
        "takes": _tensors(signature.structured_input_signature[1], TAKES),
        "gives": _tensors(signature.structured_outputs, gives),
    }


_SCALES = {"normal": "standard deviations σ of a normal", "laplace": "b of exp(−|z − loc|/b)/2b"}


def _tensors(specs: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, dict]:
    order = [name for name in words if name in specs]
    return {
        name: {"dtype": specs[name].dtype.name, "shape": specs[name].shape.as_list(), "meaning": words[name]}
        for name in order
    }


def markdown(card: Mapping[str, Any]) -> str:
    """The same for people, with an example that runs in the export's directory."""
    batch = (4, *card["model"]["image_shape"])
    parts = [
        f"# {card['run_id'] or card['model']['class']}",
        "A variational autoencoder as a TensorFlow SavedModel, exported by tcvae_tf. It needs TensorFlow and no other "
        "package.",
        _table(_facts(card)),
        "## Use",
        f"```python\n{_EXAMPLE.format(batch=batch)}```",
        f"{card['images']} The functions take either type, of any batch size; a signature takes one: for uint8 there "
        "is another whose name ends in `_uint8`. XLA is not asked for; `tf.function(model.encode, jit_compile=True)` "
        "compiles. TensorFlow Serving wants this directory to be named by a number.",
        "## Endpoints",
        "`saved_model_cli show --dir . --all` lists them. B is any number of images, T of values.",
        *(_section(name, one) for name, one in card["endpoints"].items() if not name.endswith("_uint8")),
    ]
    return "\n\n".join([*parts, *_origin(card)]) + "\n"


def _facts(card: Mapping[str, Any]) -> dict[str, Any]:
    model, record, grid = card["model"], card["record"] or {}, card["grid"]
    objective = model["objective"]
    facts = {
        "run": card["run_id"],
        "model": f"{model['class']}, {model['parameters']:,} parameters, {model['steps']:,} steps",
        "images": " × ".join(map(str, model["image_shape"])),
        "latents": f"{model['latent_dim']}, posterior {model['posterior']}, prior {model['prior']}",
        "weights": f"α = {objective['alpha']:g}, β = {card['beta']:g}, γ = {objective['gamma']:g}",
        "weight of the discriminator's total correlation": model["tc_weight"],
        "computes in": ", ".join(model["computes_in"]),
        "factors": grid and ", ".join(map("{} ({})".format, grid["names"], grid["sizes"])),
        "scored factors": grid and ", ".join(grid["scored"]),
        **{label: record.get(name) for name, label in _MEASURES.items()},
    }
    gaps = record.get("mig_gaps") or {}
    facts["gaps"] = ", ".join(f"{factor} {gap:.3f}" for factor, gap in gaps.items()) or None
    return {
        label: f"{fact:.4g}" if isinstance(fact, float) else fact for label, fact in facts.items() if fact is not None
    }


def _table(facts: Mapping[str, Any]) -> str:
    return "\n".join(["| | |", "| --- | --- |", *(f"| {label} | {fact} |" for label, fact in facts.items())])


def _section(name: str, endpoint: Mapping[str, Any]) -> str:
    lines = [f"### {name}", "", endpoint["does"], ""]
    for direction in ("takes", "gives"):
        for argument, tensor in endpoint[direction].items():
            free = "T" if argument == "range" or (name, direction) == ("traverse", "gives") else "B"
            shape = f"[{', '.join(free if size is None else str(size) for size in tensor['shape'])}]"
            lines.append(f"* {direction} `{argument}` {tensor['dtype']} {shape}: {tensor['meaning']}")
    return "\n".join(lines)


def _origin(card: Mapping[str, Any]) -> list[str]:
    """Where the model comes from: what trained it, as far as the record says, and what wrote this."""
    record = card["record"] or {}
    data = record.get("data", {})
    facts = {
        "data": data and f"{record['run'].get('dataset')}, {data.get('source')}, SHA-256 `{data.get('sha256')}`",
        "commit": record.get("commit"),
        "device": record.get("device"),
        "trained with": _words(record.get("versions", {})),
        "exported with": _words(card["versions"]),
    }
    return ["## Provenance", _table({label: fact for label, fact in facts.items() if fact})]


def _words(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{package} {version}" for package, version in versions.items())
