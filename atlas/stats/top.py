"""Top snippets: for every feature the `k` best contexts, by their best peak, then window id.

`select.select_top` is a total order over rows, so what survives depends neither on when nor in which worker it was
decided. A context that is dropped has k better ones in front of it, and has them forever; should it come back with a
higher peak, the windows that were dropped with it lie at or below the bar and would not count. Dropping early is exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from atlas.stats.batch import Batch, Float32, Int32, Int64, UInt64
from atlas.stats.compiled import compiled
from atlas.stats.firings import Firings
from atlas.stats.kernels import group
from atlas.stats.rows import FIRES, Rows
from atlas.stats.select import select

PATIENCE = 2.0
"""Rows that may wait before they are sorted in, as a multiple of the contexts that a table keeps."""

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
    order, best = select(features, values, windows, keys, k)[:2]
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
