"""The report's first paragraph: how the methods compare on dSprites, by what was run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reproduce import circumstances, fig3_mig_distribution, methods, pilot
from tcvae_tf import plan, results
from tcvae_tf.results import Row
from tcvae_tf.settings import Run
from tcvae_tf.sweep import PAPER, PRESETS, Preset

#: Published medians are of these.
DATASET = "dsprites"


def tell(rows: Sequence[Row], curves: Sequence[Row], paper: Sequence[Row]) -> str:
    """Median MIG of each method with every preset that has records of figure 3, those of the pilot's `curves`, and the
    published ones; "" where there is nothing of either."""
    known = fig3_mig_distribution.published(paper, DATASET)
    told = [_of_preset(rows, preset) for preset in PRESETS.values() if preset.name != "smoke"]
    told = [*filter(None, told), *([_of_pilot(curves)] if curves else [])]
    if not told:
        return ""
    said = _listed({methods.NAMES[name]: float(line["value"]) for name, line in known.items()}, digits=2)
    marks = ", ".join(sorted({line["mark"] for line in known.values()}))
    usual = Run(**PAPER[DATASET])
    trained = f"after {plan.steps(usual):,} steps at width {usual.width} (as we recall it)"
    first = f"Median MIG on dSprites. Published ({marks}): {said}, {trained}."
    return "\n".join([first, *(f"* {one}" for one in told), "", _missing(rows)]) + "\n"


def _of_preset(rows: Sequence[Row], preset: Preset) -> str:
    """The medians of figure 3 with a preset."""
    wanted = {run.id: run for run in fig3_mig_distribution.runs(preset) if run.dataset == DATASET}
    found = results.finished([line for line in rows if line["id"] in wanted])
    samples = {}
    for method in methods.NAMES:
        if chosen := methods.tuned(found, DATASET, method):
            label = methods.in_line(methods.tuned_label(found, DATASET, method))
            samples[label] = results.values(chosen, "mig")
    if not samples:
        return ""
    usual = Run(**{**PAPER[DATASET], **preset.of(DATASET)})
    told = [f"{plan.steps(usual):,} steps at width {usual.width}" + (", fewer images" if usual.thin > 1 else "")]
    told.append(f"n = {circumstances.seeds_each(found)}")
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


def _listed(medians: dict[str, float], digits: int = 3) -> str:
    """The largest first, with the weight of a method in brackets."""
    told = []
    for label in sorted(medians, key=lambda one: -medians[one]):
        name, _, weight = label.partition(", ")
        shown = f"{name} ({weight})" if weight else name
        told.append(f"{shown} {medians[label]:.{digits}f}")
    return ", ".join(told)


def _missing(rows: Sequence[Row]) -> str:
    """What no number here can speak of."""
    ids = {line["id"] for line in rows}
    if any(run.id in ids for run in fig3_mig_distribution.runs(PRESETS["paper"])):
        return ""
    return (
        "Nothing was run with the preset paper, the paper's own settings. So a claim that fails below fails in short "
        "trainings of small networks; it does not say that the paper's numbers are wrong."
    )
