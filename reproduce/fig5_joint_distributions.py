"""Figure 5: MIG where azimuth and elevation have four joint distributions, on faces of one identity in one light.

The paper's claim, as we recall it: β-TCVAE is ahead in all four.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reproduce import methods
from tcvae_tf import factors, plots, results
from tcvae_tf.datasets import faces3d
from tcvae_tf.results import Claim, Row
from tcvae_tf.runs import Run
from tcvae_tf.sweep import PAPER, Preset

TITLE = "Figure 5: MIG under joint distributions of azimuth and elevation"
#: The joint distributions, as the paper letters them.
JOINTS = {joint: f"{letter} {joint}" for letter, joint in zip("ABCD", factors.JOINTS, strict=True)}
FACTORS = ("azimuth", "elevation")
CLAIM = "β-TCVAE ahead in all four (M, as we recall it)"
_QUANTITIES = {"mig": "MIG (exact)", **{f"mig_gaps.{name}": f"gap {name}" for name in FACTORS}}


def runs(preset: Preset) -> list[Run]:
    """One run for each seed, joint distribution and method."""
    variants = [
        {"method": method, "beta": methods.PAPER_BETAS[method], "joint": joint}
        for joint in JOINTS
        for method in methods.OVER_BETA
    ]
    return preset.runs(variants, "pose")


def table(joint: str) -> np.ndarray:
    """p(azimuth, elevation), [21, 11]."""
    fixed = Run(**PAPER["pose"]).fixed
    grid, _ = faces3d.GRID.select({name: [value] for name, value in fixed.items()})
    return factors.joint_weights(grid, joint).reshape([grid.sizes[grid.axis(name)] for name in FACTORS])


def shared(p: np.ndarray) -> float:
    """Mutual information of two factors with the joint distribution p, in nats."""
    return max(0.0, float(np.sum(p * np.log(p / np.outer(p.sum(axis=1), p.sum(axis=0))))))


def ideal(p: np.ndarray) -> float:
    """MIG of two latents that are the two factors: each says of the other factor what its own does."""
    marginals = p.sum(axis=1), p.sum(axis=0)
    return float(np.mean([1 - shared(p) / -(m @ np.log(m)) for m in marginals]))


def _of(rows: Sequence[Row], method: str, joint: str) -> list[Row]:
    return [line for line in methods.of(rows, "faces3d", method) if line["run.joint"] == joint]


def _values(rows: Sequence[Row], method: str, joint: str, quantity: str = "mig") -> np.ndarray:
    return results.values(_of(rows, method, joint), quantity)


def _label(method: str) -> str:
    return methods.label(method, f"{methods.PAPER_BETAS[method]}")


def draw(rows: Sequence[Row], paper: Sequence[Row] = methods.PUBLISHED, caption: str = ""):
    """The figure: the four distributions, and below MIG and its parts under each."""
    rows = methods.alike(rows)
    panels = {
        axis: {
            _label(method): {name: _values(rows, method, joint, quantity) for joint, name in JOINTS.items()}
            for method in methods.OVER_BETA
        }
        for quantity, axis in _QUANTITIES.items()
    }
    tables = {name: table(joint).T for joint, name in JOINTS.items()}
    return plots.joints(tables, panels, methods.together(caption, methods.title(rows, "faces3d")), FACTORS[::-1])


def tabulate(rows: Sequence[Row], paper: Sequence[Row]) -> str:
    """Medians under each joint distribution, beside what the factors themselves would have."""
    rows, lines = methods.alike(rows), []
    for joint, name in JOINTS.items():
        p = table(joint)
        for method in methods.OVER_BETA:
            found = [
                results.median(_values(rows, method, joint, quantity)).text()
                for quantity in (*_QUANTITIES, "total_correlation")
            ]
            known = [f"{shared(p):.3f}", f"{ideal(p):.3f}"]
            lines.append([name, *known, _label(method).replace("\n", ", "), *found])
    header = ["joint distribution", "I(azimuth; elevation), nats", "MIG of the factors themselves", "method"]
    header += ["median MIG [90% interval or range]", *(f"gap {name}" for name in FACTORS), "TC (nats)"]
    return f"{methods.title(rows, 'faces3d')}, one identity in one light:\n\n" + results.table(header, lines)


def check(rows: Sequence[Row], paper: Sequence[Row] = methods.PUBLISHED) -> list[Claim]:
    """That β-TCVAE has the higher median MIG, under each joint distribution."""
    rows = methods.alike(rows)
    where, said = methods.where(rows, "faces3d"), methods.recalled(rows, "faces3d", CLAIM)
    claims = []
    for joint, name in JOINTS.items():
        ours, theirs = (_values(rows, method, joint) for method in ("beta_tcvae", "beta_vae"))
        claims.append(Claim.greater(f"median MIG: β-TCVAE > β-VAE, {name}{where}", said, ours, theirs))
    return claims


def explain(rows: Sequence[Row]) -> str:
    """What is ours in this figure, and how far training went."""
    steps = sorted({int(line["steps"]) for line in results.finished(rows)})
    taken = " to ".join(f"{count:,}" for count in sorted({steps[0], steps[-1]})) if steps else "no"
    return (
        "The likeliest cell of B, C and D has four times the probability of the least likely one, as in the paper (as "
        "we recall it); the formulas are ours. Training draws images by these probabilities and MIG weighs them so. "
        f"How long the paper trained on these 231 images, and with which β, we do not know: here {taken} steps. Its "
        "numbers are not known to us, and InfoGAN, which it shows too (as we recall it), is not run here."
        f"{_each(rows)}\n"
    )


def _each(rows: Sequence[Row]) -> str:
    """MIG of every seed, which shows whether a median stands for one kind of runs or for two."""
    told = []
    for joint, name in JOINTS.items():
        sides = (_of(methods.alike(rows), method, joint) for method in reversed(methods.OVER_BETA))
        told.append(f"{name} {' against '.join(methods.each(side) or 'not run' for side in sides)}")
    return f" MIG of each seed, β-TCVAE's against β-VAE's: {'; '.join(told)}."
