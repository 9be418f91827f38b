"""How a stage tells what it does; the command line decides how that looks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Reporter(Protocol):
    """Takes lines and progress."""

    def say(self, line: str) -> None:
        """Tell one line."""

    def track(self, what: str, total: int, unit: str) -> AbstractContextManager[Callable[[int, bool], None]]:
        """Show progress while the block runs.

        The block gets a function that takes an amount done, and whether it was found done already (so that
        it does not count for the rate).
        """


class Silent:
    """Says nothing."""

    def say(self, line: str) -> None:
        """Drop the line."""

    def track(self, what: str, total: int, unit: str) -> AbstractContextManager[Callable[[int, bool], None]]:  # noqa: ARG002
        """Track nothing."""
        return nullcontext(lambda _amount, _found: None)
