"""The measures that every record has, from codes."""

from __future__ import annotations

import logging
from typing import Any

from tcvae_tf.codes import Codes
from tcvae_tf.metrics.decomposition import elbo_decomposition
from tcvae_tf.metrics.information import mig
from tcvae_tf.metrics.unsupervised import active_units, gaussian_total_correlation
from tcvae_tf.metrics.votes import beta_vae_score, factor_vae_score

log = logging.getLogger("tcvae_tf")


def summary(codes: Codes, samples: int = 10_000, seed: int = 0, verbose: str | int = "auto") -> dict[str, Any]:
    """The main measures as a dict that JSON can hold: exact MIG, the ELBO and its parts in nats, FactorVAE and
    β-VAE score.

    `elbo` and `reconstruction` are None where the codes have no log p(x|z); `beta_vae_score` where one factor alone
    varies, and without scikit-learn, which a warning says.
    `mig_histogram` is disentanglement_lib's number, not to be mixed with `mig`. `information_error` is the standard
    error of mutual_information and total_correlation, which share their sampled part.

    Args:
      codes: posteriors of the whole data set, normal or Laplace.
      samples: of the joint entropy.
      seed: of the joint entropy, the histogram and the votes.
      verbose: 0 for no progress bar, 1 for one, "auto" for one where there is a terminal and more than a moment's work.
    """
    gap = mig(codes)
    parts = elbo_decomposition(codes, samples, seed, verbose)
    return {
        "mig": gap.score,
        "mig_error_bound": gap.error_bound,
        "mig_gaps": dict(zip(gap.factors, gap.gaps.tolist(), strict=True)),
        "mig_histogram": mig(codes, "histogram", seed=seed).score,
        "elbo": parts.elbo,
        "reconstruction": parts.reconstruction,
        "kl": parts.kl,
        "mutual_information": parts.mutual_information,
        "total_correlation": parts.total_correlation,
        "information_error": parts.standard_error,
        "dimension_kl": parts.dimension_kl.tolist(),
        "gaussian_total_correlation": gaussian_total_correlation(codes).of_samples,
        "factor_vae_score": factor_vae_score(codes, seed).score,
        "beta_vae_score": _beta_vae_score(codes, seed),
        "active_units": active_units(codes).score,
    }


def _beta_vae_score(codes: Codes, seed: int) -> float | None:
    if len(codes.grid.varying) < 2:
        return None
    try:
        return beta_vae_score(codes, seed).score
    except ImportError as error:
        log.warning("left out of the record: %s", error)
        return None
