"""Firings: what a block of features did on one micro-batch, sparse and sorted.

An encoder's output is dense for an instant; only the cells above the threshold survive, numbered
`feature * tokens + token`, so that they come sorted by (feature, window, position) from a matrix that
has a row a feature. Every accumulator reads them in that one form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atlas.stats.batch import Batch, Float32, Int32, Int64

CELLS_AT_MOST = 2**31

SEARCH = 30
"""Firings that can be told apart in the time of finding one of them by binary search, about."""


def round_significant(values: Float32) -> Float32:
    """Round float32 to 12 significant bits, ties to even: float16's precision with float32's range.

    Args:
        values: float32, any shape, finite.

    Returns:
        float32 of the same shape; a positive number stays positive unless it is subnormal.
    """
    bits = values.view(np.uint32)
    rounded = (bits >> np.uint32(12)) & np.uint32(1)
    rounded += np.uint32(0x7FF)
    rounded += bits
    rounded &= np.uint32(0xFFFFF000)
    return rounded.view(np.float32)


@dataclass(frozen=True)
class Firings:
    """All firings of a block of features on one micro-batch.

    Attributes:
        cells: int32 [m], `feature * tokens + token`, ascending; features are counted from the block's first.
        value: float32 [m], positive, rounded to 12 significant bits.
    """

    cells: Int32
    value: Float32

    @staticmethod
    def of(cells: np.ndarray, values: Float32) -> Firings:
        """Firings from cells (any integer type, ascending, below 2**31) and values that are not rounded yet."""
        return Firings(cells.astype(np.int32, copy=False), round_significant(values))

    def __len__(self) -> int:
        """Number of firings."""
        return len(self.cells)

    def groups(self, batch: Batch, focus: Int64) -> tuple[Int64, Int64]:
        """int64 [c], int64 [c]: first firing and number of firings of the (feature, window) of each firing at `focus`.

        For a few of many firings, a binary search for both ends of each is cheapest; for many, it is cheaper to find
        the ends of all groups.
        """
        if len(focus) * SEARCH < len(self):
            cells = self.cells[focus].astype(np.int64)
            base = cells // batch.tokens * batch.tokens
            row = batch.row[cells - base]
            first = np.searchsorted(self.cells, (base + batch.starts[row]).astype(np.int32))
            # the last cell rather than the next one's: at the very end the next one would not fit an int32
            last = np.searchsorted(self.cells, (base + (batch.starts[row + 1] - 1)).astype(np.int32), "right")
            return first, last - first
        feature = self.cells // np.int32(batch.tokens)
        row = batch.row.take(self.cells - feature * np.int32(batch.tokens))
        row += feature * np.int32(len(batch.windows))
        new = np.empty(len(self), np.bool_)
        new[0] = True
        np.not_equal(row[1:], row[:-1], out=new[1:])
        starts = np.append(np.flatnonzero(new), len(self))
        group = (np.cumsum(new) - 1)[focus]
        return starts[group], starts[group + 1] - starts[group]
