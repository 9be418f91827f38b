"""Quantiles, intervals and the snippets chosen from them are what sorting the firings by hand gives."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import stats_reference as by_hand
from hypothesis import given, settings
from hypothesis import strategies as st
from stats_reference import Shown, Window
from stats_worlds import DEAD, FEATURES, SOURCES, corpora, feed, plans, run

from atlas.stats import Accumulator, Summary, summarise
from atlas.store.schema import INTERVAL, QUANTILE, TOP


def chosen(summary: Summary) -> dict[tuple[int, int, int], list[Shown]]:
    """The snippets by (feature, kind, group), in order of rank."""
    rows = summary.rows
    ends = np.cumsum(rows.length)
    out: dict[tuple[int, int, int], list[Shown]] = {}
    for i in range(len(rows)):
        part = slice(ends[i] - rows.length[i], ends[i])
        fires = tuple(zip(rows.at[part].tolist(), rows.act[part].tolist(), strict=True))
        where = (int(rows.feature[i]), int(summary.kind[i]), int(summary.group[i]))
        group = out.setdefault(where, [])
        assert summary.rank[i] == len(group)
        group.append(
            Shown(int(rows.window[i]), int(rows.position[i]), float(rows.value[i]), int(summary.repeats[i]), fires)
        )
    keys = list(zip(rows.feature.tolist(), summary.kind.tolist(), summary.group.tolist(), strict=True))
    assert keys == sorted(keys)
    return out


@settings(deadline=None, max_examples=200)
@given(corpora(), st.integers(1, 3), st.integers(1, 12), st.integers(1, 6), st.integers(1, 3), plans())
def test_a_summary_is_the_one_by_hand(windows, k, m, groups, per_group, plan) -> None:
    summary = summarise(run(windows, k, m, plan), groups, per_group)
    expected: dict[tuple[int, int, int], list[Shown]] = {}
    for f in range(FEATURES):
        if by_hand.count(windows, f):
            expected[f, TOP, 0] = by_hand.top(windows, f, k)
        sample = by_hand.sample(windows, f, m)
        assert summary.sampled[f] == len(sample)
        if not sample:
            continue
        most = by_hand.maximum(windows, f)
        for kind, cut, counts in (
            (QUANTILE, by_hand.quantiles(sample, groups), summary.quantile_counts[f]),
            (INTERVAL, by_hand.intervals(sample, groups, most), summary.interval_counts[f]),
        ):
            assert counts.tolist() == [len(part) for part in cut]
            expected |= {(f, kind, g): by_hand.choose(part, per_group) for g, part in enumerate(cut) if part}
        for part, (low, high) in zip(by_hand.quantiles(sample, groups), summary.bounds[f].tolist(), strict=True):
            values = [row.value for _, row in part] or [0.0]
            assert (low, high) == (min(values), max(values))
    assert chosen(summary) == expected


def test_a_feature_that_never_fires_is_empty_everywhere() -> None:
    accumulator = Accumulator(FEATURES, SOURCES, 2, 4)
    feed(accumulator, [Window(0, 0, (1, 2), {(0, 0): 2.0})])
    summary = summarise(accumulator, 5, 2)
    assert summary.sampled[DEAD] == 0
    assert not summary.bounds[DEAD].any()
    assert not summary.quantile_counts[DEAD].any()
    assert not summary.interval_counts[DEAD].any()
    assert DEAD not in summary.rows.feature
    assert summary.totals.max[DEAD] == 0


def test_nothing_at_all_is_summarised_too() -> None:
    summary = summarise(Accumulator(FEATURES, SOURCES, 2, 4), 5, 2)
    assert len(summary.rows) == len(summary.kind) == len(summary.repeats) == 0
    assert summary.quantile_counts.shape == (FEATURES, 5)


def spread(values: list[float]) -> Accumulator:
    """Feature 0 with these activations, a window each."""
    accumulator = Accumulator(FEATURES, SOURCES, 1, len(values))
    feed(accumulator, [Window(i, 0, (i,), {(0, 0): v}) for i, v in enumerate(values)])
    return accumulator


@pytest.mark.parametrize("groups", range(1, 21))
def test_an_activation_on_an_edge_belongs_to_the_interval_below(groups: int) -> None:
    whole = [float(i) for i in range(1, groups + 1)]
    assert summarise(spread(whole), groups, 1).interval_counts[0].tolist() == [1] * groups
    above = [i + 1 / 64 for i in range(groups)] + [float(groups)]
    assert summarise(spread(above), groups, 1).interval_counts[0].tolist() == [1] * (groups - 1) + [2]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([1.0, 2.0, 3.0, 4.0]), min_size=1, max_size=40), st.integers(1, 20))
def test_quantiles_are_of_equal_size_and_ascend(values: list[float], groups: int) -> None:
    summary = summarise(spread(values), groups, 1)
    counts = summary.quantile_counts[0].tolist()
    assert sum(counts) == len(values)
    assert max(counts) - min(counts) <= 1
    filled = [pair for pair, n in zip(summary.bounds[0].tolist(), counts, strict=True) if n]
    assert all(before[1] <= after[0] for before, after in pairwise(filled))
    assert (filled[0][0], filled[-1][1]) == (min(values), max(values))
