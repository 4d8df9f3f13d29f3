"""Codes: q(z|x) of every image of a data set. Encode once, measure many."""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tcvae_tf import custom, files, provenance
from tcvae_tf.factors import FactorGrid

if TYPE_CHECKING:
    from tcvae_tf.datasets import Dataset


@dataclasses.dataclass(frozen=True, eq=False)
class Codes:
    """The posteriors of all N images of a grid, in its C order. Every measure is a function of this.

    Args:
      loc: means μ_nj, [N, D].
      scale: standard deviations σ_nj > 0 (the scale parameter of other families), [N, D].
      grid: the factors.
      log_px: log p(x_n|z) with one z ~ q(z|x_n) an image, [N] in nats; None where it is not known.
      posterior: family of q(z|x).
      prior_cross_entropy: −E_q(z_j) log p(z_j), [D] in nats, for priors other than N(0, 1).

    Raises:
      TypeError: a grid that is no FactorGrid, or arrays of something else than real numbers.
      ValueError: wrong shapes or counts, values that are not finite, a scale that is not positive; the message says
        which.
    """

    loc: np.ndarray
    scale: np.ndarray
    grid: FactorGrid
    log_px: np.ndarray | None = None
    posterior: str = "normal"
    prior_cross_entropy: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.grid, FactorGrid):
            raise TypeError(f"Codes: grid must be a tc.FactorGrid; got {type(self.grid).__name__}")
        n = len(self.grid)
        for name in ("loc", "scale", "log_px", "prior_cross_entropy"):
            value = getattr(self, name)
            if value is not None:
                array = np.asarray(value)
                if array.dtype.kind in "cOSUMm":
                    raise TypeError(f"Codes: {name} must hold real numbers; got {array.dtype}")
                object.__setattr__(self, name, array.astype(np.float64) if array.dtype.kind in "biu" else array)
        if self.loc.ndim == 2 and self.loc.shape[1] == n != len(self.loc):
            raise ValueError(f"Codes: loc is {self.loc.shape}, [D, N]; transpose it to [N, D] = [{n}, {len(self.loc)}]")
        if self.loc.ndim != 2 or len(self.loc) != n or self.loc.shape[1] < 1:
            raise ValueError(f"Codes: loc must be [N, D] with N = {n} cells of the grid; got {self.loc.shape}")
        if self.scale.shape != self.loc.shape:
            raise ValueError(f"Codes: scale must have the shape of loc, {self.loc.shape}; got {self.scale.shape}")
        if self.log_px is not None and self.log_px.shape != (n,):
            raise ValueError(f"Codes: log_px must be [N] = ({n},); got {self.log_px.shape}")
        if self.prior_cross_entropy is not None and self.prior_cross_entropy.shape != self.loc.shape[1:]:
            raise ValueError(f"Codes: prior_cross_entropy must be [D]; got {self.prior_cross_entropy.shape}")
        cells = slice(None) if self.grid.weights is None else self.grid.cells
        occurs = np.ones(n, bool) if self.grid.weights is None else self.grid.weights > 0
        for name, value in (("loc", self.loc), ("scale", self.scale), ("log_px", self.log_px)):
            if value is None:
                continue
            bad = np.flatnonzero(~np.isfinite(value.reshape(n, -1)).all(axis=1) & occurs)
            if len(bad):
                raise ValueError(
                    f"Codes: {name} has values that are not finite in {len(bad)} rows, the first is row {bad[0]}; did "
                    "the training diverge?"
                )
        if self.prior_cross_entropy is not None and not np.all(np.isfinite(self.prior_cross_entropy)):
            raise ValueError("Codes: prior_cross_entropy has values that are not finite")
        if self.scale[cells].min() <= 0:
            raise ValueError("Codes: scale must be positive; it is σ, not log σ")

    @property
    def latent_dim(self) -> int:
        """D."""
        return self.loc.shape[1]

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Samples of q(z) over the whole data set: n ~ p(n), then z ~ q(z|x_n); [count, D].

        Raises:
          ValueError: posteriors that are neither normal nor Laplace.
        """
        if self.posterior not in ("normal", "laplace"):
            raise ValueError(f"sample needs normal or laplace posteriors; these codes are {self.posterior!r}")
        rng = np.random.default_rng(seed)
        rows = rng.choice(len(self.grid), size=count, p=self.grid.weights)
        draw = {"normal": rng.normal, "laplace": rng.laplace}[self.posterior]
        return draw(self.loc[rows], self.scale[rows])

    def save(self, path: str | Path) -> None:
        """Writes an npz, whole or not at all; .npz is added to the name where it is missing."""
        arrays = {"loc": self.loc, "scale": self.scale}
        optional = {"log_px": self.log_px, "prior_cross_entropy": self.prior_cross_entropy}
        optional["weights"] = self.grid.weights
        arrays.update({name: value for name, value in optional.items() if value is not None})
        header = json.dumps({"grid": self.grid.to_config(), "posterior": self.posterior})
        path = Path(path)
        with files.replacing(path if path.suffix == ".npz" else path.with_name(path.name + ".npz")) as temporary:
            np.savez(temporary, **{"header": np.array(header), **arrays})  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | Path) -> Codes:
        """Reads what `save` wrote; .npz is added to the name where `save` added it."""
        path = Path(path)
        added = path.with_name(path.name + ".npz")
        with np.load(added if path.suffix != ".npz" and added.exists() else path, allow_pickle=False) as archive:
            header = json.loads(str(archive["header"]))
            arrays = {name: archive[name] for name in archive.files if name != "header"}
        grid = FactorGrid(**header["grid"], weights=arrays.pop("weights", None))
        return cls(grid=grid, posterior=header["posterior"], **arrays)


def encode(vae: Any, data: Dataset, batch_size: int = 2048, verbose: str | int = "auto") -> Codes:
    """q(z|x_n) and one sample of log p(x_n|z) for every cell of the grid.

    Args:
      vae: a `tc.VAE`, a model that owns one as `.vae`, or one of your own with `encode` (see `tcvae_tf.custom`);
        without `decode` there is no log p(x|z).
      data: images on a full grid.
      batch_size: images at a time. The noise of a batch depends on (vae.seed, its number), so that the same call gives
        the same bits.
      verbose: 0 for no progress bar, 1 for one, 2 for a line at the end; "auto" shows one where there is more than a
        moment's work.

    Raises:
      TypeError: data that are no Dataset.
      ValueError: images of another shape than the model's, no posteriors, or a batch_size below 1.
    """
    import keras
    import tensorflow as tf

    from tcvae_tf.models import ENCODE

    if not hasattr(data, "grid"):
        raise TypeError(f"encode takes a Dataset, see tc.load and tc.datasets.from_arrays; got {type(data).__name__}")
    if batch_size < 1:
        raise ValueError(f"encode: batch_size must be 1 or more; got {batch_size}")
    inner = getattr(vae, "vae", vae)
    vae = inner if hasattr(inner, "encode_batch") else custom.Own(vae, data.image_shape)
    if tuple(data.image_shape) != tuple(vae.image_shape):
        raise ValueError(f"the model takes images {vae.image_shape}, {data.name} has {data.image_shape}")
    n, batch_size = len(data.grid), min(batch_size, len(data.grid))

    starts, encode_batch = range(0, n, batch_size), vae.encode_batch
    device = tf.zeros(()).device  # of the caller's scope, which holds for the caller's thread alone

    def encoded(index: int) -> list[np.ndarray | None]:
        # The last batch is filled up with images already seen, so that one compiled program serves all.
        rows = np.arange(starts[index], starts[index] + batch_size) % n
        with tf.device(device):
            parts = encode_batch(tf.constant(data.stored(rows)), vae.noise_seed(ENCODE, tf.constant(index)))
        return [part if part is None else part.numpy() for part in parts]

    show = len(starts) > 20 if verbose == "auto" else bool(verbose)
    progress = keras.utils.Progbar(n, verbose=2 if verbose == 2 else int(show), unit_name="image")
    found: dict[str, np.ndarray] = {}
    # Two batches at a time: what is serial in one runs beside the other. A model of one's own stays in its thread.
    pool = ThreadPoolExecutor(min(2, provenance.threads()))
    encodings = (map if isinstance(vae, custom.Own) else pool.map)(encoded, range(len(starts)))
    try:
        for start, parts in zip(starts, encodings, strict=True):
            stop = min(start + batch_size, n)
            for name, part in zip(("loc", "scale", "cross_entropy", "log_px"), parts, strict=True):
                if part is not None:
                    if not start:
                        found[name] = np.empty((n, *part.shape[1:]), "f4")
                    found[name][start:stop] = part[: stop - start]
            progress.add(stop - start)
    finally:
        pool.shutdown(cancel_futures=True)
    cross_entropy = found.pop("cross_entropy", None)
    if vae.prior_family != "normal":
        found["prior_cross_entropy"] = data.grid.probabilities @ cross_entropy
    return Codes(**found, grid=data.grid, posterior=vae.posterior_family)
