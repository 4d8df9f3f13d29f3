"""The report's first paragraph: how the methods compare on dSprites, by what was run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reproduce import fig3_mig_distribution, methods, pilot
from tcvae_tf import results
from tcvae_tf.results import Row
from tcvae_tf.settings import Run
from tcvae_tf.sweep import PAPER, PRESETS, Preset

#: Published medians are of these.
DATASET = "dsprites"


def tell(rows: Sequence[Row], curves: Sequence[Row], paper: Sequence[Row]) -> str:
    """Median MIG of each method with every preset that has records of figure 3, those of the pilot's `curves`, and the
    published ones; "" where there is nothing of either."""
    known = {line["method"]: line for line in paper if line["figure"] == "fig3" and line["dataset"] == DATASET}
    told = [_of_preset(rows, preset) for preset in PRESETS.values() if preset.name != "smoke"]
    told = [*filter(None, told), *([_of_pilot(curves)] if curves else [])]
    if not told:
        return ""
    said = _listed({methods.NAMES[name]: float(line["value"]) for name, line in known.items()}, digits=2)
    marks = ", ".join(sorted({line["mark"] for line in known.values()}))
    whole = Run(**PAPER[DATASET])
    trained = f"after {whole.epochs} epochs at width {whole.width} (as we recall it)"
    first = f"Median MIG on dSprites. Published ({marks}): {said}, {trained}."
    return "\n".join([first, *(f"* {one}" for one in told), "", _missing(rows)]) + "\n"


def _of_preset(rows: Sequence[Row], preset: Preset) -> str:
    """The medians of figure 3 with a preset."""
    wanted = {run.id for run in fig3_mig_distribution.runs(preset) if run.dataset == DATASET}
    found = results.finished([line for line in rows if line["id"] in wanted])
    samples = {
        methods.in_line(methods.tuned_label(found, DATASET, method)): results.values(
            methods.tuned(found, DATASET, method), "mig"
        )
        for method in methods.NAMES
    }
    medians = {label: float(np.median(values)) for label, values in samples.items() if len(values)}
    if not medians:
        return ""
    steps = min(int(line["steps"]) for line in found)
    counts = sorted({len(values) for values in samples.values() if len(values)})
    seeds = f"{counts[0]} to {counts[-1]} seeds" if len(counts) > 1 else f"{counts[0]} seed{'s' * (counts[0] > 1)}"
    so_far = f", {len(found)} of {len(wanted)} runs so far" if len(found) < len(wanted) else ""
    width, thin = (found[0][f"run.{name}"] for name in ("width", "thin"))
    part = "" if int(thin) == 1 else ", fewer images"
    return f"Preset {preset.name} ({steps:,} steps at width {width}{part}; {seeds}{so_far}): {_listed(medians)}."


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
