"""One pass over the corpus on this machine: a worker a device, all of them fed from one stream of micro-batches.

1. What parts on disk cover is not read again.
2. Each worker takes the next micro-batch as soon as it is free, and writes its state as a part every so many
   seconds: a kill at any moment loses that much at most.
3. In the end the states are merged; since merging is exact in any order, neither the number of workers nor
   the moments of the kills can be seen in the result.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

from atlas.corpus import Chunk
from atlas.engines.parts import Parts
from atlas.engines.state import State
from atlas.engines.worker import Worker
from atlas.errors import AtlasError

Tick = Callable[[int, bool], None]
"""Called with a number of tokens, and whether they were found done already."""


class _Stream:
    """The micro-batches that are left to do, handed out one at a time to whoever asks first."""

    def __init__(self, chunks: Iterable[Chunk], begun: State, where: Path, tick: Tick) -> None:
        self._items = self._left(chunks, frozenset(begun.covered), dict(begun.chunks), where, tick)
        self._lock = threading.Lock()
        self._stopped = False

    def stop(self) -> None:
        """Hand out nothing more."""
        self._stopped = True

    def __iter__(self) -> Iterator[tuple[Chunk, int]]:
        while True:
            with self._lock:  # a generator cannot be entered twice
                item = None if self._stopped else next(self._items, None)
            if item is None:
                return
            yield item

    @staticmethod
    def _left(
        chunks: Iterable[Chunk], done: frozenset[int], digests: dict[int, str], where: Path, tick: Tick
    ) -> Iterator[tuple[Chunk, int]]:
        for chunk in chunks:
            if chunk.number in digests and chunk.digest() != digests[chunk.number]:
                raise AtlasError(where, "the text has changed since this pass began", "delete this folder")
            for number in range(len(chunk.batches) - 1):
                if chunk.first_batch + number in done:
                    low, high = chunk.batches[number : number + 2]
                    tick(int(chunk.offsets[high] - chunk.offsets[low]), True)
                else:
                    yield chunk, number


def run_local(workers: Sequence[Worker], chunks: Iterable[Chunk], parts: Parts, every: float, tick: Tick) -> State:
    """Run the pass, or what is left of it.

    Args:
        workers: At least one; the first one's state is what `parts.load` found.
        chunks: The corpus, in order.
        parts: Where parts are written.
        every: Seconds between them.
        tick: Told of progress, from any thread.

    Returns:
        The state of the whole pass, which is on disk as well.

    Raises:
        AtlasError: If memory does not suffice, a part cannot be written, or the text is not the one that parts on
            disk were made from.
    """
    total = workers[0].state
    stream = _Stream(chunks, total, parts.folder, tick)

    # Libraries choose their kernels when they are first called. MKL's cosine was seen to choose others, with other last
    # digits, once in some hundred passes, when two threads called it first at the same time.
    beginning = threading.Lock()

    def drive(place: int) -> None:
        worker, written = workers[place], time.monotonic()
        try:
            for turn, (chunk, number) in enumerate(stream):
                with nullcontext() if turn else beginning:
                    tokens = worker.read(chunk, number)
                tick(tokens, False)
                if time.monotonic() - written >= every:
                    worker.finish()
                    parts.write(place, worker.state)
                    written = time.monotonic()
            worker.finish()
        except BaseException:
            stream.stop()
            raise

    with ThreadPoolExecutor(len(workers)) as pool:
        others = [pool.submit(drive, place) for place in range(1, len(workers))]
        drive(0)
        for other in others:
            other.result()
    for worker in workers[1:]:
        total.merge(worker.state)
    parts.write(0, total)
    parts.replace(total, [parts.path(place) for place in range(len(workers))])
    return total
