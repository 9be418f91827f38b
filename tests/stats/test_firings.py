"""Micro-batches and firings: rounding is exact, tokens are where they are, ranks and contexts are what they say."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import stats_reference as by_hand
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from stats_reference import Window

from atlas.stats import Accumulator, Batch, Firings, round_significant
from atlas.stats.batch import contexts, mix
from atlas.stats.rows import Rows
from atlas.stats.sample import Sample


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


def random_places(widths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Token ids [b, t] of windows of these lengths, and which positions count."""
    ids = np.full((len(widths), max(widths)), -1, np.int32)
    for row, width in enumerate(widths):
        ids[row, :width] = np.arange(width) % 3
    return ids, ids >= 0


def batch(windows: list[int], width: int) -> Batch:
    ids, counted = random_places([width] * len(windows))
    return Batch.of(np.array(windows, np.int64), np.zeros(len(windows), np.int64), ids, counted)


def ranks(of: Batch, feature: int) -> np.ndarray:
    """The ranks that an accumulator of one feature gives all tokens, in order of the tokens."""
    accumulator = Accumulator(1, 1, 1, of.tokens, first=feature)
    accumulator.update(Firings.of(np.arange(of.tokens), np.ones(of.tokens, np.float32)), of)
    rows = accumulator.sample()
    order = np.lexsort((rows.position, rows.window))
    return rows.key[order]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.data())
def test_a_batch_knows_row_position_and_source_of_every_token_that_counts(widths, data) -> None:
    ids, counted = random_places(widths)
    counted &= data.draw(hnp.arrays(bool, counted.shape))
    sources = np.arange(len(widths)) + 10
    made = Batch.of(np.arange(len(widths)) + 5, sources, ids, counted)
    places = list(zip(*(a.tolist() for a in np.nonzero(counted)), strict=True))
    assert list(zip(made.row.tolist(), made.position.tolist(), strict=True)) == places
    assert made.source.tolist() == [10 + row for row, _ in places]
    assert made.tokens == len(places)
    rows = [[i for i, (r, _) in enumerate(places) if r == row] for row in range(len(widths))]
    assert [list(range(a, b)) for a, b in pairwise(made.starts.tolist())] == rows
    bad = data.draw(hnp.arrays(bool, made.tokens))
    less = made.without(bad)
    left = Batch.of(made.windows, sources, ids, _less(counted, bad))
    for field in fields(Batch):
        assert np.array_equal(getattr(less, field.name), getattr(left, field.name)), field.name


def _less(counted: np.ndarray, bad: np.ndarray) -> np.ndarray:
    out = counted.copy()
    out[counted] = ~bad
    return out


def test_the_hash_is_splitmix64() -> None:
    assert int(mix(np.zeros(1, np.uint64))[0]) == 0xE220A8397B1DCDAF  # the published first output for seed 0
    states = np.array([1, 2**63, 2**64 - 1, 0x9E3779B97F4A7C15], np.uint64)
    assert [int(x) for x in mix(states)] == [by_hand.splitmix(int(x)) for x in states]


@given(st.sets(st.integers(0, 2**32 - 1), min_size=1, max_size=20), st.integers(1, 200), st.integers(0, 2**20))
def test_ranks_are_those_by_hand_and_do_not_know_the_batch(ids: set[int], width: int, feature: int) -> None:
    found = ranks(batch(sorted(ids), width), feature)
    assert found.tolist() == [by_hand.rank(feature, w, p) for w in sorted(ids) for p in range(width)]


def test_features_draw_different_samples_evenly() -> None:
    one = batch(list(range(50)), 20)
    drawn = [np.argsort(ranks(one, feature))[:10] for feature in range(200)]
    often = np.bincount(np.concatenate(drawn), minlength=1000)
    # 2,000 draws over 1,000 tokens: each is Poisson with mean 2; ten or more has a chance of 5e-5 a token
    assert (often > 0).mean() > 0.8
    assert often.max() < 12


@given(st.permutations(range(5)), st.integers(1, 6))
def test_equal_ranks_go_by_window_then_position(order: list[int], m: int) -> None:
    firings = [(9, 1), (7, 0), (2, 5), (2, 3), (2, 4)]
    sample = Sample(1, m)
    for i in order:
        one = {"window": firings[i][0], "position": firings[i][1], "feature": 0, "key": 7, "value": 1.0}
        columns = {name: np.array([value]) for name, value in one.items()}
        sample.add(Rows.of(np.array([i]), np.ones(1, np.float32), np.ones(1, int), **columns))
    rows = sample.rows()
    kept = sorted(firings)[:m]
    assert list(zip(rows.window.tolist(), rows.position.tolist(), strict=True)) == kept
    assert [firings[i] for i in rows.at.tolist()] == kept, "each with its own activations"


def test_what_does_not_fit_its_word_is_refused() -> None:
    with pytest.raises(ValueError, match="window 4294967296"):
        batch([2**32], 3)
    with pytest.raises(ValueError, match="at most 4096"):
        Accumulator(4097, 1, 1, 1)
    wide = Accumulator(4096, 1, 1, 1)
    tokens = replace(batch([0], 1), row=np.broadcast_to(np.int32(0), 2**19))
    with pytest.raises(ValueError, match="too many for one micro-batch"):
        wide.update(Firings.of(np.zeros(0, np.int64), np.zeros(0, np.float32)), tokens)


@given(st.data())
def test_contexts_are_equal_where_the_tokens_around_are(data: st.DataObject) -> None:
    texts = data.draw(st.lists(st.text("ab", min_size=1, max_size=12), min_size=2, max_size=6))
    ids = np.full((len(texts), 12 + data.draw(st.integers(0, 2))), -1, np.int32)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = [ord(c) for c in text]
    places = [(row, p) for row, text in enumerate(texts) for p in range(len(text))]
    keys = [int(contexts(ids)[place]) for place in places]
    around = [by_hand.context(Window(r, 0, tuple(map(ord, texts[r])), {}), p) for r, p in places]
    assert len(set(keys)) == len(set(around)) == len(set(zip(keys, around, strict=True)))
    assert max(keys) < 2**52
