"""Latent traversals of the best model of each method: what its decoder draws while one latent moves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reproduce import fig3_mig_distribution as fig3
from reproduce import methods
from reproduce.methods import PUBLISHED, Arrays, Pictures
from tcvae_tf import plots, results
from tcvae_tf.results import Claim, Row
from tcvae_tf.runs import Run
from tcvae_tf.sweep import Preset

TITLE = "Latent traversals"
#: Nats below which a latent is not said to encode a factor, or anything.
LEAST = 0.05


def runs(preset: Preset) -> list[Run]:
    """Those of figure 3."""
    return fig3.runs(preset)


def candidates(rows: Sequence[Row], dataset: str, method: str) -> list[Row]:
    """The measured runs of a method on a data set, the highest MIG first."""
    found = methods.of(results.finished(methods.alike(rows)), dataset, method)
    return sorted(found, key=lambda line: (-float(line["mig"]), line["id"]))


def best(rows: Sequence[Row]) -> list[Row]:
    """The run with the highest MIG of each method on each data set."""
    pairs = [(dataset, method) for dataset in methods.DATASETS for method in methods.NAMES]
    return [found[0] for pair in pairs if (found := candidates(rows, *pair))]


def chosen(rows: Sequence[Row]) -> list[str]:
    """The ids of the runs whose arrays the figure needs."""
    return [line["id"] for line in best(rows)]


def name(line: Row) -> str:
    """The method of a run with its weight."""
    return methods.in_line(methods.label(line["run.method"], line["run.beta"], line["run.tc_weight"]))


def heading(line: Row) -> str:
    """The title of a run's panel."""
    return f"{methods.TITLES[line['run.dataset']]}: {name(line)}, MIG {float(line['mig']):.2f}"


def note(rows: Sequence[Row], caption: str) -> str:
    """A caption with what all figures of best runs have to say."""
    sets = dict.fromkeys(line["run.dataset"] for line in best(rows))
    named = [methods.title(methods.alike(rows), dataset) for dataset in sets]
    return methods.together(caption, "the run of highest MIG of each method", *(text for text in named if "(" in text))


def encodes(arrays: Arrays, latent: int) -> tuple[str, float, float]:
    """The factor of which a latent has most information, I in nats, and its share of H(v_k); "no factor" below `LEAST`
    nats."""
    information = arrays["mutual_information"][latent]
    k = int(np.argmax(information))
    factor = str(arrays["factors"][k]) if information[k] >= LEAST else "no factor"
    return factor, float(information[k]), float(information[k] / arrays["entropies"][k])


def _row_label(arrays: Arrays, latent: int) -> str:
    factor, information, _ = encodes(arrays, latent)
    return f"z{latent}  {factor}" + (f" {information:.1f} nats" if factor != "no factor" else "")


def draw(rows: Sequence[Row], paper: Sequence[Row] = PUBLISHED, caption: str = "", arrays: Pictures | None = None):
    """The figure: a panel for each run of which there are arrays, by id; its latents by how much they say of images.

    Without `arrays`, those of `methods.kept`."""
    arrays = methods.kept(chosen(rows)) if arrays is None else arrays
    grids = {}
    for line in best(rows):
        if line["id"] in arrays:
            own = arrays[line["id"]]
            labels = [_row_label(own, latent) for latent in own["latents"]]
            grids[heading(line)] = plots.Traversal(plots.shown(own["images"]), labels, own["points"])
    return plots.traversals(grids, note(rows, caption))


def tabulate(rows: Sequence[Row], paper: Sequence[Row], arrays: Pictures) -> str:
    """What the latents of each run encode, those that encode anything."""
    lines, most = [], 0
    for line in best(rows):
        own = arrays.get(line["id"])
        cells = [] if own is None else [_cell(own, latent) for latent in own["latents"] if _says(own, latent)]
        most = max(most, len(cells))
        data = methods.title(methods.alike(rows), line["run.dataset"])
        lines.append([data, name(line), line["run.seed"], f"{float(line['mig']):.3f}", *cells])
    header = ["data", "method", "seed", "MIG", *(f"latent {place}" for place in range(1, most + 1))]
    return results.table(header, [line + [""] * (len(header) - len(line)) for line in lines])


def _says(arrays: Arrays, latent: int) -> bool:
    """Whether a latent says anything of images."""
    return bool(arrays["image_information"][latent] >= LEAST)


def _cell(arrays: Arrays, latent: int) -> str:
    """What a latent says of images, and of the factor that it says most of."""
    factor, information, share = encodes(arrays, latent)
    about = f": {information:.2f} of {factor} ({share:.0%})" if factor != "no factor" else ", no factor"
    return f"z{latent}, {arrays['image_information'][latent]:.2f} nats{about}"


def check(rows: Sequence[Row], paper: Sequence[Row] = PUBLISHED) -> list[Claim]:
    """Nothing: the paper's traversals are pictures to look at."""
    return []


def explain(rows: Sequence[Row]) -> str:
    """How the runs and latents were chosen."""
    return (
        f"Qualitative. {of_how_many(rows)} Latents, counted from 0, stand in the order of I(z_j; n), the nats that "
        "each says of which image it is. With each is the factor, scored or not, that it says most of: I(z_j; v_k) in "
        f"nats, its share of H(v_k) in the table; below {LEAST:g} nats none. The others stay at the posterior mean of "
        "the central image of the grid.\n"
    )


def of_how_many(rows: Sequence[Row]) -> str:
    """How many runs each of the best was chosen from."""
    counts = sorted({len(candidates(rows, line["run.dataset"], line["run.method"])) for line in best(rows)})
    seeds = " to ".join(str(count) for count in sorted({counts[0], counts[-1]})) if counts else "0"
    return f"Each is the best of {seeds} {'run' if seeds == '1' else 'runs'} of its method, chosen by MIG."
