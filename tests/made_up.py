"""Made-up records of runs, for the tests of what is drawn and told from records."""

import dataclasses

import numpy as np

from tcvae_tf import results
from tcvae_tf.runs import MEASURES

FACTORS = {"dsprites": ("scale", "orientation", "posX", "posY"), "faces3d": ("azimuth", "elevation", "lighting")}
MIGS = {"vae": 0.1, "beta_vae": 0.05, "beta_tcvae": 0.4, "factor_vae": 0.2}


def record(run, **measures):
    """The record of a run: MIG by its method, other measures made of it; `measures` take precedence."""
    mig = measures.get("mig", MIGS[run.method])
    made = {
        "id": run.id,
        "run": dataclasses.asdict(run),
        "recipe": run.recipe,
        "measures": MEASURES,
        "data": {"source": {"dsprites": "generated", "faces3d": "stand-in"}[run.dataset], "sha256": "0"},
        "versions": {"keras": "3"},
        "commit": "c",
        "device": "CPU",
        "mig": mig,
        "mig_error_bound": 1e-6,
        "mig_gaps": dict.fromkeys(FACTORS[run.dataset], 0.1),
        "mig_histogram": mig / 2,
        "elbo": -100.0 - run.beta,
        "kl": 20.0,
        "mutual_information": 9.0,
        "total_correlation": 2.0 - mig,
        "information_error": 0.01,
        "active_units": 5,
        "factor_vae_score": 0.5 + mig / 2,
        "beta_vae_score": 0.75,
        "steps": 1,
        "seconds": 60.0,
    }
    if run.method == "factor_vae":
        made["discriminator"] = {"total_correlation": 1.25, "accuracy": 0.625}
    return {**made, **measures}


def records(runs, spread=0.0, **measures):
    """Of several runs; `spread` adds noise to MIG, other for each run."""
    rng = np.random.default_rng(0)
    return [record(run, **{"mig": MIGS[run.method] + spread * rng.uniform(-1, 1), **measures}) for run in runs]


def rows(runs, spread=0.0, **measures):
    return [results.row(made) for made in records(runs, spread, **measures)]
