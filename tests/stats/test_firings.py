"""Firings: rounding is exact, the sparse form is the dense one, ranks and contexts are what they say."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import stats_reference as by_hand
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from stats_reference import Window

from atlas.stats import Batch, Firings, round_significant
from atlas.stats.firings import mix


def _floats(least_exponent: int) -> st.SearchStrategy[float]:
    bits = st.tuples(st.integers(least_exponent, 254), st.integers(0, 2**23 - 1)).map(lambda p: p[0] << 23 | p[1])
    return bits.filter(lambda b: 0 < b < 0x7F7FF800).map(lambda b: float(np.uint32(b).view(np.float32)))


NORMAL, POSITIVE = _floats(1), _floats(0)
"""Positive float32 numbers that do not round to infinity; `POSITIVE` has the subnormal ones too."""


def rounded(value: float) -> float:
    return float(round_significant(np.array([value], np.float32))[0])


def exact(value: float) -> Fraction:
    """12 significant bits, ties to even; subnormal numbers have the spacing of the least normal one."""
    exponent = max(math.frexp(value)[1] - 1, -126)
    step = Fraction(2) ** (exponent - 11)
    return round(Fraction(value) / step) * step  # round() of a fraction takes ties to even


@given(POSITIVE)
def test_rounding_is_exact(value: float) -> None:
    assert Fraction(rounded(value)) == exact(value)


@given(st.integers(2**11, 2**12 - 1), st.integers(-20, 20))
def test_a_tie_goes_to_the_even_one(mantissa: int, exponent: int) -> None:
    tie = (mantissa + 0.5) * 2.0**exponent
    even = mantissa + mantissa % 2
    assert rounded(tie) == even * 2.0**exponent
    up, down = (float(np.nextafter(np.float32(tie), np.float32(to))) for to in (np.inf, 0))
    assert (rounded(down), rounded(up)) == (mantissa * 2.0**exponent, (mantissa + 1) * 2.0**exponent)


@given(POSITIVE)
def test_rounding_twice_changes_nothing_and_order_stays(value: float) -> None:
    assert rounded(rounded(value)) == rounded(value)
    below = float(np.nextafter(np.float32(value), np.float32(0)))
    assert rounded(below) <= rounded(value)


@given(NORMAL)
def test_the_error_is_at_most_half_a_step_at_any_size(value: float) -> None:
    assert abs(rounded(value) - value) <= value * 2.0**-12
    assert rounded(value) > 0


def test_zero_stays_zero_and_the_input_stays_as_it_was() -> None:
    values = np.array([[0.0, 1 / 3]], np.float32)
    before = values.copy()
    assert round_significant(values).tolist() == [[0.0, 0.3333740234375]]
    assert (values == before).all()


MATRICES = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.sampled_from([0.0, 0.0, 1.0, 2.5, 1 / 3]).map(np.float32),
)


@given(MATRICES, st.lists(st.integers(1, 4), min_size=9, max_size=9))
def test_firings_are_the_cells_that_are_not_zero(dense: np.ndarray, lengths: list[int]) -> None:
    places = [(row, position) for row, n in enumerate(lengths) for position in range(n)][: len(dense)]
    rows, positions = np.array(places, np.int64).T
    cells = np.flatnonzero(dense.reshape(-1))
    made = Firings.from_cells(cells, dense.reshape(-1)[cells], rows, positions.astype(np.int32), dense.shape[1])
    feature, token = np.nonzero(dense.T)
    assert made.feature.tolist() == feature.tolist()
    assert list(zip(made.row.tolist(), made.position.tolist(), strict=True)) == [places[t] for t in token]
    assert made.value.tolist() == round_significant(np.ascontiguousarray(dense.T[feature, token])).tolist()
    assert (made.position.dtype, made.value.dtype) == (np.int32, np.float32)
    keys = list(zip(made.feature.tolist(), made.row.tolist(), strict=True))
    assert made.groups.tolist() == [i for i, key in enumerate(keys) if i == 0 or key != keys[i - 1]]


def batch(windows: list[int], width: int) -> Batch:
    return Batch(
        np.array(windows, np.int64), np.zeros(len(windows), np.int64), np.zeros((len(windows), width), np.int32)
    )


def test_the_hash_is_splitmix64() -> None:
    assert int(mix(np.zeros(1, np.uint64))[0]) == 0xE220A8397B1DCDAF  # the published first output for seed 0
    states = np.array([1, 2**63, 2**64 - 1, 0x9E3779B97F4A7C15], np.uint64)
    assert [int(x) for x in mix(states)] == [by_hand.splitmix(int(x)) for x in states]


@given(st.sets(st.integers(0, 2**40), min_size=1, max_size=20), st.integers(1, 200), st.integers(0, 2**20))
def test_ranks_are_distinct_for_a_feature_and_do_not_know_the_batch(ids: set[int], width: int, feature: int) -> None:
    whole = batch(sorted(ids), width)
    row, position = (a.reshape(-1) for a in np.indices(whole.ids.shape))
    firings = Firings(np.full(len(row), feature), row, position.astype(np.int32), np.ones(len(row), np.float32))
    ranks = whole.sampling_ranks(firings)
    assert len(np.unique(ranks)) == len(ranks)
    assert int(ranks[-1]) == by_hand.rank(feature, max(ids), width - 1)
    last = batch([max(ids)], width + 3)
    assert (last.ranks[0, :width] == whole.ranks[-1]).all()


def test_features_draw_different_samples() -> None:
    one = batch(list(range(50)), 20)
    row, position = (a.reshape(-1) for a in np.indices(one.ids.shape))
    drawn = []
    for feature in range(20):
        firings = Firings(np.full(1000, feature), row, position.astype(np.int32), np.ones(1000, np.float32))
        drawn.append(set(np.argsort(one.sampling_ranks(firings))[:10].tolist()))
    assert len(set.union(*drawn)) > 150


@given(st.data())
def test_contexts_are_equal_where_the_tokens_around_are(data: st.DataObject) -> None:
    texts = data.draw(st.lists(st.text("ab", min_size=1, max_size=12), min_size=2, max_size=6))
    ids = np.full((len(texts), 12 + data.draw(st.integers(0, 2))), -1, np.int32)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = [ord(c) for c in text]
    places = [(row, p) for row, text in enumerate(texts) for p in range(len(text))]
    rows, positions = np.array(places).T
    keys = Batch(np.arange(len(texts)), np.zeros(len(texts), np.int64), ids).contexts(rows, positions.astype(np.int32))
    around = [by_hand.context(Window(r, 0, tuple(map(ord, texts[r])), {}), p) for r, p in places]
    assert len(set(keys.tolist())) == len(set(around)) == len(set(zip(keys.tolist(), around, strict=True)))


@pytest.mark.parametrize("empty", [0, 3])
def test_no_firings_make_no_groups(empty: int) -> None:
    none = np.zeros(0, np.int64)
    rows = np.zeros(empty, np.int64)
    made = Firings.from_cells(none, np.zeros(0, np.float32), rows, rows.astype(np.int32), 5)
    assert len(made.feature) == len(made.groups) == 0
