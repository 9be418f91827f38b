"""Keep freed memory in the process, so that the kernel does not clear the same pages again for every micro-batch.

Why: torch does not cache memory on the CPU; every tensor is a `malloc` and a `free`. glibc takes large chunks
straight from the kernel and gives them straight back; it learns from what is freed what "large" means, but never
beyond 32 MiB (`DEFAULT_MMAP_THRESHOLD_MAX`). One MLP activation of Gemma 3 270M on 32 x 128 tokens is just that. So
each micro-batch has hundreds of thousands of page faults, and the kernel clears each page.

How, in two calls of `mallopt`, which every version of glibc takes:

1. `M_MMAP_MAX = 0`: all chunks come from the heap. (`M_MMAP_THRESHOLD` would need a number above any tensor's size,
   and before 2.35 glibc refuses one beyond 32 MiB.) Where the heap cannot grow, glibc still asks the kernel.
2. `M_TRIM_THRESHOLD = -1`: the top of the heap is not given back.

Only the main thread has a heap that grows without limit. Other threads have heaps of 64 MiB each, and their larger
chunks still come from the kernel and go back: run the model in the main thread.

@MEASURED@
"""

from __future__ import annotations

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""From glibc's `malloc.h`."""


def keep_freed_memory() -> bool:
    """Let the process keep what it frees, for its next tensors.

    Call it once the model is loaded and trimmed: what was allocated before still goes back when it is freed, what is
    allocated after does not. It holds for the whole process, and there is no way back.

    Returns:
        Whether it was done; not with other C libraries (macOS, Windows, musl), where nothing is changed.
    """
    if not _is_glibc():
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, -1))


def _is_glibc() -> bool:
    """Whether this process runs on glibc; musl has no such name, other systems not even `confstr`."""
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):
        return False
