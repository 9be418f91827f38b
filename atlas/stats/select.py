"""Which rows of top snippets are worth keeping: a total order over rows, a feature at a time.

Each context is represented by its best window. Further windows of a kept context stay too, up to `REPEATS`, if their
peak is above the k-th context's, so that repeats can be counted. Compiled code that holds no lock: some fifty rows of
one feature lie in the first cache, and sixteen threads do this beside each other. (With numpy's sort of a whole block
at once, they spent nine tenths of the time waiting for the interpreter.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atlas.stats.batch import HASH_BITS, Bool, Float32, Int32, Int64, UInt64
from atlas.stats.compiled import compiled

REPEATS = 9
"""Windows kept of one context: the best, and up to eight more that are only counted."""

FEATURES_AT_MOST = 2 ** (64 - HASH_BITS)
"""Features in a block."""

_LARGEST = np.uint64(0xFFFFF)
"""Activations are rounded to 12 significant bits, so that the upper 20 bits of a float32 say all."""


@dataclass(frozen=True)
class Kept:
    """What a selection keeps: `order` [n], rows by (feature, activation, window); which are the best of their context.

    `repeats` [n] counts, at those rows, the other kept windows of the context (at most `REPEATS` - 1).
    """

    order: Int64
    best: Bool
    repeats: Int64


def select_top(feature: np.ndarray, value: Float32, window: np.ndarray, context: UInt64, k: int) -> Kept:
    """The rows worth keeping for top snippets.

    Args:
        feature: int32 [n], below `FEATURES_AT_MOST`.
        value: float32 [n], positive, rounded to 12 significant bits.
        window: uint32 [n]; no (feature, window) comes twice.
        context: uint64 [n], hashes of `HASH_BITS` bits.
        k: Contexts to keep a feature.
    """
    value, context = np.ascontiguousarray(value), np.ascontiguousarray(context)
    return Kept(*select(feature.astype(np.int32), value, window.astype(np.uint32), context, k))


@compiled
def select(feature: Int32, value: Float32, window: np.ndarray, context: UInt64, k: int) -> tuple[Int64, Bool, Int64]:
    """The same, as three arrays: what `Kept` has."""
    ends, of_feature = _by_feature(feature)
    bits = value.view(np.uint32)
    order: Int64 = np.empty(len(feature), np.int64)
    best: Bool = np.empty(len(feature), np.bool_)
    repeats: Int64 = np.zeros(len(feature), np.int64)
    kept = 0
    for f in range(len(ends) - 1):
        rows = of_feature[ends[f] : ends[f + 1]]
        word = np.empty(len(rows), np.uint64)  # activation, then window: its order is the one that is wanted
        for i in range(len(rows)):
            strength = _LARGEST - np.uint64(bits[rows[i]] >> np.uint32(12))
            word[i] = (strength << np.uint64(32)) | np.uint64(window[rows[i]])
        rows = rows[np.argsort(word)]
        lead, nth = _by_context(context[rows])
        place, bar = _ranked(nth, value[rows], k)
        for i in range(len(rows)):
            first = lead[i]
            if place[first] >= k or nth[i] >= REPEATS or (nth[i] and value[rows[i]] <= bar):
                continue
            if nth[i] == 0:
                lead[i] = kept  # from here on, where it is in the result; it comes before its repeats
            else:
                repeats[lead[first]] += 1
            order[kept], best[kept] = rows[i], nth[i] == 0
            kept += 1
    return order[:kept], best[:kept], repeats[:kept]


@compiled
def _by_feature(feature: Int32) -> tuple[Int64, Int64]:
    """Where each feature's rows begin and end, int64 [features + 1], and the rows in that order."""
    features = 0
    for i in range(len(feature)):
        features = max(features, feature[i] + 1)
    ends = np.zeros(features + 1, np.int64)
    for i in range(len(feature)):
        ends[feature[i] + 1] += 1
    for f in range(features):
        ends[f + 1] += ends[f]
    to = ends.copy()
    rows = np.empty(len(feature), np.int64)
    for i in range(len(feature)):
        rows[to[feature[i]]] = i
        to[feature[i]] += 1
    return ends, rows


@compiled
def _by_context(context: UInt64) -> tuple[Int64, Int64]:
    """For each row the first row of its context, and how many of the context come before it."""
    groups = np.argsort(context, kind="mergesort")  # stable
    lead, nth = np.empty(len(context), np.int64), np.empty(len(context), np.int64)
    for i in range(len(context)):
        at = groups[i]
        if i == 0 or context[at] != context[groups[i - 1]]:
            lead[at], nth[at] = at, 0
        else:
            lead[at], nth[at] = lead[groups[i - 1]], nth[groups[i - 1]] + 1
    return lead, nth


@compiled
def _ranked(nth: Int64, value: Float32, k: int) -> tuple[Int64, np.float32]:
    """Place of each row that leads a context among those, and the activation of the k-th (below all without one)."""
    place, contexts, bar = np.empty(len(nth), np.int64), 0, np.float32(-1)
    for i in range(len(nth)):
        if nth[i] == 0:
            place[i] = contexts
            contexts += 1
            if contexts == k:
                bar = value[i]
    return place, bar
