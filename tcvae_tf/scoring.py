"""Scoring a dump of any library: posteriors in npz or npy files, with the grid in words."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tcvae_tf import metrics, results
from tcvae_tf.codes import Codes
from tcvae_tf.factors import FactorGrid
from tcvae_tf.metrics.draws import need_sklearn
from tcvae_tf.words import suggest

#: What the second array of a posterior may be, and how σ comes from it.
SPREADS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "scale": lambda a: a,
    "variance": np.sqrt,
    "logvar": lambda a: np.exp(0.5 * a),
    "log_sigma": np.exp,
}
POSTERIORS = ("normal", "laplace")
#: Names that libraries give to arrays in an npz.
_NAMES = {
    "loc": ("loc", "mean", "means", "mu", "mus"),
    "scale": ("scale", "sigma", "std", "stddev"),
    "variance": ("variance", "var"),
    "logvar": ("logvar", "log_var", "log_variance"),
    "log_sigma": ("log_sigma", "log_scale", "log_std", "logsigma"),
}

_SAY = "if it is log σ or log σ², say so: by its name in an npz, with --spread=log_sigma or logvar for npy"

#: Measures by the name that the command line knows: title, function, and which of its fields the table shows.
MEASURES: dict[str, tuple[str, Callable[[Codes, int], Any], tuple[str, ...]]] = {
    "mig": ("MIG, exact", lambda codes, seed: metrics.mig(codes), ("error_bound",)),
    "mig_histogram": (
        "MIG, histogram of means",
        lambda codes, seed: metrics.mig(codes, "histogram", seed=seed),
        ("ceiling",),
    ),
    "mig_monte_carlo": ("MIG, Monte Carlo", lambda codes, seed: metrics.mig(codes, "monte_carlo", seed=seed), ()),
    "elbo_decomposition": (
        "ELBO (nats)",
        lambda codes, seed: metrics.elbo_decomposition(codes, seed=seed),
        ("reconstruction", "mutual_information", "total_correlation", "standard_error", "kl"),
    ),
    "factor_vae_score": ("FactorVAE score", metrics.factor_vae_score, ("train_accuracy",)),
    "beta_vae_score": ("β-VAE score", metrics.beta_vae_score, ("train_accuracy",)),
    "dci": ("DCI disentanglement", metrics.dci, ("completeness", "informativeness")),
    "sap": ("SAP", metrics.sap, ()),
    "modularity_explicitness": ("modularity", metrics.modularity_explicitness, ("explicitness",)),
    "infomec": ("InfoMEC modularity", metrics.infomec, ("explicitness", "compactness")),
    "gaussian_total_correlation": (
        "TC of a Gaussian fit to the means (nats)",
        lambda codes, seed: metrics.gaussian_total_correlation(codes),
        ("of_samples",),
    ),
    "active_units": ("active units", lambda codes, seed: metrics.active_units(codes), ()),
}
#: Those that take a minute at most on dSprites and need no extra package.
QUICK = (
    "mig",
    "mig_histogram",
    "elbo_decomposition",
    "factor_vae_score",
    "gaussian_total_correlation",
    "active_units",
)


def parse_grid(words: str, scored: Sequence[str] | None = None, weights: np.ndarray | None = None) -> FactorGrid:
    """A FactorGrid from "shape=3,scale=6,...", the slowest varying factor first.

    Raises:
      ValueError: words that are no grid.
    """
    names, sizes = [], []
    for part in words.split(","):
        name, _, size = part.partition("=")
        if not name.strip() or not size.strip().isdigit():
            raise ValueError(f"grid: {part!r} is not NAME=SIZE; write shape=3,scale=6,... the slowest factor first")
        names.append(name.strip())
        sizes.append(int(size))
    return FactorGrid(names, sizes, scored, weights)


def read(
    paths: Sequence[str | Path],
    grid: str | None = None,
    scored: Sequence[str] | None = None,
    spread: str | None = None,
    posterior: str | None = None,
) -> Codes:
    """Codes from one npz, from one npy [2, N, D], or from two npy files [N, D].

    An npz names its arrays: loc (or mean, mu) and scale (or sigma, std), variance (var), logvar or log_sigma; log_px
    [N], weights [N] and prior_cross_entropy [D], E_q(z_j) −log p(z_j) in nats, where they are known: without it the
    prior is taken to be N(0, 1). Instead of N, arrays may have the sizes of the grid. What `Codes.save` wrote needs no
    grid and says its posterior.

    Args:
      paths: one or two files.
      grid: as in `parse_grid`; N cells, of which the last factor varies fastest.
      scored: names of the factors that the MIG scores; all by default.
      spread: what the second array of an npy is: scale (the default), variance, logvar or log_sigma.
      posterior: family of q(z|x), normal (the default) or laplace, of whose scale b it takes scale or log_sigma.

    Raises:
      FileNotFoundError, ValueError: what is wrong with the file, and how to mend it.
    """
    check(paths, grid, scored, spread, posterior=posterior)
    files = [Path(path) for path in paths]
    loaded = [_load(file) for file in files]
    if isinstance(loaded[0], dict):
        arrays = loaded[0]
        if spread is not None:
            raise ValueError("the names in an npz say what its arrays are; leave spread out")
        if "header" in arrays and posterior is not None:
            raise ValueError(f"{files[0].name} says its posterior; leave posterior out")
        if "header" in arrays:
            return _saved(files[0], grid, scored)
    else:
        arrays = _pair(files, loaded, spread or "scale")
    if grid is None:
        raise ValueError(f"{files[0].name} does not say its grid; give --grid=shape=3,scale=6,... slowest first")
    shape = parse_grid(grid)
    weights = None if "weights" not in arrays else _column("weights", arrays["weights"], shape)
    return _codes(files[0].name, arrays, parse_grid(grid, scored, weights), posterior or "normal")


def check(
    paths: Sequence[str | Path],
    grid: str | None = None,
    scored: Sequence[str] | None = None,
    spread: str | None = None,
    names: Sequence[str] = (),
    posterior: str | None = None,
) -> None:
    """Looks at what `read` and `measure` are asked, and at no file.

    Raises:
      ValueError: files of other kinds, words that are no grid, an unknown spread, posterior, factor or measure.
    """
    files = [Path(path) for path in paths]
    if [file.suffix for file in files] not in ([".npz"], [".npy"], [".npy", ".npy"]):
        given = ", ".join(file.name for file in files) or "no file"
        raise ValueError(f"{given}: give one npz, one npy of shape [2, N, D], or two npy: means, then scales")
    if spread is not None and spread not in SPREADS:
        raise ValueError(f"unknown spread {spread!r}; {suggest(spread, list(SPREADS))}")
    if posterior is not None and posterior not in POSTERIORS:
        raise ValueError(f"unknown posterior {posterior!r}; {suggest(posterior, POSTERIORS)}")
    if grid is not None:
        parse_grid(grid, scored)
    _check_names(names)


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if name not in MEASURES:
            raise ValueError(f"unknown measure {name!r}; {suggest(name.lower(), list(MEASURES))}")


def _load(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    """The array of an npy, the arrays of an npz."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        found = np.load(path, allow_pickle=False)
        arrays = found if isinstance(found, np.ndarray) else {name: found[name] for name in found.files}
    except Exception as error:  # damaged files fail in many ways, and some of NumPy's advice is not for them
        raise ValueError(f"{path}: cannot be read as NumPy arrays of numbers; is it damaged?") from error
    if isinstance(arrays, np.ndarray) == (path.suffix == ".npz"):
        other = ".npy" if path.suffix == ".npz" else ".npz"
        raise ValueError(f"{path} is not what its name says; rename it to {other}")
    return arrays


def _saved(path: Path, grid: str | None, scored: Sequence[str] | None) -> Codes:
    """What `Codes.save` wrote, with another grid or other scored factors where they are given."""
    try:
        codes = Codes.load(path)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: its header is not that of saved Codes ({error})") from error
    if grid is not None:
        given = parse_grid(grid)
        kept = codes.grid.scored if given.names == codes.grid.names else None
        return dataclasses.replace(codes, grid=parse_grid(grid, scored or kept, codes.grid.weights))
    if scored is not None:
        names = FactorGrid(codes.grid.names, codes.grid.sizes, scored, codes.grid.weights)
        return dataclasses.replace(codes, grid=names)
    return codes


def _pair(files: list[Path], found: list[Any], spread: str) -> dict[str, np.ndarray]:
    if len(found) == 2:
        return {"loc": found[0], spread: found[1]}
    if found[0].ndim < 3 or found[0].shape[0] != 2:
        raise ValueError(f"{files[0].name}: one npy must be [2, N, D], means and scales; got {found[0].shape}")
    return {"loc": found[0][0], spread: found[0][1]}


def _codes(name: str, arrays: dict[str, np.ndarray], grid: FactorGrid, posterior: str) -> Codes:
    known = {meaning: [n for n in names if n in arrays] for meaning, names in _NAMES.items()}
    spreads = [(meaning, n) for meaning in SPREADS for n in known[meaning]]
    if len(known["loc"]) != 1 or len(spreads) != 1:
        raise ValueError(
            f"{name}: needs one array of means (loc, mean or mu) and one of scale, variance, logvar or log_sigma; "
            f"it has {', '.join(sorted(arrays))}"
        )
    (meaning, spread_name), loc_name = spreads[0], known["loc"][0]
    if posterior == "laplace" and meaning in ("variance", "logvar"):
        raise ValueError(f"{name}: give the scale b of laplace posteriors, or log b as log_sigma, not {spread_name}")
    loc, second = (_rows(n, arrays[n], grid) for n in (loc_name, spread_name))
    with np.errstate(over="ignore", invalid="ignore"):
        scale = SPREADS[meaning](second.astype(np.float64))
    if meaning == "scale" and second[grid.cells].min() < 0:
        raise ValueError(f"{name}: {spread_name} has negative values; {_SAY}")
    if meaning == "variance" and second[grid.cells].min() < 0:
        raise ValueError(f"{name}: {spread_name} has negative values; {_SAY}")
    if meaning != "scale" and np.any(scale[grid.cells] == 0):
        raise ValueError(f"{name}: {spread_name} is so small that σ underflows to 0; is it what its name says?")
    return Codes(
        loc=loc,
        scale=scale,
        grid=grid,
        posterior=posterior,
        log_px=None if "log_px" not in arrays else _column("log_px", arrays["log_px"], grid),
        prior_cross_entropy=arrays.get("prior_cross_entropy"),
    )


def _column(name: str, array: np.ndarray, grid: FactorGrid) -> np.ndarray:
    """[N] from that or from the sizes of the grid."""
    if not np.issubdtype(array.dtype, np.floating) or array.shape not in ((len(grid),), tuple(grid.sizes)):
        raise ValueError(
            f"{name} must hold [{len(grid)}] floating-point numbers, one for each cell of the grid, or have its sizes "
            f"{tuple(grid.sizes)}; got {array.dtype} {array.shape}"
        )
    return array.reshape(-1)


def _rows(name: str, array: np.ndarray, grid: FactorGrid) -> np.ndarray:
    """[N, D] from that or from the sizes of the grid and D."""
    words = ",".join(f"{factor}={size}" for factor, size in zip(grid.names, grid.sizes, strict=True))
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{name} must hold floating-point numbers; got {array.dtype}")
    if array.ndim == len(grid.sizes) + 1 and array.ndim > 2:
        if array.shape[:-1] != tuple(grid.sizes) and sorted(array.shape[:-1]) == sorted(grid.sizes):
            raise ValueError(
                f"{name} has shape {array.shape}, the grid {words}: write the factors in the array's order"
            )
        if array.shape[:-1] == tuple(grid.sizes):
            return array.reshape(-1, array.shape[-1])
    if array.ndim == 2 and array.shape[0] != len(grid) and array.shape[1] == len(grid):
        raise ValueError(f"{name} is {array.shape}, [D, N]; transpose it to [N, D]")
    if array.ndim != 2 or len(array) != len(grid) or array.shape[1] < 1:
        raise ValueError(f"{name} has shape {array.shape}; the grid {words} needs [{len(grid)}, D]")
    return array


def measure(
    codes: Codes,
    names: Sequence[str] = QUICK,
    seed: int = 0,
    announce: Callable[[str], object] = lambda line: None,
    skip: bool = False,
) -> dict[str, Any]:
    """The named measures, each as its result object.

    Args:
      codes: posteriors of the whole data set.
      names: of measures.
      seed: of whatever is sampled.
      announce: called with a line before each measure.
      skip: leave out, with a line, what cannot be measured on these codes.

    Raises:
      ImportError: one of them needs scikit-learn, which is not installed.
      ValueError: an unknown name.
    """
    _check_names(names)
    for name in names:
        if name not in (*QUICK, "mig_monte_carlo"):
            need_sklearn(MEASURES[name][0])
    found = {}
    for name in names:
        title, function, _ = MEASURES[name]
        announce(f"measuring: {title}")
        try:
            found[name] = function(codes, seed)
        except ValueError as error:
            if not skip:
                raise
            announce(f"left out: {title}: {error}")
    return found


def table(found: dict[str, Any]) -> str:
    """Markdown: each measure with its details, then what each factor is encoded by."""
    lines = []
    for name, result in found.items():
        title, _, fields = MEASURES[name]
        details = [f"{field.replace('_', ' ')} {_number(getattr(result, field))}" for field in fields]
        lines.append([title, _number(result.score), ", ".join(details)])
    text = results.table(["measure", "score", "details"], lines)
    if "mig" in found:
        mig = found["mig"]
        rows = [
            [factor, f"{gap:.4f}", f"{first} ({mig.mutual_information[first, k]:.3f})", _second(mig, k, second)]
            for k, (factor, gap, (first, second)) in enumerate(zip(mig.factors, mig.gaps, mig.winners, strict=True))
        ]
        text += "\n" + results.table(["factor", "gap", "latent (nats)", "runner-up (nats)"], rows)
    return text


def _second(mig: metrics.MIG, k: int, second: int) -> str:
    return "none" if second < 0 else f"{second} ({mig.mutual_information[second, k]:.3f})"


def _number(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value}" if isinstance(value, int) else f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.4f}"


def as_json(found: dict[str, Any]) -> dict[str, Any]:
    """All fields of the results, as JSON can hold them: no number stands for infinity but null."""
    return {
        name: {"score": _plain(result.score), **_plain(dataclasses.asdict(result))} for name, result in found.items()
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
