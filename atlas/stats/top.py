"""Top snippets: for every feature the `k` best contexts, by their best peak, then window id.

`select_top` is a total order over rows, so what survives depends neither on when nor in which worker it was decided.
Each context is represented by its best window. Further windows of a kept context stay too, up to `REPEATS`, if
their peak is above the k-th context's, so that repeats can be counted. A context that is dropped has k better ones in
front of it, and has them forever; should it come back with a higher peak, the windows that were dropped with it lie at
or below the bar and would not count. Dropping early is exact.

Rows that wait are sorted in, a feature at a time, by compiled code that holds no lock: some fifty rows of one feature
lie in the first cache, and sixteen threads do this beside each other. (With numpy's sort of a whole block at once, they
spent nine tenths of the time waiting for the interpreter.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from atlas.stats.batch import HASH_BITS, Batch, Bool, Float32, Int32, Int64, UInt64
from atlas.stats.compiled import compiled
from atlas.stats.firings import Firings
from atlas.stats.kernels import group
from atlas.stats.rows import FIRES, Rows

REPEATS = 9
"""Windows kept of one context: the best, and up to eight more that are only counted."""

PATIENCE = 2.0
"""Rows that may wait before they are sorted in, as a multiple of the contexts that a table keeps."""

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
    return Kept(*_select(feature.astype(np.int32), value, window.astype(np.uint32), context, k))


@compiled
def _select(feature: Int32, value: Float32, window: np.ndarray, context: UInt64, k: int) -> tuple[Int64, Bool, Int64]:
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
        kept = Rows.join([self._rows, *more]) if more else self._rows
        columns = (kept.feature, kept.window, kept.position, kept.value, kept.key, kept.start, kept.length)
        waits = self._new[: self.waiting], self._at[: self._used], self._act[: self._used]
        *made, self.bar = _merge(*columns, kept.at, kept.act, *waits, self.width, self.k)
        self._rows = Rows(*made)
        self.waiting = self._used = 0


@compiled
def _merge(
    feature: Int32,
    window: np.ndarray,
    position: np.ndarray,
    value: Float32,
    key: UInt64,
    start: Int64,
    length: np.ndarray,
    at: np.ndarray,
    act: Float32,
    waits: np.ndarray,
    waits_at: np.ndarray,
    waits_act: Float32,
    width: int,
    k: int,
) -> Any:
    """Columns of the rows that are kept of both tables, packed, and every feature's bar."""
    n = len(feature)
    size = n + len(waits)
    features, windows = np.empty(size, np.int32), np.empty(size, np.uint32)
    values, keys = np.empty(size, np.float32), np.empty(size, np.uint64)
    features[:n], windows[:n], values[:n], keys[:n] = feature, window, value, key
    for i in range(len(waits)):
        new = waits[i]
        features[n + i], windows[n + i], values[n + i], keys[n + i] = new.feature, new.window, new.value, new.key
    order, best = _select(features, values, windows, keys, k)[:2]
    features, windows, values, keys = features[order], windows[order], values[order], keys[order]
    positions, lengths = np.empty(len(order), np.int16), np.empty(len(order), np.int16)
    starts, used = np.empty(len(order), np.int64), 0
    for i in range(len(order)):
        row = order[i]
        if row < n:
            positions[i], lengths[i] = position[row], length[row]
        else:
            positions[i], lengths[i] = waits[row - n].position, waits[row - n].length
        starts[i] = used
        used += lengths[i]
    new_at, new_act = np.empty(used, np.int16), np.empty(used, np.float32)
    for i in range(len(order)):
        row = order[i]
        for j in range(lengths[i]):
            if row < n:
                new_at[starts[i] + j], new_act[starts[i] + j] = at[start[row] + j], act[start[row] + j]
            else:
                begin = waits[row - n].start
                new_at[starts[i] + j], new_act[starts[i] + j] = waits_at[begin + j], waits_act[begin + j]
    bar, contexts = np.zeros(width, np.float32), np.zeros(width, np.int64)
    for i in range(len(order)):
        if best[i]:
            contexts[features[i]] += 1
            if contexts[features[i]] == k:
                bar[features[i]] = values[i]
    return features, windows, positions, values, keys, starts, lengths, new_at, new_act, bar


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
