"""Parts on disk: what is damaged, foreign, unfinished or counted twice is told and computed again; nothing else is."""

from __future__ import annotations

import errno
import os
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
from engine_worlds import (
    FIRST,
    SECOND,
    World,
    exactly,
    finish,
    halves,
    make_world,
    names,
    no_tick,
    one_pass,
    small_blocks,
)

from atlas.engines import Parts, State, run_local
from atlas.errors import AtlasError

RUN = "digest of a pass"
DAMAGED, FOREIGN = "is damaged or was not finished", "belongs to another pass"
OTHER, TWICE = "is damaged, or another part under this name", "covers what another part covers as well"


@pytest.fixture(autouse=True)
def _small():
    with small_blocks(inline=True):
        yield


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(0)


@pytest.fixture(scope="module")
def states(world):
    with small_blocks(inline=True):
        return halves(world)


@pytest.fixture(scope="module")
def whole(world):
    with small_blocks(inline=True):
        return exactly(one_pass(world).arrays())


@pytest.fixture
def folder(world, states, tmp_path) -> Parts:
    """Both halves on disk, as a kill in the middle would leave them."""
    found = Parts(tmp_path / "pass-0", RUN, world.shape)
    for place, state in enumerate(states):
        found.write(place, state)
    return found


def test_what_is_whole_is_taken_over_without_a_word(world, folder, states):
    refused, done = finish(world, folder)
    assert refused == []
    assert done == states[0].covered | states[1].covered == {n for n, _ in enumerate(world.batches)}
    assert names(folder) == [FIRST]


def test_parts_of_more_workers_than_there_are_now_are_read(world, states, tmp_path):
    found = Parts(tmp_path, RUN, world.shape)
    found.write(7, states[1])
    assert finish(world, found) == ([], states[1].covered)


def test_an_empty_or_missing_folder_is_an_empty_state(world, tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        found = Parts(path, RUN, world.shape)
        assert exactly(found.load().arrays()) == exactly(State(world.shape).arrays())
        assert found.refused == []


def regions(path: Path) -> dict[str, tuple[int, int]]:
    """Where the arrays, the footer, its digest and its length lie in a file."""
    data = path.read_bytes()
    end = len(data) - 40
    start = end - int.from_bytes(data[-8:], "little")
    found, at = {}, 0
    entries = orjson.loads(data[start:end])["arrays"]
    for name, (kind, shape, first, _) in sorted(entries.items(), key=lambda entry: entry[1][2]):
        assert first == at
        at += int(np.prod(shape)) * np.dtype(kind).itemsize
        if at > first:
            found[name] = (first, at)
    assert at == start
    return found | {"footer": (start, end), "digest": (end, end + 32), "length": (end + 32, end + 40)}


def test_a_file_cut_off_anywhere_is_refused_by_name(world, folder, states):
    path = folder.path(1)
    data = path.read_bytes()
    cuts = {0, 1, 7, 8, 9, 100, len(data) - 1} | {start for start, _ in regions(path).values()}
    for cut in sorted(cuts):
        path.write_bytes(data[:cut])
        again = Parts(folder.folder, RUN, world.shape)
        assert again.load().covered == states[0].covered, cut
        assert again.refused == [f"{SECOND} {DAMAGED}"]
        assert names(folder) == [FIRST]
    path.write_bytes(data[:-1])
    assert finish(world, folder) == ([f"{SECOND} {DAMAGED}"], states[0].covered)


def test_a_single_bit_that_flips_anywhere_is_found(world, folder, states):
    path, chance = folder.path(1), random.Random(0)  # noqa: S311 (no secret)
    data, other = path.read_bytes(), folder.path(0).read_bytes()
    folder.path(0).unlink()
    spans = regions(path)
    assert {"covered", "chunks", "chunk_digests", "0/unfit", "0/0/histogram_n", "2/1/top_act"} <= spans.keys()
    places = [p for low, high in spans.values() for p in {low, high - 1, chance.randrange(low, high)}]
    named = data.index(SECOND.encode())
    places += [named, *chance.sample(range(*spans["footer"]), 50), *chance.sample(range(len(data)), 50)]
    for place in places:
        flipped = bytearray(data)
        flipped[place] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        again = Parts(folder.folder, RUN, world.shape)
        assert again.load().covered == set(), place
        assert len(again.refused) == 1, place
        assert again.refused[0].removeprefix(f"{SECOND} ") in {DAMAGED, FOREIGN, OTHER}
        assert names(folder) == []
    path.write_bytes(flipped)
    folder.path(0).write_bytes(other)
    assert finish(world, folder)[1] == states[0].covered


def test_a_damaged_file_does_not_cost_the_whole_one_that_it_claims_to_cover(world, folder, states):
    """The file that says that it covers most is looked at first; if its digest is wrong, the others still count."""
    total = State(world.shape)
    for state in states:
        total.merge(state)
    folder.write(0, total)
    data = bytearray(folder.path(0).read_bytes())
    data[0] ^= 1
    folder.path(0).write_bytes(data)
    assert finish(world, folder) == ([f"{FIRST} {OTHER}"], states[1].covered)


def test_swapped_names_are_found(world, folder):
    one, two, aside = folder.path(0), folder.path(1), folder.path(2)
    one.rename(aside)
    two.rename(one)
    aside.rename(two)
    refused, done = finish(world, folder)
    assert sorted(refused) == [f"{FIRST} {OTHER}", f"{SECOND} {OTHER}"]
    assert done == set()


def test_a_part_of_another_pass_is_refused(world, folder, states):
    stranger = Parts(folder.folder, "another", world.shape)
    stranger.write(1, states[1])
    assert finish(world, folder) == ([f"{SECOND} {FOREIGN}"], states[0].covered)


def test_a_part_that_lacks_blocks_is_refused_and_one_that_has_more_is_read(world, folder, states):
    """Another budget of memory splits the same job into other passes."""
    few = replace(world.shape, blocks=tuple(blocks[:1] for blocks in world.shape.blocks))
    now = Parts(folder.folder, RUN, few)
    loaded = now.load()
    assert now.refused == []
    assert loaded.covered == states[0].covered | states[1].covered
    with world.worker(few) as worker:
        for chunk, number in world.batches:
            worker.read(chunk, number)
        assert exactly(loaded.arrays()) == exactly(worker.state.arrays())
    assert finish(world, folder) == ([f"{FIRST} lacks features of this pass"], set())


def test_parts_that_read_different_text_do_not_stop_the_pass(world, folder, states):
    other = State.restored(world.shape, states[1].arrays())
    other.chunks[0] = "0" * 64
    folder.write(1, other)
    refused, done = finish(world, folder)
    assert refused == [f"{SECOND} read different text"]
    assert done == states[0].covered


@pytest.mark.parametrize("number", [0, 2])
def test_a_pass_does_not_go_on_over_other_text(world, folder, number):
    chunk = world.chunks[number]
    other = [*world.chunks]
    other[number] = replace(chunk, ids=chunk.ids[::-1].copy())
    with (
        world.worker(state=folder.load()) as worker,
        pytest.raises(AtlasError, match="pass-0: the text has changed since this pass began; delete this folder"),
    ):
        run_local([worker], other, folder, 60, no_tick)


def test_a_file_left_half_written_is_refused_even_if_it_is_whole(world, folder, states):
    partial = folder.path(0).with_name(f"{FIRST}.partial")
    for data in (b"", folder.path(0).read_bytes()[:500], folder.path(1).read_bytes()):
        partial.write_bytes(data)
        again = Parts(folder.folder, RUN, world.shape)
        assert again.load().covered == states[0].covered | states[1].covered
        assert again.refused in (
            [f"{partial.name} {DAMAGED}"],
            [f"{partial.name} {OTHER}"],
            [f"{partial.name} {TWICE}"],
        )
        assert names(folder) == [FIRST]


def test_what_is_no_part_at_all_is_refused(world, folder):
    (folder.folder / "notes.txt").write_text("not a part")
    assert finish(world, folder)[0] == [f"notes.txt {DAMAGED}"]


def test_a_file_that_cannot_be_read_is_refused(world, folder, states, monkeypatch):
    opened = Path.open

    def broken(path: Path, *given: str) -> object:
        if path.name == SECOND:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opened(path, *given)

    monkeypatch.setattr(Path, "open", broken)
    assert finish(world, folder) == ([f"{SECOND} {DAMAGED}"], states[0].covered)


class Killed(BaseException):
    """Stands in for a kill."""


def killed(*_: object, **__: object) -> None:
    raise Killed


@pytest.mark.parametrize("when", ["load", "the end of the pass"])
def test_a_kill_between_writing_a_sum_and_removing_its_parts_counts_nothing_twice(
    world, folder, states, when, monkeypatch
):
    def end(of: Parts) -> None:
        total = State(world.shape)
        for state in states:
            total.merge(State.restored(world.shape, state.arrays()))
        of.replace(total, [of.path(place) for place in range(len(states))])

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(Killed):
            {"load": Parts.load, "the end of the pass": end}[when](folder)
    assert names(folder) == [FIRST, SECOND]
    assert finish(world, folder) == ([f"{SECOND} {TWICE}"], states[0].covered | states[1].covered)


def test_the_finished_pass_is_one_file_of_which_a_block_is_read_alone(world, folder, whole):
    finish(world, folder)
    assert names(folder) == [FIRST]
    for place, block in world.shape.places():
        own = folder.accumulator(place, block)
        prefix = f"{place}/{block}/"
        expected = {name.removeprefix(prefix): value for name, value in whole.items() if name.startswith(prefix)}
        assert exactly(own.arrays()) == expected
    assert folder.unfit(1) == one_pass(world).unfit[1]
    data = bytearray(folder.path(0).read_bytes())
    data[regions(folder.path(0))["1/0/top_act"][0]] ^= 1
    folder.path(0).write_bytes(data)
    folder.accumulator(0, 0)
    with pytest.raises(AtlasError, match=rf"{FIRST}: is gone or damaged; run `atlas collect` again"):
        folder.accumulator(1, 0)


def test_a_finished_pass_that_is_gone_is_one_line(world, tmp_path):
    parts = Parts(tmp_path, RUN, world.shape)
    for read in (lambda: parts.accumulator(0, 0), lambda: parts.unfit(0)):
        with pytest.raises(AtlasError, match=rf"{FIRST}: is gone or damaged; run `atlas collect` again"):
            read()
