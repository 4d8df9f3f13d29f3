"""FactorVAE's discriminator at two learning rates: how much of the total correlation it sees in a short training.

FactorVAE's weight acts on what its discriminator sees. Its paper has the rate 1e-4 for both networks and 300,000 steps;
here, as in the β-TCVAE paper, the VAE has 1e-3, and the preset cpu trains for 14,400 steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from reproduce import learning_curves
from tcvae_tf import plots, results
from tcvae_tf.results import Claim, Row
from tcvae_tf.runs import Run
from tcvae_tf.sweep import PRESETS, Preset

TITLE = "FactorVAE's discriminator at two learning rates"
FILE = "discriminator.csv"

#: The paper's and that of the preset cpu.
RATES = (1e-4, 1e-3)
_MEASURES = {"data_elbo": "ELBO (nats)", "data_mig": "MIG", "data_total_correlation": "TC (nats)"}


def runs(preset: Preset) -> list[Run]:
    """FactorVAE of the preset cpu, or of smoke, on dSprites with each of its weights and both rates; one seed."""
    chosen = preset if preset.name == "smoke" else PRESETS["cpu"]
    chosen = dataclasses.replace(chosen, seeds=(0,))
    made = chosen.runs([chosen.factor_vae("dsprites", weight) for weight in chosen.tc_weights])
    return [dataclasses.replace(run, discriminator_learning_rate=rate) for rate in RATES for run in made]


def every(run: Run) -> int:
    """Epochs from one measurement to the next."""
    return 2


def collect(made: Sequence[Run], root: Path) -> list[Row]:
    """The measured lines of the runs' histories."""
    return [
        {**line, "rate": f"{run.discriminator_learning_rate:g}"}
        for run in made
        for line in learning_curves.collect([run], root)
    ]


def _label(line: Row) -> str:
    return f"γ = {float(line['tc_weight']):g}, rate {float(line['rate']):g}"


def _by_run(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The lines of each run, by label."""
    return {label: [row for row in rows if _label(row) == label] for label in dict.fromkeys(map(_label, rows))}


def _so_far(rows: Sequence[Row]) -> str:
    """How many of the runs there are, in words; "" for all."""
    done, wanted = len(_by_run(rows)), len(runs(PRESETS["cpu"]))
    return f"{done} of {wanted} runs so far" if done < wanted else ""


def caption(rows: Sequence[Row]) -> str:
    settings = f"FactorVAE, {rows[0]['network']}, batch {rows[0]['batch']}; one seed"
    told = f"{settings}; * TC by the discriminator, mean over an epoch"
    return "; ".join(filter(None, [told, _so_far(rows)]))


def draw(rows: Sequence[Row], paper: Sequence[Row], caption: str):
    """The figure."""

    def curve(lines: Sequence[Row], name: str) -> tuple[np.ndarray, np.ndarray]:
        return np.array([int(line["step"]) for line in lines]), np.array([float(line[name]) for line in lines])

    found = _by_run(rows)
    panels = {axis: {label: curve(lines, name) for label, lines in found.items()} for name, axis in _MEASURES.items()}
    panels["TC (nats)"] |= {f"{label}*": curve(lines, "discriminator_tc") for label, lines in found.items()}
    return plots.learning_curves({"dSprites": panels}, caption)


def tabulate(rows: Sequence[Row], paper: Sequence[Row]) -> str:
    """The end of each training."""
    lines: list[list[object]] = []
    for label, found in _by_run(rows).items():
        last = found[-1]
        numbers = [f"{float(last[name]):.3f}" for name in ("data_mig", "data_total_correlation", "discriminator_tc")]
        lines.append(
            [label, *numbers, f"{float(last['discriminator_accuracy']):.3f}", f"{float(last['data_elbo']):.1f}"]
        )
    header = ["FactorVAE", "MIG", "TC (nats)", "TC by the discriminator", "its accuracy", "ELBO (nats)"]
    return results.table(header, lines)


def explain(rows: Sequence[Row]) -> str:
    """What it decides."""
    told = [
        "Exact measures of all images beside what the discriminator says of the minibatches of the last epoch. Its "
        "accuracy is 0.5 where it tells nothing apart. The VAE moves so as to be told apart less, so a discriminator "
        "that learns more slowly than the VAE sees little of a total correlation that is there.",
        f"The preset cpu takes the rate {RATES[1]:g}; quick and paper take {RATES[0]:g}.",
    ]
    return " ".join([*told, *([f"{_so_far(rows)}."] if _so_far(rows) else [])]) + "\n"


def check(rows: Sequence[Row], paper: Sequence[Row]) -> list[Claim]:
    """That the faster discriminator leaves less total correlation and gives a higher MIG, at each weight."""
    claims, found = [], _by_run(rows)
    compared: dict[str, tuple[str, Callable[[float, float], bool]]] = {
        "less TC": ("data_total_correlation", lambda slow, fast: fast < slow),
        "a higher MIG": ("data_mig", lambda slow, fast: fast > slow),
    }
    for weight in PRESETS["cpu"].tc_weights:
        slow, fast = (found.get(_label({"tc_weight": str(weight), "rate": str(rate)})) for rate in RATES)
        for words, (name, better) in compared.items():
            text = (
                f"FactorVAE, γ = {weight:g}: {words} with the discriminator's rate {RATES[1]:g} than with {RATES[0]:g}"
            )
            ours, holds = "not run", None
            if slow and fast:
                values = float(slow[-1][name]), float(fast[-1][name])
                ours, holds = f"{values[1]:.3f} against {values[0]:.3f}", better(*values)
            claims.append(
                Claim(text, "not a claim of the paper", ours, holds, doubt="one seed" if holds is not None else "")
            )
    return claims
