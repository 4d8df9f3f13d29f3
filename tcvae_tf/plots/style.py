"""What all figures share: colours, type, the widths of a paper's columns, captions and keys, and how they are saved."""

from __future__ import annotations

import functools
import importlib.util
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from tcvae_tf import files

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")

#: Okabe and Ito's colours, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
#: Methods that have a colour of their own, whatever else a figure shows.
METHODS = ("VAE", "β-VAE", "FactorVAE", "β-TCVAE")
#: Marks that go with the colours, so that curves differ in grey print too.
MARKS = "osD^vP"
#: Inches: the width of one column of a paper, and of its page.
COLUMN, PAGE = 3.35, 6.8
#: Points: the size of type, of small type, and of captions.
FONT, SMALL, TINY = 8, 7, 6
#: About how wide a letter is, in parts of the size of its type; layouts guess with it where lines break.
LETTER = 0.6
STYLE = {
    "font.size": FONT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelsize": FONT,
    "axes.titlesize": FONT,
    "figure.titlesize": FONT,
    "legend.frameon": False,
    "savefig.dpi": 200,
    "svg.hashsalt": "tcvae_tf",  # the same drawing gives the same bytes
    "svg.fonttype": "none",  # letters as text: their outlines come in an order that changes
}


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """A function that draws in the style of the figures."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        import matplotlib

        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn


def blank(width: float, height: float, layout: Any = "constrained") -> Figure:
    """An empty figure, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout=layout)


def axes_of(figure: Figure, down: int, across: int, count: int) -> list[Axes]:
    """The first `count` axes of a grid, by rows, without the others."""
    axes = figure.subplots(down, across, squeeze=False).flat
    for empty in axes[count:]:
        empty.remove()
    return list(axes[:count])


def inches(text: str, size: float = FONT) -> float:
    """About how wide the longest line of a text is."""
    return LETTER * size / 72 * max(map(len, text.split("\n")))


def one_line(label: str) -> str:
    """A label of several lines, for a key."""
    return ", ".join(label.split("\n"))


def wrapped(text: str, width: float, size: float = TINY) -> str:
    """A text in lines of at most about `width` inches."""
    letters = max(1, int(width * 72 / (0.9 * LETTER * size)))
    return "\n".join(textwrap.fill(line, letters) for line in text.split("\n"))


def describe(figure: Figure, caption: str, grow: bool = True, size: float = TINY) -> None:
    """Prints a caption below, in small grey type. With `grow` the figure becomes higher by its lines."""
    if not caption:
        return
    text = wrapped(caption, figure.get_figwidth(), size)
    if grow:
        figure.set_figheight(figure.get_figheight() + (text.count("\n") + 1) * 1.2 * size / 72)
    figure.supxlabel(text, fontsize=size, color="0.35")


def key(figure: Figure, entries: Mapping[str, Any]) -> None:
    """A key above: what each mark stands for, by label, in as many rows as fit; the figure becomes higher by them."""
    if not entries:
        return
    labels = [one_line(label) for label in entries]
    fit = max(1, int(figure.get_figwidth() / max(inches(label) + 0.45 for label in labels)))
    rows = math.ceil(len(labels) / fit)
    figure.set_figheight(figure.get_figheight() + 0.17 * rows + 0.05)
    figure.legend(
        list(entries.values()), labels, loc="outside upper center", ncols=math.ceil(len(labels) / rows), borderpad=0
    )


def lattice(axes: Axes, axis: Literal["both", "x", "y"] = "both") -> None:
    """Pale lines behind what is drawn."""
    axes.grid(axis=axis, color="0.9")
    axes.set_axisbelow(True)


def places(labels: Sequence[str]) -> dict[str, int]:
    """The colour and mark of each label: those of its method in every figure, the next ones for others."""
    known = {label: label.replace(",", "\n").split("\n")[0] for label in labels}
    others = [label for label in labels if known[label] not in METHODS]
    first = len(METHODS) if len(others) < len(labels) else 0
    return {label: first + others.index(label) if label in others else METHODS.index(known[label]) for label in labels}


def names(groups: Iterable[Iterable[str]]) -> list[str]:
    """Every name once, in the order in which they first come."""
    return list(dict.fromkeys(name for group in groups for name in group))


def minus(number: float, digits: int = 2) -> str:
    """A number as short as its digits allow, with a minus sign in place of a hyphen."""
    return f"{round(number, digits) + 0.0:g}".replace("-", "\N{MINUS SIGN}")


def need_matplotlib() -> None:
    """
    Raises:
      ImportError: pictures cannot be drawn here.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError("pictures need matplotlib: pip install -e '.[reproduce]'")


def shows_images(figure: Figure) -> bool:
    """Whether a figure shows images, of which an SVG holds the same pixels as a PNG."""
    return any(axes.images for axes in figure.axes)


def save(figure: Figure, path: str | Path, vector: bool = True) -> None:
    """Writes a figure as PNG, with `vector` as SVG beside it, without a date: the same figure gives the same bytes.

    The PNG is grey where the figure is, and else has 256 colours where it shows no images: half the size, or a third.
    """
    import matplotlib

    path = Path(path)
    with matplotlib.rc_context(STYLE):
        with files.replacing(path.with_suffix(".png")) as temporary:
            figure.savefig(temporary, metadata={"Software": None})
            _shrink(temporary, most=0 if shows_images(figure) else 256)
        if vector:
            with files.replacing(path.with_suffix(".svg")) as temporary:
                figure.savefig(temporary, metadata={"Date": None})


def _shrink(path: Path, most: int) -> None:
    """Writes a PNG again: in grey if it is, else with at most so many colours; 0 keeps all."""
    from PIL import Image, ImageChops

    with Image.open(path) as opened:
        picture, dpi = opened.convert("RGB"), opened.info.get("dpi")
    grey = picture.convert("L")
    if not ImageChops.difference(picture, grey.convert("RGB")).getbbox():
        picture = grey
    elif most:
        picture = picture.quantize(most)
    picture.save(path, "png", optimize=True, **({"dpi": dpi} if dpi else {}))
