"""Functions compiled by Numba: loops over firings, which Python cannot do and numpy only in several readings.

They hold no lock, so threads run them beside each other. Numba's default for floats is kept (no fastmath): they
compare as IEEE 754 has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile on first use, and keep the machine code beside the module or, if that is read-only, in the user's cache.

    Where neither can be written (a container without a home) it is compiled again by every process, some seconds.
    """
    try:
        return cast("F", numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # "cannot cache function: no locator available"
        return cast("F", numba.njit(nogil=True)(function))
