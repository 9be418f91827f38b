"""One pass over the corpus on a Ray cluster, to the same bytes as on one machine.

1. What parts on disk cover is not read again. Of every other chunk one copy goes to the object store, when its first
   micro-batch is dealt out; the corpus is not read further ahead than that.
2. A worker (`ray_workers`, `ray_task`) is an actor with a GPU, or with as many CPUs as it has threads. It makes its
   model and dictionaries itself, once, on its node.
3. A task is a run of micro-batches, of one chunk or of several, and returns their state. How many they are depends on
   the time that they take (`ray_workers`), and has no influence on the result.
4. States are merged in pairs on the cluster (`ray_tree`). At a checkpoint the driver adds what is merged to its total,
   and writes that as a part: the same file that `local` writes, so that either engine goes on where the other ended.
5. Where a worker dies, or a node with states on it, what is in no total is dealt out again, to whoever is free. Ray
   makes the actor anew where there is room, but is not asked to run its tasks again: it would wait for that very actor,
   and on a cluster that does not get the node back, without end.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

from atlas.corpus import Chunk
from atlas.engines.local import Tick
from atlas.engines.parts import Parts
from atlas.engines.ray_cluster import Crew, connected, count_workers
from atlas.engines.ray_task import Make
from atlas.engines.ray_tree import Found, Tree, Unit
from atlas.engines.ray_workers import Workers, is_bug
from atlas.engines.state import State

Say = Callable[[str], None]


def run_ray(
    make: Make,
    chunks: Iterable[Chunk],
    tokens: int,
    parts: Parts,
    state: State,
    every: float,
    tick: Tick,
    crew: Crew,
    say: Say,
) -> State:
    """Run the pass, or what is left of it.

    Args:
        make: Makes a worker on the node where it is called; picklable.
        chunks: The corpus, in order.
        tokens: How many it has, at most.
        parts: Where parts are written, on this machine.
        state: What `parts.load` found; it becomes the total.
        every: Seconds between two parts.
        tick: Told of progress whenever a task ends; of less than nothing when what it found is lost.
        crew: What workers are wanted.
        say: Told what the cluster is, and what was lost.

    Returns:
        The state of the whole pass, which is on disk as well.

    Raises:
        AtlasError: If there is no cluster or no room in it, if a worker fails foreseeably or workers keep dying,
            or if a part cannot be written.
    """
    left = _Left(chunks, tokens, frozenset(state.covered), tick)
    if left.any():  # else no cluster is needed
        with connected(say) as ray:
            number = count_workers(ray.nodes(), crew, say)
            workers = Workers(ray, make, crew, number, parts.shape, every, say)
            try:
                _Pass(ray, workers, left, parts, state, tick, say).run(every)
            finally:
                workers.dismiss()
    parts.write(0, state)
    return state


class _Left:
    """Micro-batches that are left to read.

    Attributes:
        tokens: How many they have, at most.
    """

    def __init__(self, chunks: Iterable[Chunk], tokens: int, done: frozenset[int], tick: Tick) -> None:
        self.tokens = tokens
        self._chunks = self._todo(chunks, done, tick)
        self._chunk: tuple[Chunk, list[tuple[int, int]]] | None = None  # the next one, if it was looked at
        self._units: deque[Unit] = deque()

    def any(self) -> bool:
        """Whether there are any; reads the corpus as far as that takes."""
        if not self._units and self._chunk is None:
            self._chunk = next(self._chunks, None)
        return bool(self._units) or self._chunk is not None

    def take(self, tokens: float, store: Callable[[Chunk], Any]) -> list[Unit]:
        """Take out so many tokens or a little more, if there are as many.

        Args:
            tokens: How many.
            store: Puts a chunk into the object store.
        """
        units: list[Unit] = []
        taken = 0
        while taken < tokens and self.any():
            if not self._units and self._chunk is not None:
                (chunk, todo), self._chunk = self._chunk, None
                stored = store(chunk)
                self._units.extend(Unit(stored, number, size) for number, size in todo)
            units.append(self._units.popleft())
            taken += units[-1].tokens
        self.tokens -= taken
        return units

    def put_back(self, units: Iterable[Unit]) -> None:
        """What was taken is to be read again, before anything else."""
        some = list(units)
        self._units.extendleft(reversed(some))
        self.tokens += sum(unit.tokens for unit in some)

    def _todo(
        self, chunks: Iterable[Chunk], done: frozenset[int], tick: Tick
    ) -> Iterator[tuple[Chunk, list[tuple[int, int]]]]:
        """Chunks with the micro-batches of each that are not done: number, tokens."""
        for chunk in chunks:
            sizes = [int(chunk.offsets[high] - chunk.offsets[low]) for low, high in pairwise(chunk.batches.tolist())]
            todo = [(number, size) for number, size in enumerate(sizes) if chunk.first_batch + number not in done]
            if found := sum(sizes) - sum(size for _, size in todo):
                self.tokens -= found
                tick(found, True)
            if todo:
                yield chunk, todo


class _Pass:
    """What has come of what is not left."""

    def __init__(
        self, ray: Any, workers: Workers, left: _Left, parts: Parts, total: State, tick: Tick, say: Say
    ) -> None:
        self._ray, self._workers, self._left = ray, workers, left
        self._parts, self._total, self._tick, self._say = parts, total, tick, say
        self._tree = Tree(workers.merge)

    def run(self, every: float) -> None:
        """Read all that is left into the total; a part every so many seconds."""
        written = time.monotonic()
        while self._workers.busy or len(self._tree) or self._left.any():
            self._workers.deal(lambda tokens: self._left.take(tokens, self._ray.put), lambda: self._left.tokens)
            ended = not self._workers.busy and not self._left.any()
            if ended:
                self._add_up(lambda _: True)
            else:
                self._hear(written + every - time.monotonic())
            if time.monotonic() - written >= every and not ended:
                if self._add_up(self._is_ready):
                    self._parts.write(0, self._total)
                written = time.monotonic()  # and not when the writing began: it may take long

    def _hear(self, seconds: float) -> None:
        for found, report in self._workers.listen(seconds):
            if report is None:
                self._left.put_back(found.units)
            else:
                self._tree.add(found)
                self._tick(report.tokens, False)

    def _add_up(self, ready: Callable[[Any], bool]) -> int:
        """Add to the total what is merged so far; returns how many states that was."""
        some = self._tree.take(ready)
        for found in some:
            self._add(found)
        return len(some)

    def _add(self, found: Found) -> None:
        try:
            arrays = self._ray.get(found.state)
        except self._ray.exceptions.RayError as error:
            if is_bug(self._ray, error):
                raise
            again = sum(unit.tokens for unit in found.units)
            self._say(f"ray: a node was lost with what it had found in {again:,} tokens; they are read again")
            self._left.put_back(found.units)
            self._tick(-again, False)
        else:
            self._total.merge(State.restored(self._parts.shape, arrays))

    def _is_ready(self, state: Any) -> bool:
        return bool(self._ray.wait([state], timeout=0, fetch_local=False)[0])
