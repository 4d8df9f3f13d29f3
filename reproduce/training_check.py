"""The training check: two runs at paper size beside two published ones, of another library and of the authors' code.

The paper prints no training losses. The reproducibility table of the pythae library has those of both. Its own are of
settings that are known: β-TCVAE, β = 6, the paper's MLP with a log-variance head, MWS, batch 1000, Adam with 1e-3 and
epsilon 1e-4, 50 epochs of dSprites. What the authors' code was told is not; it is run here as it is by default, which
is as the paper trains: log σ head, batch 2048, epsilon 1e-8.
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

#: The trainings, by whose numbers they stand beside.
_RUNS = {
    "pythae": Run(method="beta_tcvae", beta=6.0, batch_size=1000, adam_epsilon=1e-4, head="log_variance"),
    "the authors' code": Run(method="beta_tcvae", beta=6.0),
}
WHOSE = tuple(_RUNS)
_RUN = _RUNS["pythae"]
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
    """The two runs, whatever the preset; of smoke small ones."""
    small = preset.dsprites if preset.name == "smoke" else {}
    return [dataclasses.replace(run, **small) for run in _RUNS.values()]


def every(run: Run) -> int:
    """Epochs from one exact measurement to the next."""
    return 5


def collect(made: Sequence[Run], root: Path) -> list[Row]:
    """A row for each epoch: the means over its minibatches, the exact measures where there are new ones, and what it
    was trained with at last. None of a run that came to its end without a measurement."""
    rows: list[Row] = []
    for run in made:
        fields = {"id": run.id, "beside": _beside(run)}
        fields |= {"network": f"{run.network} {run.width}", "batch": str(run.batch_size)}
        fields |= {"beta": f"{run.beta:g}", "steps": str(plan.steps(run))}
        header = files.read_fields(root / run.id / "run.json")
        fields |= {name: header.get(name) or "" for name in ("commit", "device")}
        last: dict[str, str] = {}
        found = []
        for epoch, parts in _by_epoch(results.read_rows(root / run.id / "history.csv")).items():
            means = {name: f"{_mean(parts, name):.6g}" for name in _TERMS}
            exact = {name: f"{float(parts[-1][name]):.6g}" for name in _EXACT if parts[-1].get(name)}
            new = exact if exact != last else {}
            found.append(
                {**fields, "epoch": epoch, "step": parts[-1]["step"], **means, **dict.fromkeys(_EXACT, ""), **new}
            )
            last = exact
        done = (root / run.id / "record.json").exists()
        rows += [] if done and not measured(found) else found
    return rows


def _beside(run: Run) -> str:
    """Whose numbers a run stands beside."""
    return next(whose for whose, usual in _RUNS.items() if usual.head == run.head)


def of(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each training, by whose numbers it stands beside; files were once of the first alone."""
    found = {whose: [row for row in rows if (row.get("beside") or WHOSE[0]) == whose] for whose in WHOSE}
    return {whose: lines for whose, lines in found.items() if lines}


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


#: What is published: from the means of an epoch.
_QUANTITIES: dict[str, Callable[[Row], float]] = {
    "negative ELBO": lambda row: float(row["kl"]) - float(row["reconstruction"]),
    "modified objective": lambda row: float(row["loss"]),
}


def _estimated_tc(negative_elbo: float, objective: float) -> float:
    """The TC that two such numbers hold: with α = γ = 1 the objective is −ELBO + (β − 1) TC."""
    return (objective - negative_elbo) / (_RUN.beta - 1)


def _tc_of_no_code() -> float:
    """The TC that the weights 1/(N·B) of MWS give a code without information: (D − 1) log N nats."""
    return (_RUN.latent_dim - 1) * math.log(plan.images(_RUN))


def _constant() -> float:
    """What those weights add to the objective, whatever the code: (β − 1) (D − 1) log N nats."""
    return (_RUN.beta - 1) * _tc_of_no_code()


def _published(paper: Sequence[Row], whose: str) -> dict[str, Row]:
    """What is published of β-TCVAE, by quantity."""
    names = {name: name if whose == "pythae" else f"{name}, {whose.removeprefix('the ')}" for name in _QUANTITIES}
    lines = {row["quantity"]: row for row in paper if (row["figure"], row["method"]) == ("check", "beta_tcvae")}
    return {name: lines[there] for name, there in names.items()}


def _median_mig(paper: Sequence[Row]) -> Row:
    """The paper's."""
    wanted = ("fig3", "dsprites", "beta_tcvae", "median MIG")
    return next(row for row in paper if (row["figure"], row["dataset"], row["method"], row["quantity"]) == wanted)


def _so_far(rows: Sequence[Row]) -> str:
    """How far a training came, in words; "" at the end."""
    done, wanted = int(rows[-1]["step"]), int(rows[-1]["steps"])
    return f"{done:,} of {wanted:,} steps so far" if done < wanted else ""


def measured(rows: Sequence[Row]) -> list[Row]:
    """The epochs with exact measures."""
    return [row for row in rows if row["data_mig"]]


def caption(rows: Sequence[Row]) -> str:
    told = f"{rows[0]['network']}; one seed each"
    told += "; * published: losses at the end of such a training, what is cited as the paper's median MIG"
    left = {whose: _so_far(lines) for whose, lines in of(rows).items()}
    return methods.together(told, *(f"beside {whose}: {far}" for whose, far in left.items() if far))


def draw(rows: Sequence[Row], paper: Sequence[Row] = methods.PUBLISHED):
    """The figure: −ELBO and the modified objective, means over the minibatches of each epoch, and exact MIG."""
    label = methods.in_line(methods.label("beta_tcvae", rows[0]["beta"]))

    def panel(lines: Sequence[Row], values: Sequence[float], published: Row, ends: np.ndarray) -> Mapping:
        steps = np.array([int(line["step"]) for line in lines])
        return {label: (steps, np.array(values)), label + "*": (ends, np.full(2, float(published["value"])))}

    curves = {}
    for whose, lines in of(rows).items():
        ends, published = np.array([int(lines[0]["step"]), int(lines[-1]["step"])]), _published(paper, whose)
        panels = {
            f"{quantity} (nats)": panel(lines, [value(row) for row in lines], published[quantity], ends)
            for quantity, value in _QUANTITIES.items()
        }
        exact = measured(lines)
        panels["MIG"] = panel(exact, [float(row["data_mig"]) for row in exact], _median_mig(paper), ends)
        curves[f"dSprites, batch {int(lines[0]['batch']):,}, beside {whose}"] = panels
    return plots.learning_curves(curves, caption(rows))


def tabulate(rows: Sequence[Row], paper: Sequence[Row]) -> str:
    """The last epoch beside what is published, and the exact measures on the way."""
    mig = _median_mig(paper)
    parts = [f"What is cited as the paper's median of MIG is {mig['value']} ({mig['mark']}).\n"]
    for whose, lines in of(rows).items():
        parts += [_beside_published(lines, whose, paper), _course(lines), _information(lines, whose, paper)]
    return "\n".join(filter(None, parts))


def _beside_published(rows: Sequence[Row], whose: str, paper: Sequence[Row]) -> str:
    """The last epoch of a training."""
    published = _published(paper, whose)
    theirs = [float(row["value"]) for row in published.values()]
    ours = [value(rows[-1]) for value in _QUANTITIES.values()]
    shown = [f"{row['value']} ({row['mark']})" for row in published.values()]
    for numbers in (theirs, ours):
        tc = _estimated_tc(*numbers)
        numbers += [numbers[1] - _constant(), tc, tc - _tc_of_no_code()]
    shown += [f"{theirs[2]:.1f}", f"{theirs[3]:.1f} (of the two)", f"{theirs[4]:.1f}"]
    names = [*_QUANTITIES, "the latter less its constant", "TC as MWS estimates it", "that TC less its constant"]
    lines: list[list[object]] = [
        [f"{name} (nats)", there, f"{here:.1f}", f"{here / number - 1:+.1%}"]
        for name, there, here, number in zip(names, shown, ours, theirs, strict=True)
    ]
    batch, epoch = int(rows[-1]["batch"]), rows[-1]["epoch"]
    return results.table(["minibatches", whose, f"ours, batch {batch:,}, epoch {epoch}", "beside it"], lines)


def _course(rows: Sequence[Row]) -> str:
    """The exact measures of a training on the way."""
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
    return results.table(measures, course) if course else ""


def explain(rows: Sequence[Row]) -> str:
    """What is compared."""
    return methods.paragraph(
        "−ELBO is KL(q(z|x) ‖ p(z)) − log p(x|z), the objective −log p(x|z) + I + β TC + Σ KL with the three terms as "
        "MWS estimates them: means over the minibatches of the last epoch.",
        "The objective is as large as it is because of the weights 1/(N·B) of MWS: of it (β − 1) (D − 1) log N = "
        f"{_constant():.0f} nats are a constant, so that within 2% of the whole is no nearer than within a seventh of "
        "the rest.",
        "The objective less −ELBO is (β − 1) TC, as MWS estimates it; of a code without information that TC is "
        f"(D − 1) log N = {_tc_of_no_code():.1f} nats.",
        "pythae's script for it, which we read, has the network, batch, optimizer, estimator and β of the training "
        "beside it, all images, none held out, and one seed (S); what its two numbers were printed from we do not "
        "know. What the authors' code was told for its own we do not know; where it is not told otherwise it takes "
        "batches of 2,048 and ε = 1e-8 (S), which are the settings of the other training.",
        _epsilon(),
        "How ELBO and the objective go with the number of active latents in shorter trainings, figure 2 tells by β and "
        "the ablations by the size of the batch; how many there are in the published trainings we do not know.",
        "Exact measures are of every fifth epoch, and of the first after a resumption.",
        *(_of_training(lines, whose) for whose, lines in of(rows).items()),
    )


def _of_training(rows: Sequence[Row], whose: str) -> str:
    """Where a training stands, and what it was trained with."""
    counts = [(row["data_active_units"], row["epoch"]) for row in measured(rows) if row.get("data_active_units")]
    used = f"{float(counts[-1][0]):g} at epoch {counts[-1][1]}" if counts else "not kept"
    told = [f"Beside {whose}: {_reconstruction(rows, whose)}active latents {used}", _still_falling(rows), _so_far(rows)]
    told.append(f"machine {rows[-1]['device']}; commit {rows[-1]['commit']} at last")
    return (
        methods.together(*told) + ", and epochs before a resumption by another commit may have been rounded otherwise"
    )


def _reconstruction(rows: Sequence[Row], whose: str) -> str:
    """How much of what −ELBO is above the published one must be reconstruction, since no KL is below 0."""
    kl, more = float(rows[-1]["kl"]), _QUANTITIES["negative ELBO"](rows[-1])
    more -= float(_published(methods.PUBLISHED, whose)["negative ELBO"]["value"])
    if more <= kl:
        return ""
    return (
        f"−ELBO is {more:.1f} nats above the published one and its KL is {kl:.1f}, so that at least {more - kl:.1f} of "
        "them are reconstruction, whatever the published KL; "
    )


def _epsilon() -> str:
    """What Adam's ε is in Keras, and in PyTorch, on which both published numbers were made."""

    def times(step: int) -> str:
        return f"{1 / math.sqrt(1 - 0.999**step):.2g}"

    return (
        "One setting is not the same: Keras adds Adam's ε before the bias correction of the second moment, PyTorch "
        "after it, so that step t of ours has PyTorch's ε / √(1 − 0.999ᵗ), "
        f"{times(1)} times as much in the first step, {times(100)} times in the 100th and {times(1000)} times in the "
        f"1,000th. With ε = {_RUN.adam_epsilon:g} weights whose gradients are small move less until then; what that "
        "does to the end we do not know"
    )


def _still_falling(rows: Sequence[Row]) -> str:
    """How −ELBO moved in the last five epochs."""
    if len(rows) < 6:
        return ""
    before, after = (_QUANTITIES["negative ELBO"](row) for row in (rows[-6], rows[-1]))
    return f"−ELBO {'fell' if after < before else 'rose'} by {abs(after - before):.1f} nats in the last five epochs"


def _information(rows: Sequence[Row], whose: str, paper: Sequence[Row]) -> str:
    """How much the published code must hold, by what ours does; "" before the first exact measurement."""
    exact = measured(rows)
    if not exact:
        return ""
    held, tc = (float(exact[-1][name]) for name in ("data_mutual_information", "total_correlation"))
    elbo, objective = (float(row["value"]) for row in _published(paper, whose).values())
    published = _estimated_tc(elbo, objective)
    seen, epoch = math.log(float(exact[-1]["batch"])), exact[-1]["epoch"]
    told = (
        f"MWS, whose I begins at log N = {math.log(plan.images(_RUN)):.1f} nats for a code without information, sees "
        f"no more than log B = {seen:.1f} nats above that, and what a code holds beyond them it counts as TC: ours, "
        f"which held {held:.1f} nats at epoch {epoch}, had a TC of {tc:.1f} by it"
    )
    if held > seen:
        whole = _tc_of_no_code() + held - seen + float(exact[-1]["data_total_correlation"])
        told += f", and the constant, I beyond log B and the exact TC are together {whole:.1f}"
    if published > tc and objective < float(exact[-1]["loss"]):
        told += (
            f". So the published TC, {published:.1f}, suggests, if its exact TC is no larger, a code of some "
            f"{held + published - tc:.0f} nats; with the lower objective it would be a better optimum of the same sum, "
            "which this training had not reached by then"
        )
    return told + ".\n"


def check(rows: Sequence[Row], paper: Sequence[Row] = methods.PUBLISHED) -> list[Claim]:
    """Both numbers of each training at the end within 2% of the published ones."""
    return [claim for whose in _RUNS for claim in _claims(of(rows).get(whose, []), whose, paper)]


def _claims(rows: Sequence[Row], whose: str, paper: Sequence[Row]) -> list[Claim]:
    claims = []
    published = _published(paper, whose)
    for quantity, value in _QUANTITIES.items():
        there = published[quantity]
        text = f"{quantity} after such a training within {_TOLERANCE:.0%} of that of {whose}"
        cited = f"{there['value']} ({there['mark']}, pythae's table)"
        if not rows:
            claims.append(Claim(text, cited, "not run", None))
            continue
        found = value(rows[-1])
        near = abs(found / float(there["value"]) - 1) <= _TOLERANCE
        ours = f"{found:.1f} after epoch {rows[-1]['epoch']}"
        left = _so_far(rows)
        alike = ""
        if quantity == "modified objective":
            less = (found - _constant()) / (float(there["value"]) - _constant()) - 1
            alike = f"{_constant():.0f} of it are a constant, less which it is {less:+.1%}, and "
        doubt = left or f"{alike}one seed has no interval"
        claims.append(Claim(text, cited, ours, None if left else near, doubt=doubt))
    return claims
