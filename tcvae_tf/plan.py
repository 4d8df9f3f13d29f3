"""What a sweep will take, before it is started: FLOP, hours on this machine, disk. `--plan` of reproduce shows it.

Step times are measured: processes as many as the sweep would have train every distinct setting for a few steps on
random images, at the same time, since they slow each other down. The process that measures is this module.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tcvae_tf import datasets, executors, files, provenance, runs
from tcvae_tf.factors import FactorGrid
from tcvae_tf.settings import Run, recipe_of
from tcvae_tf.words import suggest

#: Seconds of steps in a trial, and of measures that do not grow with the images.
_TRIAL, _FIXED = 2.0, 6.0
#: Images that a trial measures.
_TRIAL_IMAGES = 20_000


@dataclasses.dataclass(frozen=True)
class Line:
    """Runs that cost the same.

    Attributes:
      what: data set, method and network, in words.
      count, done: runs, and those that have a record.
      steps, epochs: of each.
      flop: of the matrix products of one run.
      seconds: of one run on this machine; NaN where it was not measured.
      disk: bytes that one run leaves.
    """

    what: str
    count: int
    done: int
    steps: int
    epochs: float
    flop: float
    seconds: float
    disk: float


def plan(
    runs_: Sequence[Run],
    root: Path,
    places: int,
    threads: int = 1,
    recorded: Collection[Run] = (),
    measure: bool = True,
) -> list[Line]:
    """Groups runs and says what each group takes; measures for some minutes what was not measured before."""
    runs_ = list(dict.fromkeys(runs_))
    for run in runs_:
        check(run)
    todo = [run for run in runs_ if run not in recorded and runs.read_record(run, root) is None]
    times = _measured(todo, root, places, threads) if measure else {}
    groups: dict[tuple, list[Run]] = {}
    for run in runs_:
        groups.setdefault((_what(run), steps(run)), []).append(run)
    return [_line(what, group, set(todo), times) for (what, _), group in groups.items()]


def _line(what: str, group: Sequence[Run], todo: set[Run], times: dict[str, dict]) -> Line:
    run, count = group[0], steps(group[0])
    per_epoch = images(run) // run.images_per_step
    done = sum(other not in todo for other in group)
    seconds = _seconds(run, times[_key(run)]) if _key(run) in times else math.nan
    return Line(what, len(group), done, count, count / per_epoch, count * step_flop(run), seconds, _disk(run))


def check(run: Run) -> None:
    """
    Raises:
      ValueError: its data have no such factor to fix, or fewer images than a step takes.
    """
    names = _grid(run.dataset, 1).names
    for name in run.fixed:
        if name not in names:
            raise ValueError(f"{run.dataset} has no factor {name!r} to fix; {suggest(name, names)}")
    if images(run) < run.images_per_step:
        count = f"{images(run):,} images, fewer than a step takes, {run.images_per_step:,}"
        raise ValueError(f"{_what(run)} has {count}; give a smaller batch_size")


def _what(run: Run) -> str:
    part = run.dataset + (f" thin {run.thin}" if run.thin > 1 else "") + (" pose" if run.fix else "")
    return f"{part}, {run.method}, {run.network} {run.width}, batch {run.batch_size}"


def steps(run: Run) -> int:
    """Training steps of a run, from the sizes of its grid alone."""
    return run.step_count(images(run) // run.images_per_step)


def images(run: Run) -> int:
    """N of a run."""
    grid = _grid(run.dataset, run.thin)
    if grid.weights is not None:
        return len(grid.select({name: [value] for name, value in run.fixed.items()})[0].cells)
    return math.prod(1 if name in run.fixed else size for name, size in zip(grid.names, grid.sizes, strict=True))


@functools.cache
def _grid(dataset: str, thin: int) -> FactorGrid:
    return _about(dataset).grid.thin(thin)[0]


def _shape(dataset: str) -> tuple[int, int, int]:
    return _about(dataset).image_shape


class _About(NamedTuple):
    grid: FactorGrid
    image_shape: tuple[int, int, int]
    packed: bool


@functools.cache
def _about(dataset: str) -> _About:
    """Factors and images, and whether those are kept as bits; one's own are made for it, once."""
    if known := datasets.KNOWN.get(dataset):
        return _About(known.grid, known.image_shape, known.packed)
    data = datasets.load(dataset)
    return _About(data.grid, data.image_shape, data.storage.ndim == 2)


def weights(run: Run) -> float:
    """Numbers in the kernels of a run's networks."""
    pixels, width, latents = math.prod(_shape(run.dataset)), run.width, run.latent_dim
    if run.network == "mlp":
        return 2 * pixels * width + 3 * width**2 + 3 * latents * width
    encoder = sum(inputs * outputs * area for inputs, outputs, area, _ in _convolutions(run))
    return 2 * encoder - latents * width  # the decoder takes D, where the encoder gives 2D


def _convolutions(run: Run) -> list[tuple[int, int, int, int]]:
    """Inputs, outputs, kernel area and places of each layer of the encoder; the decoder mirrors it."""
    height, width, colours = _shape(run.dataset)
    first = run.width / {"conv": 512, "conv_plain": 128}[run.network]
    channels = [colours, *(max(1, round(first * count)) for count in (32, 32, 64, 64))]
    layers = [(channels[k], channels[k + 1], 16, (height >> k + 1) * (width >> k + 1)) for k in range(4)]
    left = (height >> 4) * (width >> 4)
    return [*layers, (channels[-1], run.width, left, 1), (run.width, 2 * run.latent_dim, 1, 1)]


def step_flop(run: Run) -> float:
    """FLOP of the matrix products of a training step: forward, and backward but for the input's gradient."""
    if run.network == "mlp":
        first, both = math.prod(_shape(run.dataset)) * run.width, weights(run)
    else:
        layers = [inputs * outputs * area * places for inputs, outputs, area, places in _convolutions(run)]
        first, both = layers[0], 2 * sum(layers) - run.latent_dim * run.width
    flop = run.batch_size * (6 * both - 2 * first)
    if run.method == "factor_vae":
        width = run.discriminator_width
        judge = 5 * width**2 + width * (run.latent_dim + 2)
        # Two batches pass the discriminator for its own step, the first one once more for the VAE's.
        flop += run.batch_size * 2 * (2 * 3 * judge + 2 * judge)
        flop += run.batch_size * both if run.discriminator_batches == 2 else 0
    return float(flop)


def memory(run: Run) -> float:
    """Bytes that a run may take at its peak, a rough upper estimate: TensorFlow and XLA, weights with gradients and
    Adam's moments, a batch with what the layers keep of it, and the pairwise densities."""
    layers = 8 * math.prod(_shape(run.dataset)) + (12 if run.network == "mlp" else 400) * run.width
    pairs = 3 * run.batch_size**2 * run.latent_dim if run.method == "beta_tcvae" else 0
    return 1.5e9 + 16 * weights(run) + 4 * (layers * run.images_per_step + pairs)


def _disk(run: Run) -> float:
    """Bytes of a checkpoint with Adam's moments, of the codes and of the rest."""
    return 3 * 4 * weights(run) + 4 * images(run) * (2 * run.latent_dim + 1) + 2e5


def _seconds(run: Run, times: dict[str, float]) -> float:
    """Of a whole run: start and compilation, steps, encoding, measures."""
    return times["start"] + steps(run) * times["step"] + times["image"] * images(run) + _FIXED


def _key(run: Run) -> str:
    """What a step's time depends on. A VAE is taken to cost what β-TCVAE does: a little less in truth."""
    parts: list[Any] = [run.method] if run.own else []  # which is not timed
    parts += [run.network, run.width, run.batch_size, run.latent_dim, run.prior == "flow", run.posterior]
    parts += [run.discriminator_width, run.discriminator_batches] if run.method == "factor_vae" else []
    return json.dumps([run.dataset if ":" in run.dataset else _about(run.dataset).packed, *parts])


def _measured(todo: Sequence[Run], root: Path, places: int, threads: int) -> dict[str, dict]:
    """Times by setting, from the last plan made here where it has them."""
    path = root / "plan.json"
    machine = f"{provenance.processor()}, {places} processes of {threads} threads, recipe {recipe_of(True)}"
    try:
        kept = files.read_json(path)
    except (OSError, ValueError):
        kept = {}
    known: dict[str, dict] = kept.get(machine, {}) if isinstance(kept, dict) else {}
    missing = {_key(run): run for run in todo if _key(run) not in known and not run.own}
    # The dearer method of those that share a key.
    missing |= {_key(run): run for run in todo if _key(run) in missing and run.method == "beta_tcvae"}
    if missing:
        from rich.progress import Progress

        tasks = json.dumps([dataclasses.asdict(run) for run in missing.values()])
        with Progress(transient=True, disable=not sys.stdout.isatty()) as bar:
            task = bar.add_task("measuring steps", total=len(missing))
            found = _trials(tasks, list(missing), places, threads, lambda: bar.advance(task))
        known = {**known, **found}
        files.write_json(path, {machine: known})
    return known


def _trials(tasks: str, keys: Sequence[str], places: int, threads: int, advance: Any) -> dict[str, dict]:
    """Every trial in as many processes at a time as the sweep would have; the slowest counts."""
    environment = {**os.environ, **executors.environment(threads)}
    command = [sys.executable, "-m", "tcvae_tf.plan"]
    options: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    gpus: Sequence[str | None] = executors.gpus() or [None]
    seen = [executors.seeing(environment, gpus[place % len(gpus)]) for place in range(places)]
    workers: list[Any] = [subprocess.Popen(command, env=each, text=True, **options) for each in seen]
    try:
        for worker in workers:
            worker.stdin.write(tasks)
            worker.stdin.close()
        found: dict[str, dict] = {}
        ended = '{"error": "it ended without a word; is there memory enough?"}'
        for key in keys:
            answers = [json.loads(worker.stdout.readline() or ended) for worker in workers]
            if failed := [answer["error"] for answer in answers if "error" in answer]:
                raise RuntimeError(f"a trial for the plan failed: {failed[0]}")
            found[key] = {name: max(answer[name] for answer in answers) for name in answers[0]}
            advance()
        return found
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def trial(run: Run) -> dict[str, float]:
    """Seconds of start and compilation, of a step, and of encoding and measuring an image."""
    import numpy as np
    import tensorflow as tf

    from tcvae_tf import codes, metrics

    began = time.perf_counter()
    rng = np.random.default_rng(0)
    _, image, packed = _about(run.dataset)
    shape = (run.images_per_step, *((-(-math.prod(image) // 8),) if packed else image))
    batch = tf.constant(rng.integers(256, size=shape, dtype=np.uint8))
    grid = FactorGrid(("n", "m"), (_TRIAL_IMAGES // 10, 10))
    stand_in = np.broadcast_to(np.uint8(0), (_TRIAL_IMAGES, *image))
    model = runs.model(run, datasets.Dataset(stand_in, grid, image), steps(run))
    model.train_on_batch(batch)
    start = time.perf_counter() - began
    taken = _repeated(lambda: model.train_on_batch(batch))
    vae = getattr(model, "vae", model)
    one = batch[: run.batch_size]
    vae.encode_batch(one, vae.noise_seed(2, tf.constant(0)))
    encoding = _repeated(lambda: vae.encode_batch(one, vae.noise_seed(2, tf.constant(0)))[0].numpy())
    loc = rng.normal(size=(_TRIAL_IMAGES, run.latent_dim)).astype("f4")
    drawn = codes.Codes(loc=loc, scale=np.full_like(loc, 0.1), grid=grid)
    began = time.perf_counter()
    metrics.elbo_decomposition(drawn, verbose=0)
    measuring = time.perf_counter() - began
    return {"start": start + 8.0, "step": taken, "image": encoding / run.batch_size + measuring / _TRIAL_IMAGES}


def _repeated(act: Any) -> float:
    """The mean of several seconds' worth."""
    began, count = time.perf_counter(), 0
    while count < 2 or time.perf_counter() - began < _TRIAL:
        act()
        count += 1
    return (time.perf_counter() - began) / count


def main() -> None:
    """Answers each run of the list on standard input with the times of its trial, a line each."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for fields in json.load(sys.stdin):
        try:
            answer: dict[str, Any] = dict(trial(Run(**fields)))
        except Exception as error:
            answer = {"error": executors.one_line(error)}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
