"""Figure 2: ELBO and MIG against β, on dSprites and on 3D Faces.

The paper's claim: β-TCVAE has the better trade-off between density estimation and disentanglement. Where it has both
the higher ELBO and the higher MIG at the same β, no other trade-off of β-VAE needs to be looked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from reproduce import methods
from tcvae_tf import plots, results
from tcvae_tf.results import Claim, Row
from tcvae_tf.runs import Run
from tcvae_tf.sweep import Preset

TITLE = "Figure 2: ELBO and MIG against β"

QUOTE = '"better trade-off between density estimation and disentanglement" (S)'
#: Axis label and digits of each quantity.
QUANTITIES = {"elbo": ("ELBO (nats)", 1), "mig": ("MIG (exact)", 3)}
#: Of fewer β above 1 none is called the best.
_SWEEP = 3


def runs(preset: Preset) -> list[Run]:
    """One run for each data set, seed, β and method."""
    return [run for dataset in methods.DATASETS for run in preset.runs(methods.over_betas(preset), dataset)]


def draw(rows: Sequence[Row], paper: Sequence[Row] = methods.PUBLISHED, caption: str = ""):
    """The figure."""
    rows = methods.alike(rows)
    panels = {
        methods.title(rows, dataset): {axis: _curves(rows, dataset, name) for name, (axis, _) in QUANTITIES.items()}
        for dataset in methods.present(rows)
    }
    return plots.against_beta(panels, methods.together(caption, methods.INTERVALS.format("medians"), "β = 1: VAE"))


def _curves(rows: Sequence[Row], dataset: str, quantity: str) -> dict[str, dict[float, plots.Sample]]:
    found = {method: methods.by_beta(rows, dataset, method) for method in methods.OVER_BETA}
    return {
        methods.NAMES[method]: {beta: methods.sample(chosen, quantity) for beta, chosen in lines.items()}
        for method, lines in found.items()
        if lines
    }


def tabulate(rows: Sequence[Row], paper: Sequence[Row]) -> str:
    """Medians of both methods at each β, and how they compare."""
    rows = methods.alike(rows)
    tables = [f"{methods.title(rows, dataset)}:\n\n{_table(rows, dataset)}" for dataset in methods.present(rows)]
    return "\n".join(filter(None, [*tables, methods.by_latents(_settings(rows))]))


def _table(rows: Sequence[Row], dataset: str) -> str:
    header, lines = ["β"], []
    for axis, _ in QUANTITIES.values():
        header += [f"{axis}, {methods.NAMES[method]}" for method in reversed(methods.OVER_BETA)]
        header += [f"{axis}: β-TCVAE above β-VAE"]
    for beta in methods.betas(rows, dataset):
        ours, theirs = (methods.at_beta(rows, dataset, method, beta) for method in reversed(methods.OVER_BETA))
        cells = [f"{beta:g}"]
        for name, (_, digits) in QUANTITIES.items():
            found = results.compare(results.values(ours, name), results.values(theirs, name))
            cells += [methods.medians(side, name, digits) for side in (ours, theirs)]
            cells += ["both are the VAE" if beta == 1 else str(found)]
        lines.append(cells + [methods.active(side) for side in (ours, theirs)])
    header += [f"active latents, {methods.NAMES[method]}" for method in reversed(methods.OVER_BETA)]
    return results.table(header, lines)


def check(rows: Sequence[Row], paper: Sequence[Row] = methods.PUBLISHED) -> list[Claim]:
    """That β-TCVAE is ahead at the same β in both quantities, and where each has its highest MIG."""
    rows = methods.alike(rows)
    return [claim for dataset in methods.present(rows) for claim in _claims(rows, dataset)]


def _claims(rows: Sequence[Row], dataset: str) -> list[Claim]:
    where, said = methods.where(rows, dataset), methods.recalled(rows, dataset, QUOTE)
    claims = [
        _at_the_same_beta(rows, dataset, "mig", f"MIG at the same β: β-TCVAE > β-VAE{where}", said),
        _at_the_same_beta(rows, dataset, "elbo", f"ELBO at the same β: β-TCVAE > β-VAE{where}", said),
    ]
    claims += [
        _at_the_highest(rows, dataset, "mig", "highest median MIG over β > 1: β-TCVAE > β-VAE", said),
        _at_the_highest(rows, dataset, "elbo", "ELBO where median MIG is highest: β-TCVAE > β-VAE", said),
    ]
    return claims


def _at_the_highest(rows: Sequence[Row], dataset: str, quantity: str, text: str, paper: str) -> Claim:
    """Each method at the β above 1 of its highest median MIG; undecided where one has too few β to choose from."""
    found = [(method, _above_one(rows, dataset, method)) for method in reversed(methods.OVER_BETA)]
    ours, theirs = (len(medians) for _, medians in found)
    where = methods.where(rows, dataset)
    if not ours and not theirs:
        return Claim(f"{text}{where}", paper, "not run", None)
    if min(ours, theirs) < _SWEEP:
        told = f"{ours} and {theirs} β above 1"
        return Claim(f"{text}{where}", paper, told, None, doubt="a highest one takes a sweep")
    best = [(method, max(medians, key=medians.__getitem__)) for method, medians in found]
    a, b = (results.values(methods.of(rows, dataset, method, beta), quantity) for method, beta in best)
    chosen = f" (β = {best[0][1]:g} against β = {best[1][1]:g})"
    return Claim.greater(f"{text}{chosen}{where}", paper, a, b, digits=QUANTITIES[quantity][1])


def _at_the_same_beta(rows: Sequence[Row], dataset: str, quantity: str, text: str, paper: str) -> Claim:
    """All β above 1 together, each run compared with those at its own β; what is drawn by chance are whole seeds."""
    pairs = methods.same_beta(rows, dataset, quantity)
    found = results.compare_within(pairs)
    if found.effect is None:
        run = all(_above_one(rows, dataset, method) for method in methods.OVER_BETA)
        return Claim(text, paper, "not run", None, doubt="no seeds have every β" if run else "")
    medians = ([results.median(list(sample.values())).value for sample in pair] for pair in pairs)
    higher = sum(ours > theirs for ours, theirs in medians)
    holds = found.effect > 0
    said = f"median higher at {higher} of {len(pairs)} β; {found.told(holds)}; n = {found.na} and {found.nb} seeds"
    return Claim(text, paper, said, holds, found.one_sided(holds))


def _above_one(rows: Sequence[Row], dataset: str, method: str) -> dict[float, float]:
    """The median MIG of a method at each β above 1."""
    found = {beta: methods.of(rows, dataset, method, beta) for beta in methods.betas(rows, dataset, above=1)}
    return {beta: results.median(results.values(lines, "mig")).value for beta, lines in found.items() if lines}


def explain(rows: Sequence[Row]) -> str:
    """How it was compared, how far training went, and what the size of the batches has to do with it."""
    return methods.paragraph(
        "At the same β: δ and the exact rank test compare each run with those of the other method at its own β, all β "
        "above 1 together, of the seeds that have them all; what chance draws are seeds, each with its runs at every "
        "β. That β-VAE has the lower ELBO there is to be expected, since it weights I and Σ KL by β too. Where MIG is "
        "highest, β was chosen for both methods by the median MIG of these runs themselves, so the p of the claim "
        "about MIG is not that of a β fixed before: to choose one's own lowers it, to choose the other's raises it",
        _elbo_at_fixed_weights(methods.alike(rows)),
        methods.one_latent(methods.alike(rows)),
        methods.optima(_settings(methods.alike(rows)), methods.MINIMISED, methods.UNASKED),
        _seen_by_mws(methods.alike(rows)),
        methods.effort(rows),
    )


def _settings(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The runs of each data set, method and β, by its name; those at β = 1 are the VAE's."""
    found = {}
    for dataset in methods.present(rows):
        where = methods.TITLES[dataset]
        found[f"{methods.NAMES['vae']} on {where}"] = methods.of(rows, dataset, "vae")
        for method in methods.OVER_BETA:
            for beta in methods.betas(rows, dataset, above=1):
                name = f"{methods.NAMES[method]} (β = {beta:g}) on {where}"
                found[name] = methods.of(rows, dataset, method, beta)
    return found


def _elbo_at_fixed_weights(rows: Sequence[Row]) -> str:
    """How the claim about ELBO, where β was chosen by MIG, would end at the weights of figure 3."""
    told = []
    for dataset in methods.present(rows):
        ours, theirs = (methods.tuned(rows, dataset, method) for method in reversed(methods.OVER_BETA))
        if ours and theirs:
            found = results.compare(*(results.values(side, "elbo") for side in (ours, theirs)))
            medians = " against ".join(methods.short(results.values(side, "elbo")) for side in (ours, theirs))
            weights = f"β = {float(ours[0]['run.beta']):g} and {float(theirs[0]['run.beta']):g}"
            told.append(f"on {methods.TITLES[dataset]} ({weights}) {medians}, {found.told((found.effect or 0) > 0)}")
    if not told:
        return ""
    return (
        "Which way it moves the p of the claim about ELBO is not known, and the β of the highest MIG may be one at "
        "which hardly a latent is left. Median ELBO in nats at the weights of figure 3, β-TCVAE's against β-VAE's: "
        f"{'; '.join(told)}"
    )


def _seen_by_mws(rows: Sequence[Row]) -> str:
    """How much I there is beside what MWS can see of it."""
    told = []
    for dataset in methods.present(rows):
        ours, theirs = (methods.by_beta(rows, dataset, method) for method in reversed(methods.OVER_BETA))
        sizes = {int(line["run.batch_size"]) for lines in ours.values() for line in lines}
        medians = [
            f"{' against '.join(f'{_information(side[beta]):.1f}' for side in (ours, theirs))} (β = {beta:g})"
            for beta in sorted(ours.keys() & theirs.keys() - {1.0})
        ]
        if medians and len(sizes) == 1:
            told.append(f"on {methods.TITLES[dataset]} (log B = {math.log(*sizes):.1f}): {', '.join(medians)}")
    if not told:
        return ""
    seen = (
        "MWS sees no more than log B nats of the index-code mutual information I, and counts what a code holds beyond "
        "them as TC, so that β weights it too. Median I in nats, β-TCVAE's against β-VAE's at the same β, "
        f"{'; '.join(told)}"
    )
    return ". ".join(filter(None, [seen, _where_the_weight_falls(rows)]))


def _where_the_weight_falls(rows: Sequence[Row]) -> str:
    """How much of what β-TCVAE minimises is there for I beyond log B and how much for TC, at the weight of figure 3."""
    told = []
    for dataset in methods.present(rows):
        if lines := methods.tuned(rows, dataset, "beta_tcvae"):
            beta = float(lines[0]["run.beta"])
            beyond, tc = (
                results.median(sample).value
                for sample in (
                    [*map(methods.mws_bias, lines)],
                    (beta - 1) * results.values(lines, "total_correlation"),
                )
            )
            told.append(f"{beyond:.1f} and {tc:z.1f} nats on {methods.TITLES[dataset]} (β = {beta:g})")
    if not told:
        return ""
    return (
        "So what β-TCVAE minimises holds about (β − 1) (I − log B) for I beyond log B beside (β − 1) TC for TC, "
        f"medians at the weight of figure 3: {'; '.join(told)}. Where the first is not small the extra weight of β "
        "lies on I too"
    )


def _information(rows: Sequence[Row]) -> float:
    return results.median(results.values(rows, "mutual_information")).value
