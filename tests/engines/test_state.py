"""However the micro-batches are permuted, split, saved and merged, a pass comes to the same bytes, up to the store."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import orjson
import pytest
import torch
from engine_worlds import World, exactly, make_world, one_pass, plainly, small_blocks, statistics
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.config import Recipe, load
from atlas.engines import Shape, State, encode
from atlas.engines.plan import Plan, Size, block_bytes, fixed_bytes, written_bytes
from atlas.engines.state import SHOWN, Unfit
from atlas.paths import places
from atlas.pipeline import collect as stage
from atlas.pipeline import prepare
from atlas.pipeline.report import Silent
from atlas.stats import top

SEEDS = st.integers(0, 10**6)
WORLDS = st.integers(0, 5)
BAD = 3


@pytest.fixture(autouse=True)
def _small(request):
    if "job" in request.fixturenames:
        yield
        return
    with small_blocks(inline=True):
        yield


def spoil(ids: torch.Tensor, found: dict[str, torch.Tensor]) -> None:
    if "a" in found:  # a pass may not need it
        found["a"][ids == BAD] = torch.nan


@cache
def world(seed: int) -> World:
    """In half of the worlds some positions are not finite."""
    return make_world(seed, spoil=spoil if seed % 2 else None)


@cache
def whole(seed: int) -> dict:
    return exactly(one_pass(world(seed)).arrays())


@pytest.mark.parametrize("seed", range(6))
def test_one_pass_is_what_counting_the_dense_activations_gives(seed):
    state = one_pass(world(seed))
    expected = plainly(world(seed), lambda d, ids: (ids == BAD) & (d.hook_point == "a") & bool(seed % 2))
    assert statistics(state.arrays()) == exactly(expected)
    assert [unfit.positions > 0 for unfit in state.unfit] == [seed % 2, 0, seed % 2], "nor are BOS, EOS and padding"
    batches = sum(len(chunk.batches) - 1 for chunk in world(seed).chunks)
    assert state.covered == set(range(batches))
    assert state.chunks == {chunk.number: chunk.digest() for chunk in world(seed).chunks}


def saved(state: State, shape: Shape) -> State:
    return State.restored(shape, {name: value.copy() for name, value in state.arrays().items()})


def scattered(seed: int, chance: random.Random, shape: Shape) -> State:
    """Every micro-batch by any of several workers, in any order, stopped and restored, merged in any tree."""
    this = world(seed)
    items = this.batches
    chance.shuffle(items)
    states = [State(shape) for _ in range(chance.randrange(1, 5))]
    while items:
        place, some = chance.randrange(len(states)), chance.randrange(1, 4)
        with this.worker(shape, states[place]) as worker:
            for chunk, number in items[:some]:
                worker.read(chunk, number)
            worker.finish()
        items = items[some:]
        if chance.random() < 0.4:
            states[place] = saved(states[place], shape)
    while len(states) > 1:
        chance.shuffle(states)
        states[0].merge(states.pop())
        if chance.random() < 0.3:
            states[0] = saved(states[0], shape)
    return states[0]


@settings(deadline=None, max_examples=40)
@given(WORLDS, SEEDS, st.sampled_from([0, 0.3, 1, 50]))
def test_no_order_split_restart_or_tree_of_merges_changes_a_byte(seed, plan, patience):
    expected = whole(seed)
    with pytest.MonkeyPatch.context() as patch, small_blocks(inline=True):
        patch.setattr(top, "PATIENCE", patience)
        chance = random.Random(plan)  # noqa: S311 (no secret)
        assert exactly(scattered(seed, chance, world(seed).shape).arrays()) == expected


@settings(deadline=None, max_examples=20)
@given(WORLDS, SEEDS, st.integers(1, 4))
def test_blocks_spread_over_passes_are_the_same_as_in_one(seed, plan, passes):
    chance = random.Random(plan)  # noqa: S311
    shape = world(seed).shape
    of = {where: chance.randrange(passes) for where in shape.places()}
    found: dict = {}
    for number in range(passes):
        blocks = tuple(tuple(b for b in some if of[p, b] == number) for p, some in enumerate(shape.blocks))
        part = Shape(shape.widths, blocks, shape.sources, shape.top, shape.sample)
        found |= statistics(scattered(seed, chance, part).arrays())
    assert found == {name: value for name, value in whole(seed).items() if name.count("/") == 2}


def half(seed: int, part: int) -> State:
    with world(seed).worker() as worker:
        for chunk, number in world(seed).batches[part::2]:
            worker.read(chunk, number)
        return worker.state


def test_a_micro_batch_in_both_states_is_refused_and_nothing_is_added():
    one, other = half(0, 0), half(0, 0)
    before = exactly(one.arrays())
    with pytest.raises(ValueError, match="micro-batch 0 is in both"):
        one.merge(other)
    assert exactly(one.arrays()) == before


def test_states_of_different_text_are_refused_and_nothing_is_added():
    one, other = half(0, 0), half(0, 1)
    other.chunks[1] = "another"
    before = exactly(one.arrays())
    with pytest.raises(ValueError, match="different text in chunk 1"):
        one.merge(other)
    assert exactly(one.arrays()) == before


def test_windows_that_are_named_are_the_lowest_and_all_are_counted():
    one, other = Unfit(), Unfit()
    one.add(range(500, 700), 400, 200)
    other.add(range(450, 550), 100, 100)
    other.add(one.first, one.positions, one.windows)
    assert (other.positions, other.windows, other.first) == (500, 300, list(range(450, 450 + SHOWN)))


class Job:
    """The tiny atlas collected again, in another folder and in another way."""

    def __init__(self, tiny, folder: Path) -> None:
        self.recipe, self.where = load(tiny.recipe), places("tiny", folder)
        self.tiny = tiny.store

    def changed(self, **settings: object) -> Recipe:
        return self.recipe.model_copy(update={"collect": self.recipe.collect.model_copy(update=settings)})

    def differing(self, **settings: object) -> list[str]:
        """Files that are not those of the tiny atlas."""
        assert stage.collect(self.changed(**settings), self.where, Silent())
        here, there = _files(self.where.store), _files(self.tiny)
        assert here.keys() == there.keys()
        assert not self.where.work.exists()
        return [name for name in here if here[name] != there[name]]


def _files(store: Path) -> dict[str, object]:
    """Content by name, as far as the first stage goes."""
    found: dict[str, object] = {p.relative_to(store).as_posix(): p.read_bytes() for p in store.rglob("*.parquet")}
    manifest = orjson.loads((store / "manifest.json").read_bytes())
    for step, file in (("name", "names.parquet"), ("map", "map.parquet")):
        found.pop(file, None)
        manifest["stages"].pop(step, None)
        manifest["files"].pop(file, None)
    return found | {"manifest.json": manifest}


@pytest.fixture
def job(tiny, tmp_path):
    return Job(tiny, tmp_path)


@pytest.mark.parametrize(("workers", "checkpoint"), [(1, 0.02), (2, 60), (3, 1e-6)])
def test_neither_workers_nor_checkpoints_change_a_byte_of_the_store(job, workers, checkpoint, monkeypatch):
    seen = []
    run = stage.run_local
    monkeypatch.setattr(stage, "run_local", lambda workers, *rest: (seen.append(len(workers)), run(workers, *rest))[1])
    assert job.differing(workers=workers, checkpoint=checkpoint) == []
    assert seen == [workers]


def test_a_budget_that_takes_several_passes_does_not_change_a_byte_of_the_store(job, monkeypatch):
    plans, make = [], prepare.make_plan

    def small(size: Size, shape: Shape, memory: int, *, shipped: bool) -> Plan:
        """A budget for the widest block alone."""
        assert memory == 10**9
        assert not shipped
        widest = max(block_bytes(shape, *where) + written_bytes(shape, *where) for where in shape.places())
        plans.append(make(size, shape, fixed_bytes(size) + widest))
        return plans[-1]

    monkeypatch.setattr(prepare, "make_plan", small)
    assert job.differing(memory="1GB", workers=2, checkpoint=0.02) == []
    ((first, *others),) = [plan.shapes for plan in plans]
    assert others
    assert any(all(pair) for other in others for pair in zip(first.blocks, other.blocks, strict=True)), "none is split"


def test_the_path_of_a_device_gives_the_same_store(job, monkeypatch):
    made, begin = [], encode.Encoder.__init__

    def elsewhere(self: encode.Encoder, *given: object) -> None:
        begin(self, *given)
        self._here = False
        made.append(self)

    monkeypatch.setattr(encode.Encoder, "__init__", elsewhere)
    assert job.differing(workers=1) == []
    assert len(made) == 2
