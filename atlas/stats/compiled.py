"""Functions compiled by Numba: loops over firings, which Python cannot do and numpy only in several readings.

They hold no lock, so threads run them beside each other. Numba's default for floats is kept (no fastmath): they
compare as IEEE 754 has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, cast

import numba

from atlas.store import schema

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile on first use, and keep the machine code beside the module or, if that is read-only, in the user's cache.

    Where neither can be written (a container without a home) it is compiled again by every process, some seconds.
    """
    try:
        return cast("F", numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # "cannot cache function: no locator available"
        return cast("F", numba.njit(nogil=True)(function))


def inlined(function: F) -> F:
    """Compile as part of each function that calls it.

    For what is called once a firing: passing arrays on counts references, which takes longer than what is done here.
    """
    return cast("F", numba.njit(nogil=True, inline="always")(function))


def forget_stale(folder: Path, sources: Iterable[Path]) -> None:
    """Remove indices of machine code in a folder that are older than any of the sources.

    Numba compares a function's code with the function's own file. It does not see that another file has changed from
    which a constant or a function was built in, and would go on with the old one.
    """
    newest = max(source.stat().st_mtime for source in sources)
    for index in folder.glob("*.nbi"):
        with suppress(OSError):  # another process was faster, or nothing may be written here
            if index.stat().st_mtime < newest:
                index.unlink()


_HERE = Path(__file__).parent
forget_stale(_HERE / "__pycache__", [*_HERE.glob("*.py"), Path(schema.__file__)])
