"""Measures of disentanglement side by side: β-VAE score, FactorVAE score and MIG, on the models of figures 2 and 3.

Which of them tells the methods apart, and whether they put models in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reproduce import fig2_beta_sweep, fig3_mig_distribution, methods
from tcvae_tf import plots, results
from tcvae_tf.results import Claim, Row
from tcvae_tf.runs import Run
from tcvae_tf.sweep import Preset

TITLE = "Measures side by side"
#: Records of methods of one's own have columns too.
OWN = True

MEASURES = {
    "beta_vae_score": "β-VAE score",
    "factor_vae_score": "FactorVAE score",
    "mig": "MIG (exact)",
    "mig_histogram": "MIG (histogram)",
}


def runs(preset: Preset) -> list[Run]:
    """The runs of figures 2 and 3."""
    return list(dict.fromkeys([*fig3_mig_distribution.runs(preset), *fig2_beta_sweep.runs(preset)]))


def _samples(rows: Sequence[Row], dataset: str, measure: str) -> dict[str, np.ndarray]:
    """One measure of each method that was trained, as the paper tuned it."""
    shown = [*methods.BASELINES, *methods.own(rows, dataset)]
    return {m: results.values(methods.tuned(rows, dataset, m), measure) for m in shown}


def draw(rows: Sequence[Row], paper: Sequence[Row] = methods.PUBLISHED, caption: str = ""):
    """A panel for each measure and data set, a column for each method at the weights of figure 3."""
    rows = methods.alike(rows)
    panels = {}
    for dataset in methods.present(rows):
        for measure, name in MEASURES.items():
            samples = _samples(rows, dataset, measure)
            panels[f"{name}\n{methods.TITLES[dataset]}"] = {
                methods.NAMES.get(m, methods.label(m)): sample for m, sample in samples.items()
            }
    stand_in = [methods.title(rows, dataset) for dataset in methods.present(rows) if dataset != "dsprites"]
    shown = methods.together(caption, "methods at the weights of figure 3", *stand_in)
    return plots.boxes(panels, caption=shown, columns=len(MEASURES))


def tabulate(rows: Sequence[Row], paper: Sequence[Row]) -> str:
    """How far each measure separates the methods, and how the measures correlate over all models."""
    rows = methods.alike(rows)
    parts = []
    for dataset in methods.present(rows):
        parts.append(f"{methods.title(rows, dataset)}, methods at the weights of figure 3:\n\n{_table(rows, dataset)}")
        chosen = [line for line in rows if line["run.dataset"] == dataset]
        over = "Rank correlation over the models of a seed, mean of seeds; of methods and weights that every seed has"
        parts.append(f"{over}:\n\n{_correlations(chosen)}")
    return "\n".join(parts)


def _table(rows: Sequence[Row], dataset: str) -> str:
    lines = []
    for measure, name in MEASURES.items():
        samples = _samples(rows, dataset, measure)
        cells = [str(results.median(sample)) for sample in samples.values()]
        ahead = results.compare_within(methods.same_beta(rows, dataset, measure))
        lines.append([name, *cells, results.separation(list(samples.values())), ahead])
    header = ["measure", *(methods.NAMES.get(method, method) for method in _samples(rows, dataset, "mig"))]
    return results.table([*header, "variance of ranks between methods", "β-TCVAE above β-VAE at the same β"], lines)


def _correlations(rows: Sequence[Row]) -> str:
    names = list(MEASURES)
    lines = [
        [MEASURES[one], *("" if names.index(other) <= place else _correlation(rows, one, other) for other in names)]
        for place, one in enumerate(names)
    ]
    return results.table(["", *MEASURES.values()], lines)


def _correlation(rows: Sequence[Row], one: str, other: str) -> results.Correlation:
    both = methods.common([line for line in rows if line.get(one) and line.get(other)])
    left, right = ([float(line[name]) for line in both] for name in (one, other))
    return results.correlation(left, right, [line["run.seed"] for line in both])


def check(rows: Sequence[Row], paper: Sequence[Row] = methods.PUBLISHED) -> list[Claim]:
    """That the measures agree on the order of the models."""
    rows = methods.alike(rows)
    claims = []
    for dataset in methods.present(rows):
        for measure, name in MEASURES.items():
            if measure != "mig":
                found = _correlation([line for line in rows if line["run.dataset"] == dataset], "mig", measure)
                text = f"models with a higher MIG have a higher {name}{methods.where(rows, dataset)}"
                claims.append(methods.monotone(text, results.OWN, found))
    return claims


def explain(rows: Sequence[Row]) -> str:
    """Which measure tells the methods apart."""
    rows = methods.alike(rows)
    told = []
    for dataset in methods.present(rows):
        if 1 in map(len, _samples(rows, dataset, "mig").values()):
            told.append(f"On {methods.TITLES[dataset]} a method has a single seed, which tells nothing apart.")
            continue
        found = {name: results.separation(list(_samples(rows, dataset, m).values())) for m, name in MEASURES.items()}
        ranked = sorted((n for n in found if found[n].share is not None), key=lambda n: -(found[n].share or 0))
        if ranked:
            listed = "; ".join(f"{name} {found[name]}" for name in ranked)
            sure = "" if (found[ranked[0]].p or 0) < results.LEVEL else ", without certainty"
            name, tied = methods.TITLES[dataset], [n for n in ranked if found[n].share == found[ranked[0]].share]
            best = f"most by {ranked[0]}{sure}" if len(tied) < len(ranked) else "by all measures alike"
            told.append(f"On {name} methods are told apart {best} ({listed}).")
    what = "Shares are of the variance of ranks, p of a permutation test: 1 is a clean split, in whatever order."
    unsaid = "Whether one measure's share differs from another's is not tested."
    if methods.tried(rows):
        unsaid += f" Shown is {methods.tried(rows)}."
    return methods.paragraph(*told, what, unsaid, *_ahead(rows), methods.one_latent(rows))


def _ahead(rows: Sequence[Row]) -> list[str]:
    """By which measures β-TCVAE is above β-VAE at the same β, for each data set."""
    told = []
    for dataset in methods.present(rows):
        found = {name: results.compare_within(methods.same_beta(rows, dataset, m)) for m, name in MEASURES.items()}
        above = {f"{name} ({one})": one.p for name, one in found.items() if one.effect is not None and one.effect > 0}
        sure = [name for name, p in above.items() if p is not None and p < results.LEVEL]
        unsure = [name for name in above if name not in sure]
        parts = [f" by {', '.join(sure)}"] if sure else []
        parts += [f", without certainty, by {', '.join(unsure)}"] if unsure else []
        if parts:
            told.append(f"On {methods.TITLES[dataset]} β-TCVAE is above β-VAE at the same β{' and'.join(parts)}")
    return told
