"""What a process asks of the memory allocator and of the garbage collector."""

from __future__ import annotations

import atexit
import ctypes
import functools
import gc
import sys

#: Of glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


@functools.cache
def keep() -> bool:
    """Keeps what is freed from now on for the process's next allocation, on Linux with glibc; whether that took effect.

    Otherwise every tensor of more than some hundred kilobytes is given back when it is freed, and each step of training
    waits for the kernel to clear its pages anew, which costs most on virtual machines. Results are the same bits. What
    was freed before is given back, so after the first step is the time for it: compiling takes memory of its own.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt, trim = ctypes.CDLL(None).mallopt, ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):  # another C library
        return False
    trim(0)
    settings = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 * 2**20}
    return sum(mallopt(name, value) for name, value in settings.items()) == len(settings)


@functools.cache
def collect_rarely() -> None:
    """Lets this process, which must be ours, look for cycles of garbage rarely, and not when it ends.

    An import of TensorFlow makes 600,000 objects that are collected and hardly any garbage; a fifth of its seconds go
    into looking for some, and one or two more when the process ends, whose memory is given back then anyhow.
    """
    gc.set_threshold(50_000, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)
