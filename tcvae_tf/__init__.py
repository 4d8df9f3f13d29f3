"""tcvae_tf: the reproducibility package for β-TCVAE (Chen, Li, Grosse, Duvenaud 2018). The public names, and only they.

Names are resolved when they are first used, so that `import tcvae_tf` does not wait for TensorFlow.
"""

import importlib
import os
import sys
from typing import Any

from tcvae_tf.version import __version__

# Keras reads this when it is imported, before its own settings file; where it was imported already, it has chosen.
_backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
if "keras" in sys.modules:
    _backend = sys.modules["keras"].config.backend()
if _backend != "tensorflow":
    raise ImportError(f"tcvae_tf needs Keras' TensorFlow backend, not {_backend!r}; set KERAS_BACKEND=tensorflow")

_HOME = {
    "FactorGrid": "tcvae_tf.factors",
    "Dataset": "tcvae_tf.datasets",
    "load": "tcvae_tf.datasets",
    "Objective": "tcvae_tf.objective",
    "VAE": "tcvae_tf.models",
    "FactorVAE": "tcvae_tf.factor_vae",
    "Codes": "tcvae_tf.codes",
    "encode": "tcvae_tf.codes",
    "mig": "tcvae_tf.metrics",
    "elbo_decomposition": "tcvae_tf.metrics",
    "factor_vae_score": "tcvae_tf.metrics",
    "beta_vae_score": "tcvae_tf.metrics",
    "dci": "tcvae_tf.metrics",
    "sap": "tcvae_tf.metrics",
    "modularity_explicitness": "tcvae_tf.metrics",
    "infomec": "tcvae_tf.metrics",
    "gaussian_total_correlation": "tcvae_tf.metrics",
    "active_units": "tcvae_tf.metrics",
    "Run": "tcvae_tf.settings",
    "execute": "tcvae_tf.runs",
    "from_preset": "tcvae_tf.runs",
}
_MODULES = (
    "callbacks",
    "codes",
    "compare",
    "custom",
    "datasets",
    "distributions",
    "explore",
    "export",
    "metrics",
    "models",
    "networks",
    "objective",
    "pictures",
    "plots",
    "replicas",
    "results",
    "runs",
    "scoring",
    "settings",
    "sweep",
)

__all__ = ["__version__", *_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"tcvae_tf.{name}")
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'tcvae_tf' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
