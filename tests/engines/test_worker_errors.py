"""What goes wrong in one worker ends the whole pass, promptly and clearly, and no thread is left."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
import torch
from engine_worlds import Model, World, exactly, make_world, no_tick, one_pass, small_blocks

from atlas.corpus import Chunk
from atlas.engines import Parts, run_local
from atlas.errors import AtlasError
from atlas.stats import Accumulator


@pytest.fixture(autouse=True)
def _small():
    with small_blocks():
        yield


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert [t.name for t in threading.enumerate() if t not in before] == []


def no_memory(kind: str) -> None:
    if kind == "torch's allocator":
        torch.empty(2**50)
    raise {"a device": torch.OutOfMemoryError, "Python": MemoryError}[kind]


@pytest.mark.parametrize("where", ["model", "statistics"])
@pytest.mark.parametrize("kind", ["a device", "Python", "torch's allocator"])
def test_memory_that_does_not_suffice_is_one_line_that_says_what_to_do(kind, where, monkeypatch):
    world = make_world(0)
    chunk, number = world.batches[0]
    with world.worker() as worker:
        if where == "model":
            monkeypatch.setattr(Model, "run", lambda *_: no_memory(kind))
        else:
            monkeypatch.setattr(Accumulator, "update", lambda *_: no_memory(kind))
        with pytest.raises(AtlasError) as caught:
            worker.read(chunk, number)
    size = int(chunk.batches[1])
    line = f"micro-batch of {size} windows on cpu: out of memory; lower collect.batch, or set collect.memory"
    assert str(caught.value) == line
    assert worker.state.covered == set(), "it was not read"


def test_other_errors_of_the_model_keep_their_traceback(monkeypatch):
    def wrong(*_: object) -> None:
        msg = "shapes do not match"
        raise RuntimeError(msg)

    world = make_world(0)
    monkeypatch.setattr(Model, "run", wrong)
    with world.worker() as worker, pytest.raises(RuntimeError, match="shapes do not match"):
        worker.read(*world.batches[0])


class Broken(Exception):  # noqa: N818 (a test's)
    """Something that nobody foresaw."""


def without_end(world: World) -> Iterator[Chunk]:
    """The first chunk's text again and again: a pass that is not stopped does not end."""
    first = world.chunks[0]
    batches = len(first.batches) - 1
    for number in itertools.count():
        yield replace(first, number=number, first=number * len(first), first_batch=number * batches)


@pytest.mark.parametrize("error", [Broken("no"), AtlasError("x", "y"), KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("bad", [0, 1, 2])
def test_an_error_in_one_worker_stops_all_of_them_and_surfaces(bad, error, tmp_path):
    world = make_world(0)
    with ExitStack() as stack:
        workers = [stack.enter_context(world.worker()) for _ in range(3)]
        reading = [0, 0, 0]

        def failing(place: int, read: Callable[[Chunk, int], int]) -> Callable[[Chunk, int], int]:
            def wrapped(chunk: Chunk, number: int) -> int:
                reading[place] += 1
                if place == bad and reading[bad] > 1:  # the first ones are read one after the other
                    while min(reading) < 2:  # until all of them are at work
                        time.sleep(0.001)
                    raise error
                return read(chunk, number)

            return wrapped

        for place, worker in enumerate(workers):
            worker.read = failing(place, worker.read)
        with pytest.raises(type(error)):
            run_local(workers, without_end(world), Parts(tmp_path, "run", world.shape), 60, no_tick)
    assert reading[bad] == 2


def test_first_micro_batches_are_read_one_after_the_other(tmp_path):
    """Libraries choose kernels when they are first called; two threads at once have been seen to get different ones."""
    world = make_world(0, chunks=4)
    inside, most = [0], [0]
    with ExitStack() as stack:
        workers = [stack.enter_context(world.worker()) for _ in range(3)]

        def counting(read: Callable[[Chunk, int], int]) -> Callable[[Chunk, int], int]:
            first = iter([True])

            def wrapped(chunk: Chunk, number: int) -> int:
                if not next(first, False):
                    return read(chunk, number)
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.01)
                inside[0] -= 1
                return read(chunk, number)

            return wrapped

        for worker in workers:
            worker.read = counting(worker.read)
        run_local(workers, itertools.islice(without_end(world), 9), Parts(tmp_path, "run", world.shape), 60, no_tick)
    assert most == [1]


@pytest.mark.parametrize("number", [1, 3])
def test_an_error_of_the_corpus_surfaces_from_whichever_worker_meets_it(number, tmp_path):
    world = make_world(0)

    def text() -> Iterator[Chunk]:
        yield from world.chunks
        msg = "a disk that was pulled out"
        raise AtlasError(msg, "gone")

    with ExitStack() as stack:
        workers = [stack.enter_context(world.worker()) for _ in range(number)]
        with pytest.raises(AtlasError, match="a disk that was pulled out: gone"):
            run_local(workers, text(), Parts(tmp_path, "run", world.shape), 60, no_tick)


def test_an_error_in_a_thread_of_the_statistics_surfaces(monkeypatch, tmp_path):
    def broken(*_: object) -> None:
        raise Broken

    monkeypatch.setattr(Accumulator, "update", broken)
    world = make_world(0)
    with world.worker() as worker, pytest.raises(Broken):
        run_local([worker], without_end(world), Parts(tmp_path, "run", world.shape), 60, no_tick)


def test_no_accumulator_is_updated_twice_at_a_time_while_a_device_goes_on(monkeypatch):
    """On a device, statistics of one micro-batch are still being added while the next one is encoded."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    busy: set[int] = set()
    overlaps, update = [], Accumulator.update

    def slowly(self: Accumulator, *given: object) -> None:
        if id(self) in busy:
            overlaps.append(self.first)
        busy.add(id(self))
        time.sleep(0.002)
        update(self, *given)
        busy.discard(id(self))

    world = make_world(3)
    expected = exactly(one_pass(world).arrays())
    monkeypatch.setattr(Accumulator, "update", slowly)
    with world.worker() as worker:
        for encoder in worker._encoders.values():
            encoder._here = False
        for chunk, number in world.batches:
            worker.read(chunk, number)
        assert any(worker._pending), "it does not go on while threads work"
        worker.finish()
    assert overlaps == []
    assert exactly(worker.state.arrays()) == expected
