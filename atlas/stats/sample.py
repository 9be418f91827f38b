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

from typing import Any

import numpy as np

from atlas.stats.batch import HASH_BITS, Batch, Float32, Int32, UInt64
from atlas.stats.compiled import compiled, inlined
from atlas.stats.firings import Firings
from atlas.stats.kernels import group
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
            self._make_room(longest, len(drawn) - done)
            table = self._m, self._slots, self._count, self.bar, self._at, self._act, self._used
            done, self._used = _draw(
                *table, done, drawn, ranks, firings.cells, firings.value, batch.row, batch.position, windows
            )

    def add(self, rows: Rows) -> None:
        """Add firings that another sample has kept."""
        longest = int(rows.length.max(initial=0))
        columns = rows.feature, rows.key, rows.window, rows.position, rows.value, rows.start, rows.length
        done = 0
        while done < len(rows):
            self._make_room(longest, len(rows) - done)
            table = self._m, self._slots, self._count, self.bar, self._at, self._act, self._used
            done, self._used = _add(*table, done, *columns, rows.at, rows.act)

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

    def _make_room(self, longest: int, more: int) -> None:
        """Make room for one window at least; if the pool has to be copied for that, for `more` or so."""
        if self._used + longest > len(self._at):
            table = self._m, self._slots, self._count, self.bar, self._at, self._act
            self._at, self._act, self._used = _compact(*table, max(longest, FIRES * more))


@compiled
def _trim(m: int, slots: np.ndarray) -> Any:
    """Bring the m lowest of more than m slots to the front, in any order; returns the greatest rank of them."""
    ranks = np.empty(len(slots), np.uint64)
    for i in range(len(slots)):
        ranks[i] = slots[i].rank
    bar = _nth_lowest(ranks, m - 1)
    below = equal = 0
    for i in range(len(slots)):
        below += slots[i].rank < bar
        equal += slots[i].rank == bar
    if below + equal > m:
        _lowest_of_equals(m - below, bar, slots)
    count = 0
    for i in range(len(slots)):
        if slots[i].rank <= bar:
            slots[count] = slots[i]
            count += 1
    return bar


@compiled
def _lowest_of_equals(n: int, rank: np.uint64, slots: np.ndarray) -> None:
    """Leave this rank to the n earliest of the slots that have it; the others get one beyond all ranks."""
    for i in range(len(slots)):
        if slots[i].rank == rank:
            before = 0
            for j in range(len(slots)):
                before += (slots[j].rank == rank or slots[j].rank > OPEN) and _earlier(slots[j], slots[i])
            if before >= n:
                slots[i].rank = OPEN + np.uint64(1)


@compiled
def _nth_lowest(numbers: UInt64, n: int) -> Any:
    """The number that has n others before it in order; `numbers` are moved about (Hoare's quickselect)."""
    low, high = 0, len(numbers) - 1
    while low < high:
        pivot = numbers[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while numbers[i] < pivot:
                i += 1
            while numbers[j] > pivot:
                j -= 1
            if i <= j:
                numbers[i], numbers[j] = numbers[j], numbers[i]
                i += 1
                j -= 1
        if n <= j:
            high = j
        elif n >= i:
            low = i
        else:
            break
    return numbers[n]


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
def _compact(
    m: int, slots: np.ndarray, counts: np.ndarray, bars: UInt64, at: np.ndarray, act: Float32, more: int
) -> Any:
    """A new pool with what is needed of the old one in front, and room for `more` at least; how much that is."""
    _trim_all(m, slots, counts, bars)
    used = 0
    for feature in range(len(slots)):
        for i in range(counts[feature]):
            used += slots[feature, i].length
    size = int(GROWTH * (used + more))
    new_at, new_act = np.empty(size, np.int16), np.empty(size, np.float32)
    to = 0
    for feature in range(len(slots)):
        for i in range(counts[feature]):
            slot = slots[feature, i]
            start, slot.start = slot.start, to
            for j in range(start, start + slot.length):
                new_at[to] = at[j]
                new_act[to] = act[j]
                to += 1
    return new_at, new_act, used


@inlined
def _slot(m: int, slots: np.ndarray, counts: np.ndarray, bars: UInt64, feature: int) -> int:
    """Number of a slot of a feature for one firing more."""
    if counts[feature] == slots.shape[1]:
        bars[feature] = _trim(m, slots[feature])
        counts[feature] = m
    counts[feature] += 1
    return int(counts[feature] - 1)


# The next two are handed arrays, not an object that holds them: passing one on would count references for every
# firing, which took half of their time.


@compiled
def _draw(
    m: int,
    slots: np.ndarray,
    counts: np.ndarray,
    bars: UInt64,
    at: np.ndarray,
    act: Float32,
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
        if ranks[i] > bars[feature]:
            continue
        base = feature * len(row)
        token = cells[drawn[i]] - base
        low, high = group(cells, row, drawn[i])
        if used + high - low > len(at):
            return i, used
        slot = slots[feature, _slot(m, slots, counts, bars, feature)]
        slot.rank, slot.window, slot.position = ranks[i], windows[row[token]], position[token]
        slot.value, slot.start, slot.length = value[drawn[i]], used, high - low
        for j in range(low, high):
            at[used] = position[cells[j] - base]
            act[used] = value[j]
            used += 1
    return len(drawn), used


@compiled
def _add(
    m: int,
    slots: np.ndarray,
    counts: np.ndarray,
    bars: UInt64,
    pool_at: np.ndarray,
    pool_act: Float32,
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
        if rank[i] > bars[feature[i]]:
            continue
        if used + length[i] > len(pool_at):
            return i, used
        slot = slots[feature[i], _slot(m, slots, counts, bars, feature[i])]
        slot.rank, slot.window, slot.position = rank[i], window[i], position[i]
        slot.value, slot.start, slot.length = value[i], used, length[i]
        for j in range(start[i], start[i] + length[i]):
            pool_at[used] = at[j]
            pool_act[used] = act[j]
            used += 1
    return len(feature), used
