"""The small arrays behind latent traversals and latent-against-factor pictures. Draws nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tcvae_tf import files, metrics
from tcvae_tf.codes import Codes
from tcvae_tf.factors import FactorGrid
from tcvae_tf.metrics import families

if TYPE_CHECKING:
    from tcvae_tf.datasets import Dataset

#: Latents that are traversed, and where to: values of z_j, which are standard deviations of the prior N(0, 1).
LATENTS = 6
POINTS = np.linspace(-2, 2, 9, dtype=np.float32)
#: Greys of the kept images. More could not be told apart, and take twice the room.
GREYS = 32


def traverse(vae: Any, loc: np.ndarray, points: np.ndarray = POINTS) -> np.ndarray:
    """E p(x|z) where one latent at a time moves: image [j, t] is of z = loc but z_j = points[t].

    Args:
      vae: a `tc.VAE`, or a model that owns one as `.vae`.
      loc: the latents that stay, [D]; the posterior mean of an image, say.
      points: values of the latent that moves, [T].

    Returns:
      uint8 [D, T, H, W, C], 0…255 for pixel probabilities or greys 0…1.

    Raises:
      ValueError: loc that does not have the model's D latents.
    """
    vae = getattr(vae, "vae", vae)
    loc, points = np.asarray(loc, np.float32), np.asarray(points, np.float32)
    if loc.shape != (vae.latent_dim,) or points.ndim != 1:
        raise ValueError(f"traverse: loc must be [D] = [{vae.latent_dim}], points [T]; got {loc.shape}, {points.shape}")
    z = np.tile(loc, (len(loc), len(points), 1))
    z[np.arange(len(loc)), :, np.arange(len(loc))] = points
    images = vae.decode(z.reshape(-1, len(loc))).mean().numpy()
    return np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8).reshape(*z.shape[:2], *images.shape[1:])


def central(grid: FactorGrid) -> int:
    """The cell in the middle of a grid, of those that can occur, by flat index."""
    sizes, cells = np.array(grid.sizes), grid.cells
    distance = np.abs(grid.to_values(cells) - sizes // 2) / sizes
    return int(cells[np.argmin(distance.sum(axis=1))])


def given(codes: Codes, factor: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the posterior means μ_nj over the images with v_k = v, by p(n|v).

    What the other factors do to a latent is in the deviation.

    Returns:
      two arrays [D, V]; NaN for a value that cannot occur.
    """
    grid = codes.grid
    cells, marginal = grid.cells, grid.marginal(factor)
    p, values, loc = grid.probabilities[cells], grid.values(factor)[cells], codes.loc[cells].astype(np.float64)

    def average(columns: np.ndarray) -> np.ndarray:
        sums = np.stack([np.bincount(values, p * column, len(marginal)) for column in columns.T])
        return np.divide(sums, marginal, out=np.full_like(sums, np.nan), where=marginal > 0)

    centre = p @ loc
    mean = average(loc - centre)
    return mean + centre[:, None], np.sqrt(np.maximum(average((loc - centre) ** 2) - mean**2, 0))


def of(vae: Any, data: Dataset, codes: Codes) -> dict[str, np.ndarray]:
    """What is worth a picture in a trained model.

    Args:
      vae: a `tc.VAE`, or a model that owns one as `.vae`.
      data: the images that it was trained on.
      codes: its posteriors of them, normal or Laplace.

    Returns:
      image_information: I(z_j; n) = H(z_j) − H(z_j|n) in nats, what latent j says of which image it is, [D].
      factors: the K factors of which several values occur, scored or not; scored: those that MIG scores.
      mutual_information: I(z_j; v_k) in nats, [D, K]; entropies: H(v_k) in nats, [K].
      mean.<factor>, deviation.<factor>: what `given` has of each scored factor, [D, V].
      anchor: the image, by flat index, at whose posterior mean the traversals meet; anchor_image: uint8 [H, W, C].
      points: values of the latent that moves, [T].
      latents: the L latents of largest I(z_j; n), in this order, and images: their traversals in `GREYS` greys, uint8
        [L, T, H, W, C].
    """
    grid = codes.grid
    everything = dataclasses.replace(codes, grid=dataclasses.replace(grid, scored=grid.varying))
    information = metrics.mig(everything, verbose=0)
    cells, p = grid.cells, grid.probabilities[grid.cells]
    noise = p @ np.log(codes.scale[cells].astype(np.float64)) + families.of(codes, "pictures").entropy
    of_image = np.maximum(information.latent_entropies - noise, 0)
    chosen = np.argsort(-of_image, kind="stable")[:LATENTS]
    anchor = central(grid)
    arrays = {
        "image_information": of_image.astype(np.float32),
        "factors": np.array(information.factors),
        "scored": np.array(grid.scored),
        "mutual_information": information.mutual_information.astype(np.float32),
        "entropies": information.entropies.astype(np.float32),
        "anchor": np.array(anchor),
        "anchor_image": np.rint(255 * data.images(anchor)[0]).astype(np.uint8),
        "points": POINTS,
        "latents": chosen,
        "images": _fewer_greys(traverse(vae, codes.loc[anchor])[chosen]),
    }
    for name in grid.scored or ():
        mean, deviation = given(codes, name)
        arrays |= {f"mean.{name}": mean.astype(np.float32), f"deviation.{name}": deviation.astype(np.float32)}
    return arrays


def _fewer_greys(images: np.ndarray) -> np.ndarray:
    """The nearest of `GREYS` equally spaced greys, black and white among them."""
    step = 255 / (GREYS - 1)
    return np.rint(np.rint(images / step) * step).astype(np.uint8)


def save(path: str | Path, vae: Any, data: Dataset, codes: Codes) -> None:
    """Writes what `of` gives as npz, whole or not at all. The same arrays give the same bytes."""
    with files.replacing(path) as temporary:
        np.savez_compressed(temporary, **of(vae, data, codes))  # type: ignore[arg-type]


def load(path: str | Path) -> dict[str, np.ndarray]:
    """Reads what `save` wrote."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
