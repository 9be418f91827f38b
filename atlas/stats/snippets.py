"""Tables of candidate snippets: a row per (feature, window) with the activations of that window.

Two rules keep a table small, each a total order over rows, so that what survives does not depend on
when or in which worker it was decided:

- `select_top`: for every feature the `k` best *contexts* (by their best peak, then window id), each
  represented by its best window. Further windows of a kept context stay too, up to `REPEATS`, if
  their peak is above the k-th context's, so that repeats can be counted. A context that is dropped
  has k better ones in front of it, and has them forever; should it come back with a higher peak, the
  windows that were dropped with it lie at or below the bar and would not count. Dropping early is exact.
- `select_sample`: for every feature the `m` firings of lowest rank, a bottom-k sketch (Cohen and Kaplan
  2007): since ranks are hashes, a uniform sample without replacement.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from atlas.stats.firings import Float32, Int32, Int64, UInt64

REPEATS = 9
"""Windows kept of one context: the best, and up to eight more that are only counted."""


@dataclass(frozen=True)
class Rows:
    """Parallel arrays, a row a snippet, with ragged activations.

    Attributes:
        feature: int64 [n].
        window: int64 [n].
        position: int32 [n], the token that the snippet stands for.
        value: float32 [n], its activation.
        key: uint64 [n], hash of the context (top snippets) or sampling rank (sample).
        length: int64 [n], firings of the feature in the window that are kept with the row.
        at: int32 [sum(length)], their positions, ascending in each row.
        act: float32 [sum(length)], their values.
    """

    feature: Int64
    window: Int64
    position: Int32
    value: Float32
    key: UInt64
    length: Int64
    at: Int32
    act: Float32

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.feature)

    @staticmethod
    def empty() -> Rows:
        """No rows."""
        i8, i4 = np.zeros(0, np.int64), np.zeros(0, np.int32)
        f4 = np.zeros(0, np.float32)
        return Rows(i8, i8, i4, f4, np.zeros(0, np.uint64), i8, i4, f4)

    @staticmethod
    def join(tables: list[Rows]) -> Rows:
        """All rows of the tables, one after the other."""
        return Rows(*(np.concatenate([getattr(t, f.name) for t in tables]) for f in fields(Rows)))

    def take(self, order: Int64) -> Rows:
        """The rows at `order`, in that order, with their activations."""
        length = self.length[order]
        flat = ragged(np.cumsum(self.length) - self.length, order, length)
        return Rows(
            self.feature[order],
            self.window[order],
            self.position[order],
            self.value[order],
            self.key[order],
            length,
            self.at[flat],
            self.act[flat],
        )


def ragged(starts: Int64, order: Int64, length: Int64) -> Int64:
    """Flat indices of the ragged parts `starts[order] .. + length`, one after the other."""
    ends = np.cumsum(length)
    return np.repeat(starts[order] - (ends - length), length) + np.arange(ends[-1] if len(ends) else 0)


def rank_in_groups(new_group: np.ndarray) -> Int64:
    """int64 [n]: place of each row in its group; `new_group` is True where a group begins."""
    place = np.arange(len(new_group))
    return place - np.maximum.accumulate(np.where(new_group, place, 0))


def starts_of(*keys: np.ndarray) -> np.ndarray:
    """Bool [n]: where any of the sorted keys differs from the row before."""
    new = np.ones(len(keys[0]), bool)
    if len(new):
        new[1:] = np.logical_or.reduce([k[1:] != k[:-1] for k in keys])
    return new


@dataclass(frozen=True)
class Kept:
    """What a selection keeps: `order` (rows, sorted), and for top snippets which are the best of their context."""

    order: Int64
    best: np.ndarray
    repeats: Int64


def select_top(rows: Rows, k: int) -> Kept:
    """The rows worth keeping for top snippets, sorted by (feature, context's rank, own rank).

    Returns:
        Kept: `best` [n] marks each context's first row; `repeats` [n] counts, at those rows, the other
        kept windows of the context (at most `REPEATS` - 1).
    """
    if not len(rows):
        none = np.zeros(0, np.int64)
        return Kept(none, np.zeros(0, bool), none)
    # 1. Within a context, best window first; beyond REPEATS nothing more is counted.
    order = np.lexsort((rows.window, -rows.value, rows.key, rows.feature))
    first = starts_of(rows.feature[order], rows.key[order])
    keep = rank_in_groups(first) < REPEATS
    order, first = order[keep], first[keep]
    # 2. Rank contexts of a feature by their best window; the k-th sets the bar for repeats too.
    context = np.cumsum(first) - 1
    lead = order[first]
    by_rank = np.lexsort((rows.window[lead], -rows.value[lead], rows.feature[lead]))
    place = np.empty(len(lead), np.int64)
    place[by_rank] = rank_in_groups(starts_of(rows.feature[lead[by_rank]]))
    bar = np.full(int(rows.feature.max()) + 1, -np.inf, np.float32)
    last = lead[place == k - 1]
    bar[rows.feature[last]] = rows.value[last]
    keep = (place[context] < k) & (first | (rows.value[order] > bar[rows.feature[order]]))
    order, first, context = order[keep], first[keep], context[keep]
    # 3. Sort for reading, and count.
    again = np.lexsort((rows.window[order], -rows.value[order], place[context], rows.feature[order]))
    order, context = order[again], context[again]
    best = starts_of(context)
    repeats = np.zeros(len(order), np.int64)
    repeats[best] = np.bincount(np.cumsum(best) - 1)[np.arange(int(best.sum()))] - 1
    return Kept(order, best, repeats)


def select_sample(rows: Rows, m: int) -> Int64:
    """The rows of lowest rank, `m` a feature, sorted by (feature, rank)."""
    order = np.lexsort((rows.key, rows.feature))
    return order[rank_in_groups(starts_of(rows.feature[order])) < m] if len(order) else order
