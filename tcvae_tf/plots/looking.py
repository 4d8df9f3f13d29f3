"""One trained model at a glance, each picture in one call: its traversals, what its latents know of factors, and how
its training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tcvae_tf import files
from tcvae_tf.plots import style
from tcvae_tf.plots.pictures import Traversal, shown, traversals
from tcvae_tf.plots.relations import Relation, information, latent_vs_factor
from tcvae_tf.plots.style import COLOURS, COLUMN, PAGE, SMALL, TINY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Nats below which a latent is not said to encode a factor, or anything.
LEAST = 0.05
#: What `pictures.load` reads from a run's pictures.npz.
Arrays = Mapping[str, np.ndarray]


def encodes(arrays: Arrays, latent: int) -> str:
    """The factor that a latent says most of, with I(z_j; v_k), such as "posX, 2.1 nats".

    "no factor" below `LEAST` nats, "nothing" where it does not even tell images apart, I(z_j; n) below `LEAST`.
    """
    if arrays["image_information"][latent] < LEAST:
        return "nothing"
    nats = arrays["mutual_information"][latent]
    k = int(np.argmax(nats))
    return f"{arrays['factors'][k]}, {nats[k]:.1f} nats" if nats[k] >= LEAST else "no factor"


def traversal(arrays: Arrays, title: str = "", caption: str = "") -> Figure:
    """What the decoder draws while one latent at a time moves, the most informative latents first.

    Args:
      arrays: of `pictures.load("runs/<id>/pictures.npz")` or `pictures.of(vae, data, codes)`.
      title: above it.
      caption: printed below.
    """
    labels = [f"z{latent}: {encodes(arrays, latent)}" for latent in arrays["latents"]]
    return traversals({title: Traversal(shown(arrays["images"]), labels, arrays["points"])}, caption)


def latents(arrays: Arrays, title: str = "", caption: str = "") -> Figure:
    """How the informative latents follow the scored factors: means of posterior means, a band of one deviation over the
    other factors, and I(z_j; v_k) in nats.

    Args:
      arrays, title, caption: as `traversal` has them.
    """
    names, scored = arrays["factors"].tolist(), arrays["scored"].tolist()
    rows = [
        [
            Relation(
                arrays[f"mean.{factor}"][latent],
                arrays[f"deviation.{factor}"][latent],
                float(arrays["mutual_information"][latent, names.index(factor)]),
            )
            for factor in scored
        ]
        for latent in arrays["latents"]
    ]
    return latent_vs_factor({title: rows}, {title: [f"z{j}" for j in arrays["latents"]]}, {title: scored}, caption)


def heat_map(found: Any, title: str = "", caption: str = "") -> Figure:
    """I(z_j; v_k) / H(v_k), the share of each factor that each latent knows; the most informative latents come first.

    Args:
      found: what `tc.mig(codes)` returned, or the arrays of a run's pictures.npz.
      title, caption: as `traversal` has them.

    Raises:
      ValueError: something that has no I(z_j; v_k), such as a record, which keeps only the gaps.
    """
    part: Any = found.get if isinstance(found, Mapping) else lambda name: getattr(found, name, None)
    nats, entropies, factors = part("mutual_information"), part("entropies"), part("factors")
    if np.ndim(nats) != 2 or entropies is None or factors is None:
        raise ValueError(
            "heat_map takes what tc.mig(codes) returns, or the arrays of a run's pictures.npz; a record has only gaps, "
            f"not I(z_j; v_k); got {type(found).__name__}"
        )
    share = np.asarray(nats) / np.asarray(entropies)
    of_image = part("image_information")
    order = np.argsort(-(share.sum(axis=1) if of_image is None else of_image), kind="stable")
    return information({title: (share[order], [f"z{j}" for j in order], [str(name) for name in factors])}, caption)


#: What `training` draws: for each panel, by the label of its axis, its curves by label: a column of the history, or
#: the first less the second. Columns "data_…" are measured over all data; the others are means over minibatches.
_CURVES: dict[str, dict[str, tuple[str, ...]]] = {
    "ELBO, nats": {"all data": ("data_elbo",), "minibatches": ("reconstruction", "kl")},
    "parts of the KL, nats": {
        "I(z; n)": ("data_mutual_information",),
        "TC": ("data_total_correlation",),
        "Σ KLⱼ": ("data_dimension_kl",),
        "KL, minibatches": ("kl",),
    },
    "minibatch estimates, nats": {
        "I(z; n)": ("mutual_information",),
        "TC": ("total_correlation",),
        "Σ KLⱼ": ("dimension_kl",),
    },
    "MIG": {"all data": ("data_mig",)},
    "discriminator accuracy": {"minibatches": ("discriminator_accuracy",)},
}


#: Where a history has nothing of these.
_LOSS = {"loss": {"minibatches": ("loss",)}}


def curves(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """What a history has of each panel of `training`: steps and values by label, without lines that have no value or
    only repeat what was measured last.

    Raises:
      ValueError: no row, or none with a step and a value.
    """
    panels = _of(rows, _CURVES) or _of(rows, _LOSS)
    if not panels:
        raise ValueError("training takes the rows of a run's history.csv: a step, and the loss's terms; there are none")
    return panels


def _of(rows: Sequence[Mapping[str, Any]], wanted: Mapping[str, Mapping[str, tuple[str, ...]]]) -> dict:
    """Steps and values of the panels that are wanted and known."""
    panels: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    for panel, lines in wanted.items():
        for label, columns in lines.items():
            kept = [row for row in rows if row.get("step") and all(row.get(name) for name in columns)]
            points = np.array([[float(row[name]) for name in ("step", *columns)] for row in kept])
            if len(points):
                steps, values = points[:, 0], points[:, 1] - points[:, 2:].sum(axis=1)
                new = np.diff(values, prepend=np.nan) != 0
                panels.setdefault(panel, {})[label] = steps[new], values[new]
    return panels


@style.styled
def training(rows: Sequence[Mapping[str, Any]], title: str = "", caption: str = "") -> Figure:
    """The ELBO, its terms and MIG over training, a panel for each that the history has.

    Measures of the whole data set are lines with marks, means over the minibatches of an epoch are broken. What a
    minibatch says of I(z; n), TC and Σ KL_j has a panel of its own: it is a signal for training, far from the nats.

    Args:
      rows: the lines of a run's history.csv, as `results.read_rows("runs/<id>/history.csv")` gives them.
      title, caption: as `traversal` has them.

    Raises:
      ValueError: rows without a step and a value.
    """
    panels = curves(rows)
    across = {1: 1, 2: 2, 4: 2}.get(len(panels), 3)
    down = -(-len(panels) // across)
    figure = style.blank(PAGE if across == 3 else across * COLUMN, 2 * down + (0.2 if title else 0))
    for axes, (label, lines) in zip(style.axes_of(figure, down, across, len(panels)), panels.items(), strict=True):
        _curve_panel(axes, label, lines)
    if title:
        figure.suptitle(style.wrapped(title, figure.get_figwidth(), style.FONT))
    style.describe(figure, caption)
    return figure


def _curve_panel(axes: Axes, label: str, lines: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """One panel of `training`, with its key above."""
    places = list((_CURVES | _LOSS)[label])
    for name, (steps, values) in lines.items():
        broken = "minibatch" in name + label
        look: dict[str, Any] = {"linestyle": "--"} if broken else {"marker": "o", "markersize": 2.5, "markevery": 0.06}
        look |= {"marker": "o", "markersize": 2.5} if len(steps) == 1 else {}  # a line of one point shows nothing
        axes.plot(steps / 1000, values, color=COLOURS[places.index(name)], linewidth=1.2, label=name, **look)
    axes.set_xlabel("thousand steps")
    axes.set_ylabel(label)
    axes.margins(y=0.08)
    style.lattice(axes)
    options = {"fontsize": TINY, "handlelength": 1.8, "columnspacing": 1.0, "borderpad": 0.1}
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4 if len(lines) < 4 else 2, **options)


@style.styled
def traversal_gif(arrays: Arrays, path: str | Path, seconds: float = 3.0, title: str = "") -> None:
    """Writes an animation: every latent in a tile of its own, moving there and back; a dot says where it is.

    Args:
      arrays: as `traversal` has them.
      path: a .gif file, written whole or not at all; the same arrays give the same bytes.
      seconds: of one round.
      title: above it.

    Raises:
      ValueError: another suffix, or no time.
    """
    from matplotlib.animation import PillowWriter

    path, count = Path(path), len(arrays["points"])
    if path.suffix.lower() != ".gif" or not seconds > 0:
        raise ValueError(f"traversal_gif writes a .gif in more than 0 seconds a round; got {path.name}, {seconds=}")
    order = [*range(count), *range(count - 2, 0, -1)]
    figure, movers = _tiles(arrays, title)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the layout of the first frame is that of all
    writer = PillowWriter(fps=max(1, round(len(order) / seconds)))
    with files.replacing(path) as temporary, writer.saving(figure, str(temporary), dpi=110):
        for step in order:
            for move in movers:
                move(step)
            writer.grab_frame()


def _tiles(arrays: Arrays, title: str) -> tuple[Figure, list]:
    """A tile for each latent, and for each a function that shows one of its points."""
    count = len(arrays["latents"])
    height, width = arrays["images"].shape[2:4]
    across = min(count, 6)
    down, tile = -(-count // across), PAGE / across
    figure = style.blank(PAGE, down * (tile * height / width + 0.42) + (0.25 if title else 0.05))
    if title:
        figure.suptitle(title)
    movers = [
        _tile(axes, images, arrays["points"], f"z{latent}\n{encodes(arrays, latent)}")
        for axes, images, latent in zip(
            style.axes_of(figure, down, across, count), arrays["images"], arrays["latents"], strict=True
        )
    ]
    return figure, movers


def _tile(axes: Axes, images: np.ndarray, points: np.ndarray, label: str):
    """An image over a scale with a dot, and a function that moves both to a point."""
    height, width = images.shape[1:3]
    frames = shown(images)
    picture = axes.imshow(frames[0], cmap="gray", vmin=0, vmax=255)
    at = np.interp(points, [points.min(), points.max()], [0.12 * width, 0.88 * width])
    level = 1.06 * height
    axes.plot([at.min(), at.max()], [level, level], color="0.75", linewidth=1, clip_on=False)
    (dot,) = axes.plot([at[0]], [level], "o", color=COLOURS[0], markersize=4, clip_on=False)
    axes.set_title(label, fontsize=SMALL, linespacing=1.3, pad=3)
    axes.axis("off")
    axes.set_ylim(1.12 * height, -0.5)

    def move(step: int) -> None:
        picture.set_data(frames[step])
        dot.set_xdata([at[step]])

    return move
