"""What stands on the page beside its decoder, as values that JSON can hold."""

from __future__ import annotations

import numpy as np

from tcvae_tf import plots, results
from tcvae_tf.codes import Codes
from tcvae_tf.explore.decoder import pack
from tcvae_tf.plots.looking import LEAST, Arrays
from tcvae_tf.settings import in_line, label

#: Images from which one may start, at most: every k-th value of the factors that have many.
STARTS = 4096
#: A latent's slider goes from −3 to 3, or as far as all of the aggregate posterior but this share on either side.
TAIL, REACH = 1e-3, 3.0
#: What the table of measures says: of a record, its name, digits, unit and meaning.
_MEASURES = {
    "mig": (
        "MIG",
        3,
        "",
        "for each factor, what the best latent knows of it less what the second best does, over H(v)",
    ),
    "elbo": ("ELBO", 2, "nats", "reconstruction − KL, of an image"),
    "reconstruction": ("reconstruction", 2, "nats", "E log p(x|z)"),
    "kl": ("KL", 3, "nats", "of posterior and prior: I + TC + Σ KLⱼ where the prior is factorial"),
    "mutual_information": ("I(z; n)", 3, "nats", "what the code says of which image it is"),
    "total_correlation": ("TC", 3, "nats", "total correlation of the latents: 0 where they are independent"),
    "dimension_kl": ("Σ KLⱼ", 3, "nats", "of the latents' marginals q(zⱼ) and the prior"),
    "gaussian_total_correlation": ("Gaussian TC", 3, "nats", "TC of a normal distribution with the codes' covariance"),
    "factor_vae_score": (
        "FactorVAE score",
        3,
        "",
        "votes of the latent that varies least: which factor was held fixed?",
    ),
    "beta_vae_score": ("β-VAE score", 3, "", "a linear classifier of which factor was held fixed"),
    "mig_histogram": ("MIG, histogram", 3, "", "disentanglement_lib's number, not to be mixed with MIG"),
    "active_units": ("active units", 0, "", "latents whose posterior mean varies"),
}

#: Where images come from, for the sources that are not an adjective.
_IMAGES = {
    "arrays": "images of your own",
    "npz": "images read from a file",
    "tfds": "images read through TFDS",
    "basel": "Basel images",
}


def title(run: dict) -> str:
    return f"{in_line(label(run['method'], run['beta'], run['tc_weight']))} on {run['dataset']}"


def subtitle(record: dict) -> str:
    """What to know at a glance: the scores, where the images come from, and the id."""
    elbo = "" if record.get("elbo") is None else f"ELBO {_number(record['elbo'], 1)} nats"
    source = record.get("data", {}).get("source")
    images = _IMAGES.get(source, f"{source} images" if source else "")
    return " · ".join(filter(None, [f"MIG {_number(record['mig'], 3)}", elbo, images, record["id"]]))


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def latents(arrays: Arrays, codes: Codes) -> list[dict]:
    """Each latent, the most informative first: what it encodes, the ends of its slider, and the density of q(z_j)."""
    samples = codes.sample(20_000)
    rows = []
    for j in np.argsort(-arrays["image_information"], kind="stable"):
        ends = np.quantile(samples[:, j], [TAIL, 1 - TAIL])
        low, high = min(-REACH, np.floor(10 * ends[0]) / 10), max(REACH, np.ceil(10 * ends[1]) / 10)
        density = np.histogram(samples[:, j], 48, (low, high))[0]
        nats = float(arrays["image_information"][j])
        rows.append(
            {
                "index": int(j),
                "encodes": plots.encodes(arrays, j),
                "nats": round(nats, 3),
                "dead": nats < LEAST,
                "range": [round(float(low), 1), round(float(high), 1)],
                "density": np.round(density / density.max(), 3).tolist(),
            }
        )
    return rows


def starts(codes: Codes, anchor: int) -> tuple[dict, np.ndarray]:
    """Images on a part of the grid, the anchor among them: their values, means [n, D], and which of them occur."""
    grid = codes.grid
    steps = np.ones(len(grid.sizes), int)
    kept = [list(range(size)) for size in grid.sizes]
    at = grid.to_values(anchor)
    while np.prod([len(values) for values in kept]) > STARTS:
        longest = int(np.argmax([len(values) for values in kept]))
        steps[longest] *= 2
        kept[longest] = list(range(at[longest] % steps[longest], grid.sizes[longest], steps[longest]))
    _, cells = grid.select(dict(zip(grid.names, kept, strict=True)))
    occurs = grid.probabilities[cells] > 0
    loc = np.where(occurs[:, None], codes.loc[cells], 0)
    starts = {
        "names": list(grid.names),
        "sizes": list(grid.sizes),
        "values": kept,
        "loc": pack(loc, "float16"),
        "occurs": pack(occurs, "uint8"),
        "anchor": [values.index(value) for values, value in zip(kept, at.tolist(), strict=True)],
    }
    return starts, loc[occurs]


def information(arrays: Arrays, record: dict) -> dict:
    """I(z_j; v_k) / H(v_k) by latent and factor, with entropies and gaps."""
    share = arrays["mutual_information"] / arrays["entropies"]
    gaps = record.get("mig_gaps", {})
    factors = arrays["factors"].tolist()
    return {
        "factors": factors,
        "share": np.round(share, 4).tolist(),
        "entropies": np.round(arrays["entropies"], 3).tolist(),
        "gaps": [gaps.get(name) for name in factors],
    }


def measures(record: dict) -> list[list[str]]:
    """Name, value and meaning of each measure that the record has."""
    rows = []
    for field, (name, digits, unit, meaning) in _MEASURES.items():
        value = record.get(field)
        if value is not None:
            rows.append([name, f"{_number(float(np.sum(value)), digits)} {unit}".strip(), meaning])
    return rows


def curves(history: list[results.Row]) -> list[dict]:
    """Panels with their lines; what minibatches estimate of the terms is left to `plots.training`."""
    if not history:
        return []
    panels = {name: lines for name, lines in plots.looking.curves(history).items() if "estimates" not in name}
    return [
        {
            "label": panel,
            "lines": [
                {"label": label, "steps": steps.tolist(), "values": [float(f"{value:.6g}") for value in values]}
                for label, (steps, values) in lines.items()
            ],
        }
        for panel, lines in panels.items()
    ]


def provenance(record: dict, kernels: str) -> list[list[str]]:
    """Where the page comes from, and how its decoder is kept."""
    run, data = record["run"], record.get("data", {})
    versions = ", ".join(f"{name} {version}" for name, version in record.get("versions", {}).items())
    rows = [
        ["run", record["id"]],
        ["settings", ", ".join(f"{name} {value}" for name, value in run.items() if value not in ("", None))],
        ["data", f"{run['dataset']}, source {data.get('source')}, sha256 {data.get('sha256')}"],
        [
            "training",
            f"{record.get('steps', 0):,} steps in {record.get('seconds', 0):,.0f} s on {record.get('device')}",
        ],
        ["versions", f"{versions}; commit {record.get('commit')}; recipe {record.get('recipe')}"],
        ["decoder", kernels],
    ]
    return [[name, str(text)] for name, text in rows]
