"""A micro-batch as the statistics see it: what is known of every token, worked out once for all dictionaries."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Bool = NDArray[np.bool_]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
UInt32 = NDArray[np.uint32]
UInt64 = NDArray[np.uint64]
Float32 = NDArray[np.float32]

CONTEXT_BEFORE, CONTEXT_AFTER = 4, 2
"""Tokens before and after a peak that make its context: equal contexts are near-duplicates."""

HASH_BITS = 52
"""Bits kept of contexts' hashes and of ranks: with 12 bits of a feature's place in its block they fill one word, and
one word is what numpy sorts fastest."""

BUCKETS = 256
"""Cells of a feature's signature (`together`): the 8 highest bits of a position's hash choose one."""

EMPTY = 2**32 - 1
"""What a cell of a signature holds that no firing has fallen into."""

WINDOWS_AT_MOST = 2**32


def mix(x: UInt64) -> UInt64:
    """The SplitMix64 finaliser (Steele, Lea and Flood 2014): a bijection of 64-bit numbers."""
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def multipliers(features: Int64) -> UInt64:
    """uint64 [f], odd: what a feature multiplies the hash of a position with, to draw its own sample.

    Multiplying by an odd number is a bijection of 64-bit words, and a carry moves every bit up into the ones that are
    compared: one feature's sample is as good as the hash is, and two features draw different positions. Without it
    all features would sample the same positions and their pages would show the same sentences.
    """
    return mix(features.astype(np.uint64)) | np.uint64(1)


@dataclass(frozen=True)
class Batch:
    """The tokens of a micro-batch that count, in order of (row, position); n tokens in b windows.

    Attributes:
        windows: int64 [b], ids of the windows.
        row: int32 [n], each token's row in `windows`, ascending.
        position: int32 [n], its place in its window, BOS not counted.
        source: int32 [n], the source its window comes from.
        context: uint64 [n], hash of the tokens around it, `HASH_BITS` bits.
        hash: uint64 [n], hash of (window, position): a bijection, so no two positions share one.
        starts: int32 [b + 1], each row's first token.
    """

    windows: Int64
    row: Int32
    position: Int32
    source: Int32
    context: UInt64
    hash: UInt64
    starts: Int32

    @property
    def tokens(self) -> int:
        """Number of tokens, n."""
        return len(self.row)

    @staticmethod
    def of(windows: Int64, sources: Int64, ids: Int32, counted: Bool) -> Batch:
        """Work out all of it.

        Args:
            windows: int64 [b], ids of the windows, each below 2**32.
            sources: int64 [b], each window's source.
            ids: int32 [b, t], token ids without BOS, -1 where a window has ended.
            counted: bool [b, t], which positions count.

        Raises:
            ValueError: If a window's id is too great.
        """
        if len(windows) and int(windows.max()) >= WINDOWS_AT_MOST:
            msg = f"window {int(windows.max())}: ids of windows go up to {WINDOWS_AT_MOST - 1}"
            raise ValueError(msg)
        row, position = np.nonzero(counted)
        place = (windows[row].astype(np.uint64) << np.uint64(16)) | position.astype(np.uint64)
        return Batch(
            windows,
            row.astype(np.int32),
            position.astype(np.int32),
            sources[row].astype(np.int32),
            contexts(ids)[row, position],
            mix(place),
            _starts(row, len(windows)),
        )

    def without(self, bad: Bool) -> Batch:
        """The same micro-batch without some of its tokens; `bad` is bool [n]."""
        kept = {name: getattr(self, name)[~bad] for name in ("row", "position", "source", "context", "hash")}
        return replace(self, **kept, starts=_starts(kept["row"], len(self.windows)))


def contexts(ids: Int32) -> UInt64:
    """uint64 [b, t]: a hash of the tokens around each position, -1 where there are none; `HASH_BITS` bits."""
    before = np.full((len(ids), CONTEXT_BEFORE), -1, np.int32)
    after = np.full((len(ids), CONTEXT_AFTER), -1, np.int32)
    around = np.hstack([before, ids, after])
    key = np.zeros(ids.shape, np.uint64)
    for shift in range(CONTEXT_BEFORE + 1 + CONTEXT_AFTER):
        key = mix(key ^ (around[:, shift : shift + ids.shape[1]] + 2).astype(np.uint64))
    return key >> np.uint64(64 - HASH_BITS)


def _starts(row: NDArray[np.integer], rows: int) -> Int32:
    return np.searchsorted(row, np.arange(rows + 1)).astype(np.int32)
