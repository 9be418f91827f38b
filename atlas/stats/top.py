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

from atlas.stats.batch import HASH_BITS, Batch, Bool, Float32, Int32, Int64, UInt64
from atlas.stats.compiled import compiled
from atlas.stats.firings import Firings
from atlas.stats.kernels import group
from atlas.stats.rows import FIRES, Rows, rank_in_groups, starts_of

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


ROW = np.dtype(
    [
        ("key", np.uint64),
        ("start", np.int64),  # where its activations begin in the pool
        ("window", np.uint32),
        ("value", np.float32),
        ("feature", np.int32),
        ("position", np.int16),
        ("length", np.int16),
    ],
    align=True,
)


class Top:
    """The table of a block of features: rows that are kept, and some that wait to be sorted in.

    What waits lies in memory that is there from the beginning. Arrays of their own for each micro-batch, a few hundred
    bytes for as long as it takes to sort them in, would keep the allocator from joining what is free around them: a
    pass was seen to grow by 100 MB in that way.

    Args:
        width: Features.
        k: Contexts to keep of each.

    Attributes:
        bar: float32 [width], what a peak must reach to be of any use: the k-th best context's, 0 before there are k.
        waiting: Rows that wait.
    """

    def __init__(self, width: int, k: int) -> None:
        self.width, self.k = width, k
        self.bar: Float32 = np.zeros(width, np.float32)
        self._rows = Rows.empty()
        self._new = np.empty(int(PATIENCE * width * k) + 1, ROW)
        self._at, self._act = np.empty(FIRES * len(self._new), np.int16), np.empty(FIRES * len(self._new), np.float32)
        self.waiting = self._used = 0

    def fire(self, batch: Batch, firings: Firings, peaks: Int32) -> None:
        """Add the peaks of a micro-batch: the firings at `peaks`, one at most for each (feature, window)."""
        longest = int(np.diff(batch.starts).max())
        if longest > len(self._at):
            self._settle()
            self._at, self._act = np.empty(longest, np.int16), np.empty(longest, np.float32)
        windows = batch.windows.astype(np.uint32)
        tokens = batch.row, batch.position, batch.context, windows
        done = 0
        while True:
            done, self.waiting, self._used = _fire(
                self._new,
                self._at,
                self._act,
                self.waiting,
                self._used,
                done,
                peaks,
                firings.cells,
                firings.value,
                *tokens,
            )
            if done == len(peaks):
                return
            self._settle()

    def add(self, rows: Rows) -> None:
        """Add what another table has kept, of other windows."""
        self._settle(rows)

    def rows(self) -> Rows:
        """All rows that are kept, sorted by (feature, activation, window)."""
        if self.waiting:
            self._settle()
        return self._rows

    def _settle(self, *more: Rows) -> None:
        found = self._new[: self.waiting]
        column = {name: np.ascontiguousarray(found[name]) for name in ROW.names or ()}
        new = Rows(at=self._at[: self._used], act=self._act[: self._used], **column)
        every = Rows.join([self._rows, new, *more])
        kept = select_top(every.feature, every.value, every.window, every.key, self.k)
        self._rows = every.take(kept.order).packed()
        self.waiting = self._used = 0
        best = self._rows.feature[kept.best], self._rows.value[kept.best]
        full = np.bincount(best[0], minlength=self.width) >= self.k
        bar = np.full(self.width, np.inf, np.float32)
        np.minimum.at(bar, *best)
        self.bar = np.where(full, bar, np.float32(0))


@compiled
def _fire(
    rows: np.ndarray,
    at: np.ndarray,
    act: Float32,
    count: int,
    used: int,
    begin: int,
    peaks: Int32,
    cells: Int32,
    value: Float32,
    row: Int32,
    position: Int32,
    context: UInt64,
    windows: np.ndarray,
) -> tuple[int, int, int]:
    """Let the firings at `peaks[begin:]` wait, as long as there is room; returns how far it came, and what is used."""
    for i in range(begin, len(peaks)):
        low, high = group(cells, row, peaks[i])
        if count == len(rows) or used + high - low > len(at):
            return i, count, used
        feature = cells[low] // len(row)
        base = feature * len(row)
        token = cells[peaks[i]] - base
        new = rows[count]
        new.key, new.window, new.position = context[token], windows[row[token]], position[token]
        new.feature, new.value, new.start, new.length = feature, value[peaks[i]], used, high - low
        count += 1
        for j in range(low, high):
            at[used] = position[cells[j] - base]
            act[used] = value[j]
            used += 1
    return len(peaks), count, used
