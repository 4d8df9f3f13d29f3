"""Where the time of a step goes, kernel by kernel, as TensorFlow's profiler has it.

`python -m reproduce.benchmark_profile` writes CSV to standard output: what `benchmark` keeps of the present commit.
Copied into the reproduce/ of an older checkout and run there, with the names of some of `WORK`, this file profiles that
one.

One thread computes, since kernels that run at the same time cannot be told apart by their times.
"""

from __future__ import annotations

import collections
import csv
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

#: Steps that are profiled, after as many that are not.
STEPS = 3
FIELDS = ("commit", "machine", "work", "width", "batch", "group", "kernel", "ms")
#: What is profiled, with width and batch: steps of training by their method, and the encoding of a batch.
WORK = {
    "step at paper size": ("beta_tcvae", 1200, 2048),
    "step of preset cpu": ("beta_tcvae", 256, 512),
    "step of FactorVAE": ("factor_vae", 256, 512),
    "encoding": ("vae", 256, 2048),
}
#: What a kernel belongs to, by how its name begins: products and loops keep that of the operation they come from. A
#: kernel of TensorFlow's is named by its type, without what oneDNN adds to it, and its node.
GROUPS = {"matrix products": ("dot", "matmul", "einsum"), "loops: the TC term in blocks": ("while",)}
REST, OUTSIDE = "all other kernels", "outside of XLA's program"


def outermost(events: Iterable[tuple[str, int, int]]) -> dict[str, int]:
    """Time by name in the (name, beginning, length) that lie within no other: a loop's kernels count as the loop."""
    taken: collections.Counter[str] = collections.Counter()
    end = 0
    for name, began, length in sorted(events, key=lambda event: (event[1], -event[2])):
        if began >= end:
            end = began + length
            taken[name] += length
    return dict(taken)


def group(kernel: str) -> str:
    """The group of a kernel; one without a name is what was outside of the program."""
    return next(
        (name for name, begins in GROUPS.items() if kernel.lower().startswith(begins)), REST if kernel else OUTSIDE
    )


def of_tensorflow(event: str) -> str:
    """The name of a kernel of TensorFlow's from that of its event, "node:Type"; "" for other events.

    An event whose type is a function's name is the call of a program, whose own kernels count.
    """
    found = re.fullmatch(r"([^:\s]+):(?!__)(?:_Mkl)?(?:Native)?(?:Fused)?(\w+)", event)
    return f"{found[2]} {found[1]}" if found else ""


def kernels(folder: Path) -> dict[str, float]:
    """Milliseconds of a step in each kernel that a profile holds, of XLA's programs and between them."""
    # The profiler's own format: it comes with TensorFlow, but not by a public name.
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    space.ParseFromString(next(folder.rglob("*.xplane.pb")).read_bytes())
    taken: collections.Counter[str] = collections.Counter()
    for plane in space.planes:
        of_xla = {key for key, value in plane.stat_metadata.items() if value.name == "hlo_op"}
        for line in plane.lines:
            events = []
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                if not any(stat.metadata_id in of_xla for stat in event.stats):
                    name = of_tensorflow(name)
                if name:
                    events.append((name, event.offset_ps, event.duration_ps))
            taken.update(outermost(events))
    return {name: picoseconds / 1e9 / STEPS for name, picoseconds in taken.items()}


def profile(work: str) -> list[dict[str, Any]]:
    """The kernels of one of `WORK`, the longest first, and the time that no kernel takes."""
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    from tcvae_tf import datasets, provenance, runs
    from tcvae_tf.settings import Run

    method, width, batch = WORK[work]
    data = datasets.load("dsprites")
    run = Run(method=method, width=width, batch_size=batch, discriminator_width=width)
    model = runs.model(run, data, 10**6)
    images = tf.constant(data.storage[: run.images_per_step])

    def act() -> float:
        began = time.perf_counter()
        for _ in range(STEPS):
            if work == "encoding":
                model.encode_batch(images, tf.constant([0, 0]))[-1].numpy()
            else:
                model.train_on_batch(images)
        return 1e3 * (time.perf_counter() - began) / STEPS

    act()
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            step = act()
        found = kernels(Path(folder))
    found[""] = max(0.0, step - sum(found.values()))
    commit = (provenance.of(data)["commit"] or "")[:7]
    first = {"commit": commit, "machine": provenance.processor(), "work": work, "width": width, "batch": batch}
    lines = [{**first, "group": group(name), "kernel": name, "ms": f"{ms:.4g}"} for name, ms in found.items()]
    return sorted(lines, key=lambda line: -float(line["ms"]))


def by_group(rows: Sequence[Mapping[str, str]]) -> dict[tuple[str, str], dict[str, float]]:
    """Milliseconds of each group in each commit on its machine, the commits in their order."""
    names = [*GROUPS, REST, OUTSIDE]
    sums = {(row["commit"], row["machine"]): dict.fromkeys(names, 0.0) for row in rows}
    for row in rows:
        sums[row["commit"], row["machine"]][row["group"]] += float(row["ms"])
    return sums


if __name__ == "__main__":
    writer = csv.DictWriter(sys.stdout, FIELDS, lineterminator="\n")
    writer.writeheader()
    for work in sys.argv[1:] or WORK:
        writer.writerows(profile(work))
