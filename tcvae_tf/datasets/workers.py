"""Work in several processes that import nothing of the program which asks for it.

`multiprocessing` starts its processes by running the main module again: a script without a guard would begin anew, and
what is typed in has no file to run. Here a worker is a bare Python that reads tasks and writes results through pipes.
"""

from __future__ import annotations

import importlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_CODE = "import sys; from tcvae_tf.datasets import workers; workers.serve(sys.argv[1])"
_BYTES = 8  # of a task's number, and of a result's length


def run(function: str, tasks: Sequence[int], workers: int) -> Iterator[tuple[int, bytes]]:
    """Yields (task, function(task)) as they are done, in no certain order.

    Args:
      function: "module:function", from a whole number to bytes.
      tasks: whole numbers, 0 or more.
      workers: processes; with 1, or where Python cannot start itself, the work is done here, in order.

    Raises:
      RuntimeError: a process ended before its work was done; what it had to say is on standard error.
    """
    workers = min(workers, len(tasks))
    if workers <= 1 or not sys.executable:
        call = _resolve(function)
        yield from ((task, call(task)) for task in tasks)
        return
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, bytes] | None] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    processes = [_start(function) for _ in range(workers)]
    try:
        for process in processes:
            threading.Thread(target=_feed, args=(process, waiting, done), daemon=True).start()
        for _ in tasks:
            result = done.get()
            if result is None:
                raise RuntimeError(f"a process that worked at {function} ended early; see its words above")
            yield result
    finally:
        for process in processes:
            process.kill()
            process.wait()


def serve(function: str) -> None:
    """A worker's life: answers tasks from standard input until it is closed."""
    call = _resolve(function)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while task := source.read(_BYTES):
        result = call(int.from_bytes(task, "little"))
        sink.write(len(result).to_bytes(_BYTES, "little") + result)
        sink.flush()


def _resolve(function: str) -> Callable[[int], bytes]:
    module, name = function.split(":")
    return getattr(importlib.import_module(module), name)


def _start(function: str) -> subprocess.Popen:
    home = str(Path(__file__).resolve().parents[2])
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-P", "-c", _CODE, function]  # -P: not what lies in the present directory
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def _feed(process: subprocess.Popen, waiting: queue.SimpleQueue, done: queue.SimpleQueue) -> None:
    """Hands tasks to one process and its results on; None when it fails to answer."""
    try:
        while True:
            task = waiting.get_nowait()
            process.stdin.write(task.to_bytes(_BYTES, "little"))  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            done.put((task, _receive(process)))
    except queue.Empty:
        pass
    except (OSError, EOFError, ValueError):
        done.put(None)


def _receive(process: subprocess.Popen) -> bytes:
    length = _exactly(process, _BYTES)
    return _exactly(process, int.from_bytes(length, "little"))


def _exactly(process: subprocess.Popen, count: int) -> bytes:
    content = process.stdout.read(count)  # type: ignore[union-attr]
    if len(content) < count:
        raise EOFError
    return content
