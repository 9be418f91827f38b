"""Keep freed memory in the process, so that the kernel does not clear the same pages again for every micro-batch.

Why: torch does not cache memory on the CPU; every tensor is a `posix_memalign` and a `free`. glibc takes large chunks
straight from the kernel and gives them straight back. It learns from what is freed what "large" is, but never goes
beyond 32 MiB (`DEFAULT_MMAP_THRESHOLD_MAX`), and one MLP activation of Gemma 3 270M on 32 x 128 tokens is just that.
So every micro-batch has hundreds of thousands of page faults, and in each the kernel clears a page.

How:

1. `mallopt(M_MMAP_MAX, 0)`: all chunks come from the heap. Every version of glibc takes it; `M_MMAP_THRESHOLD` would
   need a number above any tensor's size, and before 2.35 glibc refuses one beyond 32 MiB. Where the heap cannot grow,
   glibc still asks the kernel.
2. `mallopt(M_TRIM_THRESHOLD, -1)`: the top of the heap is not given back.
3. `THP_MEM_ALLOC_ENABLE=1`, a switch of torch's: tensors of 2 MiB and more ask for huge pages, and all are aligned to
   4 KiB instead of 64 bytes. Without it glibc before 2.39 wastes memory here: what is cut off beside an aligned chunk
   is a few bytes, which are cached for the thread and keep the chunk's neighbours apart when it is freed, so that the
   next tensor of the same size does not fit in its place. Seven more copies of one tensor were seen to stay.

Only the main thread has a heap that grows without limit. Other threads have heaps of 64 MiB each, and their larger
chunks still come from the kernel and go back: run the model in the main thread.

Measured with glibc 2.36 and torch 2.13 on two busy cores, for a micro-batch of Gemma 3 270M through ten blocks (32 x
129 tokens) and 4096 features; ranges are of three to five processes:

                                  page faults          system time    greatest resident size
    as it was                     360,000 to 480,000   0.8 to 1.4 s   1.22 to 1.30 GB
    steps 1 and 2                 130 to 12,000        0.2 to 0.4 s   1.26 to 1.45 GB
    all three                     0 to 200             0.1 to 0.4 s   1.17 to 1.27 GB

Outside the main thread (one process each) it was 290,000, 1.1 s and 1.37 GB, and is 8,600, 0.5 s and 1.58 GB.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""From glibc's `malloc.h`."""

HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
"""There if the kernel knows of transparent huge pages; torch warns if it is told to ask for them in vain."""


def keep_freed_memory() -> bool:
    """Let the process keep what it frees, for its next tensors.

    Call it before the first tensor is made: torch reads its switch then, and only then. It holds for the whole
    process, and there is no way back. A value of `THP_MEM_ALLOC_ENABLE` that the user has set is left alone.

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
    if not (mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, -1)):
        return False
    if HUGE_PAGES.exists():
        os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    return True


def give_back_freed_memory() -> bool:
    """Return to the kernel what is freed and not used by now: between two stages whose tensors have other sizes.

    Returns:
        Whether anything was returned.
    """
    if not _is_glibc():
        return False
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return False
    trim.argtypes, trim.restype = (ctypes.c_size_t,), ctypes.c_int
    return bool(trim(0))


def _is_glibc() -> bool:
    """Whether this process runs on glibc; musl has no such name, other systems not even `confstr`."""
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):
        return False
