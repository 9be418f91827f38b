"""Firings: what a dictionary did on one micro-batch, sparse and sorted.

An encoder's output is dense for an instant; only its non-zero entries survive, as parallel arrays
sorted by (feature, window, position). Every accumulator reads them in that one form.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
UInt64 = NDArray[np.uint64]
Float32 = NDArray[np.float32]

CONTEXT_BEFORE, CONTEXT_AFTER = 4, 2
"""Tokens before and after a peak that make its context: equal contexts are near-duplicates."""


def round_significant(values: Float32) -> Float32:
    """Round float32 to 12 significant bits, ties to even: float16's precision with float32's range.

    Args:
        values: float32, any shape, finite.

    Returns:
        float32 of the same shape; a positive number stays positive unless it is subnormal.
    """
    bits = values.view(np.uint32)
    rounded = (bits + (np.uint32(0x7FF) + ((bits >> np.uint32(12)) & np.uint32(1)))) & np.uint32(0xFFFFF000)
    return rounded.view(np.float32)


def mix(x: UInt64) -> UInt64:
    """The SplitMix64 finaliser (Steele, Lea and Flood 2014): a bijection of 64-bit numbers."""
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


@dataclass(frozen=True)
class Batch:
    """The micro-batch that firings came from.

    Attributes:
        windows: int64 [b], ids of the windows, ascending.
        sources: int64 [b], each window's source.
        ids: int32 [b, t], token ids without BOS, -1 where a window has ended.
    """

    windows: Int64
    sources: Int64
    ids: Int32

    @cached_property
    def ranks(self) -> UInt64:
        """uint64 [b, t]: a hash of every (window, position); a bijection, so no two positions share one."""
        position = np.arange(self.ids.shape[1], dtype=np.uint64)
        return mix((self.windows.astype(np.uint64)[:, None] << np.uint64(16)) | position[None, :])

    def sampling_ranks(self, firings: Firings) -> UInt64:
        """uint64 [n]: the rank of each firing in its feature's uniform sample.

        A hash of window, position and feature. Without the feature all features would sample the same few
        positions, and their pages would show the same sentences. For one feature it is a bijection of
        (window, position): ranks do not tie.
        """
        return mix(self.ranks[firings.row, firings.position] ^ mix(firings.feature.astype(np.uint64)))

    def contexts(self, row: Int64, position: Int32) -> UInt64:
        """uint64 [n]: a hash of the tokens around each (row, position)."""
        width = self.ids.shape[1]
        key = np.zeros(len(row), np.uint64)
        for shift in range(-CONTEXT_BEFORE, CONTEXT_AFTER + 1):
            at = position.astype(np.int64) + shift
            inside = (at >= 0) & (at < width)
            token = np.where(inside, self.ids[row, np.clip(at, 0, width - 1)], -1)
            key = mix(key ^ (token + 2).astype(np.uint64))
        return key


@dataclass(frozen=True)
class Firings:
    """All firings of one dictionary on one micro-batch, sorted by (feature, row, position).

    Attributes:
        feature: int64 [n].
        row: int64 [n], row of the batch (not yet a window id).
        position: int32 [n], place in the window, BOS not counted.
        value: float32 [n], positive, rounded to 12 significant bits.
    """

    feature: Int64
    row: Int64
    position: Int32
    value: Float32

    @staticmethod
    def from_cells(cells: Int64, values: Float32, rows: Int64, positions: Int32, width: int) -> Firings:
        """Firings from the non-zero cells of a [tokens, features] matrix.

        Args:
            cells: int64 [n], flat indices into the matrix, ascending.
            values: float32 [n], their values.
            rows: int64 [tokens], row of the batch of every token.
            positions: int32 [tokens], its place in the window.
            width: Number of features.
        """
        token, feature = np.divmod(cells, width)
        order = np.argsort(feature, kind="stable")  # tokens come in (row, position) order already
        token = token[order]
        return Firings(feature[order], rows[token], positions[token], round_significant(values[order]))

    @cached_property
    def groups(self) -> Any:
        """int64 [g]: where each (feature, row) group begins."""
        if not len(self.feature):
            return np.zeros(0, np.int64)
        change = (self.feature[1:] != self.feature[:-1]) | (self.row[1:] != self.row[:-1])
        return np.concatenate(([0], np.flatnonzero(change) + 1)).astype(np.int64)
