"""Signatures: pairs against counting by hand, and estimates against the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.stats import Listed, most_together, together
from atlas.stats.batch import BUCKETS, EMPTY, mix
from atlas.stats.together import LEAST


def signed(fires: np.ndarray) -> np.ndarray:
    """Signatures of features that fire on these tokens, bool [features, tokens]."""
    drop = mix(np.arange(fires.shape[1], dtype=np.uint64))
    bucket, depth = (drop >> np.uint64(56)).astype(int), (drop >> np.uint64(24)).astype(np.uint32)
    found = np.full((len(fires), BUCKETS), EMPTY, np.uint32)
    for feature, token in zip(*np.nonzero(fires), strict=True):
        found[feature, bucket[token]] = min(found[feature, bucket[token]], depth[token])
    return found


def by_hand(a: np.ndarray, b: np.ndarray) -> list[float]:
    """Jaccard, here and there of two signatures, in plain Python; NaN where they rest on too little."""
    pairs = [(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True) if (x, y) != (EMPTY, EMPTY)]
    both = sum(x == y for x, y in pairs)
    rests = len(pairs), sum(x <= y for x, y in pairs if x != EMPTY), sum(y <= x for x, y in pairs if y != EMPTY)
    return [both / n if n >= LEAST else np.nan for n in rests]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 9), st.integers(1, 9), st.integers(0, 300), st.integers(1, 12), st.booleans(), st.integers(0, 9999)
)
def test_the_best_pairs_are_those_of_counting_by_hand(f, g, tokens, k, same, seed):
    chance = np.random.default_rng(seed)
    own = signed(chance.random((f, tokens)) < chance.random((f, 1)) ** 3)
    other = own if same else signed(chance.random((g, tokens)) < chance.random((g, 1)) ** 3)
    found = most_together(own, Listed.of(other), k, same=same)
    assert found.index.shape == (f, min(k, len(other)))
    for i, row in enumerate(own):
        scored = []
        for j, column in enumerate(other):
            filled = np.count_nonzero((row != EMPTY) | (column != EMPTY))
            shared = np.count_nonzero((row == column) & (row != EMPTY))
            if shared and not (same and i == j):
                scored.append((-shared / filled, j))
        expected = [j for _, j in sorted(scored)][:k]
        assert found.index[i][: len(expected)].tolist() == expected
        assert (found.index[i][len(expected) :] == -1).all()
        for place, j in enumerate(expected):
            mine = [float(x[i, place]) for x in (found.jaccard, found.here, found.there)]
            assert mine == pytest.approx(by_hand(row, other[j]), nan_ok=True)
    nobody = found.index < 0
    assert np.isnan(found.jaccard[nobody]).all()


def test_estimates_are_near_the_truth():
    chance = np.random.default_rng(0)
    tokens = 60_000
    parent = chance.random(tokens) < 0.05
    child = parent & (chance.random(tokens) < 0.3)  # fires only where the parent does
    partly = (parent & (chance.random(tokens) < 0.2)) | (~parent & (chance.random(tokens) < 0.01))
    rare = np.zeros(tokens, bool)
    rare[np.flatnonzero(child)[:40]] = True
    apart = chance.random(tokens) < 0.02
    fires = np.stack([parent, child, partly, rare, apart])
    own = signed(fires)
    pairs = np.tile(np.arange(5, dtype=np.int32), (5, 1))
    found = together(own, own, pairs)
    for a in range(5):
        for b in range(5):
            both = np.count_nonzero(fires[a] & fires[b])
            truth = both / np.count_nonzero(fires[a] | fires[b])
            assert found.jaccard[a, b] == pytest.approx(truth, abs=4 * 0.03)
            if not np.isnan(found.here[a, b]):
                rests = np.count_nonzero((own[a] != EMPTY) & (own[a] <= own[b]))
                assert found.here[a, b] == pytest.approx(both / fires[a].sum(), abs=4 * 0.5 / rests**0.5)
            assert found.here[a, b] == pytest.approx(float(found.there[b, a]), nan_ok=True)
    assert found.here[1, 0] == 1, "a child fires nowhere else"
    assert np.isnan(found.here[3, 0]), "too few buckets in which the rare one is the first"


def test_those_that_never_fire_have_no_company():
    own = np.full((3, BUCKETS), EMPTY, np.uint32)
    found = most_together(own, Listed.of(own), 2, same=True)
    assert (found.index == -1).all()
    assert np.isnan(found.here).all()
