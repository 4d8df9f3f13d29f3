"""Measures of disentanglement: functions of Codes alone, never of a model, an image or a data set's name."""

from tcvae_tf.metrics.decomposition import ELBODecomposition, elbo_decomposition
from tcvae_tf.metrics.information import MIG, mig
from tcvae_tf.metrics.modularity import InfoMEC, ModularityExplicitness, infomec, modularity_explicitness
from tcvae_tf.metrics.predictive import DCI, SAP, dci, sap
from tcvae_tf.metrics.summary import summary
from tcvae_tf.metrics.unsupervised import (
    ActiveUnits,
    GaussianTotalCorrelation,
    active_units,
    gaussian_total_correlation,
)
from tcvae_tf.metrics.votes import BetaVAEScore, FactorVAEScore, beta_vae_score, factor_vae_score

__all__ = [
    "DCI",
    "MIG",
    "SAP",
    "ActiveUnits",
    "BetaVAEScore",
    "ELBODecomposition",
    "FactorVAEScore",
    "GaussianTotalCorrelation",
    "InfoMEC",
    "ModularityExplicitness",
    "active_units",
    "beta_vae_score",
    "dci",
    "elbo_decomposition",
    "factor_vae_score",
    "gaussian_total_correlation",
    "infomec",
    "mig",
    "modularity_explicitness",
    "sap",
    "summary",
]
