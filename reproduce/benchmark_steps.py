"""Steps of training in Keras' own loop, and the TC term alone, as the benchmark times them.

What needs a process of its own, for its peak of memory, its threads or its imports, is
`python -m reproduce.benchmark_steps NAME ARGUMENTS`.
"""

from __future__ import annotations

import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from reproduce import benchmark_machine as machine
from reproduce.benchmark_measures import peak

#: Width and batch of the paper and of the preset cpu.
PAPER, LAPTOP = (1200, 2048), (256, 512)


@functools.cache
def loaded(name: str = "dsprites") -> Any:
    from tcvae_tf import datasets

    return datasets.load(name)


def make(method: str, width: int, latents: int = 10, batch: int = 0, network: str = "mlp", data: str = "dsprites"):
    """An untrained model, compiled for a long training."""
    from tcvae_tf import runs
    from tcvae_tf.settings import Run

    sizes: dict[str, Any] = {"network": network, "width": width, "latent_dim": latents, "batch_size": batch or 512}
    if method == "factor_vae":
        sizes["discriminator_width"] = 1000 if width == PAPER[0] else width
    return runs.model(Run(dataset=data, method=method, **sizes), loaded(data), steps=10**6)


def steps(model: Any, batch: int, count: int, data: str = "dsprites") -> list[float]:
    """Seconds of a step in Keras' loop, so many times: each the mean of as many as Keras takes at a time."""
    import keras

    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: ends.append(time.perf_counter()))
    each, at_a_time = batch * getattr(model, "batches", 1), model.steps_per_execution
    model.fit(loaded(data).batches(each).take(at_a_time * (count + 1)), callbacks=[clock], verbose=0)
    return list(np.diff(ends) / at_a_time)


def in_turns(
    models: Mapping[str, Any],
    batch: int,
    rounds: int,
    count: int = 3,
    bounds: Sequence[machine.Bound] = (),
    acts: Mapping[str, Callable[[], Any]] | None = None,
) -> dict[str, float]:
    """The median seconds of a step of each model and of each act; bounds are measured in the same rounds."""
    acts = acts or {}
    taken: dict[str, list[float]] = {name: [] for name in (*models, *acts)}
    for turn in range(rounds + 1):
        for bound in bounds if turn else ():
            bound.measure()
        for name, model in models.items():
            found = steps(model, batch, count if turn else 1)
            taken[name] += found if turn else []  # the first is compiled, or comes before its neighbours
        for name, act in acts.items():
            act()
            taken[name] += [machine.stopwatch(act, 0.05) for _ in range(count)] if turn else []
    return {name: statistics.median(found) for name, found in taken.items()}


def total_correlation(batch: int, rows: int | None) -> Callable[[], Any]:
    """The estimates of a batch and their gradient, compiled; rows = batch keeps the whole [D, B, B] tensor."""
    import tensorflow as tf

    from tcvae_tf.minibatch import weighted_log_qz

    noise, loc, log_scale = (tf.random.stateless_normal([batch, 10], [0, seed]) for seed in range(3))
    scale = tf.exp(log_scale - 2)
    arrays = (loc + scale * noise, loc, scale)

    @tf.function(jit_compile=True, autograph=False)
    def act():
        with tf.GradientTape() as tape:
            tape.watch(arrays)
            total = weighted_log_qz(*arrays, 737_280, "mws", (5.0, -5.0), rows=rows)[0]
        return tape.gradient(total, arrays)

    return lambda: act()[0].numpy()


# --- processes of their own -------------------------------------------------------------------------------------------


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **variables}


def children(name: str, count: int, variables: Mapping[str, str], *arguments: object) -> list[dict[str, float]]:
    """The answers of so many processes at the same time."""
    words = ("reproduce.benchmark_steps", name, *map(str, arguments))
    started = [_started(words, variables) for _ in range(count)]
    return [json.loads(_ended(process, words).splitlines()[-1]) for process in started]


def _started(words: Sequence[str], variables: Mapping[str, str]) -> subprocess.Popen[str]:
    """python -m of some words."""
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    return subprocess.Popen([sys.executable, "-m", *words], env=environment(variables), **options)


def _ended(process: subprocess.Popen[str], words: Sequence[str]) -> str:
    """What it wrote."""
    written = process.communicate()[0]
    if process.returncode:
        raise RuntimeError(f"benchmark: python -m {' '.join(words)} failed; run it by hand to see why")
    return written


def answer(*words: str) -> str:
    """What python -m of these words writes, in a process of its own."""
    return _ended(_started(words, {}), words)


def child(name: str, *arguments: object, **variables: str) -> dict[str, float]:
    return children(name, 1, variables, *arguments)[0]


def tc_peak(batch: str) -> dict[str, float]:
    total_correlation(int(batch), None)()
    return {"peak": peak()}


def first_step(width: str, batch: str) -> dict[str, float]:
    from tcvae_tf import models  # noqa: F401

    images, began = loaded().storage[: int(batch)], time.perf_counter()
    model = make("beta_tcvae", int(width), batch=int(batch))
    made = time.perf_counter()
    model.train_on_batch(images)
    return {"made": made - began, "seconds": time.perf_counter() - made}


def training_peak(width: str, batch: str) -> dict[str, float]:
    import tensorflow  # noqa: F401

    from tcvae_tf import models  # noqa: F401

    imported = peak()
    steps(make("beta_tcvae", int(width), batch=int(batch)), int(batch), 5)
    return {"imported": imported, "peak": peak()}


def laptop_step() -> dict[str, float]:
    model = make("beta_tcvae", LAPTOP[0], batch=LAPTOP[1])
    steps(model, LAPTOP[1], 2)
    return {"step": statistics.median(steps(model, LAPTOP[1], 12))}


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
    from tcvae_tf.datasets import cache

    datasets.load("dsprites")
    cache.digest_once.cache_clear()  # as in a new process
    began = time.perf_counter()
    datasets.load("dsprites")
    return {"seconds": time.perf_counter() - began}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
