"""What is asked of the allocator and of the garbage collector, in a process of its own."""

import subprocess
import sys

import pytest

SCRIPT = """
import re, sys
import numpy as np
from tcvae_tf import memory

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024

early = [np.ones(2**10) for _ in range(2**14)]  # 128 MiB in pieces, held by the last
last = early.pop()
held = resident()
del early
assert memory.keep()
assert held - resident() > 100, "what was freed before was not given back"
arrays = [np.ones(2**22) for _ in range(4)]  # 32 MiB each
held = resident()
del arrays
assert held - resident() < 16, "freed memory was given back"
again = resident()
arrays = [np.ones(2**22) for _ in range(4)]
assert resident() - again < 16, "freed memory was not used again"
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc is asked on Linux")
def test_freed_memory_is_kept_and_used_again():
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=60)


def test_elsewhere_nothing_is_asked(monkeypatch):
    from tcvae_tf import memory

    monkeypatch.setattr(memory.sys, "platform", "darwin")
    assert memory.keep.__wrapped__() is False


OURS = """
import gc
before = gc.get_threshold()
import tcvae_tf.sweep
from tcvae_tf import cli
assert gc.get_threshold() == before
cli.main(["--version"])
assert gc.get_threshold() == (50_000, *before[1:])
"""


def test_garbage_is_looked_for_rarely_in_processes_of_ours_alone():
    subprocess.run([sys.executable, "-c", OURS], check=True, timeout=60, stdout=subprocess.DEVNULL)
