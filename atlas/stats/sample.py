"""A uniform sample of each feature's firings: the `m` of lowest rank, a bottom-k sketch (Cohen and Kaplan 2007).

Ranks are hashes, so this is uniform without replacement, and which firings it keeps is a matter of the set it has seen
alone; equal ranks (one pair in 2**52) go by window, then position.

A feature's firings lie in a row of `slots`, somewhat more than m of them, in no order. When the row is full, the m
lowest stay (quickselect, so that a firing costs the same however large m is) and the greatest of them is the bar from
then on. The activations of a firing's window are copied behind the others in one pool; where that is full, what is not
needed any more is left out and the pool grows to `GROWTH` times the rest. So memory is `SPARE` m slots a feature from
the beginning, and the activations of at most `GROWTH` times the windows that are kept.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from atlas.stats.batch import HASH_BITS, Batch, Float32, Int32, UInt64
from atlas.stats.compiled import compiled
from atlas.stats.firings import Firings
from atlas.stats.kernels import copy_parts, group
from atlas.stats.rows import FIRES, SPARE, Rows

SLOT = np.dtype(
    [
        ("rank", np.uint64),
        ("start", np.int64),  # where its activations begin in the pool
        ("window", np.uint32),
        ("value", np.float32),
        ("position", np.int16),
        ("length", np.int16),
    ],
    align=True,
)

GROWTH = 2.0
"""How much longer the pool is made than what is needed."""

OPEN = np.uint64(2**HASH_BITS - 1)
"""The bar of a feature with fewer than m firings: every rank passes."""


class Sample:
    """The samples of a block of features.

    Args:
        width: Features.
        m: Firings to keep of each.

    Attributes:
        bar: uint64 [width], what a rank must not exceed to be of any use.
    """

    def __init__(self, width: int, m: int) -> None:
        self._m = m
        self._slots = np.zeros((width, int(SPARE * m) + 1), SLOT)
        self._count = np.zeros(width, np.int64)
        self.bar: UInt64 = np.full(width, OPEN)
        self._at, self._act = np.empty(0, np.int16), np.empty(0, np.float32)
        self._used = 0

    def draw(self, batch: Batch, firings: Firings, drawn: Int32, ranks: UInt64) -> None:
        """Add firings of a micro-batch: those at `drawn`, with these ranks."""
        longest = int(np.diff(batch.starts).max())
        windows = batch.windows.astype(np.uint32)
        done = 0
        while done < len(drawn):
            table = self._table(longest, len(drawn) - done)
            done, self._used = _draw(
                table, self._used, done, drawn, ranks, firings.cells, firings.value, batch.row, batch.position, windows
            )

    def add(self, rows: Rows) -> None:
        """Add firings that another sample has kept."""
        longest = int(rows.length.max(initial=0))
        activations = rows.start, rows.length, rows.at, rows.act
        done = 0
        while done < len(rows):
            table = self._table(longest, len(rows) - done)
            done, self._used = _add(
                table, self._used, done, rows.feature, rows.key, rows.window, rows.position, rows.value, *activations
            )

    def rows(self) -> Rows:
        """All of them, sorted by (feature, rank); the rank is the key."""
        _trim_all(self._m, self._slots, self._count, self.bar)
        kept = self._kept()
        feature, found = np.nonzero(kept)[0], self._slots[kept]
        word = (feature.astype(np.uint64) << np.uint64(HASH_BITS)) | found["rank"]
        order = np.argsort(word)
        in_order = word[order]
        if (in_order[1:] == in_order[:-1]).any():
            order = np.lexsort((found["position"], found["window"], word))
        found = found[order]
        column = {name: np.ascontiguousarray(found[name]) for name in SLOT.names or ()}
        column["key"] = column.pop("rank")
        return Rows(feature=feature[order].astype(np.int32), at=self._at, act=self._act, **column).packed()

    def _kept(self) -> np.ndarray:
        return np.arange(self._slots.shape[1]) < self._count[:, None]

    def _table(self, longest: int, more: int) -> _Table:
        """The table, with room for one window at least; if the pool has to be copied for that, for `more` or so."""
        if self._used + longest > len(self._at):
            _trim_all(self._m, self._slots, self._count, self.bar)
            kept = self._kept()
            start, length = self._slots["start"][kept], self._slots["length"][kept]
            order = np.argsort(start)  # so that each part moves down, if anywhere: it can be done in place
            start, length = start[order], length[order]
            self._used = int(length.sum(dtype=np.int64))
            at, act = self._at, self._act
            needed = self._used + max(longest, FIRES * more)
            if needed * SPARE > len(at):
                at, act = np.empty(int(GROWTH * needed), np.int16), np.empty(int(GROWTH * needed), np.float32)
            copy_parts(start, length, self._at, self._act, at, act)
            moved = np.empty(len(order), np.int64)
            moved[order] = np.cumsum(length, dtype=np.int64) - length
            self._slots["start"][kept] = moved
            self._at, self._act = at, act
        return _Table(self._m, self._slots, self._count, self.bar, self._at, self._act)


class _Table(NamedTuple):
    """What `Sample` has, for compiled functions."""

    m: int
    slots: np.ndarray
    counts: np.ndarray
    bar: UInt64
    at: np.ndarray
    act: Float32


@compiled
def _trim(m: int, slots: np.ndarray) -> Any:
    """Bring the m lowest of more than m slots to the front, in any order; returns the greatest rank of them."""
    ranks = np.empty(len(slots), np.uint64)
    for i in range(len(slots)):
        ranks[i] = slots[i].rank
    bar = np.partition(ranks, m - 1)[m - 1]
    lowest, count = np.empty(m, SLOT), 0
    for i in range(len(slots)):
        if ranks[i] < bar:
            lowest[count] = slots[i]
            count += 1
    taken = np.zeros(len(slots), np.bool_)
    while count < m:  # one, unless ranks are equal
        best = -1
        for i in range(len(slots)):
            if ranks[i] == bar and not taken[i] and (best < 0 or _earlier(slots[i], slots[best])):
                best = i
        lowest[count] = slots[best]
        taken[best] = True
        count += 1
    slots[:m] = lowest
    return bar


@compiled
def _earlier(one: np.record, other: np.record) -> bool:
    return bool(one.window < other.window or (one.window == other.window and one.position < other.position))


@compiled
def _trim_all(m: int, slots: np.ndarray, counts: np.ndarray, bars: UInt64) -> None:
    for feature in range(len(slots)):
        if counts[feature] > m:
            bars[feature] = _trim(m, slots[feature, : counts[feature]])
            counts[feature] = m


@compiled
def _slot(table: _Table, feature: int) -> Any:
    """A slot of a feature for one firing more."""
    if table.counts[feature] == table.slots.shape[1]:
        table.bar[feature] = _trim(table.m, table.slots[feature])
        table.counts[feature] = table.m
    table.counts[feature] += 1
    return table.slots[feature, table.counts[feature] - 1]


@compiled
def _draw(
    table: _Table,
    used: int,
    begin: int,
    drawn: Int32,
    ranks: UInt64,
    cells: Int32,
    value: Float32,
    row: Int32,
    position: Int32,
    windows: np.ndarray,
) -> tuple[int, int]:
    """Add the firings at `drawn[begin:]`, as long as the pool has room; returns how far it came, and the pool's use."""
    for i in range(begin, len(drawn)):
        feature = cells[drawn[i]] // len(row)
        base = feature * len(row)
        token = cells[drawn[i]] - base
        if ranks[i] > table.bar[feature]:
            continue
        low, high = group(cells, row, drawn[i])
        if used + high - low > len(table.at):
            return i, used
        slot = _slot(table, feature)
        slot.rank, slot.window, slot.position = ranks[i], windows[row[token]], position[token]
        slot.value, slot.start, slot.length = value[drawn[i]], used, high - low
        for j in range(low, high):
            table.at[used] = position[cells[j] - base]
            table.act[used] = value[j]
            used += 1
    return len(drawn), used


@compiled
def _add(
    table: _Table,
    used: int,
    begin: int,
    feature: Int32,
    rank: UInt64,
    window: np.ndarray,
    position: np.ndarray,
    value: Float32,
    start: np.ndarray,
    length: np.ndarray,
    at: np.ndarray,
    act: Float32,
) -> tuple[int, int]:
    """As `_draw`, for rows with their activations."""
    for i in range(begin, len(feature)):
        if rank[i] > table.bar[feature[i]]:
            continue
        if used + length[i] > len(table.at):
            return i, used
        slot = _slot(table, feature[i])
        slot.rank, slot.window, slot.position = rank[i], window[i], position[i]
        slot.value, slot.start, slot.length = value[i], used, length[i]
        for j in range(start[i], start[i] + length[i]):
            table.at[used] = at[j]
            table.act[used] = act[j]
            used += 1
    return len(feature), used
