"""What the scripts share: the methods and data sets with their names, and how rows are chosen and put into words.

What `tcvae_tf.compare` needs too is there, and is taken from there."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from reproduce import circumstances
from tcvae_tf import pictures, plots, results
from tcvae_tf.compare import BASELINES, TITLES, candidates, of, short, title, tuned, tuned_label, weights
from tcvae_tf.datasets import dsprites, faces3d
from tcvae_tf.results import Claim, Correlation, Estimate, Row
from tcvae_tf.runs import Run
from tcvae_tf.settings import NAMES, PAPER_BETAS, in_line, label
from tcvae_tf.sweep import PAPER, PAPER_SEEDS, Preset

__all__ = ["BASELINES", "NAMES", "PAPER_BETAS", "in_line", "label", "short", "tuned", "tuned_label"]

DATASETS = tuple(TITLES)
#: Of this package: the records, and what they are held against.
RESULTS = Path(__file__).resolve().parent.parent / "results"
#: The published values with their marks.
PUBLISHED = tuple(results.read_rows(RESULTS / "paper.csv"))
#: Of a run, by name: an image, traversals from it, and latents against factors.
Arrays = Mapping[str, np.ndarray]
#: Of several runs, by id.
Pictures = Mapping[str, Arrays]

#: What a figure over β says of its bars and dots.
INTERVALS = "{} with 90% bootstrap intervals, of up to five seeds their range; every seed a dot"

#: The methods that are run at several β.
OVER_BETA = ("beta_vae", "beta_tcvae")


def over_betas(preset: Preset) -> list[dict]:
    """The methods that are run at several β. At β = 1 each is the VAE, which is trained once."""
    one = [{"method": "vae"}] if 1.0 in preset.betas else []
    return one + [{"method": method, "beta": beta} for beta in preset.betas if beta > 1 for method in OVER_BETA]


def together(*parts: str) -> str:
    """The parts of a caption; what is empty is left out."""
    return "; ".join(filter(None, parts))


def arrays(ids: Iterable[str], out: Path = RESULTS) -> Pictures:
    """The arrays that were kept of runs, by id; only those that are there."""
    paths = {id: out / "arrays" / f"{id}.npz" for id in ids}
    return {id: pictures.load(path) for id, path in paths.items() if path.exists()}


def kept(ids: Iterable[str]) -> Pictures:
    """The arrays of runs that this package keeps.

    Raises:
      ValueError: it keeps none of them.
    """
    found = arrays(ids)
    if not found:
        raise ValueError(f"{RESULTS / 'arrays'} holds none of these runs: give what pictures.load reads, by id")
    return found


def own(rows: Sequence[Row], dataset: str) -> list[str]:
    """Methods of one's own that have rows on a data set, in the order of their names."""
    return sorted({line["run.method"] for line in rows if line["run.dataset"] == dataset} - set(NAMES))


def own_ids(rows: Sequence[Row], preset: Preset) -> set[str]:
    """The ids of the rows of methods of one's own that were run just as a preset runs the others."""
    found = set()
    for part in DATASETS:
        for method in own(rows, part):
            found |= {run.id for run in preset.runs([{"method": method}], part)}
    return found & {line["id"] for line in rows}


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


def same_beta(rows: Sequence[Row], dataset: str, quantity: str) -> list[tuple[dict[str, float], dict[str, float]]]:
    """A quantity of β-TCVAE and of β-VAE, by seed, at each β above 1 at which both were run: of the seeds of a method
    that have all of those β, since under the null hypothesis none may differ from another in what it was run with."""
    both = [beta for beta in betas(rows, dataset, above=1) if all(of(rows, dataset, m, beta) for m in OVER_BETA)]
    sides = [[_by_seed(of(rows, dataset, method, beta), quantity) for beta in both] for method in reversed(OVER_BETA)]
    ours, theirs = ([{seed: at[seed] for seed in _shared(side)} for at in side] for side in sides)
    return [pair for pair in zip(ours, theirs, strict=True) if all(pair)]


def _by_seed(rows: Sequence[Row], quantity: str) -> dict[str, float]:
    return {line["run.seed"]: float(line[quantity]) for line in rows if line.get(quantity)}


def _shared(samples: Sequence[dict[str, float]]) -> list[str]:
    """The names that all samples have."""
    return [name for name in samples[0] if all(name in sample for sample in samples)]


def tried(rows: Sequence[Row]) -> str:
    """Which weights of FactorVAE were run, and between which of them there was a choice."""
    told: dict[str, list[str]] = {}
    for dataset in DATASETS:
        if lines := tuned(rows, dataset, "factor_vae"):
            every, chosen = (_listed(found) for found in (weights(rows, dataset), candidates(rows, dataset)))
            how = f"γ = {chosen}, the only one of γ = {every} with {len(lines)} seeds"
            if "," in chosen:
                how = f"the best median MIG of γ = {chosen}" + (f", of γ = {every}" if every != chosen else "")
            elif every == chosen:
                how = f"the only weight tried, γ = {every}"
            told.setdefault(how, []).append(dataset)
    places = [f"{how} on {' and '.join(TITLES[d] for d in on)}" if len(told) > 1 else how for how, on in told.items()]
    return f"FactorVAE with {', with '.join(places)}" if told else ""


def _listed(numbers: Iterable[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)


def active(rows: Sequence[Row]) -> str:
    """The median number of latents that do not ignore the image."""
    return f"{results.median(results.values(rows, 'active_units')).value:g}" if rows else "not run"


def common(rows: Sequence[Row]) -> list[Row]:
    """The rows of settings that every seed has: of the seeds that have all settings of some seed, those that are the
    most rows together."""
    settings: dict[str, dict[tuple, Row]] = {}
    for line in rows:
        setting = tuple(line[name] for name in line if name.startswith("run.") and name != "run.seed")
        settings.setdefault(line["run.seed"], {})[setting] = line
    best: list[Row] = []
    for every in settings.values():
        sharing = [lines for lines in settings.values() if every.keys() <= lines.keys()]
        found = [lines[setting] for lines in sharing for setting in every]
        best = max(best, found, key=len)
    kept = {line["id"] for line in best}
    return [line for line in rows if line["id"] in kept]


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


def one_latent(rows: Sequence[Row]) -> str:
    """Which runs over β use a single latent, and what MIG makes of them."""
    told = []
    for dataset in present(rows):
        for method in OVER_BETA:
            for beta, lines in by_beta(rows, dataset, method).items():
                if alone := [line for line in lines if line["active_units"] == "1"]:
                    migs = sorted(f"{float(line['mig']):.3f}" for line in alone)
                    span = " to ".join(dict.fromkeys((migs[0], migs[-1])))
                    place = f"{NAMES[method]} (β = {beta:g}) on {TITLES[dataset]}"
                    told.append(f"{len(alone)} of {len(lines)} runs of {place}, MIG {span}")
    if not told:
        return ""
    return (
        "MIG asks whether one latent knows more of a factor than the next best, so that a latent with several factors "
        "in it is not punished, least of all where it is the only one that is active. It is the only one in "
        f"{'; '.join(told)}"
    )


#: The objective of a VAE, a β-VAE and a β-TCVAE, and that MIG was seen to go with it in their runs first.
MINIMISED = "−ELBO + (α − 1) I + (β − 1) TC + (γ − 1) Σ KL"
UNASKED = "Nobody asked for that before these runs were seen"


def objective(row: Row) -> float:
    """The objective of a run by the measures of all images, in nats: −ELBO + (α − 1) I + (β − 1) TC + (γ − 1) Σ KL, of
    FactorVAE, whose γ is another, −ELBO + γ TC."""
    if row["run.method"] == "factor_vae":
        return -float(row["elbo"]) + float(row["run.tc_weight"]) * float(row["total_correlation"])
    alpha, beta, gamma = (float(row[f"run.{name}"]) for name in ("alpha", "beta", "gamma"))
    elbo, kl, held, tc = (float(row[name]) for name in ("elbo", "kl", "mutual_information", "total_correlation"))
    return -elbo + (gamma - 1) * kl + (alpha - gamma) * held + (beta - gamma) * tc


def mws_bias(row: Row) -> float:
    """The bias of MWS in the objective of a run, but for a constant, in nats: (β − α) (I − log B) where I is above
    log B, since it counts that as TC; 0 where MWS is not used."""
    if row["run.method"] != "beta_tcvae" or row["run.estimator"] != "mws":
        return 0.0
    beyond = float(row["mutual_information"]) - math.log(int(row["run.batch_size"]))
    return (float(row["run.beta"]) - float(row["run.alpha"])) * max(0.0, beyond)


def by_latents(alike: Mapping[str, Sequence[Row]]) -> str:
    """A table of runs that are alike but for the seed, by how many latents are active, where that differs."""
    lines: list[list[object]] = []
    for name, rows in _mixed(alike).items():
        for count, chosen in sorted(_by_count(rows).items()):
            samples = results.values(chosen, "elbo"), [*map(objective, chosen)], results.values(chosen, "mig")
            elbo, minimised, mig = (results.median(sample).value for sample in samples)
            lines.append([name, count, len(chosen), f"{elbo:.1f}", f"{minimised:.1f}", f"{mig:.3f}"])
    header = ["alike but for the seed", "active latents", "n", "ELBO (nats), median", "objective (nats), median"]
    header += ["MIG (exact), median"]
    what = "Settings whose runs differ in active latents, those whose posterior mean has a variance above 0.01"
    return f"{what}:\n\n{results.table(header, lines)}" if lines else ""


def optima(alike: Mapping[str, Sequence[Row]], minimised: str, caveat: str) -> str:
    """How the objective of runs that are alike but for the seed goes with the number of active latents, and MIG with
    the objective among those with as many; with the formula of the objective, and what is to be said of the latter."""
    mixed = _mixed(alike)
    told = [*_lowest(mixed, minimised), _between_counts(mixed), _within_counts(alike, caveat)]
    return ". ".join(filter(None, told))


def _lowest(mixed: Mapping[str, Sequence[Row]], minimised: str) -> list[str]:
    """In how many settings the run of the lowest objective has the most latents, without the bias of MWS and with."""
    if not mixed:
        return []
    most, biased = (
        sum(_active(min(rows, key=value)) == max(map(_active, rows)) for rows in mixed.values())
        for value in (objective, lambda row: objective(row) + mws_bias(row))
    )
    others = f", and of one with fewer in {len(mixed) - most}" if most < len(mixed) else ""
    told = [
        "Runs that are alike but for the seed differ in how many latents are active, and by that in ELBO and in the "
        f"objective, {minimised}. The lowest is of a run with the most latents in {most} of {len(mixed)} such settings"
        + (f": there those with fewer stopped at a worse value of it{others}" if most else "")
    ]
    if any(mws_bias(row) for rows in mixed.values() for row in rows):
        told.append(
            "With what MWS adds to it where it is the estimator, (β − α) (I − log B) where that is above 0, the lowest "
            f"is of a run with the most latents in {biased} of {len(mixed)}"
        )
    return told


def _between_counts(mixed: Mapping[str, Sequence[Row]]) -> str:
    """How often the lower objective has the higher MIG, of two runs with unlike numbers of latents."""
    if not mixed:
        return ""
    pairs = [pair for rows in mixed.values() for pair in itertools.combinations(rows, 2)]
    ends = [sorted(pair, key=objective) for pair in pairs if len({*map(_active, pair)}) > 1]
    better = sum(float(low["mig"]) > float(high["mig"]) for low, high in ends)
    return (
        "Of two such runs with unlike numbers of latents the one with the lower objective has the higher MIG in "
        f"{better} of {len(ends)} pairs"
    )


def _within_counts(alike: Mapping[str, Sequence[Row]], caveat: str) -> str:
    """How MIG goes with the objective among runs with as many latents."""
    sets = [rows for lines in alike.values() for rows in _by_count(lines).values()]
    found = [
        results.correlation([*map(objective, rows)], results.values(rows, "mig"), [0] * len(rows)) for rows in sets
    ]
    if rhos := [one.rho for one in found if one.rho is not None]:
        return (
            "Among runs that are alike but for the seed and have as many active latents MIG goes with the objective "
            f"by a Spearman's ρ of {np.mean(rhos):+.2f}, the mean over sets of three runs or more, n = {len(rhos)}; it "
            f"is below 0 in {sum(rho < 0 for rho in rhos)}. {caveat}, and the sets share their seeds, so no p is given"
        )
    return ""


def _mixed(alike: Mapping[str, Sequence[Row]]) -> dict[str, Sequence[Row]]:
    """Those whose runs differ in how many latents are active."""
    return {name: rows for name, rows in alike.items() if len(_by_count(rows)) > 1}


def _active(row: Row) -> int:
    return int(row["active_units"])


def _by_count(rows: Sequence[Row]) -> dict[int, list[Row]]:
    """Runs by how many latents are active."""
    found: dict[int, list[Row]] = {}
    for line in rows:
        found.setdefault(_active(line), []).append(line)
    return found


def each(rows: Sequence[Row]) -> str:
    """The MIG of every seed, ascending; of many the quartiles."""
    found = np.sort(results.values(rows, "mig"))
    if len(found) > 10:
        return "quartiles " + ", ".join(f"{value:.3f}" for value in np.quantile(found, [0.0, 0.25, 0.5, 0.75, 1.0]))
    return ", ".join(f"{value:.3f}" for value in found)


def monotone(text: str, paper: str, found: Correlation, falls: bool = False) -> Claim:
    """The claim that one quantity rises with another, or falls, among the runs of a seed."""
    if found.rho is None:
        doubt = "no seed has three runs that differ" if found.n else ""
        return Claim(text, paper, "none" if found.n else "not run", None, doubt=doubt)
    holds = found.rho < 0 if falls else found.rho > 0
    return Claim(text, paper, f"ρ = {found}", holds, found.p_less if falls == holds else found.p)


def paragraph(*sentences: str) -> str:
    """Sentences as one line; empty ones are left out, and a full stop is added where there is none."""
    return " ".join(sentence.rstrip(".") + "." for sentence in sentences if sentence) + "\n"


def effort(rows: Sequence[Row]) -> str:
    """How far training went, beside the paper's."""
    told = []
    for dataset, grid in (("dsprites", dsprites.GRID), ("faces3d", faces3d.GRID)):
        found = [line for line in rows if line["run.dataset"] == dataset and line["run.method"] != "factor_vae"]
        if found:
            paper = Run(**PAPER[dataset])
            steps, width = (max(int(line[name]) for line in found) for name in ("steps", "run.width"))
            seeds = circumstances.seeds_each(found)
            asked = paper.step_count(len(grid) // paper.batch_size)
            told.append(
                f"On {TITLES[dataset]} these runs took {steps:,} steps at width {width} with {seeds} "
                f"{'seed' if seeds == '1' else 'seeds'}, the paper {asked:,} at width {paper.width} with {PAPER_SEEDS} "
                "(as we recall it)."
            )
    return " ".join(told)
