"""FactorVAE in a short training: what do its weight and the learning rate of its discriminator do?

In the pilot, with γ = 10, the discriminator saw little of the total correlation, and MIG was below the VAE's.
FactorVAE's paper has the rate 1e-4 for both networks and 300,000 steps; here the VAE has 1e-3, as in the β-TCVAE paper,
and the preset cpu trains for 14,400 steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reproduce import learning_curves, methods
from tcvae_tf import plan, plots, results
from tcvae_tf.results import Claim, Row
from tcvae_tf.runs import Run
from tcvae_tf.sweep import PRESETS, Preset

TITLE = "FactorVAE: its weight, and the learning rate of its discriminator"
FILE = "factor-vae.csv"
#: Curves are kept as far as they have come, and compared as far as all have.
UNFINISHED = True

#: The paper's, which the presets have, and that of the VAE.
RATES = (1e-4, 1e-3)


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
    """The step of the last measurement that all these runs have come to."""
    return min(max(int(line["step"]) for line in lines) for lines in _by_run(rows).values())


def _last(lines: Sequence[Row], reached: int) -> Row:
    """A run's last measurement up to a step."""
    return [line for line in lines if int(line["step"]) <= reached][-1]


def _whole() -> int:
    """The steps of each run."""
    return plan.steps(runs(PRESETS["cpu"])[0])


def _so_far(rows: Sequence[Row]) -> str:
    """Which runs have not come to their end, in words; "" where all have."""
    made, found, whole = runs(PRESETS["cpu"]), _by_run(rows), _whole()
    missing = len(made) - len(found)
    reached = {label: _reached(lines) for label, lines in found.items()}
    told = [f"{label}: {step:,} of {whole:,} steps so far" for label, step in reached.items() if step < whole]
    return "; ".join(told + ([f"{missing} of {len(made)} runs not begun"] if missing else []))


def caption(rows: Sequence[Row]) -> str:
    settings = f"FactorVAE, {rows[0]['network']}, batch {rows[0]['batch']}; one seed"
    told = f"{settings}; rate: the discriminator's learning rate; * TC by the discriminator, mean over an epoch"
    return methods.together(told, _so_far(rows))


def draw(rows: Sequence[Row], paper: Sequence[Row] = methods.PUBLISHED):
    """The figure."""

    def curve(lines: Sequence[Row], name: str) -> tuple[np.ndarray, np.ndarray]:
        return np.array([int(line["step"]) for line in lines]), np.array([float(line[name]) for line in lines])

    found = _by_run(rows)
    panels = {
        axis: {label: curve(lines, name) for label, lines in found.items()}
        for name, axis in learning_curves.MEASURES.items()
    }
    panels["TC (nats)"] |= {f"{label}*": curve(lines, "discriminator_tc") for label, lines in found.items()}
    return plots.learning_curves({"dSprites": panels}, caption(rows))


def tabulate(rows: Sequence[Row], paper: Sequence[Row]) -> str:
    """Each training as far as it has come."""
    lines: list[list[object]] = []
    common = _reached(rows)  # of runs that have come less far than others
    for label, found in _by_run(rows).items():
        last, then = found[-1], f"{float(_last(found, common)['data_mig']):.3f}"
        numbers = [f"{float(last[name]):.3f}" for name in ("data_mig", "data_total_correlation", "discriminator_tc")]
        accuracy, elbo = f"{float(last['discriminator_accuracy']):.3f}", f"{float(last['data_elbo']):.1f}"
        lines.append([label, then, f"{int(last['step']):,}", *numbers, accuracy, elbo])
    header = ["FactorVAE", f"MIG after {common:,} steps", "steps", "MIG", "TC (nats)", "TC by the discriminator"]
    header += ["its accuracy", "ELBO (nats)"]
    return results.table(header, lines)


def explain(rows: Sequence[Row]) -> str:
    """What is compared."""
    return methods.paragraph(
        "Exact measures of all images beside what the discriminator says of the minibatches of an epoch. Its accuracy "
        "is 0.5 where it tells nothing apart. The VAE moves so as to be told apart less: where the discriminator sees "
        "little, more may be there. Two are compared in MIG as far as both have come; what the table has behind the "
        "steps is of each training's own last one.",
        _so_far(rows),
    )


def check(rows: Sequence[Row], paper: Sequence[Row] = methods.PUBLISHED) -> list[Claim]:
    """Whether MIG is higher with the faster discriminator at each weight, and with the larger weight at each rate."""
    claims, found, weights = [], _by_run(rows), PRESETS["cpu"].tc_weights
    pairs = [((weight, RATES[1]), (weight, RATES[0])) for weight in weights]
    pairs += [((weights[-1], rate), (weights[0], rate)) for rate in RATES]
    for pair in pairs:
        labels = [_label({"tc_weight": str(weight), "rate": str(rate)}) for weight, rate in pair]
        ours, holds, doubt = "not run", None, ""
        if all(label in found for label in labels):
            both = [line for label in labels for line in found[label]]
            reached = _reached(both)
            one, other = (float(_last(found[label], reached)["data_mig"]) for label in labels)
            ours, holds, doubt = f"{one:.3f} against {other:.3f}", one > other, "one seed"
            if reached < _whole():
                holds, doubt = None, f"{reached:,} of {_whole():,} steps so far"
        text = f"MIG of FactorVAE: {labels[0]} > {labels[1]}"
        claims.append(Claim(text, results.OWN, ours, holds, doubt=doubt))
    return claims
