"""What training costs, held against the matrix products that it cannot do without.

Times of steps are taken inside Keras' own loop, everything included, and in turns: each round times the steps of all
models that are compared, so that a machine that grows slower does so for all of them.
"""

from __future__ import annotations

import functools
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from reproduce import benchmark_machine as machine
from reproduce import benchmark_steps as timing
from tcvae_tf import executors, provenance
from tcvae_tf.results import Row


def rows(quick: bool = False) -> Iterator[Row]:
    """All measurements, in the order of the report."""
    yield from _machine()
    yield from _steps("paper size", timing.PAPER, 0.75, 0.8, rounds=1 if quick else 3, count=2)
    yield from _steps("preset cpu", timing.LAPTOP, 0.6, 0.6, rounds=2 if quick else 4, count=1)
    yield from _total_correlation((512, 2048) if quick else (512, 2048, 8192))
    yield from _start(rounds=1 if quick else 2)
    if quick:
        return
    yield from _processes()
    yield from _convolutions()
    yield from _whole_data()
    yield from _memory()
    yield from _growth()


def row(
    part: str, what: str, value: float, unit: str, target: str = "", detail: str = "", x: float | None = None
) -> Row:
    """One measurement; `target` is "≤ 3" or "≥ 3", of the same unit."""
    numbers = {"value": f"{value:.4g}", "x": "" if x is None else f"{x:g}"}
    return {"part": part, "what": what, **numbers, "unit": unit, "target": target, "detail": detail}


def met(line: Row) -> bool | None:
    """Whether the target is met; None where there is none."""
    if not line["target"]:
        return None
    sign, bound = line["target"].split()
    value = float(line["value"])
    return value <= float(bound) if sign == "≤" else value >= float(bound)


# --- the machine ----------------------------------------------------------------------------------------------------


def _machine() -> Iterator[Row]:
    yield row("The machine", "copy of 256 MB", machine.bandwidth(), "GB/s", detail="read and written")
    yield row("The machine", "exp, float32, by XLA", machine.exponentials(), "10⁹/s")


# --- steps ----------------------------------------------------------------------------------------------------------


#: What takes turns with the models: the TC term by itself,
_TERM = "TC term alone"
#: and a sample of q(z|x) of the second batch of a FactorVAE step.
_SECOND = "FactorVAE's second batch"


def _steps(
    name: str, sizes: tuple[int, int], required: float, aim: float, rounds: int, count: int = 3
) -> Iterator[Row]:
    width, batch = sizes
    part = f"A step at {name}: MLP {width}, batch {batch}, D = 10"
    models = {method: timing.make(method, width, batch=batch) for method in ("vae", "beta_tcvae", "factor_vae")}
    network = machine.Bound(machine.mlp(batch, width))
    judge = machine.Bound(machine.discriminator(batch, 1000 if sizes == timing.PAPER else width))
    acts = {_TERM: timing.total_correlation(batch, None), _SECOND: _encoding(models["vae"], batch)}
    taken = timing.in_turns(models, batch, rounds, count, bounds=(network, judge), acts=acts)
    bound = network.seconds()
    detail = f"{network.flop / 1e9:.1f} GFLOP, {network.flop / bound / 1e9:.0f} GFLOP/s"
    yield row(part, "matrix products alone: the bound", 1e3 * bound, "ms", detail=detail)
    for method, seconds in taken.items():
        yield row(part, method, 1e3 * seconds, "ms")
    share, detail = bound / taken["beta_tcvae"], "" if aim == required else f"aimed at {aim:g}"
    yield row(part, "bound ÷ β-TCVAE's step", share, "", f"≥ {required:g}", detail)
    share = taken[_TERM] / taken["beta_tcvae"]
    yield row(part, f"{_TERM} ÷ β-TCVAE's step", share, "", "≤ 0.1" if sizes == timing.PAPER else "")
    share = taken["beta_tcvae"] / taken["vae"] - 1
    yield row(part, "TC term: β-TCVAE's step over VAE's, less one", share, "", detail="of differences")
    added = taken["factor_vae"] - taken["vae"] - taken[_SECOND]
    judged = judge.seconds()
    detail = f"of differences: {1e3 * added:.0f} ms beside the VAE and the second batch; bound {1e3 * judged:.0f} ms"
    yield row(part, "FactorVAE: discriminator's share ÷ its bound", added / judged, "", "≤ 1.2", detail)
    if sizes == timing.LAPTOP:
        epoch = taken["beta_tcvae"] * timing.loaded().steps_per_epoch(batch)
        yield row(part, "an epoch of dSprites, β-TCVAE", epoch, "s", "≤ 60", f"one run, {provenance.cores()} threads")


def _encoding(vae: Any, batch: int) -> Callable[[], Any]:
    """A sample of q(z|x) for a batch, which FactorVAE takes a second time."""
    import tensorflow as tf

    from tcvae_tf.datasets import decode

    stored = tf.constant(timing.loaded().storage[:batch])

    @tf.function(jit_compile=True, autograph=False)
    def sample():
        return vae.sample(vae.encode(decode(stored, vae.image_shape)), tf.constant([0, 0]))

    sample()
    return lambda: sample().numpy()


# --- the total correlation ------------------------------------------------------------------------------------------


def _total_correlation(batches: tuple[int, ...]) -> Iterator[Row]:
    part = "The TC term alone, D = 10: value and gradient"
    ways = {(batch, rows): timing.total_correlation(batch, rows) for batch in batches for rows in (None, batch)}
    ways = {(batch, rows): act for (batch, rows), act in ways.items() if not rows or batch < 8192}
    for act in ways.values():
        act()
    taken: dict[tuple, list[float]] = {key: [] for key in ways}
    for _ in range(5):
        for key, act in ways.items():
            taken[key].append(machine.stopwatch(act, 0.05))
    for (batch, rows), found in taken.items():
        yield row(part, f"batch {batch}, {'whole' if rows else 'in blocks'}", 1e3 * statistics.median(found), "ms")
    if 8192 in batches:
        gigabytes = timing.child("tc_peak", 8192)["peak"]
        yield row(part, "batch 8192: peak memory of the process", gigabytes, "GB", "≤ 2", "a [D, B, B] tensor: 2.7 GB")


# --- start ----------------------------------------------------------------------------------------------------------


def _start(rounds: int) -> Iterator[Row]:
    part = "Start"
    base, ours, help_ = [], [], []
    for _ in range(rounds):
        base.append(_imports("import tensorflow, keras"))
        ours.append(_imports("import tensorflow, keras, tcvae_tf"))
        help_.append(_timed([sys.executable, "-m", "tcvae_tf.cli", "--help"]))
    plain = statistics.median(base)
    yield row(part, "import tcvae_tf ÷ import tensorflow, keras", statistics.median(ours) / plain, "", "≤ 1.1")
    detail = "TensorFlow Probability is loaded with the models"
    names = _imports("import tensorflow, keras; from tcvae_tf import VAE")
    yield row(part, "from tcvae_tf import VAE ÷ the same", names / plain, "", detail=detail)
    yield row(part, "tcvae --help", statistics.median(help_), "s", "≤ 0.7")
    first = timing.child("first_step", *timing.PAPER)
    detail = f"traced and compiled in a process of its own; the network was made in {first['made']:.1f} s"
    yield row(part, "first step at paper size", first["seconds"], "s", "≤ 10", detail)


def _imports(statement: str) -> float:
    return _timed([sys.executable, "-c", statement])


def _timed(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=timing.environment({}))
    return time.perf_counter() - began


# --- processes and threads ------------------------------------------------------------------------------------------


def _processes() -> Iterator[Row]:
    cores = provenance.cores()
    part = f"Throughput of preset cpu's β-TCVAE on {cores} cores"
    ways = {f"{cores} processes of one thread": (cores, 1), f"one process of {cores} threads": (1, cores)}
    for name, (places, threads) in ways.items():
        taken = timing.children("laptop_step", places, executors.environment(threads))
        # Other threads give other bits, so that the choice is the user's and not this machine's.
        detail = "a sweep's default" if threads == 1 else f"a sweep with --workers=1 --threads={cores}"
        yield row(part, name, sum(1 / answer["step"] for answer in taken), "steps/s", detail=detail)


# --- convolutions ---------------------------------------------------------------------------------------------------


def _convolutions() -> Iterator[Row]:
    part = "A step of preset cpu on 3D Faces: conv 128, batch 256"
    for name, arguments, variables in (
        ("XLA, blocks of pixels (ours)", ("blocks", 1), {}),
        ("XLA, strided", ("strided", 1), {}),
        ("TensorFlow with oneDNN, strided", ("strided", 0), {}),
        ("TensorFlow without oneDNN, strided", ("strided", 0), {"TF_ENABLE_ONEDNN_OPTS": "0"}),
    ):
        yield row(part, name, 1e3 * timing.child("conv_step", *arguments, **variables)["step"], "ms")


# --- all of dSprites ------------------------------------------------------------------------------------------------


def _whole_data() -> Iterator[Row]:
    from tcvae_tf import codes
    from tcvae_tf.datasets import dsprites

    part = "All of dSprites"
    vae = timing.make("vae", timing.LAPTOP[0])
    batch = 2048  # what encode takes
    products = machine.Bound(machine.mlp(batch, timing.LAPTOP[0], backward=False))
    sixths, taken = [timing.loaded().select({"scale": [scale]}) for scale in range(4)], []
    for sixth in sixths:
        products.measure()
        began = time.perf_counter()
        codes.encode(vae, sixth, verbose=0)
        taken.append(time.perf_counter() - began)
    seconds = 6 * statistics.mean(taken[1:])  # the first has the program compiled
    bound = products.seconds() * math.ceil(len(timing.loaded()) / batch)
    detail = f"MLP 256, with the reconstruction, six times a sixth: {seconds:.1f} s; bound {bound:.1f} s"
    yield row(part, "encode ÷ its bound", seconds / bound, "", "≤ 1.3", detail)
    began = time.perf_counter()
    dsprites.generate(lambda *_: None)
    yield row(part, "generate", time.perf_counter() - began, "s", "≤ 8")
    yield row(part, "load from the cache", timing.child("load")["seconds"], "s", "≤ 0.5")


# --- memory ---------------------------------------------------------------------------------------------------------


def _memory() -> Iterator[Row]:
    part = "Peak memory of the process in training on dSprites"
    for (width, batch), limit in ((timing.LAPTOP, 1.2), (timing.PAPER, 2.5)):
        answer = timing.child("training_peak", width, batch)
        detail = f"{answer['imported']:.2f} GB after the imports"
        yield row(part, f"MLP {width}, batch {batch}", answer["peak"], "GB", f"≤ {limit:g}", detail)


# --- growth ---------------------------------------------------------------------------------------------------------


def _growth() -> Iterator[Row]:
    for batch in (256, 512, 2048, 8192):
        yield _grown("batch", batch, timing.LAPTOP[0], batch, 10)
    for latents in (10, 32, 64):
        yield _grown("latents", latents, timing.LAPTOP[0], timing.LAPTOP[1], latents)
    for width in (64, 256, 1024):
        yield _grown("width", width, width, timing.LAPTOP[1], 10)


def _grown(along: str, x: int, width: int, batch: int, latents: int) -> Row:
    what = f"β-TCVAE, width {width}, batch {batch}, D = {latents}"
    return row(f"growth in {along}", what, 1e3 * _step(width, batch, latents), "ms", x=x)


@functools.cache
def _step(width: int, batch: int, latents: int) -> float:
    model = timing.make("beta_tcvae", width, latents, batch)
    timing.steps(model, batch, 1)  # compiled
    return statistics.median(timing.steps(model, batch, 3))
