"""Firings: what a block of features did on one micro-batch, sparse and sorted.

An encoder's output is dense for an instant; only the cells above the threshold survive, numbered
`feature * tokens + token`, so that they come sorted by (feature, window, position) from a matrix that
has a row a feature. Every accumulator reads them in that one form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atlas.stats.batch import Float32, Int32
from atlas.stats.kernels import round_bits

CELLS_AT_MOST = 2**31


def round_significant(values: Float32) -> Float32:
    """Round float32 to 12 significant bits, ties to even: float16's precision with float32's range.

    Args:
        values: float32, any shape, finite.

    Returns:
        float32 of the same shape; a positive number stays positive unless it is subnormal.
    """
    bits = np.ascontiguousarray(values).view(np.uint32)
    rounded = np.empty_like(bits)
    round_bits(bits.reshape(-1), rounded.reshape(-1))
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
