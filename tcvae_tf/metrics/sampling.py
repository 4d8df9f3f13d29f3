"""Log-densities of large mixtures at sampled points: every sample against every posterior, in blocks.

log q(z) = log Σ_n p(n) ∏_j q(z_j|x_n) is the logarithm of a sum over all N images. For normals the exponent is a
polynomial of the second degree in z, so that a block of samples against a block of posteriors is one matrix product,

    log p(n) q(z|x_n) = Σ_j [−z_j²/2σ_nj² + z_j μ_nj/σ_nj²] + c_n,

taken in float64, since for small σ it cancels. For Laplace densities it is c_n − Σ_j |z_j − μ_nj|/b_nj, latent by
latent. It is shifted by the log-density of the component that the sample was drawn from, a safe reference, so that the
exponentials can be float32, and their sum streams over the blocks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tcvae_tf import provenance

#: Fewest samples in a block, and multiplications in a block's product: small enough to stay in the cache of one core,
#: and for BLAS to leave the parallel work to the threads here.
_SAMPLES, _PRODUCT = 64, 900_000
#: Largest |z|/b for which Laplace exponents are float32: there z/b is rounded by 6e-4, up or down in every sample.
_SINGLE = 1e4
#: Posteriors that are in memory in the form that the blocks need, at a time.
_POSTERIORS = 2**19

Write = Callable[[slice, np.ndarray, np.ndarray], None]


class Normals:
    """Normal posteriors: coefficients of z_j², z_j, 1 and of minus the reference in log p(n) q(z|x_n), [2D + 2, N].

    Args:
      loc, scale: μ and σ, [N, D], from the middle of the means.
      log_p: log p(n), [N] or one for all.
      reach: the largest |z|/σ.
    """

    #: The largest |z|/σ: there (z/σ)² is rounded by 1e-4.
    precise = 1e6
    #: Of the exponents.
    dtype: type = np.float64

    def __init__(self, loc: np.ndarray, scale: np.ndarray, log_p: np.ndarray | float, reach: float) -> None:
        d = loc.shape[1]
        self.cost = 2 * d + 2  # multiplications for one density
        self._coefficients = np.empty((2 * d + 2, len(loc)))
        self._coefficients[:d] = -0.5 / scale.T.astype(np.float64) ** 2
        self._coefficients[d : 2 * d] = -2 * self._coefficients[:d] * loc.T
        self._coefficients[2 * d] = log_normal(np.zeros(d), loc.astype(np.float64), scale) + log_p
        self._coefficients[2 * d + 1] = 1

    def __len__(self) -> int:
        """N."""
        return self._coefficients.shape[1]

    def exponents(self, z: np.ndarray) -> Write:
        """A function (run of n, reference [S], out [S, n]) that writes log p(n) q(z|x_n) − reference into `out`."""
        powers = np.concatenate([z**2, z, np.ones((len(z), 2))], axis=1)

        def write(run: slice, reference: np.ndarray, out: np.ndarray) -> None:
            powers[:, -1] = -reference
            np.matmul(powers, self._coefficients[:, run], out=out)

        return write


class Laplaces:
    """Laplace posteriors, as `Normals`: μ_nj and 1/b_nj, [D, N], in float32 where that is precise enough."""

    #: The largest |z|/b: there it is rounded by 1e-5.
    precise = 1e11

    def __init__(self, loc: np.ndarray, scale: np.ndarray, log_p: np.ndarray | float, reach: float) -> None:
        self.cost = 2 * loc.shape[1] + 2
        self.dtype: type = np.float32 if reach < _SINGLE else np.float64
        self._loc = np.ascontiguousarray(loc.T, self.dtype)
        self._rate = np.ascontiguousarray((1 / scale).T, self.dtype)
        self._constant = log_p - np.log(2 * scale).sum(axis=1)

    def __len__(self) -> int:
        """N."""
        return self._loc.shape[1]

    def exponents(self, z: np.ndarray) -> Write:
        """As `Normals.exponents`."""
        columns: np.ndarray = z.T[:, :, None].astype(self.dtype)

        def write(run: slice, reference: np.ndarray, out: np.ndarray) -> None:
            part = np.empty_like(out)
            np.subtract(self._constant[run], reference[:, None], out=out, casting="same_kind")
            for column, loc, rate in zip(columns, self._loc[:, run], self._rate[:, run], strict=True):
                np.subtract(column, loc, out=part)
                np.abs(part, out=part)
                part *= rate
                out -= part

        return write


def draw(
    loc: np.ndarray,
    scale: np.ndarray,
    weights: np.ndarray | None,
    samples: int,
    rng: np.random.Generator,
    noise: Callable = np.random.Generator.standard_normal,
) -> tuple[np.ndarray, np.ndarray]:
    """Images n ~ p(n), [S], and z ~ q(z|x_n), [S, D]; `noise(rng, size=shape)` is that of loc 0 and scale 1."""
    count = len(loc)
    images = rng.integers(count, size=samples) if weights is None else rng.choice(count, size=samples, p=weights)
    return images, loc[images] + scale[images] * noise(rng, size=(samples, loc.shape[1]))


def log_normal(z: np.ndarray, loc: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Σ_j log N(z_j; μ_j, σ_j²) over the last axis."""
    return np.sum(-0.5 * ((z - loc) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi), axis=-1)


def log_laplace(z: np.ndarray, loc: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Σ_j [−|z_j − μ_j|/b_j − log 2b_j] over the last axis."""
    return np.sum(-np.abs(z - loc) / scale - np.log(2 * scale), axis=-1)


def log_mixture(
    z: np.ndarray,
    loc: np.ndarray,
    scale: np.ndarray,
    weights: np.ndarray | None,
    shift: np.ndarray,
    advance: Callable[[int], object] = lambda done: None,
    posteriors: type[Normals] | type[Laplaces] = Normals,
) -> np.ndarray:
    """log q(z_s) = log Σ_n p(n) q(z_s|x_n) for every sample, [S] in nats.

    Rounding errs by about (z/σ)² 1e-16 for normals, and for Laplace densities by |z|/b 6e-8, or 1e-16 where that is
    above ten thousand.

    Args:
      z: samples, [S, D] float64.
      loc, scale: of the posteriors, [N, D].
      weights: p(n), [N] with none zero, or None for uniform.
      shift: log q(z_s|x_n) of the component that each sample was drawn from, [S].
      advance: called with the number of densities done, as they are.
      posteriors: the family, `Normals` or `Laplaces`.

    Raises:
      ValueError: a scale so small beside the spread of the means that rounding would show.
    """
    # Rounding grows with |z|/scale: distances from the middle are smaller.
    middle = loc.mean(axis=0)
    z = z - middle
    reach = np.abs(z).max(axis=0, initial=0) / scale.min(axis=0)
    if reach.max() > posteriors.precise:
        j = int(reach.argmax())
        raise ValueError(
            f"scale {scale[:, j].min():.2g} of latent {j} is too small beside z, which spreads over "
            f"{np.ptp(z[:, j]):.3g}, for log q(z) in float64; bound the smallest scale"
        )
    sums, reference = np.zeros(len(z)), shift.copy()
    block = max(_SAMPLES, _PRODUCT // ((2 * z.shape[1] + 2) * min(len(loc), _POSTERIORS)))
    blocks = [slice(start, start + block) for start in range(0, len(z), block)]
    with ThreadPoolExecutor(provenance.threads()) as pool:
        for start in range(0, len(loc), _POSTERIORS):
            part = slice(start, start + _POSTERIORS)
            log_p = -np.log(len(loc)) if weights is None else np.log(weights[part])
            components = posteriors(loc[part] - middle, scale[part], log_p, float(reach.max()))

            def add(block: slice, components=components) -> None:
                _add(components, z[block], sums[block], reference[block])
                advance(len(z[block]) * len(components))

            list(pool.map(add, blocks))
    return reference + np.log(sums)


def _add(components: Normals | Laplaces, z: np.ndarray, sums: np.ndarray, reference: np.ndarray) -> None:
    """Adds Σ_n exp(log p(n) q(z|x_n) − reference) to `sums`; where it overflows, the reference is raised."""
    columns = max(1, _PRODUCT // (len(z) * components.cost))
    write = components.exponents(z)
    exponents = np.empty((len(z), columns), components.dtype)
    exponentials = np.empty((len(z), columns), np.float32)
    for start in range(0, len(components), columns):
        run = slice(start, min(start + columns, len(components)))
        if run.stop - start < columns:
            exponents, exponentials = (a[:, : run.stop - start].copy() for a in (exponents, exponentials))
        write(run, reference, exponents)
        exponentials[...] = exponents
        with np.errstate(over="ignore"):
            np.exp(exponentials, out=exponentials)
        found = exponentials.sum(axis=1)
        if not np.all(np.isfinite(found)):  # a much narrower component is nearer than the sample's own
            raised = np.maximum(exponents.max(axis=1), 0)
            found = np.exp(exponents - raised[:, None]).sum(axis=1)
            sums *= np.exp(-raised)
            reference += raised
        sums += found


@contextlib.contextmanager
def progress(
    total: float, meaning: str, verbose: str | int, long: bool | None = None
) -> Iterator[Callable[[float], object]]:
    """A progress bar on standard error; "auto": where there is a terminal and the work is long, by default two thousand
    million densities."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    worth = total > 2e9 if long is None else long
    show = console.is_terminal and worth if verbose == "auto" else verbose == 1
    with Progress(console=console, disable=not show, transient=console.is_terminal) as bar:
        task = bar.add_task(meaning, total=total)
        yield lambda done: bar.advance(task, done)
