"""A disk that fills up while a part is written: one line, the last part as it was, and the pass goes on from it."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from engine_worlds import FIRST, SECOND, finish, halves, make_world, names, no_tick, small_blocks

from atlas.engines import Parts, State, run_local
from atlas.errors import AtlasError
from atlas.store import sealed


@pytest.fixture(autouse=True)
def _small():
    with small_blocks(inline=True):
        yield


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A limit on the size of files stands in for the full disk: the write fails part of the way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_fills_up_leaves_the_last_part_as_it_was(tmp_path):
    world = make_world(0)
    states, folder = halves(world), Parts(tmp_path, "run", world.shape)
    for place, state in enumerate(states):
        folder.write(place, state)
    size = folder.path(0).stat().st_size
    before = folder.path(0).read_bytes()
    total = State(world.shape)
    for state in states:
        total.merge(state)
    with files_of_at_most(size // 2), pytest.raises(AtlasError, match=f"{FIRST}: cannot be written .*; free space"):
        folder.write(0, total)
    assert folder.path(0).read_bytes() == before
    assert names(folder) == [FIRST, SECOND]
    assert finish(world, folder)[0] == []


def test_a_disk_that_fills_up_in_the_pass_ends_it_and_what_was_written_is_gone_on_from(tmp_path, monkeypatch):
    world = make_world(0)
    found = Parts(tmp_path / "pass-0", "run", world.shape)
    save = sealed.save
    calls = iter(range(100))

    def on_a_disk_that_fills_up(path: Path, arrays: Iterable[Any], header: Any) -> str:
        """Three files fit, and a part of the fourth."""
        return save(path, arrays if next(calls) < 3 else some(arrays), header)

    def some(arrays: Iterable[Any]) -> Iterator[Any]:
        yield from list(arrays)[:10]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(sealed, "save", on_a_disk_that_fills_up)
        with world.worker() as worker, pytest.raises(AtlasError, match="No space left on device"):
            run_local([worker], world.chunks, found, 1e-9, no_tick)
    assert names(found) == [FIRST]
    assert finish(world, found) == ([], {0, 1, 2})
