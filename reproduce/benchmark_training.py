"""What training costs, held against the matrix products that it cannot do without.

Times of steps are taken inside Keras' own loop, everything included, and in turns: each round times the steps of all
models that are compared, so that a machine that grows slower does so for all of them. What needs a process of its own,
for its peak of memory, its threads or its imports, is `python -m reproduce.benchmark_training NAME ARGUMENTS`.
"""

from __future__ import annotations

import functools
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from reproduce import benchmark_machine as machine
from reproduce.benchmark_measures import peak
from tcvae_tf import executors, provenance
from tcvae_tf.results import Row

#: Width and batch of the paper and of the preset cpu.
PAPER, LAPTOP = (1200, 2048), (256, 512)


def rows(quick: bool = False) -> Iterator[Row]:
    """All measurements, in the order of the report."""
    yield from _machine()
    yield from _steps("paper size", PAPER, 0.75, 0.8, rounds=2 if quick else 4)
    yield from _steps("preset cpu", LAPTOP, 0.6, 0.6, rounds=3 if quick else 6)
    yield from _total_correlation((512, 2048) if quick else (512, 2048, 8192))
    yield from _start()
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


@functools.cache
def _data(name: str = "dsprites") -> Any:
    from tcvae_tf import datasets

    return datasets.load(name)


def make(method: str, width: int, latents: int = 10, batch: int = 0, network: str = "mlp", data: str = "dsprites"):
    """An untrained model, compiled for a long training."""
    from tcvae_tf import runs
    from tcvae_tf.settings import Run

    sizes: dict[str, Any] = {"network": network, "width": width, "latent_dim": latents, "batch_size": batch or 512}
    if method == "factor_vae":
        sizes["discriminator_width"] = 1000 if width == PAPER[0] else width
    return runs.model(Run(dataset=data, method=method, **sizes), _data(data), runs.SHORT)


def steps(model: Any, batch: int, count: int, data: str = "dsprites") -> list[float]:
    """Seconds of each of so many steps in Keras' loop."""
    import keras

    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: ends.append(time.perf_counter()))
    each = batch * getattr(model, "batches", 1)
    model.fit(_data(data).batches(each).take(count + 1), callbacks=[clock], verbose=0)
    return list(np.diff(ends))


def in_turns(
    models: Mapping[str, Any], batch: int, rounds: int, count: int = 3, bounds: Sequence[machine.Bound] = ()
) -> dict[str, float]:
    """The median seconds of a step of each model; bounds are measured in the same rounds."""
    taken: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(rounds + 1):
        for bound in bounds if turn else ():
            bound.measure()
        for name, model in models.items():
            found = steps(model, batch, count if turn else 1)
            taken[name] += found if turn else []  # the first is compiled, or comes before its neighbours
    return {name: statistics.median(found) for name, found in taken.items()}


def _steps(name: str, sizes: tuple[int, int], required: float, aim: float, rounds: int) -> Iterator[Row]:
    width, batch = sizes
    part = f"A step at {name}: MLP {width}, batch {batch}, D = 10"
    models = {method: make(method, width, batch=batch) for method in ("vae", "beta_tcvae", "factor_vae")}
    network = machine.Bound(machine.mlp(batch, width))
    judge = machine.Bound(machine.discriminator(batch, 1000 if sizes == PAPER else width))
    taken = in_turns(models, batch, rounds, bounds=(network, judge))
    bound = network.seconds()
    detail = f"{network.flop / 1e9:.1f} GFLOP, {network.flop / bound / 1e9:.0f} GFLOP/s"
    yield row(part, "matrix products alone: the bound", 1e3 * bound, "ms", detail=detail)
    for method, seconds in taken.items():
        yield row(part, method, 1e3 * seconds, "ms")
    share, detail = bound / taken["beta_tcvae"], "" if aim == required else f"aimed at {aim:g}"
    yield row(part, "bound ÷ β-TCVAE's step", share, "", f"≥ {required:g}", detail)
    share = taken["beta_tcvae"] / taken["vae"] - 1
    yield row(part, "TC term: β-TCVAE's step over VAE's, less one", share, "", detail="of differences")
    added = taken["factor_vae"] - taken["vae"] - _encoding(models["vae"], batch)
    judged = judge.seconds()
    detail = f"{1e3 * added:.0f} ms beside the VAE and the second batch; bound {1e3 * judged:.0f} ms"
    yield row(part, "FactorVAE: discriminator's share ÷ its bound", added / judged, "", "≤ 1.2", detail)
    if sizes == LAPTOP:
        epoch = taken["beta_tcvae"] * _data().steps_per_epoch(batch)
        yield row(part, "an epoch of dSprites, β-TCVAE", epoch, "s", "≤ 60")


def _encoding(vae: Any, batch: int) -> float:
    """Seconds of a sample of q(z|x) for a batch, which FactorVAE takes a second time."""
    import tensorflow as tf

    from tcvae_tf.datasets import decode

    stored = tf.constant(_data().storage[:batch])

    @tf.function(jit_compile=True, autograph=False)
    def sample():
        return vae.encode(decode(stored, vae.image_shape)).sample(seed=[0, 0])

    sample()
    return statistics.median(machine.stopwatch(lambda: sample().numpy(), 0.1) for _ in range(5))


# --- the total correlation ------------------------------------------------------------------------------------------


def total_correlation(batch: int, rows: int | None) -> Callable[[], Any]:
    """The estimates of a batch and their gradient, compiled; rows = batch keeps the whole [D, B, B] tensor."""
    import tensorflow as tf

    from tcvae_tf.minibatch import weighted_log_qz

    z, loc, log_scale = (tf.random.stateless_normal([batch, 10], [0, seed]) for seed in range(3))
    arrays = (z, loc, tf.exp(log_scale - 2))

    @tf.function(jit_compile=True, autograph=False)
    def act():
        with tf.GradientTape() as tape:
            tape.watch(arrays)
            total = weighted_log_qz(*arrays, 737_280, "mws", (5.0, -5.0), rows=rows)[0]
        return tape.gradient(total, arrays)

    return lambda: act()[0].numpy()


def _total_correlation(batches: tuple[int, ...]) -> Iterator[Row]:
    part = "The TC term alone, D = 10: value and gradient"
    ways = {(batch, rows): total_correlation(batch, rows) for batch in batches for rows in (None, batch)}
    ways = {(batch, rows): act for (batch, rows), act in ways.items() if not rows or batch < 8192}
    for act in ways.values():
        act()
    taken: dict[tuple, list[float]] = {key: [] for key in ways}
    for _ in range(5):
        for key, act in ways.items():
            taken[key].append(machine.stopwatch(act, 0.05))
    for (batch, rows), found in taken.items():
        median = statistics.median(found)
        yield row(part, f"batch {batch}, {'whole' if rows else 'in blocks'}", 1e3 * median, "ms")
        if (batch, rows) == (PAPER[1], None):
            step = in_turns({"beta_tcvae": make("beta_tcvae", *PAPER[:1], batch=batch)}, batch, 1)["beta_tcvae"]
            yield row(part, f"batch {batch}, share of the step at paper size", median / step, "", "≤ 0.1")
    if 8192 in batches:
        gigabytes = child("tc_peak", 8192)["peak"]
        yield row(part, "batch 8192: peak memory of the process", gigabytes, "GB", "≤ 2", "a [D, B, B] tensor: 2.7 GB")


# --- start ----------------------------------------------------------------------------------------------------------


def _start() -> Iterator[Row]:
    part = "Start"
    base, ours, names, help_ = [], [], [], []
    for _ in range(3):
        base.append(_imports("import tensorflow, keras"))
        ours.append(_imports("import tensorflow, keras, tcvae_tf"))
        names.append(_imports("import tensorflow, keras; from tcvae_tf import VAE"))
        help_.append(_timed([sys.executable, "-m", "tcvae_tf.cli", "--help"]))
    plain = statistics.median(base)
    yield row(part, "import tcvae_tf ÷ import tensorflow, keras", statistics.median(ours) / plain, "", "≤ 1.1")
    detail = "TensorFlow Probability is loaded with the models"
    yield row(part, "from tcvae_tf import VAE ÷ the same", statistics.median(names) / plain, "", detail=detail)
    yield row(part, "tcvae --help", statistics.median(help_), "s", "≤ 0.7")
    began = time.perf_counter()
    model = make("beta_tcvae", PAPER[0], batch=PAPER[1])
    made = time.perf_counter() - began
    began = time.perf_counter()
    batch = _data().storage[: PAPER[1]]
    model.train_on_batch(batch)
    seconds = time.perf_counter() - began
    detail = f"traced and compiled; the network was made in {made:.1f} s"
    yield row(part, "first step at paper size", seconds, "s", "≤ 10", detail)


def _imports(statement: str) -> float:
    return _timed([sys.executable, "-c", statement])


def _timed(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=_environment({}))
    return time.perf_counter() - began


# --- processes and threads ------------------------------------------------------------------------------------------


def _processes() -> Iterator[Row]:
    cores = provenance.cores()
    part = f"Throughput of preset cpu's β-TCVAE on {cores} cores"
    ways = {f"{cores} processes of one thread": (cores, 1), f"one process of {cores} threads": (1, cores)}
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(3):
        for name, (places, threads) in ways.items():
            taken = children("laptop_step", places, executors.environment(threads))
            found[name].append(sum(1 / answer["step"] for answer in taken))
    for name, rates in found.items():
        yield row(part, name, statistics.median(rates), "steps/s")


# --- convolutions ---------------------------------------------------------------------------------------------------


def _convolutions() -> Iterator[Row]:
    part = "A step of preset cpu on 3D Faces: conv 128, batch 256"
    for name, arguments, variables in (
        ("XLA, blocks of pixels (ours)", ("blocks", 1), {}),
        ("XLA, strided", ("strided", 1), {}),
        ("TensorFlow with oneDNN, blocks", ("blocks", 0), {}),
        ("TensorFlow with oneDNN, strided", ("strided", 0), {}),
        ("TensorFlow without oneDNN, strided", ("strided", 0), {"TF_ENABLE_ONEDNN_OPTS": "0"}),
    ):
        yield row(part, name, 1e3 * child("conv_step", *arguments, **variables)["step"], "ms")


# --- all of dSprites ------------------------------------------------------------------------------------------------


def _whole_data() -> Iterator[Row]:
    from tcvae_tf import codes
    from tcvae_tf.datasets import dsprites

    part = "All of dSprites"
    vae = make("vae", LAPTOP[0])
    began = time.perf_counter()
    codes.encode(vae, _data(), verbose=0)
    seconds = time.perf_counter() - began
    batch = 2048  # what encode takes
    products = machine.Bound(machine.mlp(batch, LAPTOP[0], backward=False))
    for _ in range(5):
        products.measure()
    bound = products.seconds() * math.ceil(len(_data()) / batch)
    detail = f"MLP 256, with the reconstruction: {seconds:.1f} s; bound {bound:.1f} s"
    yield row(part, "encode ÷ its bound", seconds / bound, "", "≤ 1.3", detail)
    began = time.perf_counter()
    dsprites.generate(lambda *_: None)
    yield row(part, "generate", time.perf_counter() - began, "s", "≤ 8")
    yield row(part, "load from the cache", child("load")["seconds"], "s", "≤ 0.5")


# --- memory ---------------------------------------------------------------------------------------------------------


def _memory() -> Iterator[Row]:
    part = "Peak memory of the process in training on dSprites"
    for (width, batch), limit in ((LAPTOP, 1.2), (PAPER, 2.5)):
        answer = child("training_peak", width, batch)
        detail = f"{answer['imported']:.2f} GB after the imports"
        yield row(part, f"MLP {width}, batch {batch}", answer["peak"], "GB", f"≤ {limit:g}", detail)


# --- growth ---------------------------------------------------------------------------------------------------------


def _growth() -> Iterator[Row]:
    for batch in (256, 512, 1024, 2048, 4096, 8192):
        yield _grown("batch", batch, LAPTOP[0], batch, 10)
    for latents in (10, 32, 64):
        yield _grown("latents", latents, LAPTOP[0], LAPTOP[1], latents)
    for width in (64, 256, 1024):
        yield _grown("width", width, width, LAPTOP[1], 10)


def _grown(along: str, x: int, width: int, batch: int, latents: int) -> Row:
    model = make("beta_tcvae", width, latents, batch)
    seconds = statistics.median(steps(model, batch, 1) and steps(model, batch, 3))
    return row(f"growth in {along}", f"β-TCVAE, width {width}, batch {batch}, D = {latents}", 1e3 * seconds, "ms", x=x)


# --- processes of their own -----------------------------------------------------------------------------------------


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **variables}


def children(name: str, count: int, variables: Mapping[str, str], *arguments: object) -> list[dict[str, float]]:
    """The answers of so many processes at the same time."""
    command = [sys.executable, "-m", "reproduce.benchmark_training", name, *map(str, arguments)]
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    started = [subprocess.Popen(command, env=_environment(variables), **options) for _ in range(count)]
    answers = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise RuntimeError(f"benchmark: the process {' '.join(command[2:])} failed; run it by hand to see why")
    return [json.loads(answer.splitlines()[-1]) for answer in answers]


def child(name: str, *arguments: object, **variables: str) -> dict[str, float]:
    return children(name, 1, variables, *arguments)[0]


def tc_peak(batch: str) -> dict[str, float]:
    total_correlation(int(batch), None)()
    return {"peak": peak()}


def training_peak(width: str, batch: str) -> dict[str, float]:
    import tensorflow  # noqa: F401

    from tcvae_tf import models  # noqa: F401

    imported = peak()
    steps(make("beta_tcvae", int(width), batch=int(batch)), int(batch), 5)
    return {"imported": imported, "peak": peak()}


def laptop_step() -> dict[str, float]:
    model = make("beta_tcvae", LAPTOP[0], batch=LAPTOP[1])
    steps(model, LAPTOP[1], 2)
    return {"step": statistics.median(steps(model, LAPTOP[1], 25))}


def conv_step(layers: str, xla: str) -> dict[str, float]:
    """The layers are the same but for how they compute."""
    from tcvae_tf import convolutions

    if layers == "strided":
        convolutions.blockwise = lambda *_: False
    model = make("beta_tcvae", 128, batch=256, network="conv", data="faces3d")
    model.compile(model.optimizer, jit_compile=bool(int(xla)))
    steps(model, 256, 1, "faces3d")
    return {"step": statistics.median(steps(model, 256, 7, "faces3d"))}


def load() -> dict[str, float]:
    from tcvae_tf import datasets

    datasets.load("dsprites")
    began = time.perf_counter()
    datasets.load("dsprites")
    return {"seconds": time.perf_counter() - began}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
