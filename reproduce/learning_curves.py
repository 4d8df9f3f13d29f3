"""Learning curves: exact measures of the training data during training, of every method, on both data sets.

A short training with one seed. It shows that each method learns, and how far a discriminator's estimate of the total
correlation is from the exact one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reproduce import methods
from tcvae_tf import files, plots, results
from tcvae_tf.results import Claim, Row
from tcvae_tf.runs import Run
from tcvae_tf.sweep import Preset

TITLE = "Learning curves"
FILE = "curves.csv"

#: What every preset but smoke shows: enough to see that a method learns.
SHORT = Preset(
    "curves",
    "every second value of each factor through small networks",
    seeds=(0,),
    fewer_seeds=(0,),
    dsprites={"width": 128, "discriminator_width": 128, "batch_size": 128, "thin": 2, "epochs": 12},
    faces={"width": 64, "discriminator_width": 128, "batch_size": 64, "thin": 2, "epochs": 16},
    pose={},
    betas=(),
    tc_weights=(10.0,),
    batch_sizes=(),
)

#: Exact measures of a history, and how figures call them.
MEASURES = {"data_elbo": "ELBO (nats)", "data_mig": "MIG", "data_total_correlation": "TC (nats)"}


def runs(preset: Preset) -> list[Run]:
    """One run for each data set and method: of SHORT, or of the preset smoke, which does as little as it can."""
    chosen = preset if preset.name == "smoke" else SHORT
    made = [run for dataset in methods.DATASETS for run in chosen.runs(chosen.variants(dataset), dataset)]
    return [run for run in made if run.seed == 0]


def every(run: Run) -> int:
    """Epochs from one measurement to the next."""
    return 2


def collect(made: Sequence[Run], root: Path) -> list[Row]:
    """The measured lines of the runs' histories."""
    rows = []
    for run in made:
        record = root / run.id / "record.json"
        source = files.read_json(record)["data"]["source"] if record.exists() else ""
        fields = {"id": run.id, "dataset": run.dataset, "source": source, "method": run.method, "seed": str(run.seed)}
        fields |= {"network": f"{run.network} {run.width}", "batch": str(run.batch_size), "thin": str(run.thin)}
        fields |= {"beta": f"{run.beta:g}", "tc_weight": f"{run.tc_weight:g}"}
        history = results.read_rows(root / run.id / "history.csv")
        last: dict[str, str] = {}
        for line in history:
            measured = {n: f"{float(value):.6g}" for n, value in line.items() if n.startswith("data_") and value}
            if measured and measured != last:  # epochs between two measurements repeat the last
                last = dict(measured)
                measured["discriminator_tc"] = _short(line.get("discriminator_tc"))
                measured["discriminator_accuracy"] = _short(line.get("discriminator_accuracy"))
                rows.append({**fields, "step": line["step"], **measured})
    return rows


def _short(value: str | None) -> str:
    return f"{float(value):.6g}" if value else ""


def _title(rows: Sequence[Row], dataset: str) -> str:
    line = next(line for line in rows if line["dataset"] == dataset)
    name = methods.title([{"run.dataset": dataset, "data.source": line["source"]}], dataset)
    return f"{name}: one value in {line['thin']} of each factor, {line['network']}, batch {line['batch']}"


def _curve(rows: Sequence[Row], dataset: str, method: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of one quantity where it is known."""
    chosen = [line for line in rows if (line["dataset"], line["method"]) == (dataset, method) and line[name]]
    return np.array([int(line["step"]) for line in chosen]), np.array([float(line[name]) for line in chosen])


def _known(rows: Sequence[Row], dataset: str) -> dict[str, str]:
    """The methods that have curves, by label."""
    first = {line["method"]: line for line in reversed(rows) if line["dataset"] == dataset}
    labels = {m: methods.label(m, line.get("beta", ""), line.get("tc_weight", "")) for m, line in first.items()}
    return {method: methods.in_line(labels[method]) for method in methods.NAMES if method in labels}


def caption(rows: Sequence[Row]) -> str:
    return "* the discriminator's estimate, mean over an epoch of minibatches; one seed"


def draw(rows: Sequence[Row], paper: Sequence[Row] = methods.PUBLISHED):
    """The figure."""
    panels: dict[str, dict] = {}
    for dataset in dict.fromkeys(line["dataset"] for line in rows):
        known = _known(rows, dataset)
        row = {
            label: {known[method]: _curve(rows, dataset, method, name) for method in known}
            for name, label in MEASURES.items()
        }
        for method in known:
            steps, values = _curve(rows, dataset, method, "discriminator_tc")
            if len(steps):
                row["TC (nats)"][known[method] + "*"] = steps, values
        panels[_title(rows, dataset)] = row
    return plots.learning_curves(panels, caption(rows))


def tabulate(rows: Sequence[Row], paper: Sequence[Row]) -> str:
    """Where each curve begins and ends."""
    lines = []
    for dataset in dict.fromkeys(line["dataset"] for line in rows):
        for method, label in _known(rows, dataset).items():
            ends: list[object] = []
            for name in MEASURES:
                _, values = _curve(rows, dataset, method, name)
                ends.append(f"{values[0]:.4g} → {values[-1]:.4g}")
            steps, _ = _curve(rows, dataset, method, "data_mig")
            _, judged = _curve(rows, dataset, method, "discriminator_tc")
            _, right = _curve(rows, dataset, method, "discriminator_accuracy")
            last = f"{judged[-1]:.3g} ({right[-1]:.3f})" if len(judged) else ""
            lines.append([_title(rows, dataset), label, f"{steps[0]:,} → {steps[-1]:,}", *ends, last])
    header = ["data", "method", "steps", *MEASURES.values(), "TC by the discriminator (its accuracy)"]
    return results.table(header, lines)


def explain(rows: Sequence[Row]) -> str:
    """What the curves are of."""
    return (
        "Exact measures of the training data, one seed; the first point is after the first epoch. "
        "They say that the methods learn, not which is best: one seed says nothing of that. In between a MIG may have "
        "been higher than at the end: see the figure.\n"
    )


def check(rows: Sequence[Row], paper: Sequence[Row] = methods.PUBLISHED) -> list[Claim]:
    """In every training ELBO and MIG are higher at the end than after the first epoch."""
    claims = []
    for name in ("data_elbo", "data_mig"):
        ends = {}
        for dataset in dict.fromkeys(line["dataset"] for line in rows):
            for method, label in _known(rows, dataset).items():
                _, values = _curve(rows, dataset, method, name)
                if len(values) > 1:
                    ends[f"{label}, {_title(rows, dataset).split(':')[0]}"] = values[0], values[-1]
        falls = [f"{what} {first:.4g} → {last:.4g}" for what, (first, last) in ends.items() if last <= first]
        text = f"{MEASURES[name].split()[0]} is higher at the end than after the first epoch, in every training"
        ours, holds, doubt = "not run", None, ""
        if ends:
            ours, holds, doubt = f"{len(ends) - len(falls)} of {len(ends)}", not falls, "one seed each"
        if falls:
            ours += f"; not {'; '.join(falls)}"
        claims.append(Claim(text, results.OWN, ours, holds, doubt=doubt))
    return claims
