"""How often two features fire on the same token, estimated from a signature of each.

While the corpus is read, a feature keeps one number for each of `BUCKETS` buckets: of all tokens on which it fired, the
position's hash picks the bucket and the depth, and the least depth stays. This is MinHash with one permutation (Li,
Owen and Zhang, "One Permutation Hashing", NeurIPS 2012): a kilobyte a feature, whatever the corpus; minima of minima,
so that it does not depend on order or splits; and one hash for all features of all dictionaries, so that any two can
be compared. In a bucket where either feature has a depth, the lesser of the two is that of a token drawn at random from
all on which one of them fires. Hence, with a and b the depths of features A and B:

    jaccard             share of buckets with a = b, among those where A or B has a depth
                        of the tokens on which one of them fires, on how many both do
    here                share of buckets with a = b, among those with a <= b and a depth of A
                        of the tokens on which A fires, on how many B does
    there               the same the other way round

`jaccard` of J has the standard error sqrt(J (1 - J) / buckets): 0.03 at most. Of a feature that fires on fewer tokens
than there are buckets nearly all tokens are in its signature. `here` is known worse if B fires much more often than A,
since few buckets then have a <= b; with fewer than `LEAST` it is not given (NaN).

To find the features that fire most together with each of f, all features are listed by bucket and depth; those at the
depth of a feature's own are counted. That takes time in f x BUCKETS x (features on a token), and memory in f x BUCKETS.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atlas.stats.batch import BUCKETS, EMPTY, Float32, Int32, UInt32
from atlas.stats.compiled import compiled

LEAST = 8
"""Buckets that an estimate rests on at least."""


@dataclass(frozen=True)
class Listed:
    """Features of a dictionary, listed by bucket and depth.

    Attributes:
        signature: uint32 [g, BUCKETS].
        order: int32 [BUCKETS, g], features by depth in each bucket.
        depth: uint32 [BUCKETS, g], their depths, ascending.
        filled: int32 [g], buckets of each feature that have a depth.
    """

    signature: UInt32
    order: Int32
    depth: UInt32
    filled: Int32

    @staticmethod
    def of(signature: UInt32) -> Listed:
        """List them.

        Args:
            signature: uint32 [g, BUCKETS].
        """
        columns = np.ascontiguousarray(signature.T)
        order = np.argsort(columns, axis=1, kind="stable").astype(np.int32)
        depth = np.take_along_axis(columns, order, axis=1)
        return Listed(signature, order, depth, (signature != EMPTY).sum(axis=1, dtype=np.int32))


@dataclass(frozen=True)
class Together:
    """Estimates for pairs of features; all [f, k].

    Attributes:
        index: int32, the other feature; -1 where there are fewer than k that ever fired together with this one.
        jaccard, here, there: float32, as in the module's docstring; NaN where they are not known.
    """

    index: Int32
    jaccard: Float32
    here: Float32
    there: Float32


def most_together(own: UInt32, others: Listed, k: int, *, same: bool) -> Together:
    """The k features that fire most together with each, by `jaccard`; of equals the lower index.

    Args:
        own: uint32 [f, BUCKETS], signatures.
        others: Of a dictionary, which may be the same one.
        k: How many.
        same: Whether it is the same one: then a feature is not compared with itself.
    """
    index = np.full((len(own), min(k, len(others.signature))), -1, np.int32)
    _most(own, others.signature, others.order, others.depth, others.filled, same, index)
    return together(own, others.signature, index)


def together(own: UInt32, other: UInt32, index: Int32) -> Together:
    """Estimates for given pairs.

    Args:
        own: uint32 [f, BUCKETS].
        other: uint32 [g, BUCKETS].
        index: int32 [f, k], rows of `other`; those below 0 are no pair.
    """
    found = np.full((3, *index.shape), np.nan, np.float32)
    _pairs(own, other, index, LEAST, found)
    return Together(index, *found)


@compiled
def _most(own: UInt32, other: UInt32, order: Int32, depth: UInt32, filled: Int32, same: bool, index: Int32) -> None:
    features, k = index.shape
    shared, met = np.zeros(len(other), np.int32), np.empty(len(other), np.int32)
    best = np.empty(k, np.float64)
    for f in range(features):
        found, mine = _meet(own[f], order, depth, shared, met)
        kept = 0
        for i in range(found):
            g = met[i]
            both, shared[g] = shared[g], 0
            if (same and g == f) or (kept == k and both < best[k - 1] * max(mine, filled[g])):
                continue  # not even if the buckets of one were among those of the other
            score, place = both / _either(own[f], other[g]), kept
            while place and (score > best[place - 1] or (score == best[place - 1] and g < index[f, place - 1])):
                place -= 1
            if place < k:
                kept = min(kept + 1, k)
                for j in range(kept - 1, place, -1):
                    best[j], index[f, j] = best[j - 1], index[f, j - 1]
                best[place], index[f, place] = score, g


@compiled
def _meet(own: UInt32, order: Int32, depth: UInt32, shared: Int32, met: Int32) -> tuple[int, int]:
    """Count the buckets that each feature shares with one; how many features those are, and how many buckets it has."""
    found = mine = 0
    for bucket in range(BUCKETS):
        at = own[bucket]
        if at != EMPTY:
            mine += 1
            place = np.searchsorted(depth[bucket], at)
            while place < depth.shape[1] and depth[bucket, place] == at:
                g = order[bucket, place]
                if not shared[g]:
                    met[found] = g
                    found += 1
                shared[g] += 1
                place += 1
    return found, mine


@compiled
def _either(own: UInt32, other: UInt32) -> int:
    """Buckets in which either has a depth."""
    either = 0
    for bucket in range(BUCKETS):
        either += own[bucket] != EMPTY or other[bucket] != EMPTY
    return either


@compiled
def _pairs(own: UInt32, other: UInt32, index: Int32, least: int, found: Float32) -> None:
    for f in range(index.shape[0]):
        for j in range(index.shape[1]):
            g = index[f, j]
            if g < 0:
                continue
            both = here = there = either = 0
            for bucket in range(BUCKETS):
                a, b = own[f, bucket], other[g, bucket]
                either += a != EMPTY or b != EMPTY
                both += a == b and a != EMPTY
                here += a != EMPTY and a <= b
                there += b != EMPTY and b <= a
            if either >= least:
                found[0, f, j] = both / either
            if here >= least:
                found[1, f, j] = both / here
            if there >= least:
                found[2, f, j] = both / there
