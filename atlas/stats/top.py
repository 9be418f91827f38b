"""Top snippets: for every feature the `k` best contexts, by their best peak, then window id.

`select_top` is a total order over rows, so what survives depends neither on when nor in which worker it was decided.
Each context is represented by its best window. Further windows of a kept context stay too, up to `REPEATS`, if
their peak is above the k-th context's, so that repeats can be counted. A context that is dropped has k better ones in
front of it, and has them forever; should it come back with a higher peak, the windows that were dropped with it lie at
or below the bar and would not count. Dropping early is exact.

Sorting is what this costs. Feature, activation and window (12 + 20 + 32 bits: activations are rounded to
12 significant bits, so 20 bits of a float32 say all) make one unsigned word whose order is the one that is
wanted. numpy sorts words many times faster than several keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atlas.stats.batch import HASH_BITS, Bool, Float32, Int64, UInt64
from atlas.stats.rows import Rows, rank_in_groups, starts_of

REPEATS = 9
"""Windows kept of one context: the best, and up to eight more that are only counted."""

PATIENCE = 2.0
"""Rows that may wait before they are sorted in, as a multiple of the contexts that a table keeps."""

FEATURES_AT_MOST = 2 ** (64 - HASH_BITS)
"""Features in a block."""

_FEATURE, _VALUE, _WINDOW = np.uint64(HASH_BITS), np.uint64(32), np.uint64(12)
_LARGEST = np.uint64(0xFFFFF)


@dataclass(frozen=True)
class Kept:
    """What a selection keeps: `order` [n], rows by (feature, activation, window); which are the best of their context.

    `repeats` [n] counts, at those rows, the other kept windows of the context (at most `REPEATS` - 1).
    """

    order: Int64
    best: Bool
    repeats: Int64


def words(feature: np.ndarray, low: UInt64) -> UInt64:
    """uint64 [n]: feature in the high bits, `low` (`HASH_BITS` bits) below."""
    return (feature.astype(np.uint64) << _FEATURE) | low


def select_top(feature: np.ndarray, value: Float32, window: np.ndarray, context: UInt64, k: int) -> Kept:
    """The rows worth keeping for top snippets.

    Args:
        feature: Integers [n], below `FEATURES_AT_MOST`.
        value: float32 [n], positive, rounded to 12 significant bits.
        window: Unsigned integers [n]; no (feature, window) comes twice.
        context: uint64 [n], hashes of `HASH_BITS` bits.
        k: Contexts to keep a feature.
    """
    bits = (np.ascontiguousarray(value).view(np.uint32) >> np.uint32(12)).astype(np.uint64)
    order = np.argsort(words(feature, ((_LARGEST - bits) << _VALUE) | window.astype(np.uint64)))
    feature, value, context = feature[order], value[order], context[order]
    # 1. Rows of one context next to each other, the best window first; beyond REPEATS nothing more is counted.
    together = words(feature, context)
    groups = np.argsort(together, kind="stable")
    new = starts_of(together[groups])
    nth = np.empty(len(order), np.int64)
    nth[groups] = rank_in_groups(new)
    # 2. Rank contexts of a feature by their best window; the k-th sets the bar for repeats too.
    lead = nth == 0
    leads = np.flatnonzero(lead)
    place = rank_in_groups(starts_of(feature[leads]))
    bar = np.full(FEATURES_AT_MOST, -np.inf, np.float32)
    last = leads[place == k - 1]
    bar[feature[last]] = value[last]
    of_row = np.empty(len(order), np.int64)
    of_row[leads] = place
    of_row[groups] = np.repeat(of_row[groups[new]], np.diff(np.append(np.flatnonzero(new), len(order))))
    keep = (of_row < k) & (nth < REPEATS) & (lead | (value > bar[feature]))
    # 3. Count what is kept of each context.
    kept = keep[groups]
    counted = np.zeros(len(order), np.int64)
    counted[groups[new]] = np.add.reduceat(kept, np.flatnonzero(new), dtype=np.int64) - 1 if len(order) else 0
    return Kept(order[keep], lead[keep], np.where(lead, counted, 0)[keep])


class Top:
    """The table of a block of features: rows that are kept, and some that wait to be sorted in.

    Args:
        width: Features.
        k: Contexts to keep of each.

    Attributes:
        bar: float32 [width], what a peak must reach to be of any use: the k-th best context's, 0 before there are k.
    """

    def __init__(self, width: int, k: int) -> None:
        self.width, self.k = width, k
        self.bar: Float32 = np.zeros(width, np.float32)
        self._rows = Rows.empty()
        self._new: list[Rows] = []
        self.waiting = 0

    def add(self, rows: Rows) -> None:
        """Add peaks; no (feature, window) may come twice."""
        self._new.append(rows)
        self.waiting += len(rows)
        if self.waiting > PATIENCE * self.width * self.k:
            self.rows()

    def rows(self) -> Rows:
        """All rows that are kept, sorted by (feature, activation, window)."""
        if self.waiting:
            every = Rows.join([self._rows, *self._new])
            kept = select_top(every.feature, every.value, every.window, every.key, self.k)
            self._rows, self._new, self.waiting = every.take(kept.order), [], 0
            best = self._rows.feature[kept.best], self._rows.value[kept.best]
            full = np.bincount(best[0], minlength=self.width) >= self.k
            bar = np.full(self.width, np.inf, np.float32)
            np.minimum.at(bar, *best)
            self.bar = np.where(full, bar, np.float32(0))
        return self._rows
