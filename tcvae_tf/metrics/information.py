"""The Mutual Information Gap (Chen et al. 2018, section 4): exactly, and the two estimates that are in use."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tcvae_tf import provenance
from tcvae_tf.codes import Codes
from tcvae_tf.metrics import draws, families, sampling
from tcvae_tf.metrics.decomposition import elbo_decomposition  # noqa: F401  (information too: had from here as well)
from tcvae_tf.words import at_most

METHODS = ("exact", "monte_carlo", "histogram")
#: Orders of accuracy that are tried until the error bound is small enough.
_ORDERS = (6, 10, 16)
#: Latents measured at a time: each takes 100 to 200 MB on a large data set.
_THREADS = 4


@dataclasses.dataclass(frozen=True, eq=False)
class MIG:
    """The Mutual Information Gap and what it is made of.

    Attributes:
      score: the mean of `gaps`.
      gaps: [I(z_(1); v_k) − I(z_(2); v_k)] / H(v_k) for each factor, K of them, in 0…1.
      factors: names of the factors that were scored.
      mutual_information: I(z_j; v_k) in nats, [D, K].
      entropies: H(v_k) in nats, [K].
      latent_entropies: H(z_j) in nats, [D]; of the binned means for "histogram".
      winners: for each factor the latents with the largest and the second largest I, [K, 2]; the second is −1 when
        there is but one latent.
      error_bound: bound on the numerical error of `score`; None for the estimates, which have none.
      method: how it was computed.
      ceiling: the largest score that the method can give: 1, or less where bins are too few to tell all values apart.
      information_error: bound on the numerical error ("exact") or standard error ("monte_carlo") of
        `mutual_information`, [D, K]; None for "histogram".
    """

    score: float
    gaps: np.ndarray
    factors: tuple[str, ...]
    mutual_information: np.ndarray
    entropies: np.ndarray
    latent_entropies: np.ndarray
    winners: np.ndarray
    error_bound: float | None
    method: str
    ceiling: float = 1.0
    information_error: np.ndarray | None = None

    def __str__(self) -> str:
        gaps = ", ".join(f"{name} {gap:.3f}" for name, gap in zip(self.factors, self.gaps, strict=True))
        error = "" if self.error_bound is None else f", numerical error at most {at_most(self.error_bound)}"
        return f"MIG {self.score:.4f} ({self.method}{error}): {gaps}"

    @property
    def normalised(self) -> np.ndarray:
        """I(z_j; v_k) / H(v_k), [D, K]."""
        return self.mutual_information / self.entropies


def mig(
    codes: Codes,
    method: str = "exact",
    samples: int | None = 10_000,
    seed: int = 0,
    bins: int = 20,
    tolerance: float = 1e-5,
    verbose: str | int = "auto",
) -> MIG:
    """MIG = (1/K) Σ_k [I(z_(1); v_k) − I(z_(2); v_k)] / H(v_k) (section 4, equation 6).

    I(z_j; v_k) = H(z_j) − H(z_j|v_k), where q(z_j) is the mixture of q(z_j|x_n) over all images and q(z_j|v) the one
    over the images with v_k = v, all other factors free. Three methods, whose numbers are not to be mixed:

    * "exact": both are one-dimensional, so the entropies are integrals; nothing is sampled. K counts the grid's scored
      factors; the others are noise. Weighted grids use p(n).
    * "monte_carlo": the authors' estimate of the same number: log q(z_j) at `samples` points z ~ q(z|x_n), n ~ p(n),
      each against all posteriors, and again for every value of every factor. Its cost is samples · N · D · (1 + K); the
      runner-up is a maximum over noise, so it is biased low. (The released code draws images without replacement.)
    * "histogram": the MIG of disentanglement_lib (Locatello et al. 2019), another number: `samples` images with
      replacement, posterior means in `bins` bins of equal width, and every factor with two values or more is scored.

    Args:
      codes: posteriors of the whole data set, normal or Laplace; of any family for "histogram".
      method: "exact", "monte_carlo" or "histogram".
      samples: for the estimates. None means every image once, for "histogram" only.
      seed: for the estimates.
      bins: for "histogram".
      tolerance: "exact" takes up to two finer passes where its error bound is above this.
      verbose: 0 for no progress bar, 1 for one, "auto" for one where there is a terminal and more than a moment's work.

    Raises:
      TypeError: something else than Codes.
      ValueError: an unknown method, a posterior family that it cannot take, a scored factor with one value, numbers out
        of range.
    """
    if not isinstance(codes, Codes):
        raise TypeError(f"mig takes codes, tc.mig(tc.encode(vae, data)); got {type(codes).__name__}")
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; choose from {', '.join(METHODS)}")
    if method != "histogram":
        families.of(codes, f"{method} MIG")
    if (
        bins < 2
        or tolerance <= 0
        or (samples is None and method == "monte_carlo")
        or (2 if samples is None else samples) < 2
    ):
        raise ValueError("mig: bins and samples must be 2 or more, and tolerance positive")
    grid = codes.grid
    factors = grid.varying if method == "histogram" else tuple(grid.scored or ())
    entropies = np.array([grid.entropy(name) for name in factors])
    if not factors or not set(factors) <= set(grid.varying):
        raise ValueError("MIG: scored factors need two values or more that occur; choose others")
    ceiling, errors = 1.0, None
    if method == "exact":
        information, errors, latents = _exact(codes, factors, entropies, tolerance, verbose)
    elif method == "monte_carlo":
        information, errors, latents = _monte_carlo(codes, factors, int(samples or 0), seed, verbose)
    else:
        information, entropies, latents = _histogram(codes, factors, samples, seed, bins)
        entropies = np.where(entropies > 0, entropies, np.inf)  # a factor that was drawn with one value has no gap
        ceiling = float(np.mean([min(1, np.log(bins) / grid.entropy(name)) for name in factors]))
    gaps, winners = _gaps(information, entropies)
    bound = _bound(information, errors, entropies) if errors is not None and method == "exact" else None
    return MIG(
        float(gaps.mean()), gaps, factors, information, entropies, latents, winners, bound, method, ceiling, errors
    )


def _exact(
    codes: Codes, factors: tuple[str, ...], entropies: np.ndarray, tolerance: float, verbose: str | int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """I(z_j; v_k) and a bound on the error of each, [D, K], and H(z_j), [D], in nats."""
    grid = codes.grid
    cells = slice(None) if grid.weights is None else grid.cells
    weights = None if grid.weights is None else grid.weights[cells]
    labels = [grid.values(name)[cells] for name in factors]
    marginals = [grid.marginal(name) for name in factors]
    information, errors = np.zeros((2, codes.latent_dim, len(factors)))
    latent_entropies = np.zeros(codes.latent_dim)

    family = families.of(codes, "exact MIG")

    def measure(j: int, order: int) -> None:
        mixture = family.mixture(codes.loc[cells, j], codes.scale[cells, j], weights, order)
        for k, p in enumerate(marginals):
            found = mixture.entropies(labels[k], len(p))
            information[j, k] = max(found.marginal - p @ found.conditional, 0)
            errors[j, k] = found.marginal_error + p @ found.conditional_error
            latent_entropies[j] = found.marginal
        advance(1)

    long = codes.loc.size > 5e6
    for order in _ORDERS:
        title = f"exact MIG, order {order}"
        with (
            sampling.progress(codes.latent_dim, title, verbose, long) as advance,
            ThreadPoolExecutor(min(provenance.threads(), _THREADS)) as pool,
        ):
            list(pool.map(measure, range(codes.latent_dim), [order] * codes.latent_dim))
        if _bound(information, errors, entropies) <= tolerance:
            break
    return information, errors, latent_entropies


def _monte_carlo(
    codes: Codes, factors: tuple[str, ...], samples: int, seed: int, verbose: str | int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """I(z_j; v_k) and the standard error of each, [D, K], and H(z_j), [D], in nats."""
    grid, family = codes.grid, families.of(codes, "Monte Carlo MIG")
    rng = np.random.default_rng(seed)
    cells, p = grid.cells, grid.probabilities[grid.cells]
    labels = {name: grid.values(name)[cells] for name in factors}
    groups = [(name, value) for name in factors for value in np.unique(labels[name])]
    total = samples * len(cells) * codes.latent_dim * (1 + len(factors))
    with sampling.progress(total, "Monte Carlo MIG", verbose) as advance:

        def entropies(rows: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
            """H(z_j) of the mixture over some images, and the variance of each estimate, [D]."""
            loc, scale = codes.loc[cells[rows]].astype(np.float64), codes.scale[cells[rows]].astype(np.float64)
            weights = None if grid.weights is None else p[rows] / p[rows].sum()
            images, z = family.draw(loc, scale, weights, samples, rng)
            log_q = np.empty_like(z)
            for j in range(codes.latent_dim):
                one = slice(j, j + 1)
                own = family.log_density(z[:, one], loc[images, one], scale[images, one])
                log_q[:, j] = family.log_mixture(z[:, one], loc[:, one], scale[:, one], weights, own, advance)
            return -log_q.mean(axis=0), log_q.var(axis=0, ddof=1) / samples

        latent_entropies, variance = entropies(slice(None))
        information, squares = np.zeros((2, codes.latent_dim, len(factors)))
        for name, value in groups:
            rows = np.flatnonzero(labels[name] == value)
            found, square = entropies(rows)
            k, mass = factors.index(name), p[rows].sum()
            information[:, k] -= mass * found
            squares[:, k] += mass**2 * square
    information = np.maximum(information + latent_entropies[:, None], 0)
    return information, np.sqrt(squares + variance[:, None]), latent_entropies


def _histogram(
    codes: Codes, factors: tuple[str, ...], samples: int | None, seed: int, bins: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """I between binned means and factors, [D, K], H(v_k) of the images drawn, [K], and H of the bins, [D], in nats."""
    grid = codes.grid
    cells, p = grid.cells, grid.probabilities[grid.cells]
    if samples is not None:
        cells = np.random.default_rng(seed).choice(cells, size=samples, p=p)
        p = np.full(samples, 1 / samples)
    means = codes.loc[cells].astype(np.float64)
    columns = draws.binned(means, bins)
    latents = np.array([draws.entropy(np.bincount(column, p)) for column in columns])
    values = [grid.values(name)[cells] for name in factors]
    entropies = np.array([draws.entropy(np.bincount(value, p)) for value in values])
    return draws.discrete_information(columns, values, p), entropies, latents


def _gaps(information: np.ndarray, entropies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gaps [K] and winners [K, 2] of a matrix of mutual information [D, K]."""
    columns = np.arange(len(entropies))
    order = np.argsort(-information, axis=0, kind="stable")
    padded = np.vstack([information, np.zeros(len(columns))])  # a lone latent's runner-up has no information
    first, second = order[0], order[1] if len(order) > 1 else np.full(len(columns), -1)
    gaps = (information[first, columns] - padded[second, columns]) / entropies
    return gaps, np.stack([first, second], axis=-1)


def _bound(information: np.ndarray, errors: np.ndarray, entropies: np.ndarray) -> float:
    """A bound on the mean gap's error: the largest and the second largest of D numbers move by no more than the largest
    error among those that can be among the first two."""
    certain = np.sort(np.vstack([information - errors, np.full(len(entropies), -1.0)]), axis=0)[-2]
    largest = np.where(information + errors >= certain, errors, 0).max(axis=0)
    return float(np.mean(2 * largest / entropies))
