"""What training and measures cost: python -m reproduce benchmark writes results/BENCHMARK.md, its CSV files and the
figure of how the cost grows.

`benchmark_training` holds training against what the machine can do, `benchmark_profile` says where the time of a step
goes, `benchmark_measures` times the measures.
"""

from __future__ import annotations

import csv
import itertools
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reproduce import benchmark_measures, benchmark_profile, benchmark_steps, benchmark_training
from tcvae_tf import files, plots, provenance, results
from tcvae_tf.results import Row

TITLE = "Benchmark"
#: Of training, of the kernels of a step, and of the measures; what had a target in each run; and what is told.
TRAINING, PROFILE, MEASURES = "benchmark-training.csv", "benchmark-profile.csv", "benchmark.csv"
RUNS, REPORT = "benchmark-runs.csv", "BENCHMARK.md"


def run(out: Path, quick: bool = False) -> str:
    """Measures, writes the CSV files and what `write` writes into `out`, and returns the report.

    Args:
      quick: leaves out the measures, and of training what needs long trials; what was measured before stays.
    """
    import tensorflow as tf
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    tf.get_logger().setLevel("ERROR")  # it warns of the many programs that are compiled here on purpose
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, disable=not sys.stdout.isatty()) as progress:
        task = progress.add_task("training", total=None)
        found = []
        for row in benchmark_training.rows(quick):
            progress.update(task, description=f"{row['part']}: {row['what']}")
            found.append({**row, "machine": machine()})
        if not quick:
            progress.update(task, description="profiles")
            kernels = benchmark_steps.answer("reproduce.benchmark_profile")
    _add(out, found)
    if quick:
        found = _with_the_rest(found, results.read_rows(out / TRAINING))
    results.write_rows(out / TRAINING, found)
    if not quick:
        results.write_rows(out / PROFILE, _beside_the_first(results.read_rows(out / PROFILE), kernels))
        measures = benchmark_measures.rows(machine())
        _add(out, benchmark_measures.targets(measures))
        results.write_rows(out / MEASURES, measures)
    return write(out)


def _add(out: Path, found: Sequence[Row]) -> None:
    """Adds what has a target to that of the runs before."""
    commit, changed, _ = (provenance.of(benchmark_steps.loaded())["commit"] or "").partition("+changes")
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    columns = ("machine", "part", "what", "unit", "target", "value")
    added = [
        {"commit": commit[:7] + changed, "when": when, **{name: row[name] for name in columns}}
        for row in found
        if row["target"]
    ]
    results.write_rows(out / RUNS, [*results.read_rows(out / RUNS), *added])


def _targets(rows: Sequence[Row], machine: str) -> str:
    """Whether each target is met by the median of the runs on a machine of the commit that was measured there last."""
    alike: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row["machine"] == machine:
            alike.setdefault((row["part"], row["what"]), []).append(row)
    lines = []
    for (part, _), all_found in alike.items():
        found = [row for row in all_found if row["commit"] == all_found[-1]["commit"]]
        values = [float(row["value"]) for row in found]
        told = {"value": f"{statistics.median(values):.4g}", "detail": f"{min(values):.3g} … {max(values):.3g}"}
        lines.append([part.split(":")[0], *_line({**found[-1], **told}), len(values), found[-1]["commit"]])
    return results.table(["part", "what", "median", "target", "met?", "from … to", "runs", "commit"], lines)


def _with_the_rest(found: Sequence[Row], before: Sequence[Row]) -> list[Row]:
    """What was measured now, and of what was measured before on this machine the lines that were not, part by part."""
    measured = {(row["part"], row["what"]) for row in found}
    kept = [row for row in before if row["machine"] == found[0]["machine"]]
    rows = [*found, *(row for row in kept if (row["part"], row["what"]) not in measured)]
    parts = list(dict.fromkeys(row["part"] for row in rows))
    return sorted(rows, key=lambda row: parts.index(row["part"]))


def _beside_the_first(before: Sequence[Row], now: str) -> list[Row]:
    """The kernels of the commit that the file begins with, and those of the present one."""
    rows = list(csv.DictReader(now.splitlines()))
    commit = rows[0]["commit"]
    return [row for row in before if row["commit"] == before[0]["commit"] != commit] + rows


def machine() -> str:
    """Processor and versions."""
    import keras
    import tensorflow as tf

    gpus = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    found = [details.get("device_name", "GPU") for details in gpus]
    parts = [*found, f"{provenance.processor()}, {provenance.cores()} cores"]
    versions = {"Python": platform.python_version(), "TensorFlow": tf.__version__, "Keras": keras.__version__}
    return "; ".join([*parts, ", ".join(f"{n} {v}" for n, v in {**versions, "NumPy": np.__version__}.items())])


def write(out: Path) -> str:
    """BENCHMARK.md and its figure from the CSV files; "" when there are none."""
    training, measures = results.read_rows(out / TRAINING), results.read_rows(out / MEASURES)
    if not training and not measures:
        return ""
    text = ["# Benchmark\n", "Generated by `python -m reproduce benchmark` from its CSV files; not edited by hand.\n"]
    if (runs := results.read_rows(out / RUNS)) and training:
        text += ["## Targets\n", _SWINGS, _targets(runs, training[0]["machine"])]
    if training:
        text += ["## Training\n", _TOLD, f"Machine: {training[0]['machine']}.\n", *_parts(training)]
        text += _profiles(results.read_rows(out / PROFILE))
        if grown := _growth(training, measures):
            plots.save(plots.growth(grown, _CAPTION), out / "figures" / "benchmark")
            text += ["### How the cost grows\n", "![How the cost grows](figures/benchmark.png)\n", f"{_CAPTION}\n"]
    text += [benchmark_measures.report(measures)] if measures else []
    files.write_text(out / REPORT, "\n".join(text))
    return "\n".join(text)


_SWINGS = (
    "What a machine does in a second may swing by a third within minutes, most of all on one that is shared. So the "
    "median of all runs of a commit says whether it meets a target: of the one that was measured last on a processor "
    f"of this name; {RUNS} has those of others too. The tables below are of the last run alone, and what `--quick` "
    "leaves out is there of the last whole one.\n"
)
_TOLD = (
    "Steps are timed in Keras' own loop, everything included: input, unpacking, noise, likelihood, TC, gradients, "
    "Adam, metrics. The models of a size take turns, and medians are compared; what is said to be of a process of its "
    "own, and the parts on throughput and convolutions, run one after the other. The bound of a step is the time of "
    "its matrix products alone, forward and backward, each at its own shape by NumPy's BLAS, by XLA or by "
    "TensorFlow's own kernel, whichever is fastest here.\n"
)
_CAPTION = (
    "Seconds of a β-TCVAE step (width 256, batch 512, D = 10 where they are not varied), and of exact MIG; log-log, "
    "with the exponent of a power law from the last two points."
)


def _parts(rows: Sequence[Row]) -> list[str]:
    """A table for each part but the growth."""
    text = []
    for part, lines in itertools.groupby(rows, key=lambda row: row["part"]):
        if not part.startswith("growth"):
            text += [f"### {part}\n", results.table(["", "measured", "target", "met?", "note"], map(_line, lines))]
    return text


def _line(row: Row) -> list[str]:
    verdict = {None: "", True: "yes", False: "**NO: failed**"}[benchmark_training.met(row)]
    unit = f" {row['unit']}" if row["unit"] else ""
    target = row["target"] + (unit if row["target"] else "")
    value, digits = float(row["value"]), 4 if row["target"] else 3  # so that a target just missed does not look met
    shown = f"{value:,.0f}" if value >= 1000 else f"{value:.{digits}g}"
    return [row["what"], f"{shown}{unit}", target, verdict, row["detail"]]


#: What would be tried next where a target is missed, by the work that the profile is of.
_NEXT = {
    "step at paper size": "The products are oneDNN's, between XLA's programs: on a CPU XLA's own are slower, and it "
    "calls no library for them. Next: the last layer's gradient without the transposition that follows it.",
    "step of preset cpu": "An epoch is 1,440 of these steps. The two longest products are the gradients of the two "
    "widest kernels. XLA takes the first of their two matrices transposed as it lies in memory; kernels whose shorter "
    "axis is the first make that the narrow one. Next: a copy of it, transposed, before the product. Tried: little is "
    "left to gain, and its sums are in another order, which would void all records. With two threads one waits while "
    "the TC term is computed; two of its loops side by side, or several blocks in a turn, take as long. Products by "
    "oneDNN between XLA's programs, as at paper size, take more time here.",
    "step of FactorVAE": "Next: one backward pass through the discriminator for both losses, whose gradients at z "
    "differ by a factor for each image: six products of a layer where there are seven, if no layer mixes images (batch "
    "normalisation does) and no factor is too small for float16. Or z and the permuted z as one batch. Either would "
    "change the last bits of records.",
    "encoding": "Beside the products it is the likelihood, an exponential for each pixel. Next: a first product that "
    "takes the images as bits, so that their 33 MB of float32 a batch are not written. Tried: a look-up of the eight "
    "pixels of a byte as one number, which XLA takes apart again for each pixel.",
}


def _profiles(rows: Sequence[Row]) -> list[str]:
    """Where the time goes of each work that is profiled."""
    text = ["### Where the time goes, one thread\n", f"All kernels are in {PROFILE}.\n"] if rows else []
    for work in dict.fromkeys(row["work"] for row in rows):
        text += _profile([row for row in rows if row["work"] == work])
    return text


def _profile(rows: Sequence[Row]) -> list[str]:
    """Milliseconds of each group of kernels, by commit, and the longest kernels of the last."""
    sums, first = benchmark_profile.by_group(rows), rows[0]
    lines: list[list[object]] = [
        [name, *(f"{found[name]:,.1f}" for found in sums.values())] for name in next(iter(sums.values()))
    ]
    lines.append(["all", *(f"{sum(found.values()):,.1f}" for found in sums.values())])
    commit = list(sums)[-1][0]
    longest = [row for row in rows if row["commit"] == commit and row["kernel"]][:8]
    told = ", ".join(f"{row['kernel']} {float(row['ms']):,.1f}" for row in longest)
    header = [f"ms of a {first['work']}" if "step" in first["work"] else f"ms of {first['work']}"]
    header[0] += f": MLP {first['width']}, batch {first['batch']}"
    header += [f"commit {commit}, {machine}" for commit, machine in sums]
    return [results.table(header, lines), f"The longest kernels, in ms: {told}. {_NEXT.get(first['work'], '')}\n"]


def _growth(training: Sequence[Row], measures: Sequence[Row]) -> dict[str, dict[float, float]]:
    """Seconds of a step over batch, latents and width, and of exact MIG over N."""
    grown: dict[str, dict[float, float]] = {}
    for row in training:
        if row["part"].startswith("growth in "):
            label = row["part"].removeprefix("growth in ")
            grown.setdefault(f"step: {label}", {})[float(row["x"])] = float(row["value"]) / 1e3
    mig = benchmark_measures.find(measures, measure="mig", latents=10)
    if grown and mig:
        grown["exact MIG: images"] = {float(row["images"]): float(row["seconds"]) for row in reversed(mig)}
    return grown
