"""The recipe of faces3d_identities.npz: fifty heads drawn at random, as whole numbers.

    python -m tcvae_tf.datasets.identities -o faces3d_identities.npz

The file is shipped, so that pictures depend on no random generator.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from tcvae_tf.datasets import faces_shape
from tcvae_tf.datasets.head import DEGREES, ETHNICITIES

COUNT, SEED = 50, 2018
#: How far controls of each part go; those not listed stay where they are: the neck, and the shape of the ears.
_REACH = {
    "head": 0.4,
    "nose": 0.6,
    "mouth": 0.55,
    "chin": 0.5,
    "cheek": 0.6,
    "eye": 0.5,
    "ear": 0.5,
    "forehead": 0.35,
    "eyebrows": 0.5,
}
#: Controls that look odd soon, or like a mood.
_LOW = {
    "head-scale-vert": 0.2,
    "head-scale-depth": 0.2,
    "head-back-scale-depth": 0.2,
    "head-age": 0.2,
    "head": 0.3,
    "nose-compression": 0.3,
    "mouth-angles": 0.25,
    "mouth-scale-depth": 0.25,
    "mouth-scale-horiz": 0.3,
    "mouth-laugh-lines": 0.2,
    "chin-jaw-drop": 0.2,
    "chin-prognathism": 0.3,
    "forehead-scale-vert": 0.2,
    "eyebrows-angle": 0.2,
}
_OPPOSITES = {
    "decr": "incr",
    "down": "up",
    "in": "out",
    "backward": "forward",
    "concave": "convex",
    "compress": "uncompress",
}
#: Least distance of two heads, root mean square over the vertices of the face, in decimetres.
_APART = 0.019


def controls(names: Sequence[str]) -> Iterator[tuple[list[str], list[str], float]]:
    """Left–right symmetric controls: the targets of one end, those of the other (or none), and the reach."""
    for name in names:
        part, _, rest = name.removeprefix("l-").partition("-")
        stem, _, end = name.rpartition("-")
        if part not in _REACH or name.startswith("r-") or "trans" in rest or rest.startswith("shape"):
            continue
        if end in _OPPOSITES.values():
            continue
        sides = [name, "r-" + name[2:]] if name.startswith("l-") else [name]
        other = _OPPOSITES.get(end)
        opposite = [side.removesuffix(end) + other for side in sides] if other else []
        yield sides, opposite, _LOW.get(stem, _REACH[part])


def macro(ethnicity: np.ndarray, gender: float, age: float, muscle: float, weight: float) -> dict[str, float]:
    """Weights of the macro targets: products, as in MakeHuman. gender 0 female … 1 male, age 0 young … 1 old."""
    persons = {
        f"{sex}-{years}": share * part
        for sex, share in (("female", 1 - gender), ("male", gender))
        for years, part in (("young", 1 - age), ("old", age))
    }
    found = {
        f"{e}-{who}": w * share for e, w in zip(ETHNICITIES, ethnicity, strict=True) for who, share in persons.items()
    }
    for who, share in persons.items():
        for m, a in zip(DEGREES, _degrees(muscle), strict=True):
            for n, b in zip(DEGREES, _degrees(weight), strict=True):
                found[f"universal-{who}-{m}muscle-{n}weight"] = share * a * b
    return found


def _degrees(amount: float) -> tuple[float, float, float]:
    """Shares of average, max and min for an amount 0 … 1."""
    return 1 - abs(2 * amount - 1), max(2 * amount - 1, 0), max(1 - 2 * amount, 0)


def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One head: weights [K] of the targets and tones [5], in thousandths, as `faces_shape` takes them."""
    names = faces_shape.template().names
    weights = dict.fromkeys(names, 0.0)
    weights |= macro(rng.dirichlet([0.6] * 3), rng.beta(0.7, 0.7), rng.beta(1.2, 2.5), rng.beta(2, 2), rng.beta(2, 2))
    for one, other, reach in controls(names):
        amount = reach * np.clip(rng.normal(0, 0.5), -1, 1)
        for name in one if amount < 0 or not other else other:
            weights[name] = abs(amount)
    tones = rng.uniform([500, 620, 150, 120, 0], [950, 850, 600, 450, 1000])
    return _whole(list(weights.values())), _whole(tones / 1000)


def _whole(values) -> np.ndarray:
    return np.rint(1000 * np.asarray(values)).astype(np.int16)


def natural(head: np.ndarray) -> bool:
    """Whether a skull's proportions are those that people have. head: vertices of the skin above the neck."""
    width, height, depth = np.ptp(head, axis=0) / faces_shape.SNAP
    return 0.76 < width / height < 0.90 and 0.88 < depth / height < 1.03 and 1.75 < height < 2.25


def choose(seed: int = SEED, count: int = COUNT) -> dict[str, np.ndarray]:
    """`count` natural heads that differ: `weights` [count, K] and `tones` [count, 5], thousandths."""
    rng = np.random.default_rng(seed)
    template = faces_shape.template()
    skull = (template.vertices[:, 1] > faces_shape.CHIN) & ~template.eyeballs
    face = skull & (template.vertices[:, 2] > 0.6)
    weights: list[np.ndarray] = []
    tones: list[np.ndarray] = []
    shapes: list[np.ndarray] = []
    while len(weights) < count:
        drawn, tone = draw(rng)
        head = faces_shape.shape(drawn)
        outline = head[face] / faces_shape.SNAP
        outline -= outline.mean(axis=0)
        near = [np.sqrt(np.mean((outline - other) ** 2)) for other in shapes]
        if natural(head[skull]) and min(near, default=1) > _APART:
            weights.append(drawn)
            tones.append(tone)
            shapes.append(outline)
    return {"weights": np.array(weights), "tones": np.array(tones)}


def main(arguments: Sequence[str] | None = None, say: Callable[[str], object] = print) -> None:
    parser = argparse.ArgumentParser(prog="python -m tcvae_tf.datasets.identities", description="Draws fifty heads.")
    parser.add_argument("-o", "--output", type=Path, default=Path("faces3d_identities.npz"), help="where to write")
    given = parser.parse_args(arguments)
    np.savez_compressed(given.output, **choose())  # type: ignore[arg-type]
    say(f"{given.output}: {COUNT} heads")


if __name__ == "__main__":
    main()
