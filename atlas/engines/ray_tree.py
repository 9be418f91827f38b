"""States that wait on the cluster to be added to the driver's total, merged in pairs like a binary counter.

A task's state has height 0. Two states of one height are merged into one of the next, on the cluster. So after n
tasks no more states wait than n has bits, each state is merged log2 n times, and nothing of it passes the driver.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Unit:
    """A micro-batch that is to be read.

    Attributes:
        chunk: The chunk in the object store (`ray.ObjectRef`). It stays there as long as a unit names it: until what
            was read of it is in the driver's total, for till then it may have to be read again.
        number: Which of its micro-batches.
        tokens: How many it has.
    """

    chunk: Any
    number: int
    tokens: int


@dataclass(frozen=True)
class Found:
    """A state on the cluster (`ray.ObjectRef`), what it was read from, and how often it was merged."""

    state: Any
    units: list[Unit]
    height: int = 0


class Tree:
    """States that wait, at most one of each height.

    Args:
        join: Merges two states on the cluster.
    """

    def __init__(self, join: Callable[[Any, Any], Any]) -> None:
        self._join = join
        self._waiting: dict[int, Found] = {}

    def __len__(self) -> int:
        """How many states wait."""
        return len(self._waiting)

    def add(self, found: Found) -> None:
        """Let one more wait."""
        while (twin := self._waiting.pop(found.height, None)) is not None:
            found = Found(self._join(twin.state, found.state), twin.units + found.units, found.height + 1)
        self._waiting[found.height] = found

    def take(self, ready: Callable[[Any], bool]) -> list[Found]:
        """Take out those whose state is ready, the most merged first."""
        heights = [h for h in sorted(self._waiting, reverse=True) if ready(self._waiting[h].state)]
        return [self._waiting.pop(height) for height in heights]
