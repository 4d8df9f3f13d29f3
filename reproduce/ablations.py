"""Ablations on dSprites: β-TCVAE with β = 6 and one thing changed: α, the estimator of q(z), the prior, the batch size.

The paper's claim: no significant difference between α = 0 and α = 1. Minibatch stratified sampling with weights that
are right has not been published, as far as we know.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from reproduce import methods
from tcvae_tf import plots, results
from tcvae_tf.results import Claim, Comparison, Row
from tcvae_tf.runs import Run
from tcvae_tf.sweep import PRESETS, Preset

TITLE = "Ablations of β-TCVAE"

QUANTITIES = {
    "mig": ("MIG (exact)", 3),
    "total_correlation": ("TC (nats)", 3),
    "mutual_information": ("I (nats)", 2),
    "elbo": ("ELBO (nats)", 1),
}
#: The base, as fields of Run.
_SETTINGS = {"method": "beta_tcvae", "beta": methods.PAPER_BETAS["beta_tcvae"]}
_BASE, _NO_INFORMATION, _FLOW = "base", "α = 0", "flow prior"
#: A |δ| from here on is called large (Romano and others, 2006).
_LARGE = 0.474
_ESTIMATORS = {"mss": "MSS", "mss_released": "MSS as released"}


def runs(preset: Preset) -> list[Run]:
    """The base with every seed, which figure 3 shares, and each change of it with the preset's fewer seeds."""
    changes: list[dict] = [{"alpha": 0.0}, *({"estimator": name} for name in _ESTIMATORS), {"prior": "flow"}]
    changes += [{"batch_size": size} for size in preset.batch_sizes]
    changed = preset.runs([{**_SETTINGS, **change} for change in changes], seeds=preset.fewer_seeds)
    return list(dict.fromkeys([*preset.runs([_SETTINGS]), *changed]))


def _variants(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each variant by label, the base first."""
    found: dict[str, list[Row]] = {
        _BASE: [],
        _NO_INFORMATION: [],
        **{name: [] for name in (*_ESTIMATORS.values(), _FLOW)},
    }
    bases = _bases()
    for line in sorted(rows, key=lambda line: int(line["run.batch_size"])):
        size = _BASE if line["id"] in bases else f"B = {line['run.batch_size']}"
        found.setdefault(_change(line) or size, []).append(line)
    return {label: lines for label, lines in found.items() if lines}


@functools.cache
def _bases() -> set[str]:
    """The ids of the base with every preset and seed."""
    return {run.id for preset in PRESETS.values() for run in preset.runs([_SETTINGS])}


def _change(line: Row) -> str:
    """What a run changes of the base, other than the batch size; "" for nothing."""
    if float(line["run.alpha"]) == 0:
        return _NO_INFORMATION
    return _FLOW if line["run.prior"] == "flow" else _ESTIMATORS.get(line["run.estimator"], "")


def _values(rows: Sequence[Row], label: str, quantity: str) -> np.ndarray:
    return results.values(_variants(rows).get(label, []), quantity)


def draw(rows: Sequence[Row], paper: Sequence[Row] = methods.PUBLISHED, caption: str = ""):
    """A panel for each quantity, a column for each variant."""
    panels = {
        axis: {label: results.values(lines, name) for label, lines in _variants(rows).items()}
        for name, (axis, _) in QUANTITIES.items()
    }
    (own,) = plots.style.places([methods.label("beta_tcvae")]).values()  # every variant is one of β-TCVAE
    return plots.boxes(panels, dict.fromkeys(_variants(rows), own), methods.together(caption, _base(rows)), columns=2)


def _base(rows: Sequence[Row]) -> str:
    """What the base is."""
    lines = _variants(rows).get(_BASE, [])
    if not lines:
        return "the base was not run"
    line = lines[0]
    names = {"alpha": "α", "beta": "β", "estimator": "", "prior": "prior", "batch_size": "B"}
    told = [f"{name} = {line[f'run.{field}']}".removeprefix(" = ") for field, name in names.items()]
    return f"base: {', '.join(told)}".replace("mws", "MWS")


def tabulate(rows: Sequence[Row], paper: Sequence[Row]) -> str:
    """Medians of each variant, and MIG beside the base's."""
    lines = []
    for label, chosen in _variants(rows).items():
        cells = [methods.medians(chosen, name, digits) for name, (_, digits) in QUANTITIES.items()]
        steps = ", ".join(sorted({line["steps"] for line in chosen}, key=int))
        beside = "" if label == _BASE else _beside(_compared(rows, label))
        lines.append([label, *cells, methods.active(chosen), steps, beside])
    header = ["variant", *(axis for axis, _ in QUANTITIES.values()), "active latents, median", "steps"]
    header += ["MIG above the base's, two-sided"]
    tables = [results.table(header, lines), methods.by_latents(_variants(rows))]
    return "\n".join([f"{_base(rows)[0].upper()}{_base(rows)[1:]}.\n", *filter(None, tables)])


def _compared(rows: Sequence[Row], label: str, quantity: str = "mig") -> Comparison:
    return results.compare(_values(rows, label, quantity), _values(rows, _BASE, quantity))


def _beside(found: Comparison) -> str:
    return "not compared" if found.effect is None else f"δ = {found.effect:+.2f}, {results.p_text(found.two_sided)}"


def check(rows: Sequence[Row], paper: Sequence[Row] = methods.PUBLISHED) -> list[Claim]:
    """That α makes no significant difference; not decided by so few seeds that none could be significant."""
    found = _compared(rows, _NO_INFORMATION)
    text, said = (
        "no significant difference in MIG between α = 0 and α = 1",
        '"no significant difference" (M, as we recall it)',
    )
    if found.two_sided is None:
        return [Claim(text, said, "not run", None)]
    medians = [str(results.median(_values(rows, label, "mig"))) for label in (_NO_INFORMATION, _BASE)]
    ours = f"{medians[0]} against {medians[1]}; {_beside(found)}"
    least = 2 / math.comb(found.na + found.nb, found.na)
    if least >= results.LEVEL:
        doubt = f"with n = {found.na} and {found.nb}, p cannot be below {least:.2g}"
        return [Claim(text, said, ours, None, doubt=doubt)]
    holds = found.two_sided >= results.LEVEL
    needed = results.least_effect(found.na, found.nb, results.LEVEL)
    doubt = f"no δ nearer to 0 than ±{needed:.2f} would have been significant" if needed > _LARGE and holds else ""
    return [Claim(text, said, ours, holds, doubt=doubt)]


def explain(rows: Sequence[Row]) -> str:
    """What each change does to MIG and TC, from the records; the estimators first."""
    if not len(_values(rows, _BASE, "mig")):
        return ""
    found = [label for label in _variants(rows) if label != _BASE]
    estimators = [label for label in _ESTIMATORS.values() if label in found]
    told = [_estimators(rows, estimators)] if estimators else []
    if others := [label for label in found if label not in estimators]:
        told.append(
            f"The other changes, by the difference of medians from the base: {_differences(rows, others)}."
            f"{_batches(rows, others)}"
        )
    if optima := methods.optima(_variants(rows), methods.MINIMISED, methods.UNASKED):
        told.append(f"{optima}.")
    if found:
        told.append("p is of a two-sided exact rank test, not corrected for the number of tests." + _floor(rows))
    return "\n\n".join(told) + "\n" if told else ""


def _estimators(rows: Sequence[Row], found: Sequence[str]) -> str:
    """What is known of the three estimators of q(z) beside each other."""
    medians = []
    for label in (_BASE, *found):
        numbers = [
            f"{axis.split()[0]} {np.median(_values(rows, label, name)):.{digits}f}"
            for name, (axis, digits) in QUANTITIES.items()
        ]
        medians.append(f"{'MWS' if label == _BASE else label}: {', '.join(numbers)}")
    return (
        "The estimators of q(z). MWS (minibatch weighted sampling) is the paper's default; MSS (minibatch stratified "
        "sampling) is unbiased for q(z); MSS as released has the weights of the authors' code, which stand in the "
        "wrong column. No publication that we know of has compared them with an MSS whose weights are right, so there "
        f"is no claim to check. β was not tuned anew for each. Medians: {'; '.join(medians)}. Difference from MWS: "
        f"{_differences(rows, found)}. MWS sees no more than log B nats of I, here "
        f"{_sees(rows)}, and counts what a code holds beyond them as TC, which β weights; of MSS that bound is log N, "
        "and of MSS as released log (B − 1), since it gives a sample's own image the weight 1/(B − 1)."
        f"{_apart(rows, found)}{_processors(rows, found)}"
    )


def _apart(rows: Sequence[Row], found: Sequence[str]) -> str:
    """By which quantities all runs of an estimator lie to one side of all of MWS."""
    told = []
    for label in found:
        effects = {axis.split()[0]: _compared(rows, label, name).effect for name, (axis, _) in QUANTITIES.items()}
        apart = [
            f"{axis} ({'above' if effect > 0 else 'below'})" for axis, effect in effects.items() if effect in (1, -1)
        ]
        told.append(f"{label}: {', '.join(apart) or 'none'}")
    return f" Quantities by which each run lies beyond all of MWS: {'; '.join(told)}."


def _batches(rows: Sequence[Row], found: Sequence[str]) -> str:
    """What the size of a batch changes beside itself; "" where no other was run."""
    sizes = [label.removeprefix("B = ") for label in found if label.startswith("B = ")]
    if not sizes:
        return ""
    seen = ", ".join(f"{math.log(int(size)):.1f} (B = {size})" for size in sizes)
    return (
        " A smaller batch takes more steps an epoch, all variants as many epochs. And the larger B, the more of I "
        f"does MWS see before it counts it as TC: log B is {seen} and {_sees(rows)} nats (base)."
    )


def _processors(rows: Sequence[Row], found: Sequence[str]) -> str:
    """What trained each, where it was not the same for all: the same seed may then be another training."""
    devices = {
        "MWS" if label == _BASE else label: "; ".join(sorted({line["device"] for line in _variants(rows)[label]}))
        for label in (_BASE, *found)
    }
    if len(set(devices.values())) == 1:
        return ""
    return f" They were not trained by the same processors. {'. '.join(f'{k}: {v}' for k, v in devices.items())}."


def _sees(rows: Sequence[Row]) -> str:
    """log B of the base, in nats."""
    sizes = {int(line["run.batch_size"]) for line in _variants(rows)[_BASE]}
    return ", ".join(f"{math.log(size):.1f}" for size in sorted(sizes))


def _differences(rows: Sequence[Row], found: Sequence[str]) -> str:
    return "; ".join(
        f"{label}: "
        f"{', '.join(f'{axis.split()[0]} {_difference(rows, label, name)}' for name, (axis, _) in QUANTITIES.items())}"
        for label in found
    )


def _floor(rows: Sequence[Row]) -> str:
    """What so few seeds cannot show."""
    counts = {label: len(_values(rows, label, "mig")) for label in _variants(rows)}
    least = min((2 / math.comb(n + counts[_BASE], n) for label, n in counts.items() if label != _BASE), default=0.0)
    return f" With so few seeds it cannot be below {least:.2g}: nothing is decided." if least >= results.LEVEL else ""


def _difference(rows: Sequence[Row], label: str, quantity: str) -> str:
    change = np.median(_values(rows, label, quantity)) - np.median(_values(rows, _BASE, quantity))
    return f"{change:+.3f} ({results.p_text(_compared(rows, label, quantity).two_sided)})"
