"""What the scripts share: the methods and data sets with their names, and how rows are chosen and put into words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tcvae_tf import plots, results
from tcvae_tf.datasets import dsprites, faces3d
from tcvae_tf.results import Claim, Correlation, Estimate, Row
from tcvae_tf.runs import Run
from tcvae_tf.sweep import PAPER, PAPER_SEEDS, Preset

DATASETS = ("dsprites", "faces3d")
TITLES = {"dsprites": "dSprites", "faces3d": "3D Faces"}

#: In the order of the paper's figure 3.
NAMES = {"vae": "VAE", "beta_vae": "β-VAE", "infogan": "InfoGAN", "factor_vae": "FactorVAE", "beta_tcvae": "β-TCVAE"}
#: The methods that are run at several β.
OVER_BETA = ("beta_vae", "beta_tcvae")
#: The β that the paper chose for each.
PAPER_BETAS = {"beta_vae": 4.0, "beta_tcvae": 6.0}


def variants(preset: Preset, part: str = "dsprites") -> list[dict]:
    """The methods that are trained here, with the β that the paper chose; FactorVAE with every weight of the preset."""
    return [
        {"method": "vae"},
        {"method": "beta_vae", "beta": PAPER_BETAS["beta_vae"]},
        *(preset.factor_vae(part, weight) for weight in preset.tc_weights),
        {"method": "beta_tcvae", "beta": PAPER_BETAS["beta_tcvae"]},
    ]


def over_betas(preset: Preset) -> list[dict]:
    """The methods that are run at several β. At β = 1 each is the VAE, which is trained once."""
    one = [{"method": "vae"}] if 1.0 in preset.betas else []
    return one + [{"method": method, "beta": beta} for beta in preset.betas if beta > 1 for method in OVER_BETA]


def label(method: str, beta: str = "", tc_weight: str = "") -> str:
    """The name of a method over its weight, where it has one."""
    weight = {"factor_vae": ("γ", tc_weight)}.get(method, ("β", beta) if method in OVER_BETA else ("", ""))
    return NAMES[method] + (f"\n{weight[0]} = {float(weight[1]):g}" if weight[1] else "")


def title(rows: Sequence[Row], dataset: str) -> str:
    """The name of a data set, which says so where it stands for another."""
    stand_in = any(line["data.source"] == "stand-in" for line in rows if line["run.dataset"] == dataset)
    return TITLES[dataset] + (f" ({faces3d.STAND_IN})" if stand_in else "")


def where(rows: Sequence[Row], dataset: str) -> str:
    """What a claim adds when it is not about dSprites."""
    return "" if dataset == "dsprites" else f", {title(rows, dataset)}"


def recalled(rows: Sequence[Row], dataset: str, text: str) -> str:
    """What the paper has, and that our images are others where they are."""
    return text + ("; ours on other images" if "stand-in" in title(rows, dataset) else "")


def alike(rows: Sequence[Row]) -> list[Row]:
    """Without the records of the stand-in where there are some of the paper's own faces: they are not to be mixed."""
    own = any(line["data.source"] == "basel" for line in rows)
    return [line for line in rows if not (own and line["data.source"] == "stand-in")]


def present(rows: Sequence[Row]) -> list[str]:
    """The data sets that have records; dSprites in any case."""
    return [dataset for dataset in DATASETS if dataset == "dsprites" or any(r["run.dataset"] == dataset for r in rows)]


def of(
    rows: Sequence[Row], dataset: str, method: str, beta: float | None = None, tc_weight: float | None = None
) -> list[Row]:
    """The rows of a method on a data set, at one weight where one is given."""
    chosen = [line for line in rows if (line["run.dataset"], line["run.method"]) == (dataset, method)]
    chosen = [line for line in chosen if beta is None or float(line["run.beta"]) == beta]
    return [line for line in chosen if tc_weight is None or float(line["run.tc_weight"]) == tc_weight]


def at_beta(rows: Sequence[Row], dataset: str, method: str, beta: float) -> list[Row]:
    """The rows of β-VAE or β-TCVAE at one β: those of the VAE at β = 1."""
    return of(rows, dataset, "vae") if beta == 1 else of(rows, dataset, method, beta)


def by_beta(rows: Sequence[Row], dataset: str, method: str) -> dict[float, list[Row]]:
    """The runs of β-VAE or β-TCVAE at each β that was run."""
    found = {beta: at_beta(rows, dataset, method, beta) for beta in betas(rows, dataset)}
    return {beta: lines for beta, lines in found.items() if lines}


def betas(rows: Sequence[Row], dataset: str, above: float = 0.0) -> list[float]:
    """The β above a bound at which β-VAE or β-TCVAE was run, or the VAE as either of them, ascending."""
    methods = ("vae", *OVER_BETA)
    found = [line for line in rows if line["run.dataset"] == dataset and line["run.method"] in methods]
    return sorted({float(line["run.beta"]) for line in found if float(line["run.beta"]) > above})


def same_beta(rows: Sequence[Row], dataset: str, quantity: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """A quantity of β-TCVAE and of β-VAE at each β above 1 at which both were run."""
    pairs = []
    for beta in betas(rows, dataset, above=1):
        theirs, ours = (results.values(of(rows, dataset, method, beta), quantity) for method in OVER_BETA)
        pairs += [(ours, theirs)] if len(ours) and len(theirs) else []
    return pairs


def weights(rows: Sequence[Row], dataset: str) -> list[float]:
    """The weights that FactorVAE was run with, ascending."""
    return sorted({float(line["run.tc_weight"]) for line in of(rows, dataset, "factor_vae")})


def tuned(rows: Sequence[Row], dataset: str, method: str) -> list[Row]:
    """The rows of a method as the paper tuned it: at its β, and FactorVAE with the weight of the best median MIG."""
    if method != "factor_vae":
        return of(rows, dataset, method, PAPER_BETAS.get(method))
    candidates = [of(rows, dataset, method, tc_weight=weight) for weight in weights(rows, dataset)]
    return max(candidates, key=lambda lines: results.median(results.values(lines, "mig")).value, default=[])


def tuned_label(rows: Sequence[Row], dataset: str, method: str) -> str:
    """Its label, with the weight that is shown."""
    shown = tuned(rows, dataset, method)
    weight = shown[0]["run.tc_weight"] if shown and method == "factor_vae" else ""
    return label(method, f"{PAPER_BETAS.get(method, '')}", weight)


def tried(rows: Sequence[Row]) -> str:
    """Which weights of FactorVAE there were to choose from."""
    found = sorted({weight for dataset in DATASETS for weight in weights(rows, dataset)})
    listed = ", ".join(f"{weight:g}" for weight in found)
    if not found:
        return ""
    chosen = "with the best median MIG of" if len(found) > 1 else "with the only weight tried,"
    return f"FactorVAE {chosen} γ = {listed}"


def sample(
    rows: Sequence[Row], quantity: str, estimate: Callable[[np.ndarray], Estimate] = results.median
) -> plots.Sample:
    """A quantity of rows as figures take it, with its middle and interval."""
    values = results.values(rows, quantity)
    middle = estimate(values)
    return plots.Sample(values, middle.value, middle.low, middle.high)


def medians(rows: Sequence[Row], quantity: str, digits: int = 3) -> str:
    """The median of a quantity with its interval, in words."""
    return results.median(results.values(rows, quantity)).text(digits)


def monotone(text: str, paper: str, found: Correlation, falls: bool = False) -> Claim:
    """The claim that one quantity rises with another, or falls."""
    if found.rho is None:
        return Claim(text, paper, "none" if found.n else "not run", None, doubt="nothing varies" if found.n else "")
    holds = found.rho < 0 if falls else found.rho > 0
    return Claim(text, paper, f"ρ = {found}", holds, found.p_less if falls == holds else found.p)


def effort(rows: Sequence[Row]) -> str:
    """How far training went, beside the paper's."""
    told = []
    for dataset, grid in (("dsprites", dsprites.GRID), ("faces3d", faces3d.GRID)):
        found = [line for line in rows if line["run.dataset"] == dataset and line["run.method"] != "factor_vae"]
        if found:
            paper = Run(**PAPER[dataset])
            steps, width = (max(int(line[name]) for line in found) for name in ("steps", "run.width"))
            seeds = len({line["run.seed"] for line in found})
            asked = paper.step_count(len(grid) // paper.batch_size)
            told.append(
                f"On {TITLES[dataset]} these runs took {steps:,} steps at width {width} with {seeds} "
                f"{'seed' if seeds == 1 else 'seeds'}, the paper {asked:,} at width {paper.width} with {PAPER_SEEDS} "
                "(as we recall it)."
            )
    return " ".join(told)
