"""What cannot be counted is in no statistic, is counted as such, and is told in one line."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import orjson
import pytest
import torch
from engine_worlds import (
    D,
    Model,
    World,
    exactly,
    make_world,
    no_tick,
    one_pass,
    plainly,
    rectangle,
    small_blocks,
    statistics,
)
from typer.testing import CliRunner

from atlas.cli import app
from atlas.engines import Parts, run_local
from atlas.engines.state import Unfit
from atlas.model.lm import LanguageModel
from atlas.pipeline import collect as stage

BAD, LARGE = 3, 4
"""Tokens at which hook point `a` is not finite, and at which it is so large that one dictionary's sum is not."""


@pytest.fixture(autouse=True)
def _small(request):
    if "tiny" in request.fixturenames:
        yield
        return
    with small_blocks():
        yield


def spoil_with(*values: float) -> Callable[[torch.Tensor, dict[str, torch.Tensor]], None]:
    """At every `BAD` token one of these values, in one coordinate or another, at hook point `a`."""
    turns = itertools.cycle(itertools.product(values, range(D)))

    def spoil(ids: torch.Tensor, found: dict[str, torch.Tensor]) -> None:
        for row, position in (ids == BAD).nonzero().tolist():
            value, place = next(turns)
            found["a"][row, position, place] = value

    return spoil


def counted(world: World, spoilt: Callable[[np.ndarray], np.ndarray]) -> Unfit:
    """How many positions of the corpus are spoilt, by a plain count."""
    positions, windows = 0, []
    for chunk, number in world.batches:
        ids, names = rectangle(chunk, number)
        positions += int(spoilt(ids).sum())
        windows += names[spoilt(ids).any(1)].tolist()
    return Unfit(positions, len(windows), sorted(windows))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("values", [(torch.nan,), (torch.inf,), (-torch.inf,), (torch.nan, torch.inf, -torch.inf)])
def test_positions_that_are_not_finite_are_in_no_statistic_of_that_hook_point(values, seed):
    world = make_world(seed, spoil=spoil_with(*values), tokens=3)
    state = one_pass(world)
    bad = counted(world, lambda ids: ids == BAD)
    assert bad.positions > 5
    here = [d.hook_point == "a" for d in world.dictionaries]
    assert state.unfit == [bad if at_a else Unfit() for at_a in here]
    expected = plainly(world, lambda d, ids: (ids == BAD) & (d.hook_point == "a"))
    assert statistics(state.arrays()) == exactly(expected)
    tokens = [state.accumulators[place, 0].tokens for place in range(3)]
    assert tokens == [tokens[1] - bad.positions if at_a else tokens[1] for at_a in here]


def test_a_micro_batch_of_which_nothing_is_finite_counts_nothing():
    def spoil(_ids: torch.Tensor, found: dict[str, torch.Tensor]) -> None:
        for value in found.values():
            value.fill_(torch.nan)

    state = one_pass(make_world(0, spoil=spoil))
    assert all(a.tokens == 0 and not a.totals.count.any() for a in state.accumulators.values())
    assert all(unfit.positions > 0 for unfit in state.unfit)


def overflowing(world: World) -> World:
    """The first dictionary's sums leave float32 where the last coordinate is 1000, which it otherwise ignores."""
    first, *others = world.dictionaries
    weights = first.W_enc.clone()
    weights[-1] = 0
    weights[-1, 5] = 1e37
    return World([replace(first, W_enc=weights), *others], world.chunks, world.model)


@pytest.fixture
def large(monkeypatch):
    """That coordinate, at every `LARGE` token."""
    plain = Model.run

    def run(self: Model, ids: torch.Tensor, mask: torch.Tensor, hooks: list) -> dict[str, torch.Tensor]:
        found = plain(self, ids, mask, hooks)
        found["a"][..., -1] = torch.where(ids == LARGE, 1000.0, 0.0) + 0 * found["a"][..., -1]
        return found

    monkeypatch.setattr(Model, "run", run)


@pytest.mark.usefixtures("large")
def test_sums_that_overflow_in_one_dictionary_are_left_out_of_that_one_alone():
    world = overflowing(make_world(1, tokens=3))
    state = one_pass(world)
    bad = counted(world, lambda ids: ids == LARGE)
    assert bad.positions > 5
    assert state.unfit == [bad, Unfit(), Unfit()]
    expected = plainly(world, lambda d, ids: (ids == LARGE) & (d is world.dictionaries[0]))
    assert statistics(state.arrays()) == exactly(expected)


@pytest.mark.usefixtures("large")
def test_a_window_that_is_spoilt_twice_over_is_one_window():
    world = overflowing(make_world(1, spoil=spoil_with(torch.nan), tokens=4))
    state = one_pass(world)
    at_hook, at_encoder, at_either = (
        counted(world, lambda ids, some=some: np.isin(ids, some)) for some in ([BAD], [LARGE], [BAD, LARGE])
    )
    assert at_either.windows < at_hook.windows + at_encoder.windows
    assert state.unfit == [at_either, Unfit(), at_hook]


def test_what_is_left_out_does_not_depend_on_the_workers(tmp_path):
    world = make_world(2, chunks=5, spoil=spoil_with(torch.nan), tokens=3)
    alone = one_pass(world)
    with ExitStack() as stack:
        several = [stack.enter_context(world.worker()) for _ in range(3)]
        total = run_local(several, world.chunks, Parts(tmp_path, "run", world.shape), 1e-9, no_tick)
    assert exactly(total.arrays()) == exactly(alone.arrays())
    assert total.unfit[0].positions > 5


@pytest.mark.parametrize("dictionary", ["0-res-24", "1-res-600"])
def test_the_command_line_tells_it_in_one_line_and_the_manifest_holds_it(tiny, tmp_path, monkeypatch, dictionary):
    layer = dictionary[0]
    run, spoilt = LanguageModel.run, []

    def run_and_spoil(self: LanguageModel, ids: torch.Tensor, mask: torch.Tensor, hooks: list) -> dict:
        found = {name: value.clone() for name, value in run(self, ids, mask, hooks).items()}
        (name,) = [name for name in found if f".{layer}." in name]
        found[name][0, 3, 0], found[name][0, 5, 1] = torch.nan, torch.inf
        spoilt.append(1)
        return found

    monkeypatch.setattr(LanguageModel, "run", run_and_spoil)
    monkeypatch.setattr(stage, "measure", lambda _model, dictionaries, *_, **__: [None] * len(dictionaries))
    result = CliRunner().invoke(app, ["collect", str(tiny.recipe), "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    told = [line for line in result.output.splitlines() if "not finite" in line]
    assert len(told) == 1
    assert told[0].startswith(f"{dictionary}: {2 * len(spoilt)} positions in {len(spoilt)} windows (0, 2, ")
    assert told[0].endswith('are not finite and in no statistic; try model.dtype = "float32", or look at the weights')
    stores = [orjson.loads((at / "manifest.json").read_bytes()) for at in (tmp_path / "tiny/store", tiny.store)]
    for now, then in zip(*(store["dictionaries"] for store in stores), strict=True):
        here = now["id"] == dictionary
        assert then["unfit"] == {"positions": 0, "windows": 0, "first": []}
        assert now["tokens"] == then["tokens"] - 2 * len(spoilt) * here
        assert now["unfit"]["positions"] == 2 * len(spoilt) * here
        assert now["unfit"]["windows"] == len(now["unfit"]["first"]) == len(spoilt) * here


@pytest.mark.parametrize("seed", range(3))
def test_without_bos_windows_are_read_from_their_first_token(seed):
    world = make_world(seed, bos=False)
    assert statistics(one_pass(world).arrays()) == exactly(plainly(world))
