"""Accumulators say what counting by hand says, however the corpus was split and the parts were merged."""

from __future__ import annotations

import numpy as np
import pytest
import stats_reference as by_hand
from hypothesis import given, settings
from hypothesis import strategies as st
from stats_reference import Shown, Window
from stats_worlds import DEAD, FEATURES, SOURCES, Plan, corpora, feed, plans, run

from atlas.stats import Accumulator, top
from atlas.stats.batch import EMPTY
from atlas.stats.kernels import BINS, bin_of
from atlas.stats.rows import Rows
from atlas.store.schema import edge

SMALL = st.integers(1, 4)


def shown(rows: Rows, repeats: np.ndarray | None = None) -> list[tuple[int, Shown]]:
    """Rows as the reference writes them, each with its feature."""
    out = []
    for i, (start, n) in enumerate(zip(rows.start.tolist(), rows.length.tolist(), strict=True)):
        part = slice(start, start + n)
        fires = tuple(zip(rows.at[part].tolist(), rows.act[part].tolist(), strict=True))
        extra = 0 if repeats is None else int(repeats[i])
        row = Shown(int(rows.window[i]), int(rows.position[i]), float(rows.value[i]), extra, fires)
        out.append((int(rows.feature[i]), row))
    return out


def best(accumulator: Accumulator) -> list[tuple[int, Shown]]:
    """The top snippets with their repeats."""
    rows, kept = accumulator.top()
    here = np.flatnonzero(kept.best)
    return shown(rows.take(here), kept.repeats[here])


def state(accumulator: Accumulator) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """All of an accumulator, to the last bit."""
    return {name: (str(a.dtype), a.shape, a.tobytes()) for name, a in accumulator.arrays().items()}


def line(*peaks: tuple[str, float]) -> list[Window]:
    """Windows of one token each, in order: its text and the activation of feature 0."""
    return [Window(i, 0, tuple(map(ord, text)), {(0, 0): value}) for i, (text, value) in enumerate(peaks)]


@settings(deadline=None, max_examples=120)
@given(corpora(), plans())
def test_totals_are_the_counts_by_hand(windows: list[Window], plan: Plan) -> None:
    totals = run(windows, 2, 3, plan).totals
    for f in range(FEATURES):
        assert totals.count[f] == by_hand.count(windows, f)
        assert totals.max[f] == by_hand.maximum(windows, f)
        assert dict(enumerate(totals.source[f])) == {s: by_hand.by_source(windows, f)[s] for s in range(SOURCES)}
        found = {int(b): int(totals.histogram[f, b]) for b in np.flatnonzero(totals.histogram[f])}
        assert found == dict(by_hand.histogram(windows, f))
        filled = np.flatnonzero(totals.signature[f] != EMPTY)
        assert {int(b): int(totals.signature[f, b]) for b in filled} == by_hand.signature(windows, f)
    assert totals.count[DEAD] == 0


@settings(deadline=None, max_examples=250)
@given(corpora(), SMALL, plans())
def test_top_snippets_are_the_best_distinct_contexts(windows: list[Window], k: int, plan: Plan) -> None:
    expected = [(f, row) for f in range(FEATURES) for row in by_hand.top(windows, f, k)]
    assert best(run(windows, k, 1, plan)) == expected


@settings(deadline=None, max_examples=120)
@given(corpora(), st.integers(1, 6), plans())
def test_the_sample_is_the_firings_of_lowest_rank(windows: list[Window], m: int, plan: Plan) -> None:
    rows = run(windows, 1, m, plan).sample()
    expected = [(f, r, row) for f in range(FEATURES) for r, row in by_hand.sample(windows, f, m)]
    assert [(f, int(key), row) for (f, row), key in zip(shown(rows), rows.key, strict=True)] == expected


@settings(deadline=None, max_examples=250)
@given(corpora(), SMALL, st.integers(1, 6), plans())
def test_no_split_order_or_restart_changes_a_byte(windows: list[Window], k: int, m: int, plan: Plan) -> None:
    assert state(run(windows, k, m, plan)) == state(run(windows, k, m))


@settings(deadline=None, max_examples=40)
@given(corpora(), SMALL, st.integers(1, 6))
def test_a_restored_state_goes_on_as_if_it_had_not_stopped(windows: list[Window], k: int, m: int) -> None:
    half = len(windows) // 2
    whole, first = (Accumulator(FEATURES, SOURCES, k, m) for _ in range(2))
    feed(first, windows[:half])
    second = Accumulator(FEATURES, SOURCES, k, m)
    feed(second, windows[half:])  # what it held is replaced
    second.restore(first.arrays())
    assert state(second) == state(first)
    feed(second, windows[half:])
    feed(whole, windows)
    assert state(second) == state(whole)


@pytest.mark.parametrize("patience", [0, 50])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_context_that_was_evicted_comes_back(monkeypatch: pytest.MonkeyPatch, patience: int, reverse: bool) -> None:
    monkeypatch.setattr(top, "PATIENCE", patience)
    windows = line(("a", 4.0), ("a", 3.0), ("b", 5.0), ("c", 6.0), ("a", 7.0), ("a", 6.0), ("a", 6.5))
    accumulator = Accumulator(FEATURES, SOURCES, 2, 1)
    for window in reversed(windows) if reverse else windows:
        feed(accumulator, [window])
    assert [(row.window, row.value, row.repeats) for _, row in best(accumulator)] == [(4, 7.0, 1), (3, 6.0, 0)]


@pytest.mark.parametrize("patience", [0, 50])
def test_nine_windows_of_a_context_are_told_from_eight_but_not_from_ten(
    monkeypatch: pytest.MonkeyPatch, patience: int
) -> None:
    monkeypatch.setattr(top, "PATIENCE", patience)
    for copies, repeats in ((1, 0), (8, 7), (9, 8), (10, 8), (30, 8)):
        accumulator = Accumulator(FEATURES, SOURCES, 2, 1)
        for window in line(*[("a", 2.0)] * copies, ("b", 1.0)):
            feed(accumulator, [window])
        assert [row.repeats for _, row in best(accumulator)] == [repeats, 0], copies


def test_memory_is_bounded_by_k_and_m(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top, "PATIENCE", 1)
    accumulator = Accumulator(FEATURES, SOURCES, 2, 3)
    for i in range(300):
        feed(accumulator, [Window(i, 0, (i, i + 1), {(0, 0): 1.0 + i % 7, (0, 1): 1.0})])
        assert accumulator._top.waiting <= 7
        assert len(accumulator._sample._at) <= 2 * (6 + 2 * 8), "three windows of two firings, and some room"
    arrays = accumulator.arrays()
    assert len(arrays["top_feature"]) == 2
    assert len(arrays["sample_feature"]) == 3


def test_tokens_count_where_nothing_fires() -> None:
    accumulator = Accumulator(FEATURES, SOURCES, 1, 1)
    feed(accumulator, [Window(0, 0, (1, 2, 3), {})])
    feed(accumulator, [Window(1, 2, (1, 2), {(0, 1): 1.0})], padding=2)
    assert accumulator.tokens == 5
    assert accumulator.totals.count.tolist() == [1, 0, 0]
    assert accumulator.totals.source[0].tolist() == [0, 0, 1]


@given(st.lists(st.floats(2.0**-16, 2.0**24, exclude_max=True, width=32), min_size=1))
def test_a_bin_of_the_histogram_lies_between_its_edges(values: list[float]) -> None:
    for value in values:
        bin_ = bin_of(np.float32(value).view(np.uint32))
        assert 0 <= bin_ < BINS
        assert edge(bin_) <= value < edge(bin_ + 1)


def test_what_the_histogram_cannot_hold_goes_to_its_ends() -> None:
    beyond = np.array([1e-45, 2.0**-17, 2.0**24, 3e38], np.float32).view(np.uint32)
    assert [bin_of(bits) for bits in beyond] == [0, 0, BINS - 1, BINS - 1]
