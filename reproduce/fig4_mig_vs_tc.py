"""Figure 4: mean MIG against mean total correlation, for each β, on dSprites and on 3D Faces: the runs of figure 2.

The paper's claim: MIG falls with the total correlation.
"""

from __future__ import annotations

from collections.abc import Sequence

from reproduce import fig2_beta_sweep, methods
from tcvae_tf import plots, results
from tcvae_tf.results import Claim, Correlation, Row

TITLE = "Figure 4: MIG against total correlation"

CLAIM = "MIG falls with TC (M, as we recall it)"

runs = fig2_beta_sweep.runs


def draw(rows: Sequence[Row], paper: Sequence[Row] = methods.PUBLISHED, caption: str = ""):
    """The figure."""
    rows = methods.alike(rows)
    panels = {methods.title(rows, dataset): _clouds(rows, dataset) for dataset in methods.present(rows)}
    return plots.against_tc(panels, methods.together(caption, methods.INTERVALS.format("means")))


def _clouds(rows: Sequence[Row], dataset: str) -> dict[str, list[plots.Cloud]]:
    """The clouds of each method; at β = 1 both are the VAE, which is shown once."""
    found: dict[str, list[plots.Cloud]] = {}
    for method in methods.OVER_BETA:
        for beta, lines in methods.by_beta(rows, dataset, method).items():
            means = (methods.sample(lines, name, results.mean) for name in ("total_correlation", "mig"))
            found.setdefault(methods.NAMES["vae" if beta == 1 else method], []).append(plots.Cloud(beta, *means))
    return {name: clouds if name != methods.NAMES["vae"] else clouds[:1] for name, clouds in found.items()}


def tabulate(rows: Sequence[Row], paper: Sequence[Row]) -> str:
    """Means of both quantities for each method and β, and the rank correlation over β."""
    rows = methods.alike(rows)
    return "\n".join(f"{methods.title(rows, d)}:\n\n{_table(rows, d)}" for d in methods.present(rows))


def _table(rows: Sequence[Row], dataset: str) -> str:
    lines = []
    for method in methods.OVER_BETA:
        for beta, chosen in methods.by_beta(rows, dataset, method).items():
            means = [results.mean(results.values(chosen, name)) for name in ("total_correlation", "mig")]
            lines.append([methods.NAMES[method], f"{beta:g}", *means, methods.active(chosen)])
        found = _correlation(rows, dataset, method)
        lines.append([methods.NAMES[method], "rank correlation over β, mean of seeds", found, "", ""])
    header = ["method", "β", *(f"mean {name} [90% interval or range]" for name in ("TC (nats)", "MIG"))]
    return results.table([*header, "active latents, median"], lines)


def _correlation(rows: Sequence[Row], dataset: str, method: str) -> Correlation:
    """Of MIG with TC over β, within each seed."""
    return _correlation_of([line for lines in methods.by_beta(rows, dataset, method).values() for line in lines])


def _correlation_of(chosen: Sequence[Row]) -> Correlation:
    tc, mig = ([float(line[name]) for line in chosen] for name in ("total_correlation", "mig"))
    return results.correlation(tc, mig, [line["run.seed"] for line in chosen])


def check(rows: Sequence[Row], paper: Sequence[Row] = methods.PUBLISHED) -> list[Claim]:
    """That MIG falls with the total correlation, for each method."""
    rows = methods.alike(rows)
    claims = []
    for dataset in methods.present(rows):
        for method in reversed(methods.OVER_BETA):
            found = _correlation(rows, dataset, method)
            text = f"MIG falls with TC: {methods.NAMES[method]}{methods.where(rows, dataset)}"
            claims.append(methods.monotone(text, methods.recalled(rows, dataset, CLAIM), found, falls=True))
    return claims


def _without_collapsed(rows: Sequence[Row]) -> str:
    """The correlation over those β at which some run has more than one active latent, where that leaves any out."""
    told = []
    for dataset in methods.present(rows):
        for method in reversed(methods.OVER_BETA):
            over = methods.by_beta(rows, dataset, method)
            left = {beta for beta, lines in over.items() if all(int(line["active_units"]) < 2 for line in lines)}
            if left:
                found = _correlation_of([line for beta, lines in over.items() if beta not in left for line in lines])
                without = ", ".join(f"{beta:g}" for beta in sorted(left))
                place = f"{methods.NAMES[method]} on {methods.TITLES[dataset]}, without β = {without}"
                told.append(f"{place}: ρ = {found}, of a fall {results.p_text(found.p_less)}")
    return f"Without the β at which no run has more than one active latent: {'; '.join(told)}" if told else ""


def explain(rows: Sequence[Row]) -> str:
    """What the correlation is of, and how far training went."""
    return methods.paragraph(
        "ρ is Spearman's over the β of a seed, and the mean of that over seeds; p is of seeds, whose ρ may by chance "
        "have either sign. β moves both quantities, so a part of ρ is β's doing. With a single active latent "
        "TC is near 0, and the order of such runs by TC says little",
        methods.one_latent(methods.alike(rows)),
        _without_collapsed(methods.alike(rows)),
        methods.effort(rows),
    )
