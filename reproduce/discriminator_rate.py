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
from tcvae_tf import plan, plots, results
from tcvae_tf.results import Claim, Row
from tcvae_tf.runs import Run
from tcvae_tf.sweep import PRESETS, Preset

TITLE = "FactorVAE's discriminator at two learning rates"
FILE = "discriminator.csv"
#: Curves are kept as far as they have come, and compared as far as all have.
UNFINISHED = True

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


def _reached(rows: Sequence[Row]) -> int:
    """The step of the last measurement that all runs have come to."""
    return min(max(int(line["step"]) for line in lines) for lines in _by_run(rows).values())


def _last(lines: Sequence[Row], reached: int) -> Row:
    """A run's last measurement up to a step."""
    return [line for line in lines if int(line["step"]) <= reached][-1]


def _so_far(rows: Sequence[Row]) -> str:
    """How far the runs have come, in words; "" for to their end."""
    made = runs(PRESETS["cpu"])
    done, reached, whole = len(_by_run(rows)), _reached(rows), plan.steps(made[0])
    if done == len(made) and reached == whole:
        return ""
    return f"{done} of {len(made)} runs, {reached:,} of {whole:,} steps so far"


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
    """Each training at the last step that all have come to."""
    lines: list[list[object]] = []
    for label, found in _by_run(rows).items():
        last = _last(found, _reached(rows))
        numbers = [f"{float(last[name]):.3f}" for name in ("data_mig", "data_total_correlation", "discriminator_tc")]
        lines.append(
            [label, *numbers, f"{float(last['discriminator_accuracy']):.3f}", f"{float(last['data_elbo']):.1f}"]
        )
    header = [
        f"FactorVAE, {_reached(rows):,} steps",
        "MIG",
        "TC (nats)",
        "TC by the discriminator",
        "its accuracy",
        "ELBO (nats)",
    ]
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
    claims, found, reached = [], _by_run(rows), _reached(rows)
    compared: dict[str, tuple[str, Callable[[float, float], bool]]] = {
        "less TC": ("data_total_correlation", lambda slow, fast: fast < slow),
        "a higher MIG": ("data_mig", lambda slow, fast: fast > slow),
    }
    for weight in PRESETS["cpu"].tc_weights:
        labels = [_label({"tc_weight": str(weight), "rate": str(rate)}) for rate in RATES]
        for words, (name, better) in compared.items():
            text = (
                f"{words} with the discriminator's rate {RATES[1]:g} than with {RATES[0]:g}: FactorVAE, γ = {weight:g}"
            )
            ours, holds, doubt = "not run", None, ""
            if all(label in found for label in labels):
                slow, fast = (float(_last(found[label], reached)[name]) for label in labels)
                ours, holds, doubt = f"{fast:.3f} against {slow:.3f}", better(slow, fast), "one seed"
            if _so_far(rows):
                holds, doubt = None, doubt and _so_far(rows)
            claims.append(Claim(text, "not a claim of the paper", ours, holds, doubt=doubt))
    return claims
