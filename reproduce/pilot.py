"""The pilot of the preset cpu: exact measures of dSprites over twice its epochs, two seeds of every method.

The curves say when the order of the methods settles. The preset's epochs follow from them, and from the hours that all
of its runs may take. That FactorVAE came last is what `factor_vae_trial` looks into.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reproduce import learning_curves, methods
from tcvae_tf import plots, results
from tcvae_tf.results import Claim, Row
from tcvae_tf.runs import Run
from tcvae_tf.sweep import PRESETS, Preset

TITLE = "Pilot of the preset cpu"
FILE = "pilot.csv"

_CPU = PRESETS["cpu"]
_LONG = dataclasses.replace(
    _CPU,
    seeds=(0, 1),
    dsprites={**_CPU.dsprites, "epochs": 2 * _CPU.dsprites["epochs"]},
    tc_weights=_CPU.tc_weights[:1],
)


def runs(preset: Preset) -> list[Run]:
    """Every method with two seeds: of _LONG, or of the preset smoke, which does as little as it can."""
    chosen = dataclasses.replace(preset, seeds=(0, 1)) if preset.name == "smoke" else _LONG
    return chosen.runs(chosen.variants())


def every(run: Run) -> int:
    """Epochs from one measurement to the next: ten of them over the training, and the first epoch's."""
    return max(1, run.epochs // _LONG.dsprites["epochs"])


def collect(made: Sequence[Run], root: Path) -> list[Row]:
    """The measured lines of the runs' histories."""
    return learning_curves.collect(made, root)


def _curves(rows: Sequence[Row], name: str) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]:
    """Steps and values by label and seed."""
    found: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for row in rows:
        label = methods.in_line(methods.label(row["method"], row["beta"], row["tc_weight"]))
        found.setdefault((label, row["seed"]), []).append((int(row["step"]), float(row[name])))
    return {key: (np.array(points)[:, 0], np.array(points)[:, 1]) for key, points in found.items()}


def at(rows: Sequence[Row], name: str, part: float) -> dict[str, float]:
    """The mean over seeds at a part of the training, by label."""
    found: dict[str, list[float]] = {}
    for (label, _), (steps, values) in _curves(rows, name).items():
        found.setdefault(label, []).append(float(np.interp(part * steps[-1], steps, values)))
    return {label: float(np.mean(values)) for label, values in found.items()}


def _order(rows: Sequence[Row], part: float) -> str:
    """The methods by their MIG, mean of the seeds, at a part of the training."""
    means = at(rows, "data_mig", part)
    return " > ".join(sorted(means, key=means.__getitem__, reverse=True))


def _settled(rows: Sequence[Row]) -> float:
    """The part of the training, in tenths, from which on the order is the last one."""
    tenths = [part / 10 for part in range(1, 11)]
    changed = [part for part in tenths if _order(rows, part) != _order(rows, 1.0)]
    return min(part for part in tenths if part > max(changed, default=0.0))


def _so_far(rows: Sequence[Row]) -> str:
    """How many of the runs there are, in words; "" for all."""
    done, wanted = len({row["id"] for row in rows}), len(runs(_CPU))
    return f"{done} of {wanted} runs so far" if done < wanted else ""


def caption(rows: Sequence[Row]) -> str:
    told = f"{rows[0]['network']}, batch {rows[0]['batch']}; two seeds, * the second; FactorVAE takes twice the steps"
    return methods.together(told, _so_far(rows))


def draw(rows: Sequence[Row], paper: Sequence[Row] = methods.PUBLISHED):
    """The figure."""
    panels = {}
    for name, axis in learning_curves.MEASURES.items():
        curves = _curves(rows, name)
        panels[axis] = {label + ("" if seed == "0" else "*"): curve for (label, seed), curve in curves.items()}
    return plots.learning_curves({"dSprites": panels}, caption(rows))


def tabulate(rows: Sequence[Row], paper: Sequence[Row]) -> str:
    """MIG, mean of the seeds, at parts of the training."""
    parts = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
    columns = [at(rows, "data_mig", part) for part in parts]
    lines: list[list[object]] = [[label, *(f"{column[label]:.3f}" for column in columns)] for label in columns[0]]
    return results.table(["MIG (mean of seeds) after", *(f"{part:.0%}" for part in parts)], lines)


def explain(rows: Sequence[Row]) -> str:
    """What it decides."""
    settled = _settled(rows)
    return methods.paragraph(
        "Exact measures of all images.",
        f"From {settled:.0%} of the training on the means of the seeds have the order that they end with: that is "
        f"epoch {settled * _LONG.dsprites['epochs']:.3g}, for FactorVAE after twice the steps.",
        "The epochs of the preset cpu are half of those here; all of its runs are to take a day at most on two cores, "
        "as `--plan` estimates them, and hours go into seeds rather than epochs.",
        f"FactorVAE has the first weight of the preset alone, γ = {_LONG.tc_weights[0]:g}; what another does stands in "
        "the section on its weight.",
        _so_far(rows),
    )


def check(rows: Sequence[Row], paper: Sequence[Row] = methods.PUBLISHED) -> list[Claim]:
    """Whether the order of the methods at the preset's epochs is that at twice as many; of all runs alone."""
    orders = [_order(rows, part) for part in (0.5, 1.0)]
    text = "the methods' order in MIG, mean of the seeds, at the preset's epochs is that at twice as many, dSprites"
    holds = None if _so_far(rows) else orders[0] == orders[1]
    seeds = {row["seed"] for row in rows}
    unlike = [seed for seed in sorted(seeds) if _order([row for row in rows if row["seed"] == seed], 1.0) != orders[1]]
    doubt = f"of seed {' and of seed '.join(unlike)} alone it ends as another" if unlike else "two seeds"
    ours = f"{orders[0]}; then {orders[1]}"
    return [Claim(text, results.OWN, ours, holds, doubt="" if holds is None else doubt)]
