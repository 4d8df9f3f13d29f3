"""What the measures cost.

Each line is measured in a process of its own, which loads codes of a known size, so that its peak of memory is its own.
"""

from __future__ import annotations

import dataclasses
import functools
import multiprocessing
import re
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tcvae_tf import metrics, results
from tcvae_tf.codes import Codes
from tcvae_tf.datasets import dsprites
from tcvae_tf.factors import FactorGrid
from tcvae_tf.results import Row

TITLE = "measures"


@dataclasses.dataclass(frozen=True)
class Line:
    """One measurement: which measure, on how many images and latents, with how many samples, how often, and whether the
    codes are like a trained model's or have σ of any size from 1e-4 to 10."""

    measure: str
    images: int
    latents: int = 10
    samples: int = 0
    repeats: int = 3
    scales: str = "trained"


#: Part of the dSprites grid for each number of images.
GRIDS: dict[int, dict[str, Sequence[int]]] = {
    737_280: {},
    245_760: {"shape": [0]},
    81_920: {"shape": [0], "scale": [0, 3]},
    30_720: {"shape": [0], "scale": [0, 3], "orientation": range(15)},
}
WHOLE = max(GRIDS)
LINES = (
    *(Line("mig", images) for images in GRIDS),
    *(Line("mig", WHOLE, latents) for latents in (5, 20)),
    Line("mig", 81_920, 2, repeats=1, scales="1e-4 to 10"),
    *(Line("elbo_decomposition", images, samples=10_000, repeats=1) for images in GRIDS),
    *(Line("elbo_decomposition", WHOLE, latents, samples=2_000, repeats=1) for latents in (5, 10, 20)),
    Line("elbo_decomposition", WHOLE, samples=500, repeats=1),
    *(Line("mig_monte_carlo", 30_720, samples=samples, repeats=1) for samples in (50, 500)),
    Line("mig_monte_carlo", WHOLE, samples=50, repeats=1),
    Line("mig_histogram", WHOLE, samples=10_000),
    Line("factor_vae_score", WHOLE),
    Line("dci", WHOLE, samples=200, repeats=1),  # with the 10,000 images of its default it takes minutes
    *(Line(name, WHOLE, repeats=1) for name in ("beta_vae_score", "sap", "modularity_explicitness", "infomec")),
    Line("gaussian_total_correlation", WHOLE),
    Line("active_units", WHOLE),
)
#: The promises: measure, samples, seconds, gigabytes beyond the codes and error, on all of dSprites with ten latents.
TARGETS = (("mig", 0, 1.5, 1.0, 1e-4), ("elbo_decomposition", 10_000, 40.0, 1.5, np.inf))


def synthetic_codes(grid: FactorGrid, latents: int, scales: str = "trained", seed: int = 0) -> Codes:
    """Codes like a trained model's: every second latent follows a factor with σ of 0.02 to 0.3, the others are dead."""
    rng = np.random.default_rng(seed)
    n = len(grid)
    loc = 0.1 * rng.standard_normal((n, latents), np.float32)
    scale = np.exp(0.08 * rng.standard_normal((n, latents), np.float32))
    several = [name for name, size in zip(grid.names, grid.sizes, strict=True) if size > 1]
    for place, j in enumerate(range(0, latents, 2)):
        values = grid.values(several[-1 - place % len(several)])
        loc[:, j] += 1.7 * (values - values.mean()) / values.std()
        scale[:, j] = 0.07 * np.exp(0.4 * rng.standard_normal(n, np.float32))
    if scales != "trained":
        scale = np.exp(rng.uniform(np.log(1e-4), np.log(10), (n, latents)))
    return Codes(loc=loc, scale=scale, grid=grid)


def _call(line: Line, codes: Codes) -> Any:
    if line.measure == "elbo_decomposition":
        return metrics.elbo_decomposition(codes, samples=line.samples)
    if line.measure == "mig_monte_carlo":
        return metrics.mig(codes, "monte_carlo", samples=line.samples)
    if line.measure == "dci":
        return metrics.dci(codes, train=line.samples, test=line.samples // 2)
    if line.measure == "mig_histogram":
        return metrics.mig(codes, "histogram", samples=line.samples)
    return getattr(metrics, line.measure)(codes)


def peak() -> float:
    """The largest memory that this process has had, in GB."""
    status = Path("/proc/self/status")
    if status.exists():  # where getrusage counts in what the parent had when this process began
        return int(re.search(r"VmHWM:\s*(\d+)", status.read_text())[1]) * 1024 / 1e9  # type: ignore[index]
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def _measure(line: Line, path: str, answer: Any) -> None:
    codes = Codes.load(path)
    metrics.mig(synthetic_codes(FactorGrid(("a", "b"), (4, 4)), 2))  # imports and first calls
    before = peak()
    seconds = []
    for _ in range(line.repeats):
        began = time.perf_counter()
        found = _call(line, codes)
        seconds.append(time.perf_counter() - began)
    error = getattr(found, "error_bound", None) or getattr(found, "standard_error", None)
    answer.send((statistics.median(seconds), peak() - before, error))


@functools.cache
def _processes() -> Any:
    """Where it can be, they are forked from one that has imported everything and measured nothing."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "scipy.special", "sklearn"])
    return context


def measure(line: Line) -> Row:
    """One line, in a new process."""
    grid, _ = dsprites.GRID.select(GRIDS[line.images])
    context = _processes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "codes.npz"
        synthetic_codes(grid, line.latents, line.scales).save(path)
        receive, send = context.Pipe(duplex=False)
        process = context.Process(target=_measure, args=(line, str(path), send))
        process.start()
        send.close()
        try:
            seconds, memory, error = receive.recv()
        except EOFError:
            raise RuntimeError(f"benchmark: the process that measured {line} died") from None
        process.join()
    return {
        **{name: str(value) for name, value in dataclasses.asdict(line).items()},
        "seconds": f"{seconds:.4g}",
        "gigabytes": f"{memory:.3f}",
        "error": "" if error is None else f"{error:.1e}",
    }


def rows(machine: str) -> list[Row]:
    """All lines, measured now."""
    from rich.progress import track

    return [{**measure(line), "machine": machine} for line in track(LINES, TITLE, disable=not sys.stdout.isatty())]


def report(rows: Sequence[Row]) -> str:
    """The measures' part of BENCHMARK.md."""
    return "\n".join(
        [
            "## Measures\n",
            "Codes are synthetic: half of the latents follow factors of dSprites with σ from 0.02 to 0.3, the others "
            "are dead. Seconds are medians; GB are the peak beyond the codes themselves, each line in a process of its "
            "own.\n",
            f"Machine: {rows[0]['machine']}.\n",
            "### Targets, all of dSprites, D = 10\n",
            _targets(rows),
            "Exact MIG sums seven moments of each latent over the images, by value of each factor and cell of the "
            "lattice, and transforms the sums; two threads share the latents. Next: of a dead latent, whose cells are "
            "few, one pass for two factors and both together. (One pass for all seven moments is no faster: tried.)\n",
            "### All lines\n",
            _lines(rows),
            "### How the cost of measures grows\n",
            "Exponents of a power law, fitted to all lines of a measure above; a fixed cost makes them smaller than "
            "between the two largest.\n",
            _growth(rows),
        ]
    )


def find(rows: Sequence[Row], **where: object) -> list[Row]:
    where = {"scales": "trained", **where}
    return [row for row in rows if all(row[name] == str(value) for name, value in where.items())]


def targets(rows: Sequence[Row]) -> list[Row]:
    """The seconds that were promised, as rows of the training's benchmark."""
    found = []
    for name, samples, seconds, _, _ in TARGETS:
        for row in find(rows, measure=name, images=WHOLE, latents=10, samples=samples):
            fields = {"part": TITLE, "what": name, "unit": "s", "target": f"≤ {seconds:g}"}
            found.append({**fields, "value": row["seconds"], "machine": row["machine"]})
    return found


def _targets(rows: Sequence[Row]) -> str:
    lines = []
    for name, samples, seconds, memory, error in TARGETS:
        for row in find(rows, measure=name, images=WHOLE, latents=10, samples=samples):
            met = (
                float(row["seconds"]) <= seconds and float(row["gigabytes"]) <= memory and float(row["error"]) <= error
            )
            target = f"{seconds:g} s, {memory:g} GB" + (f", error {error:g}" if error < np.inf else "")
            verdict = "yes" if met else "**NO: failed**"
            found = [f"{float(row['seconds']):.2f} s", f"{row['gigabytes']} GB", row["error"], verdict]
            lines.append([name, samples or "", target, *found])
    return results.table(["measure", "S", "target", "time", "memory", "error (bound or standard)", "met?"], lines)


def _lines(rows: Sequence[Row]) -> str:
    columns = ("measure", "scales", "images", "latents", "samples", "repeats", "seconds", "gigabytes", "error")
    lines = [[row[name] if row[name] != "0" else "" for name in columns] for row in rows]
    return results.table(["measure", "σ", "N", "D", "S", "repeats", "seconds", "GB", "error"], lines)


def _growth(rows: Sequence[Row]) -> str:
    """d log seconds / d log N, D and S, where the other two are fixed."""
    series = (
        ("mig", "images", {"latents": 10}),
        ("mig", "latents", {"images": WHOLE}),
        ("elbo_decomposition", "images", {"latents": 10, "samples": 10_000}),
        ("elbo_decomposition", "latents", {"images": WHOLE, "samples": 2_000}),
        ("elbo_decomposition", "samples", {"images": WHOLE, "latents": 10}),
        ("mig_monte_carlo", "samples", {"images": 30_720, "latents": 10}),
    )
    symbols = {"images": "N", "latents": "D", "samples": "S"}
    lines = []
    for name, along, fixed in series:
        found = sorted((float(row[along]), float(row["seconds"])) for row in find(rows, measure=name, **fixed))
        if len(found) > 1:
            x, seconds = np.log(np.array(found).T)
            (least, short), (most, long) = found[0], found[-1]
            ends = [f"{least:,.0f} … {most:,.0f}", f"{short:.3g} … {long:.3g}"]
            lines.append([name, symbols[along], *ends, f"{np.polyfit(x, seconds, 1)[0]:.2f}"])
    return results.table(["measure", "in", "from … to", "seconds", "exponent"], lines)
