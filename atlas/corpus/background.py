"""Things made by a thread, a few ahead of whoever takes them."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import closing
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")


class Stopped(Exception):  # noqa: N818 (a signal, not an error)
    """Raised in the thread by `check` when nobody wants more."""


class Background(Generic[T]):
    """An iterator whose items are made in a thread.

    What the thread raises is raised by `next`, after the items made before it.

    Args:
        make: Makes the items; it is given a function to call often, which raises `Stopped` when the
            thread is to end.
        ahead: Items that may wait.
        name: Name of the thread.
    """

    def __init__(self, make: Callable[[Callable[[], None]], Generator[T]], ahead: int, name: str) -> None:
        self._make, self._ahead = make, ahead
        self._items: deque[T] = deque()
        self._change = threading.Condition()
        self._stopped = self._finished = False
        self._error: BaseException | None = None
        # A daemon, so that an interpreter that ends without `stop` does not wait for text.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def __iter__(self) -> Background[T]:
        """The iterator itself."""
        return self

    def __next__(self) -> T:
        """The next item; waits for it.

        Raises:
            RuntimeError: If `stop` was called.
        """
        with self._change:
            self._change.wait_for(lambda: self._items or self._finished or self._stopped)
            if self._stopped:
                msg = "stopped: the corpus was closed, or its reading began anew"
                raise RuntimeError(msg)
            if self._items:
                self._change.notify_all()
                return self._items.popleft()
        if self._error is not None:
            raise self._error
        raise StopIteration

    def stop(self) -> None:
        """End the thread and wait until it has ended; what waits is dropped. May be called again."""
        with self._change:
            self._stopped = True
            self._items.clear()
            self._change.notify_all()
        self._thread.join()

    def _check(self) -> None:
        if self._stopped:
            raise Stopped

    def _run(self) -> None:
        try:
            with closing(self._make(self._check)) as items:
                for item in items:
                    self._put(item)
                    del item  # or it would live on while the next is made
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 (raised again where it is seen)
            self._error = error
        with self._change:
            self._finished = True
            self._change.notify_all()

    def _put(self, item: T) -> None:
        with self._change:
            self._change.wait_for(lambda: len(self._items) < self._ahead or self._stopped)
            self._check()
            self._items.append(item)
            self._change.notify_all()
