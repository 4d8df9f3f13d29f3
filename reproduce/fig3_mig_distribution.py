"""Figure 3: how MIG is distributed over random initialisations, for each method, on dSprites.

The paper's claim: β-TCVAE has the highest MIG of all methods; a part of its runs still does poorly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tcvae_tf import plots, results
from tcvae_tf.datasets import dsprites
from tcvae_tf.results import Claim, Row
from tcvae_tf.runs import Run
from tcvae_tf.sweep import PAPER_SEEDS, Preset

TITLE = "Figure 3: MIG over random initialisations, dSprites"

#: Columns, in the paper's order: method, its label, and the β that the paper chose for it.
VARIANTS = (
    ("vae", "VAE", {"method": "vae"}),
    ("beta_vae", "β-VAE\nβ = 4", {"method": "beta_vae", "beta": 4.0}),
    ("infogan", "InfoGAN", None),
    ("factor_vae", "FactorVAE", None),
    ("beta_tcvae", "β-TCVAE\nβ = 6", {"method": "beta_tcvae", "beta": 6.0}),
)

#: Other columns of the table. The histogram MIG is another number than MIG, never to be mixed with it.
_ALSO = {
    "mig_histogram": "histogram MIG",
    "factor_vae_score": "FactorVAE score",
    "elbo": "ELBO (nats)",
    "mutual_information": "I (nats)",
    "total_correlation": "TC (nats)",
}


def runs(preset: Preset) -> list[Run]:
    """One run for each method that is trained here and each seed of the preset."""
    return preset.runs([variant for _, _, variant in VARIANTS if variant is not None])


def _samples(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """MIG of each seed, by method."""
    return {method: results.values(rows, "mig", run__method=method) for method, _, _ in VARIANTS}


def _published(paper: Sequence[Row]) -> dict[str, float]:
    chosen = [line for line in paper if (line["figure"], line["dataset"]) == ("fig3", "dsprites")]
    return {line["method"]: float(line["value"]) for line in chosen}


def draw(rows: Sequence[Row], paper: Sequence[Row], caption: str):
    """The figure."""
    labels = {method: label for method, label, _ in VARIANTS}
    samples = {labels[method]: sample for method, sample in _samples(rows).items()}
    published = {labels[method]: value for method, value in _published(paper).items()}
    return plots.mig_distribution(samples, published, caption)


def tabulate(rows: Sequence[Row], paper: Sequence[Row]) -> str:
    """Medians against the published ones, with other measures, the parts of the ELBO and the gap of each factor."""
    published = _published(paper)
    factors = [name.split(".", 1)[1] for name in (rows[0] if rows else {}) if name.startswith("mig_gaps.")]
    lines = []
    for method, label, _ in VARIANTS:
        sample = _samples(rows)[method]
        columns = [*_ALSO, *(f"mig_gaps.{name}" for name in factors)]
        means = [""] * len(columns)
        if len(sample):
            means = [f"{np.median(results.values(rows, column, run__method=method)):.3g}" for column in columns]
        ours = results.median(sample) if len(sample) else "not run here"
        lines.append([label.replace("\n", ", "), f"{published[method]:.2f} (S)", ours, *means])
    header = ["method", "published median MIG", "our median MIG [90% interval]", *_ALSO.values()]
    return results.table([*header, *(f"gap {name}" for name in factors)], lines)


def explain(rows: Sequence[Row]) -> str:
    """What the records say of why a claim may fail: how far training went, and how many seeds there are."""
    if not rows:
        return ""
    paper = Run()
    paper_steps = paper.step_count(len(dsprites.GRID) // paper.batch_size)
    steps, width = (max(int(line[name]) for line in rows) for name in ("steps", "run.width"))
    seeds = len({line["run.seed"] for line in rows})
    gap = max(float(line["mig_gaps.orientation"]) for line in rows)
    ours = f"{steps:,} steps at width {width} with {seeds} {'seed' if seeds == 1 else 'seeds'}"
    theirs = f"{paper_steps:,} at width {paper.width} with {PAPER_SEEDS} (as we recall it)"
    return (
        f"Before a failed claim is held against the paper: these runs took {ours}, the paper {theirs}. "
        f"The largest gap of orientation in any run is {gap:.3f}.\n"
    )


def check(rows: Sequence[Row], paper: Sequence[Row]) -> list[Claim]:
    """The ordering of the methods that are trained here, and each median within ±0.1 of the published one."""
    medians = {method: results.median(sample) for method, sample in _samples(rows).items()}
    published = _published(paper)
    names = {method: label.split("\n")[0] for method, label, _ in VARIANTS}
    claims = []
    for better, worse in (("beta_tcvae", "beta_vae"), ("beta_vae", "vae"), ("beta_tcvae", "vae")):
        ours, theirs = medians[better], medians[worse]
        claims.append(
            Claim(
                f"median MIG: {names[better]} > {names[worse]}",
                f"{published[better]:.2f} > {published[worse]:.2f} (S)",
                f"{ours.value:.3f} against {theirs.value:.3f}, n = {ours.n} and {theirs.n}",
                ours.value > theirs.value if ours.n and theirs.n else None,
            )
        )
    for method in ("vae", "beta_vae", "beta_tcvae"):
        ours = medians[method]
        claims.append(
            Claim(
                f"median MIG of {names[method]} within ±0.1 of the published one",
                f"{published[method]:.2f} (S)",
                str(ours),
                abs(ours.value - published[method]) <= 0.1 if ours.n else None,
            )
        )
    return claims
