"""3D faces: 50 identities × 21 azimuths × 11 elevations × 11 lights, 127,050 grey images of 64×64.

The paper's images are renders of the Basel Face Model, which may not be passed on: `basel` takes them from a file that
the user has. `generate` renders a stand-in on the same grid from a head in the public domain; results on it cannot
be compared with the paper's, and whoever shows them says so (`STAND_IN`).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tcvae_tf import provenance
from tcvae_tf.datasets import faces_render, faces_shape, workers
from tcvae_tf.factors import FactorGrid

GRID = FactorGrid(
    names=("identity", "azimuth", "elevation", "lighting"),
    sizes=(50, 21, 11, 11),
    # The paper scores pose and light; identity still varies and is noise to the measure.
    scored=("azimuth", "elevation", "lighting"),
)
IMAGE_SHAPE = (64, 64, 1)
#: The words that belong to everything made from the generated images.
STAND_IN = "rendered stand-in, not the Basel faces"
#: The number is raised when the pictures change.
CACHE_NAME = "faces3d-standin-1"
#: sha256 of the uint8 array (127050, 64, 64, 1) that `generate` writes.
SHA256 = "7f64d4fe3e3c416ebdebb9eeb65e34dc342c004a4b44d1a3b97b0e849f05d0f6"

#: Degrees, from the first value of a factor to the last, in equal steps about 0: the head turned to the viewer's right,
#: seen from above, and lit from the viewer's right.
AZIMUTH, ELEVATION, LIGHTING = 60.0, 40.0, 40.0
#: Pixels for a decimetre: the largest head fills the picture.
_SCALE = 24.0
#: Images of one identity and azimuth.
CHUNK = GRID.sizes[2] * GRID.sizes[3]


def angles(extent: float, count: int) -> list[float]:
    """`count` equal steps from −extent to extent."""
    return [extent * (2 * k - count + 1) / (count - 1) for k in range(count)]


def render(cells: Sequence[int] | np.ndarray) -> np.ndarray:
    """The pictures of grid cells by flat index, uint8 [n, 64, 64, 1].

    Neighbours that differ in the light alone share a pose, which is rasterised once.
    """
    images = np.empty((len(cells), *IMAGE_SHAPE), np.uint8)
    posed = None
    for image, (identity, azimuth, elevation, light) in zip(images, GRID.to_values(cells).tolist(), strict=True):
        if posed != (identity, azimuth, elevation):
            posed = identity, azimuth, elevation
            fragments, albedo = _pose(*posed)
        image[..., 0] = faces_render.light(fragments, albedo, angles(LIGHTING, GRID.sizes[3])[light])
    return images


def _pose(identity: int, azimuth: int, elevation: int) -> tuple[faces_render.Fragments, np.ndarray]:
    mesh, tones = _head(identity)
    turned, raised = angles(AZIMUTH, GRID.sizes[1])[azimuth], angles(ELEVATION, GRID.sizes[2])[elevation]
    fragments = faces_render.rasterise(mesh, turned, raised, _SCALE)
    return fragments, faces_shape.paint(fragments, tones)


@functools.lru_cache(maxsize=2)
def _head(identity: int) -> tuple[faces_render.Mesh, np.ndarray]:
    weights, tones = _identities()
    return faces_shape.mesh(weights[identity]), tones[identity]


@functools.cache
def _identities() -> tuple[np.ndarray, np.ndarray]:
    """Weights [50, K] and tones [50, 5] in thousandths; `tcvae_tf.datasets.identities` is their recipe."""
    with np.load(faces_shape.DATA / "faces3d_identities.npz") as file:
        return file["weights"], file["tones"]


def generate(write: Callable[[int, np.ndarray], None], processes: int | None = None) -> None:
    """Renders the whole set, calling `write(first_index, images)` with uint8 [121, 64, 64, 1] for each chunk.

    Args:
      write: called in this process, in no certain order.
      processes: how many; by default one for each core. With 1 it is done in this one.
    """
    chunks = range(GRID.sizes[0] * GRID.sizes[1])
    with _progress(len(chunks)) as advance:
        for chunk, images in workers.run(f"{__name__}:render_chunk", chunks, processes or provenance.cores()):
            write(chunk * CHUNK, np.frombuffer(images, np.uint8).reshape(CHUNK, *IMAGE_SHAPE))
            advance()


def render_chunk(chunk: int) -> bytes:
    """The pictures of a chunk, counted over identities and azimuths."""
    return render(np.arange(chunk * CHUNK, (chunk + 1) * CHUNK)).tobytes()


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[], object]]:
    """A progress bar on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("rendering faces, once", total=total)
        yield lambda: bar.advance(task)


def contact_rows() -> dict[str, np.ndarray]:
    """Cells for a contact sheet, flat indices by the label of their row: every identity from the front, and for two of
    them each of the other factors from its first value to its last."""
    middle = [size // 2 for size in GRID.sizes]
    front = GRID.to_indices([[i, middle[1], middle[2], middle[3] + 2] for i in range(GRID.sizes[0])])
    rows = {f"identity {k + 1}–{min(k + 11, len(front))}": front[k : k + 11] for k in range(0, len(front), 11)}
    for identity in (2, 10):
        for axis, name in enumerate(GRID.names[1:], start=1):
            cells = np.tile([identity, *middle[1:3], middle[3] + 2], (11, 1))
            cells[:, axis] = np.linspace(0, GRID.sizes[axis] - 1, 11).astype(int)
            rows[f"{name} of {identity + 1}"] = GRID.to_indices(cells)
    return rows


def contact_images() -> dict[str, np.ndarray]:
    """The pictures of `contact_rows`, uint8 [n, 64, 64], rendered here without the whole set."""
    return {label: render(cells)[..., 0] for label, cells in contact_rows().items()}
