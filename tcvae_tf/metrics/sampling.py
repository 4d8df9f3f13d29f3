"""Log-densities of large mixtures at sampled points: every sample against every posterior, in blocks.

log q(z) = log Σ_n p(n) ∏_j N(z_j; μ_nj, σ_nj²) is the logarithm of a sum over all N images. The exponent is a
polynomial of the second degree in z, so that a block of samples against a block of posteriors is one matrix product,

    log p(n) q(z|x_n) = Σ_j [−z_j²/2σ_nj² + z_j μ_nj/σ_nj²] + c_n,

taken in float64, since for small σ it cancels. It is shifted by the log-density of the component that the sample was
drawn from, a safe reference, so that the exponentials can be float32, and their sum streams over the blocks.
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
#: Largest |z|/σ: there (z/σ)² is rounded by 1e-4.
_PRECISE = 1e6
#: Posteriors whose polynomials are in memory at a time.
_POSTERIORS = 2**19


def draw(
    loc: np.ndarray, scale: np.ndarray, weights: np.ndarray | None, samples: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Images n ~ p(n), [S], and z ~ q(z|x_n), [S, D]."""
    count = len(loc)
    images = rng.integers(count, size=samples) if weights is None else rng.choice(count, size=samples, p=weights)
    return images, loc[images] + scale[images] * rng.standard_normal((samples, loc.shape[1]))


def log_normal(z: np.ndarray, loc: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Σ_j log N(z_j; μ_j, σ_j²) over the last axis."""
    return np.sum(-0.5 * ((z - loc) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi), axis=-1)


def log_mixture(
    z: np.ndarray,
    loc: np.ndarray,
    scale: np.ndarray,
    weights: np.ndarray | None,
    shift: np.ndarray,
    advance: Callable[[int], object] = lambda done: None,
) -> np.ndarray:
    """log q(z_s) = log Σ_n p(n) q(z_s|x_n) for every sample, [S] in nats.

    Rounding errs by about (z/σ)² 1e-16.

    Args:
      z: samples, [S, D] float64.
      loc, scale: of the posteriors, [N, D].
      weights: p(n), [N] with none zero, or None for uniform.
      shift: log q(z_s|x_n) of the component that each sample was drawn from, [S].
      advance: called with the number of densities done, as they are.

    Raises:
      ValueError: σ so small beside the spread of the means that rounding would show.
    """
    # Rounding grows with z²/σ²: distances from the middle are smaller.
    middle = loc.mean(axis=0)
    z = z - middle
    reach = np.abs(z).max(axis=0, initial=0) / scale.min(axis=0)
    if reach.max() > _PRECISE:
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
            polynomials = _polynomials(loc[part] - middle, scale[part], log_p)

            def add(block: slice, polynomials=polynomials) -> None:
                _add(polynomials, z[block], sums[block], reference[block])
                advance(len(z[block]) * polynomials.shape[1])

            list(pool.map(add, blocks))
    return reference + np.log(sums)


def _polynomials(loc: np.ndarray, scale: np.ndarray, log_p: np.ndarray | float) -> np.ndarray:
    """Coefficients of z_j², z_j, 1 and of minus the reference in log p(n) q(z|x_n), [2D + 2, N]."""
    d = loc.shape[1]
    coefficients = np.empty((2 * d + 2, len(loc)))
    coefficients[:d] = -0.5 / scale.T.astype(np.float64) ** 2
    coefficients[d : 2 * d] = -2 * coefficients[:d] * loc.T
    coefficients[2 * d] = log_normal(np.zeros(d), loc.astype(np.float64), scale) + log_p
    coefficients[2 * d + 1] = 1
    return coefficients


def _add(polynomials: np.ndarray, z: np.ndarray, sums: np.ndarray, reference: np.ndarray) -> None:
    """Adds Σ_n exp(log p(n) q(z|x_n) − reference) to `sums`; where it overflows, the reference is raised."""
    columns = max(1, _PRODUCT // (len(z) * len(polynomials)))
    powers = np.concatenate([z**2, z, np.ones((len(z), 1)), -reference[:, None]], axis=1)
    exponents, exponentials = np.empty((len(z), columns)), np.empty((len(z), columns), np.float32)
    for start in range(0, polynomials.shape[1], columns):
        chosen = polynomials[:, start : start + columns]
        if chosen.shape[1] < columns:
            exponents, exponentials = exponents[:, : chosen.shape[1]].copy(), exponentials[:, : chosen.shape[1]].copy()
        np.matmul(powers, chosen, out=exponents)
        exponentials[...] = exponents
        with np.errstate(over="ignore"):
            np.exp(exponentials, out=exponentials)
        found = exponentials.sum(axis=1)
        if not np.all(np.isfinite(found)):  # a much narrower component is nearer than the sample's own
            raised = np.maximum(exponents.max(axis=1), 0)
            found = np.exp(exponents - raised[:, None]).sum(axis=1)
            sums *= np.exp(-raised)
            reference += raised
            powers[:, -1] = -reference
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
    show = console.is_terminal and worth if verbose == "auto" else bool(verbose)
    with Progress(console=console, disable=not show, transient=console.is_terminal) as bar:
        task = bar.add_task(meaning, total=total)
        yield lambda done: bar.advance(task, done)
