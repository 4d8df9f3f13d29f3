"""Executors: where the runs of a sweep happen. Each starts runs and says which have ended; `sweep` decides the rest.

Whatever the executor, a run is trained with as many threads and leaves the same record, time and host aside.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import itertools
import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Protocol

from tcvae_tf import files, memory, provenance, runs
from tcvae_tf.settings import Run
from tcvae_tf.words import suggest

log = logging.getLogger("tcvae_tf")

EXECUTORS = ("serial", "processes", "ray")

#: What a worker writes into a run's log.txt when it takes the run.
BEGUN = "run taken by a worker"

#: Seconds after which a worker that ends a run is replaced, so that what its TensorFlow keeps does not add up.
_RENEW = 1200.0


@dataclasses.dataclass(frozen=True)
class Resources:
    """What a sweep may use.

    Attributes:
      workers: runs at a time; None for one for each core, fewer where memory is short, and one for each GPU where there
        are any. Of no meaning to ray, which counts resources instead.
      threads: of a run. Records are the same bits only with as many.
      address: of the Ray cluster; None starts one on this machine.
      gpus: of a run under ray, or a part of one: 0.25 lets four runs share a GPU.
    """

    workers: int | None = None
    threads: int = 1
    address: str | None = None
    gpus: float = 0.0


class Executor(Protocol):
    """`start` runs while `active` is shorter than `capacity`; `ended` returns the runs that did since, with the error
    of each or None; `close` stops what is active, which the same sweep goes on with later."""

    capacity: int

    @property
    def active(self) -> list[Run]: ...
    def start(self, run: Run) -> None: ...
    def ended(self) -> list[tuple[Run, str | None]]: ...
    def close(self) -> None: ...


def make(name: str, root: Path, resources: Resources, measure_every: int, capacity: int) -> Executor:
    """The executor of that name; `capacity` runs at a time where it is for us to say."""
    if name == "serial":
        return Serial(root, resources.threads, measure_every)
    if name == "processes":
        return Processes(root, resources.threads, measure_every, capacity)
    return Ray(root, resources, measure_every)


#: Where the system lists GPUs, as files.
_DEVICES = Path("/dev")
#: Variables that say where data sets are looked for.
_CACHES = ("TCVAE_CACHE", "XDG_CACHE_HOME", "TFDS_DATA_DIR")


def environment(threads: int) -> dict[str, str]:
    """What holds TensorFlow and NumPy to so many threads; read when they are imported."""
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    # Of a GPU each process takes what it needs, so that several may share one, unless it is told otherwise.
    growth = os.environ.get("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_FORCE_GPU_ALLOW_GROWTH": growth}
    return {**dict.fromkeys(names, str(threads)), **quiet}


def seeing(environment: dict[str, str], gpu: str | None) -> dict[str, str]:
    """Of a process that sees that GPU alone; unchanged where there is none."""
    return environment if gpu is None else {**environment, "CUDA_VISIBLE_DEVICES": gpu}


def prepare(name: str, threads: int) -> None:
    """Holds this process to so many threads, where runs are to be trained in it and that can be done yet: it is the
    import of TensorFlow that takes them, which a data set of one's own may bring along."""
    if name == "serial" and "tensorflow" not in sys.modules:
        os.environ.update(environment(threads))


class Serial:
    """One run after the other in this process, with Keras' own progress bars."""

    capacity = 1

    def __init__(self, root: Path, threads: int, measure_every: int) -> None:
        self.root, self.measure_every = root, measure_every
        self._ended: list[tuple[Run, str | None]] = []
        prepare("serial", threads)
        if provenance.threads() != threads:
            log.warning(
                "TensorFlow was imported before it could be held to --threads=%d and trains with %d, other bits; "
                "--executor=processes keeps to them, or set TF_NUM_INTRAOP_THREADS=%d",
                *(threads, provenance.threads(), threads),
            )

    @property
    def active(self) -> list[Run]:
        """What has been started and not been asked for yet: the next run begins when this one is recorded."""
        return [run for run, _ in self._ended]

    def start(self, run: Run) -> None:
        print(f"run {run.id}", flush=True)
        error = None
        try:
            runs.execute(run, self.root, measure_every=self.measure_every)
        except Exception as failure:
            error = one_line(failure)
        self._ended.append((run, error))

    def ended(self) -> list[tuple[Run, str | None]]:
        ended, self._ended = self._ended, []
        return ended

    def close(self) -> None:
        pass


class Processes:
    """Several worker processes, a run at a time in each: on most CPUs as much gets done so as by one run with all
    threads, or more, as `python -m reproduce benchmark` tells.

    Each worker sees one GPU alone where there are any, that of the fewest other workers. A worker that is killed is
    replaced, and its run goes on once more from its checkpoint, unless on a GPU of another kind: then it starts over.
    Workers end with the process that started them, however it ends: then their input does.
    """

    def __init__(self, root: Path, threads: int, measure_every: int, capacity: int) -> None:
        self.root, self.measure_every, self.capacity = root, measure_every, capacity
        self._environment, self._gpus = {**os.environ, **environment(threads)}, gpus()
        self._idle: list[_Worker] = []
        self._busy: dict[Run, _Worker] = {}
        self._killed: collections.Counter[Run] = collections.Counter()

    @property
    def active(self) -> list[Run]:
        return list(self._busy)

    def start(self, run: Run) -> None:
        worker = self._idle.pop() if self._idle else self._hire()
        self._busy[run] = worker
        worker.execute(run, self.root, self.measure_every)

    def _hire(self) -> _Worker:
        shared = collections.Counter(worker.gpu for worker in (*self._busy.values(), *self._idle))
        gpu = min(self._gpus, key=lambda gpu: shared[gpu], default=None)
        return _Worker(seeing(self._environment, gpu), gpu)

    def ended(self) -> list[tuple[Run, str | None]]:
        answers = {run: answer for run, worker in self._busy.items() if (answer := worker.answer()) is not None}
        ended = [(run, self._settle(run, self._busy.pop(run), answer)) for run, answer in answers.items()]
        return [(run, error) for run, error in ended if run not in self._busy]

    def _settle(self, run: Run, worker: _Worker, answer: dict[str, Any]) -> str | None:
        """The error of a run that ended, if it did; one whose worker was killed is started once more."""
        killed = answer.get("killed")
        if killed or time.monotonic() - worker.born > _RENEW:
            worker.close()
        else:
            self._idle.append(worker)
        if not killed:
            return answer["error"]
        self._killed[run] += 1
        if self._killed[run] == 1:
            self.start(run)
        log_file = self.root / run.id / "log.txt"
        return f"{killed}, twice; is there memory enough? fewer --workers take less; its last words, if any: {log_file}"

    def close(self) -> None:
        workers = [*self._busy.values(), *self._idle]
        for worker in workers:
            worker.hang_up()
        for worker in workers:
            worker.close()


class _Worker:
    """A process that takes runs on its input, one a line, and answers each with a line; see `worker.main`."""

    def __init__(self, environment: dict[str, str], gpu: str | None = None) -> None:
        self.gpu = gpu  # which `environment` lets it see
        # A session of its own: Ctrl-C is for the sweep, which then closes the input.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tcvae_tf.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        self.born = time.monotonic()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.process.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]

    def execute(self, run: Run, root: Path, measure_every: int) -> None:
        task = {"run": dataclasses.asdict(run), "root": str(root), "measure_every": measure_every}
        try:
            self.process.stdin.write(json.dumps(task).encode() + b"\n")  # type: ignore[union-attr]
            self.process.stdin.flush()  # type: ignore[union-attr]
        except BrokenPipeError:
            pass  # it was killed: `answer` says so

    def answer(self) -> dict[str, Any] | None:
        """What became of the run; None while it is at it."""
        if not self._selector.select(0):
            return None
        line = self.process.stdout.readline()  # type: ignore[union-attr]
        if line.endswith(b"\n"):
            return json.loads(line)
        code = self.process.wait()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return {"killed": f"the process was {how}" if code < 0 else f"the process {how}"}

    def hang_up(self) -> None:
        """Tells it to end."""
        with contextlib.suppress(BrokenPipeError):  # it was killed, and what it was sent last still waits
            self.process.stdin.close()  # type: ignore[union-attr]

    def close(self, patience: float = 10.0) -> None:
        """Ends it: gently, then not."""
        self.hang_up()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._selector.close()
        self.process.stdout.close()  # type: ignore[union-attr]


class Ray:
    """Runs as tasks of a Ray cluster, which places them by their CPUs and GPUs, over machines too.

    The machines need this package at the same version, the data, and the directory of runs under the same path. Where
    that is not shared, a record comes back all the same, but a run that is cut off begins anew elsewhere.
    """

    def __init__(self, root: Path, resources: Resources, measure_every: int) -> None:
        try:
            import ray
        except ImportError as error:
            raise ImportError("--executor=ray needs Ray: pip install -e '.[ray]'") from error
        self._ray, self.root, self.measure_every = ray, root.resolve(), measure_every
        self.capacity = 1_000_000  # Ray keeps those that wait
        variables = {**environment(resources.threads), "PYTHONPATH": os.pathsep.join([os.getcwd(), *_python_path()])}
        variables |= {name: os.environ[name] for name in _CACHES if name in os.environ}
        self._own = not ray.is_initialized()
        if self._own:
            ray.init(address=resources.address, log_to_driver=False, configure_logging=False, logging_level="error")
        options = {"num_cpus": resources.threads, "num_gpus": resources.gpus, "max_retries": 1}
        # One process a run: what TensorFlow keeps does not add up, and each is given its own devices.
        self._remote = ray.remote(max_calls=1, runtime_env={"env_vars": variables}, **options)(_in_ray)
        self._tasks: dict[Any, Run] = {}

    @property
    def active(self) -> list[Run]:
        return list(self._tasks.values())

    def start(self, run: Run) -> None:
        self._tasks[self._remote.remote(dataclasses.asdict(run), str(self.root), self.measure_every)] = run

    def ended(self) -> list[tuple[Run, str | None]]:
        if not self._tasks:
            return []
        ready, _ = self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
        return [(self._tasks[task], self._collect(task, self._tasks.pop(task))) for task in ready]

    def _collect(self, task: Any, run: Run) -> str | None:
        try:
            answer = self._ray.get(task)
        except self._ray.exceptions.RayError as error:
            return one_line(error)
        if answer["error"] is None and runs.read_record(run, self.root) is None:  # another disk
            files.write_json(self.root / run.id / "record.json", answer["record"])
        return answer["error"]

    def close(self) -> None:
        for task in self._tasks:
            self._ray.cancel(task, force=True)
        if self._own:
            self._ray.shutdown()


def _in_ray(fields: dict[str, Any], root: str, measure_every: int) -> dict[str, Any]:
    """A run on whatever machine Ray chose; its log.txt says which."""
    import ray

    memory.collect_rarely()
    try:
        run = Run(**fields)
        log = Path(root) / run.id / "log.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file:
            file.write(f"{BEGUN} on node {ray.get_runtime_context().get_node_id()}\n")
        return {"error": None, "record": runs.execute(run, root, 0, measure_every)}
    except Exception as error:  # as text: not every error can be sent
        return {"error": one_line(error)}


def _python_path() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def one_line(error: BaseException) -> str:
    """An error in a line that a table can hold."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}"[:400]


def check(name: str, resources: Resources) -> None:
    """
    Raises:
      ValueError: an unknown executor, or fewer than one worker or thread.
    """
    if name not in EXECUTORS:
        raise ValueError(f"unknown executor {name!r}; {suggest(name, EXECUTORS)}")
    capacity(resources, 1.0)


def gpus() -> list[str]:
    """The GPUs that a process started here would see, as CUDA_VISIBLE_DEVICES names them."""
    here = sum(1 for _ in _DEVICES.glob("nvidia[0-9]*"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = map(str, range(here)) if visible is None else map(str.strip, visible.split(","))

    def there(name: str) -> bool:
        return name.startswith(("GPU-", "MIG-")) or (name.isdigit() and int(name) < here)

    return list(itertools.takewhile(there, names)) if here else []  # CUDA too stops at the first that is not there


def capacity(resources: Resources, need: float) -> int:
    """Runs at a time, when each needs `need` bytes: as many as cores, or as GPUs where there are any; fewer where
    memory is short.

    Raises:
      ValueError: fewer than one worker or thread.
    """
    for name in ("workers", "threads"):
        count = getattr(resources, name)
        if count is not None and count < 1:
            raise ValueError(f"{name} must be at least 1; got {count}")
    if resources.workers is not None:
        return resources.workers
    places = len(gpus()) or provenance.cores() // resources.threads
    return max(1, int(min(places, provenance.free_memory() / need)))  # which may be infinite
