"""Provenance: what a result may depend on beside its run: data, versions, commit and device."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

from tcvae_tf.version import __version__


def of(data: Any) -> dict:
    """Source and checksum of a Dataset, versions of the packages, commit of the checkout, and the device."""
    import keras
    import numpy as np
    import tensorflow as tf
    import tensorflow_probability as tfp

    from tcvae_tf import tracing

    packages = (keras, np, tf, tfp)
    versions = {"python": platform.python_version(), **{package.__name__: package.__version__ for package in packages}}
    # Of several GPUs a run takes the first.
    gpus = tf.config.list_physical_devices("GPU")[:1]
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus]
    cpu = f"CPU {processor()}, threads: {threads()}" + ("" if tracing.one_dnn() else ", without oneDNN")
    return {
        "data": {"source": data.source, "sha256": data.sha256},
        "versions": {"tcvae_tf": __version__, **versions},
        "commit": _commit(),
        "device": names[0] if names else cpu,
    }


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """Threads that this process is to use: TF_NUM_INTRAOP_THREADS where it is set and not 0, else one for each core."""
    return int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0) or cores()


def processor() -> str:
    """The name of the processor, and whether it has AVX-512: one name may stand for kinds that round otherwise."""
    info = Path("/proc/cpuinfo")
    told = info.read_text() if info.exists() else ""
    found = re.search(r"model name\s*: (.*)", told)
    name = found[1] if found else platform.machine()
    return f"{name} with AVX-512" if re.search(r"\bavx512f\b", told) else name


def _commit() -> str | None:
    """The commit of the checkout that this package is run from, marked when files differ; None when it is none."""
    home = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(home), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        tracked = git("ls-files", "--error-unmatch", "provenance.py")
        changed = "+changes" if tracked and git("status", "--porcelain", "--untracked-files=no", "--", ".") else ""
        return git("rev-parse", "--short=12", "HEAD") + changed if tracked else None
    except OSError:  # no git
        return None


def free_memory() -> float:
    """Bytes that new processes can have: what the system says is available, or what is left of the control group's
    limit where that is less; infinite where neither can be read."""
    found = []
    with contextlib.suppress(OSError, ValueError, AttributeError):
        available = re.search(r"MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text())
        found.append(1024.0 * int(available.group(1)))  # type: ignore[union-attr]
    group = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError):
        limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        cache = re.search(r"inactive_file (\d+)", (group / "memory.stat").read_text())
        found.append(float(limit - used + int(cache.group(1) if cache else 0)))
    return min(found, default=float("inf"))
