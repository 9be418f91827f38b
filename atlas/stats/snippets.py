"""Which snippets of a feature are kept: two rules, each a total order over rows.

What survives depends neither on when nor in which worker it was decided:

- `select_top`: for every feature the `k` best *contexts* (by their best peak, then window id), each
  represented by its best window. Further windows of a kept context stay too, up to `REPEATS`, if
  their peak is above the k-th context's, so that repeats can be counted. A context that is dropped
  has k better ones in front of it, and has them forever; should it come back with a higher peak, the
  windows that were dropped with it lie at or below the bar and would not count. Dropping early is exact.
- `select_sample`: for every feature the `m` firings of lowest rank, a bottom-k sketch (Cohen and Kaplan
  2007): since ranks are hashes, a uniform sample without replacement.

Sorting is what this costs. Feature, activation and window (12 + 20 + 32 bits: activations are rounded to
12 significant bits, so 20 bits of a float32 say all) make one unsigned word whose order is the one that is
wanted; so do feature and rank. numpy sorts words many times faster than several keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atlas.stats.batch import HASH_BITS, Bool, Float32, Int64, UInt64
from atlas.stats.rows import rank_in_groups, starts_of

REPEATS = 9
"""Windows kept of one context: the best, and up to eight more that are only counted."""

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


def select_sample(feature: np.ndarray, rank: UInt64, window: np.ndarray, position: np.ndarray, m: int) -> Int64:
    """The rows of lowest rank, `m` a feature, sorted by (feature, rank); equal ranks by window, then position."""
    word = words(feature, rank)
    order = np.argsort(word)
    in_order = word[order]
    if (in_order[1:] == in_order[:-1]).any():  # once in 2**52 pairs
        order = np.lexsort((position, window, word))
    return order[rank_in_groups(starts_of(feature[order])) < m] if len(order) else order
