"""The training check: one run at paper size beside two published ones, of another library and of the authors' code.

The paper prints no training losses. The reproducibility table of the pythae library has those of both, with settings
that are known: β-TCVAE, β = 6, the paper's MLP with a log-variance head, MWS, batch 1000, Adam with 1e-3 and epsilon
1e-4, 50 epochs of dSprites.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from reproduce import methods
from tcvae_tf import files, plan, plots, results
from tcvae_tf.results import Claim, Row
from tcvae_tf.runs import Run
from tcvae_tf.sweep import Preset

TITLE = "Training check at paper size"
FILE = "check.csv"
#: Its curve is kept as far as it has come.
UNFINISHED = True

_RUN = Run(method="beta_tcvae", beta=6.0, batch_size=1000, adam_epsilon=1e-4, head="log_variance")
#: How near to the published numbers is agreement.
_TOLERANCE = 0.02

#: Means over the minibatches of an epoch, as Keras' history has them, and exact measures of all images.
_TERMS = ("loss", "reconstruction", "kl", "mutual_information", "total_correlation", "dimension_kl")
#: The latter with their formats.
_EXACT = {
    "data_elbo": ".1f",
    "data_mig": ".3f",
    "data_total_correlation": ".3f",
    "data_mutual_information": ".3f",
    "data_active_units": "g",
}


def runs(preset: Preset) -> list[Run]:
    """The run, whatever the preset; of smoke a small one."""
    return [dataclasses.replace(_RUN, **preset.dsprites) if preset.name == "smoke" else _RUN]


def every(run: Run) -> int:
    """Epochs from one exact measurement to the next."""
    return 5


def collect(made: Sequence[Run], root: Path) -> list[Row]:
    """A row for each epoch: the means over its minibatches, the exact measures where there are new ones, and what it
    was trained with at last."""
    rows = []
    for run in made:
        fields = {"id": run.id, "network": f"{run.network} {run.width}", "batch": str(run.batch_size)}
        fields |= {"beta": f"{run.beta:g}", "steps": str(plan.steps(run))}
        header = files.read_fields(root / run.id / "run.json")
        fields |= {name: header.get(name) or "" for name in ("commit", "device")}
        last: dict[str, str] = {}
        for epoch, parts in _by_epoch(results.read_rows(root / run.id / "history.csv")).items():
            means = {name: f"{_mean(parts, name):.6g}" for name in _TERMS}
            exact = {name: f"{float(parts[-1][name]):.6g}" for name in _EXACT if parts[-1].get(name)}
            new = exact if exact != last else {}
            rows.append(
                {**fields, "epoch": epoch, "step": parts[-1]["step"], **means, **dict.fromkeys(_EXACT, ""), **new}
            )
            last = exact
    return rows


def _by_epoch(history: Sequence[Row]) -> dict[str, list[Row]]:
    """The lines of each epoch: one that was cut off and resumed has several."""
    found: dict[str, list[Row]] = {}
    for line in history:
        found.setdefault(line["epoch"], []).append(line)
    return found


def _mean(parts: Sequence[Row], name: str) -> float:
    """The mean over an epoch's steps, of the means over its parts."""
    steps = [int(part["step"]) - int(part["first_step"]) for part in parts]
    return float(np.average([float(part[name]) for part in parts], weights=steps))


#: What is published, by its name in paper.csv: from the means of an epoch.
_QUANTITIES: dict[str, Callable[[Row], float]] = {
    "negative ELBO": lambda row: float(row["kl"]) - float(row["reconstruction"]),
    "modified objective": lambda row: float(row["loss"]),
}


#: The two numbers of pythae's and those of the authors' code.
_PUBLISHED = [list(_QUANTITIES), [f"{name}, authors' code" for name in _QUANTITIES]]


def _estimated_tc(negative_elbo: float, objective: float) -> float:
    """The TC that two such numbers hold: with α = γ = 1 the objective is −ELBO + (β − 1) TC."""
    return (objective - negative_elbo) / (_RUN.beta - 1)


def _published(paper: Sequence[Row], quantity: str, figure: str = "check") -> Row:
    """What is published of β-TCVAE."""
    wanted = (figure, "dsprites", "beta_tcvae", quantity)
    return next(row for row in paper if (row["figure"], row["dataset"], row["method"], row["quantity"]) == wanted)


def _so_far(rows: Sequence[Row]) -> str:
    """How far it came, in words; "" at the end."""
    done, wanted = int(rows[-1]["step"]), int(rows[-1]["steps"])
    return f"{done:,} of {wanted:,} steps so far" if done < wanted else ""


def measured(rows: Sequence[Row]) -> list[Row]:
    """The epochs with exact measures."""
    return [row for row in rows if row["data_mig"]]


def caption(rows: Sequence[Row]) -> str:
    told = f"{rows[0]['network']}, batch {rows[0]['batch']}; one seed"
    told += "; * published: losses at the end of such a training (pythae's), the paper's median MIG"
    return methods.together(told, _so_far(rows))


def draw(rows: Sequence[Row], paper: Sequence[Row] = methods.PUBLISHED):
    """The figure: −ELBO and the modified objective, means over the minibatches of each epoch, and exact MIG."""
    label = methods.in_line(methods.label("beta_tcvae", rows[0]["beta"]))
    ends = np.array([int(rows[0]["step"]), int(rows[-1]["step"])])

    def panel(lines: Sequence[Row], values: Sequence[float], published: Row) -> Mapping:
        steps = np.array([int(line["step"]) for line in lines])
        return {label: (steps, np.array(values)), label + "*": (ends, np.full(2, float(published["value"])))}

    exact = measured(rows)
    panels = {
        f"{quantity} (nats)": panel(rows, [value(row) for row in rows], _published(paper, quantity))
        for quantity, value in _QUANTITIES.items()
    }
    migs = [float(row["data_mig"]) for row in exact]
    panels["MIG"] = panel(exact, migs, _published(paper, "median MIG", "fig3"))
    return plots.learning_curves({"dSprites": panels}, caption(rows))


def tabulate(rows: Sequence[Row], paper: Sequence[Row]) -> str:
    """The last epoch beside what is published, and the exact measures on the way."""
    columns = []
    for names in _PUBLISHED:
        published = [_published(paper, name) for name in names]
        column = [(float(row["value"]), f"{row['value']} ({row['mark']})") for row in published]
        tc = _estimated_tc(*(number for number, _ in column))
        columns.append([*column, (tc, f"{tc:.1f} (of the two)")])
    found = [value(rows[-1]) for value in _QUANTITIES.values()]
    found.append(_estimated_tc(*found))
    lines: list[list[object]] = []
    for name, ours, *theirs in zip([*_QUANTITIES, "TC as MWS estimates it"], found, *columns, strict=True):
        told = [text for _, text in theirs]
        lines.append([f"{name} (nats)", *told, f"{ours:.1f}", f"{ours / theirs[0][0] - 1:+.1%}"])
    header = ["minibatches", "pythae's", "authors' code", f"ours, epoch {rows[-1]['epoch']}", "ours beside pythae's"]
    course: list[list[object]] = []
    for row in measured(rows):
        course.append([row["epoch"], *(f"{value(row):.1f}" for value in _QUANTITIES.values())])
        course[-1] += [f"{float(row[name]):{form}}" if row.get(name) else "not kept" for name, form in _EXACT.items()]
    measures = [
        "epoch",
        *(f"{name}, minibatches" for name in _QUANTITIES),
        "ELBO (nats), exact",
        "MIG",
        "TC (nats), exact",
        "I (nats), exact",
        "active latents",
    ]
    mig = _published(paper, "median MIG", "fig3")
    cited = f"What is cited as the paper's median of MIG is {mig['value']} ({mig['mark']})"
    notes = methods.paragraph(cited, _information(rows, paper))
    return "\n".join([results.table(header, lines), results.table(measures, course), notes])


def explain(rows: Sequence[Row]) -> str:
    """What is compared."""
    log_n, latents, weight = math.log(plan.images(_RUN)), _RUN.latent_dim - 1, _RUN.beta - 1
    return methods.paragraph(
        "−ELBO is KL(q(z|x) ‖ p(z)) − log p(x|z), the objective −log p(x|z) + I + β TC + Σ KL with the three terms as "
        "MWS estimates them: means over the minibatches of the last epoch.",
        "The objective is as large as it is because of the weights 1/(N·B) of MWS: it holds "
        f"(β − 1) (D − 1) log N = {weight * latents * log_n:.0f} nats, so a tenth more images would add "
        f"{weight * latents * math.log(1.1):.1f} nats to it, and within 2% of the whole is no nearer than within a "
        "seventh of the rest.",
        _still_falling(rows),
        "The objective less −ELBO is (β − 1) TC, as MWS estimates it; of a code without information that TC is "
        f"(D − 1) log N = {latents * log_n:.1f} nats.",
        "pythae's script for it, which we read, has this network, batch, optimizer, estimator and β, all images, none "
        "held out, and one seed (S); what its two numbers were printed from we do not know. The authors' code had "
        "settings of its own.",
        _epsilon(),
        _latents(rows),
        f"Machine: {rows[-1]['device']}; commit {rows[-1]['commit']} at its end. Epochs before a resumption by another "
        "commit may have been rounded otherwise",
        _so_far(rows),
    )


def _epsilon() -> str:
    """What Adam's ε is in Keras, and in PyTorch, on which both published numbers were made."""

    def times(step: int) -> str:
        return f"{1 / math.sqrt(1 - 0.999**step):.2g}"

    return (
        f"One setting is not the same: Keras adds Adam's ε, here {_RUN.adam_epsilon:g}, before the bias correction of "
        "the second moment, PyTorch after it, so that step t of ours has PyTorch's ε / √(1 − 0.999ᵗ), "
        f"{times(1)} times as much in the first step, {times(100)} times in the 100th and {times(1000)} times in the "
        "1,000th: until then weights whose gradients are small move less; what that does to the end we do not know"
    )


def _latents(rows: Sequence[Row]) -> str:
    """What may tell this training from the published ones, as far as it was kept."""
    counts = [(row["data_active_units"], row["epoch"]) for row in measured(rows) if row.get("data_active_units")]
    used = f"was {float(counts[-1][0]):g} at epoch {counts[-1][1]}" if counts else "was not kept"
    return (
        "How ELBO goes with the number of active latents in shorter trainings, figure 2 tells by β and the ablations "
        f"by the size of the batch. How many were in this training {used}, and of the published ones we do not know "
        "it. The authors' code takes batches of 2,048 where it is not told otherwise (S)"
    )


def _still_falling(rows: Sequence[Row]) -> str:
    """How −ELBO moved in the last five epochs."""
    if len(rows) < 6:
        return ""
    before, after = (_QUANTITIES["negative ELBO"](row) for row in (rows[-6], rows[-1]))
    return f"In the last five epochs −ELBO {'fell' if after < before else 'rose'} by {abs(after - before):.1f} nats"


def _information(rows: Sequence[Row], paper: Sequence[Row]) -> str:
    """How much the published code must hold, by what ours does; "" before the first exact measurement."""
    exact = measured(rows)
    if not exact:
        return ""
    held, tc = (float(exact[-1][name]) for name in ("data_mutual_information", "total_correlation"))
    elbo, objective = (float(_published(paper, name)["value"]) for name in _PUBLISHED[0])
    published = _estimated_tc(elbo, objective)
    seen, epoch = math.log(float(exact[-1]["batch"])), exact[-1]["epoch"]
    told = (
        f"MWS sees no more than log B = {seen:.1f} nats of I, and what a code holds beyond them it counts as TC: ours, "
        f"which held {held:.1f} nats at epoch {epoch}, had a TC of {tc:.1f} by it"
    )
    if published <= tc or objective >= float(exact[-1]["loss"]):
        return told
    return (
        f"{told}. So the published TC, {published:.1f}, suggests a code of some {held + published - tc:.0f} nats; with "
        "the lower objective it would be a better optimum of the same sum, which this training had not reached"
    )


def check(rows: Sequence[Row], paper: Sequence[Row] = methods.PUBLISHED) -> list[Claim]:
    """Both numbers at the end within 2% of the published ones."""
    claims = []
    for quantity, value in _QUANTITIES.items():
        published = _published(paper, quantity)
        text = f"{quantity} after such a training within {_TOLERANCE:.0%} of the published one"
        cited = f"{published['value']} ({published['mark']}, pythae's table)"
        if not rows:
            claims.append(Claim(text, cited, "not run", None))
            continue
        found = value(rows[-1])
        near = abs(found / float(published["value"]) - 1) <= _TOLERANCE
        ours = f"{found:.1f} after epoch {rows[-1]['epoch']}"
        doubt = _so_far(rows)
        claims.append(Claim(text, cited, ours, None if doubt else near, doubt=doubt or "one seed has no interval"))
    return claims
