"""Latents against factors: means of the informative latents given each value of a factor, in each method's best run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reproduce import methods, traversals
from reproduce.methods import PUBLISHED, Arrays, Pictures
from reproduce.traversals import chosen
from tcvae_tf import plots, results
from tcvae_tf.results import Claim, Row
from tcvae_tf.runs import Run
from tcvae_tf.sweep import Preset

__all__ = ["TITLE", "check", "chosen", "draw", "explain", "runs", "tabulate"]

TITLE = "Latents against factors"
#: Latents that are shown, of the most informative.
SHOWN = 5


def runs(preset: Preset) -> list[Run]:
    """Those of figure 3."""
    return traversals.runs(preset)


def _information(arrays: Arrays, factor: str) -> np.ndarray:
    """I(z_j; v_k) of one factor in nats, [D]."""
    return arrays["mutual_information"][:, arrays["factors"].tolist().index(factor)]


def _relations(arrays: Arrays) -> list[list[plots.Relation | None]]:
    """A row for each latent shown, in it a relation for each scored factor."""
    return [
        [
            plots.Relation(
                arrays[f"mean.{factor}"][latent],
                arrays[f"deviation.{factor}"][latent],
                float(_information(arrays, factor)[latent]),
            )
            for factor in arrays["scored"]
        ]
        for latent in arrays["latents"][:SHOWN]
    ]


def draw(rows: Sequence[Row], paper: Sequence[Row] = PUBLISHED, caption: str = "", arrays: Pictures | None = None):
    """The figure: a panel for each run of which there are arrays, by id.

    Without `arrays`, those of `methods.kept`."""
    arrays = methods.kept(chosen(rows)) if arrays is None else arrays
    found = {traversals.heading(line): arrays[line["id"]] for line in traversals.best(rows) if line["id"] in arrays}
    return plots.latent_vs_factor(
        {title: _relations(own) for title, own in found.items()},
        {title: [f"z{latent}" for latent in own["latents"][:SHOWN]] for title, own in found.items()},
        {title: own["scored"].tolist() for title, own in found.items()},
        traversals.note(rows, methods.together(caption, "numbers are I(z_j; v_k) in nats")),
    )


def tabulate(rows: Sequence[Row], paper: Sequence[Row], arrays: Pictures) -> str:
    """For each factor the two latents that say most of it, whose difference is the factor's gap."""
    tables = []
    for dataset in methods.DATASETS:
        lines, factors = [], []
        for line in traversals.best(rows):
            own = arrays.get(line["id"])
            if line["run.dataset"] == dataset and own is not None:
                factors = own["scored"].tolist()
                cells = [_two(own, factor) for factor in factors]
                lines.append([traversals.name(line), line["run.seed"], f"{float(line['mig']):.3f}", *cells])
        if lines:
            header = ["method", "seed", "MIG", *factors]
            tables.append(f"{methods.title(methods.alike(rows), dataset)}:\n\n{results.table(header, lines)}")
    return "\n".join(tables)


def _two(arrays: Arrays, factor: str) -> str:
    """The first and the second latent of a factor, with nats and shares of H(v_k)."""
    information = _information(arrays, factor)
    entropy = float(arrays["entropies"][arrays["factors"].tolist().index(factor)])
    first = np.argsort(-information, kind="stable")[:2]
    return "; ".join(f"z{j} {information[j]:.2f} nats ({information[j] / entropy:.0%})" for j in first)


def check(rows: Sequence[Row], paper: Sequence[Row] = PUBLISHED) -> list[Claim]:
    """Nothing: the paper's pictures are to look at."""
    return []


def explain(rows: Sequence[Row]) -> str:
    """How to read it."""
    return (
        f"Qualitative. {traversals.of_how_many(rows)} The {SHOWN} latents that say most of which image it is, counted "
        "from 0: lines are means of the posterior means over all images with a value of the factor, bands one standard "
        "deviation over the other factors. In each panel I(z_j; v_k) in nats; the table has the first and the second "
        "latent of each factor, whose difference is the factor's gap.\n"
    )
