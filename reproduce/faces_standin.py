"""The stand-in for the paper's 3D Faces: a contact sheet, and how much each factor changes the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reproduce import methods
from tcvae_tf import datasets, plots, results
from tcvae_tf.datasets import faces3d
from tcvae_tf.results import Claim, Row

TITLE = f"3D Faces: {faces3d.STAND_IN}"
FILE = "faces3d.csv"
#: Arguments of `compute` for the preset smoke: every fifth value of each factor.
SMOKE = (5,)
#: Least change of a picture, in the mean over its pixels, when a factor moves by half its range.
LEAST = 0.02


def compute(thin: int = 1) -> list[Row]:
    """For each factor, its share of the variance of the pixels and the change over half its range: a line each."""
    data = datasets.load("faces3d", source="generated").thin(thin)
    pixels = data.storage.reshape(*data.grid.sizes, -1)
    rows = []
    for axis, (name, size) in enumerate(zip(data.grid.names, data.grid.sizes, strict=True)):
        values = np.moveaxis(pixels, axis, 0)
        means = np.stack([value.reshape(-1, value.shape[-1]).mean(axis=0) for value in values])
        changes = [_change(values[v], values[v + size // 2]) for v in range(size - size // 2)]
        row = {"factor": name, "values": str(size), "images": str(len(data)), "sha256": data.sha256}
        row["variance"] = f"{means.var(axis=0).mean() / _variance(pixels):.4g}"
        rows.append({**row, "change": f"{np.mean(changes):.4g}", "least": f"{np.min(changes):.4g}"})
    return rows


def _change(one: np.ndarray, other: np.ndarray) -> float:
    """Mean |x − x'| of images, pixels from 0 to 1."""
    pairs = zip(one, other, strict=True)
    return float(np.mean([np.abs(a.astype(np.int16) - b).mean() for a, b in pairs])) / 255


def _variance(pixels: np.ndarray) -> float:
    """Of a pixel over all images, in the mean over pixels, with values from 0 to 255."""
    flat = pixels.reshape(-1, pixels.shape[-1])
    sums = np.zeros((2, flat.shape[1]))
    for start in range(0, len(flat), 8192):
        part = flat[start : start + 8192].astype(np.float32)
        sums += part.sum(axis=0, dtype=np.float64), np.square(part).sum(axis=0, dtype=np.float64)
    mean, square = sums / len(flat)
    return float(np.mean(square - mean**2))


def caption(rows: Sequence[Row]) -> str:
    return faces3d.STAND_IN


def draw(rows: Sequence[Row], paper: Sequence[Row] = methods.PUBLISHED):
    """The contact sheet, rendered here."""
    return plots.contact_sheet(faces3d.contact_images(), f"3D faces: {caption(rows)}")


def tabulate(rows: Sequence[Row], paper: Sequence[Row]) -> str:
    """The table."""
    columns = ("factor", "values", "variance", "change", "least")
    header = [
        "factor",
        "values",
        "share of the pixels' variance",
        "mean change over half the range",
        "least such change",
    ]
    return results.table(header, [[row[name] for name in columns] for row in rows])


def check(rows: Sequence[Row], paper: Sequence[Row] = methods.PUBLISHED) -> list[Claim]:
    """Every factor shows."""
    return [
        Claim(
            f"half the range of {row['factor']} changes the picture by {LEAST} or more in the mean",
            results.OWN,
            row["least"],
            float(row["least"]) >= LEAST,
        )
        for row in rows
    ]


def explain(rows: Sequence[Row]) -> str:
    """What is shown."""
    turned, raised, lit = faces3d.AZIMUTH, faces3d.ELEVATION, faces3d.LIGHTING
    return (
        f"{int(rows[0]['images']):,} images, sha256 {rows[0]['sha256']}, rendered from a head in the public domain on "
        f"the grid of the paper's set, which may not be passed on: azimuth ±{turned:g}°, elevation ±{raised:g}°, light "
        f"±{lit:g}°. The paper's ranges are not published. Pixels go from 0 to 1; the least change is over all pairs "
        "of values half the range apart, in the mean over the other factors. The rest of the variance is of "
        "combinations of factors.\n"
    )
