"""A worker process of a sweep: python -m tcvae_tf.worker takes runs on its input and answers on its output.

A line in is {"run": fields, "root": directory, "measure_every": epochs}, a line out {"error": null or one line}. All
else that is printed goes to the run's log.txt. When the input ends, the worker does, in the middle of a run too.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from tcvae_tf import executors, memory, runs
from tcvae_tf.settings import Run


def main() -> int:
    memory.collect_rarely()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    tasks: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_read, args=(tasks,), daemon=True).start()
    try:
        while True:
            answers.write(json.dumps({"error": _execute(tasks.get())}).encode() + b"\n")
    except (KeyboardInterrupt, BrokenPipeError):
        return 130


def _read(tasks: queue.Queue) -> None:
    """Hands on what comes in; at the end of it interrupts the main thread, which leaves a run as Ctrl-C would."""
    for line in sys.stdin.buffer:
        tasks.put(json.loads(line))
    os.kill(os.getpid(), signal.SIGINT)


def _execute(task: dict[str, Any]) -> str | None:
    run, root = Run(**task["run"]), Path(task["root"])
    try:
        _log_to(root / run.id / "log.txt")
        print(executors.BEGUN, flush=True)
        runs.execute(run, root, 0, task["measure_every"])
        _forget()
    except Exception as error:
        return executors.one_line(error)
    return None


def _log_to(path: Path) -> None:
    """Sends what is printed to a file, by TensorFlow's C++ too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as log:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def _forget() -> None:
    """Lets go of the models of the run before."""
    import gc

    import keras

    keras.backend.clear_session()
    gc.collect()


if __name__ == "__main__":
    sys.exit(main())
