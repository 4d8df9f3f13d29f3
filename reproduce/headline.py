"""The report's first paragraph: how the methods compare on dSprites, by what was run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from reproduce import circumstances, fig3_mig_distribution, methods, pilot, training_check
from tcvae_tf import plan, results
from tcvae_tf.results import Row
from tcvae_tf.settings import Run
from tcvae_tf.sweep import PAPER, PRESETS, Preset

#: Published medians are of these.
DATASET = "dsprites"
#: MIGs this near are of the same training.
_ALIKE = 0.001
#: What tells trainings of a method in the pilot's curves apart, and how far they are.
_SETTINGS = ("seed", "step", "beta", "tc_weight")


def tell(rows: Sequence[Row], curves: Sequence[Row], check: Sequence[Row], paper: Sequence[Row]) -> str:
    """Median MIG of each method with every preset that has records of figure 3, those of the pilot's `curves`, the
    training check's, and the published ones; "" where there is nothing of figure 3 or the pilot."""
    known = fig3_mig_distribution.published(paper, DATASET)
    told = [_of_preset(rows, preset) for preset in PRESETS.values() if preset.name != "smoke"]
    told.append(_of_pilot(curves) if curves else "")
    if not any(told):
        return ""
    told = [*filter(None, told), *_of_check(check)]
    said = _listed({methods.NAMES[name]: float(line["value"]) for name, line in known.items()}, digits=2)
    marks = ", ".join(sorted({line["mark"] for line in known.values()}))
    usual = Run(**PAPER[DATASET])
    trained = f"after {plan.steps(usual):,} steps at width {usual.width} (as we recall it)"
    first = f"Median MIG on dSprites. Published ({marks}): {said}, {trained}."
    closing = "\n\n".join(filter(None, [_again(rows, curves), _missing(rows, check)]))
    return "\n".join([first, *(f"* {one}" for one in told), "", closing]) + "\n"


def _of_preset(rows: Sequence[Row], preset: Preset) -> str:
    """The medians of figure 3 with a preset."""
    wanted = {run.id: run for run in fig3_mig_distribution.runs(preset) if run.dataset == DATASET}
    found = results.finished([line for line in rows if line["id"] in wanted])
    samples, shown = {}, []
    for method in methods.NAMES:
        if chosen := methods.tuned(found, DATASET, method):
            label = methods.in_line(methods.tuned_label(found, DATASET, method))
            samples[label] = results.values(chosen, "mig")
            shown += chosen
    if not samples:
        return ""
    if len({len(sample) for sample in samples.values()}) > 1:
        samples = {f"{label}, n = {len(sample)}": sample for label, sample in samples.items()}
    usual = Run(**{**PAPER[DATASET], **preset.of(DATASET)})
    told = [f"{plan.steps(usual):,} steps at width {usual.width}" + (", fewer images" if usual.thin > 1 else "")]
    if longer := {int(line["steps"]) for line in found if line["run.method"] == "factor_vae"}:
        told.append(f"FactorVAE {max(longer):,} steps")
    told.append(f"n = {circumstances.seeds_each(shown)}")
    told += [f"{len(found)} of {len(wanted)} runs so far"] if len(found) < len(wanted) else []
    return f"Preset {preset.name} ({'; '.join(told)}): {_listed({k: float(np.median(v)) for k, v in samples.items()})}."


def _of_pilot(curves: Sequence[Row]) -> str:
    """The pilot's means of seeds, at the preset's epochs and at its end."""
    ends = [_listed(pilot.at(curves, "data_mig", part)) for part in (0.5, 1.0)]
    last = max(int(line["step"]) for line in curves if line["method"] != "factor_vae")
    return (
        f"{pilot.TITLE} (means of two seeds; FactorVAE takes twice the steps): after {last // 2:,} steps, those of the "
        f"preset, {ends[0]}; after {last:,}, {ends[1]}."
    )


def _of_check(check: Sequence[Row]) -> list[str]:
    """The last exact MIG of each training at paper size."""
    told = []
    for lines in training_check.of(check).values():
        if measured := training_check.measured(lines):
            last = measured[-1]
            told.append(
                f"{training_check.TITLE} (batch {int(last['batch']):,}, one seed): β-TCVAE "
                f"(β = {float(last['beta']):g}) {float(last['data_mig']):.3f} after {int(last['step']):,} of its "
                f"{int(last['steps']):,} steps."
            )
    return told


def _again(rows: Sequence[Row], curves: Sequence[Row]) -> str:
    """How far trainings that the pilot and its preset have in common ended alike, and on which processors."""
    ends = {run.id: run for run in fig3_mig_distribution.runs(PRESETS["cpu"]) if run.dataset == DATASET}
    migs = {(line["method"], *(float(line[name]) for name in _SETTINGS)): line for line in curves}
    pairs, migs_there = [], {}
    for line in results.finished([line for line in rows if line["id"] in ends]):
        run = ends[line["id"]]
        weight = run.tc_weight if run.method == "factor_vae" else 0
        if there := migs.get((run.method, run.seed, int(line["steps"]), run.beta, weight)):
            name = f"{methods.NAMES[run.method]} with seed {run.seed}"
            pairs.append((name, float(there["data_mig"]), float(line["mig"]), line["device"]))
            migs_there[run.id] = there["data_mig"]
    alike = [pair for pair in pairs if abs(pair[1] - pair[2]) < _ALIKE]
    apart = [pair for pair in pairs if pair not in alike]
    if not apart:
        return ""
    latter, former = ({pair[3] for pair in some} for some in (apart, alike))
    others = ""
    if former and not latter & former:
        machines = [" and on ".join(sorted(devices)) for devices in (latter, former)]
        others = "; the preset trained the latter on {}, the former on {}".format(*machines)
    told = ", ".join(f"{name} {there:.3f} and {here:.3f}" for name, there, here, _ in apart)
    return (
        "Of trainings that the pilot and the preset have in common, with the same settings and seed, "
        f"{len(alike)} have the same MIG within {_ALIKE:g} at the same step and {len(apart)} have not{others}: {told}. "
        "A processor that rounds otherwise makes another training of the same seed; the pilot's curves do not say "
        "which they were trained on. "
        f"{_instead(results.finished([line for line in rows if line['id'] in ends]), migs_there)}"
    )


def _instead(rows: Sequence[Row], migs: Mapping[str, str]) -> str:
    """What the orderings of figure 3 would be with other trainings of some runs, whose MIG is given by id."""
    other = [{**line, "mig": migs.get(line["id"], line["mig"])} for line in rows]
    told = []
    for pair in fig3_mig_distribution.ORDER:
        ours, theirs = (
            results.compare(*(results.values(methods.tuned(lines, DATASET, method), "mig") for method in pair))
            for lines in (rows, other)
        )
        if ours != theirs:
            told.append(f"{' > '.join(methods.NAMES[method] for method in pair)}: {ours} becomes {theirs}")
    return f"With the pilot's trainings in the place of those (p of what is named): {'; '.join(told)}." if told else ""


def _listed(medians: dict[str, float], digits: int = 3) -> str:
    """The largest first, with the weight of a method in brackets."""
    told = []
    for label in sorted(medians, key=lambda one: -medians[one]):
        name, _, weight = label.partition(", ")
        shown = f"{name} ({weight})" if weight else name
        told.append(f"{shown} {medians[label]:.{digits}f}")
    return ", ".join(told)


def _missing(rows: Sequence[Row], check: Sequence[Row]) -> str:
    """What no number here can speak of."""
    ids, paper = {line["id"] for line in rows}, {run.id for run in fig3_mig_distribution.runs(PRESETS["paper"])}
    if ids & paper:
        return ""
    alone = "but the one training of the check " if paper & {line["id"] for line in check} else ""
    return (
        f"Nothing {alone}was run with the preset paper, the paper's own settings. So a claim that fails below, but for "
        "the training check's and Table 1's, fails in short trainings of small networks; it does not say that the "
        "paper's numbers are wrong, nor one that holds that they are right. Of orders with nothing in them at most "
        "half would hold in direction, of two seeds against two a third, and these can decide none."
    )
