"""The accumulator of a block of features: everything the collect pass keeps about them.

Memory is O(features x (k + m)), whatever the number of tokens. Algorithm of `update`, in which no step
loops over features or tokens in Python:

1. One reading of the firings (`kernels.tally`) adds counts, per-source counts, the log2 histogram, the maximum and
   the signature in place, and finds what may be kept:
2. A firing can only lead to a top snippet if it reaches its feature's bar (the k-th best context so far);
   of those that do, the peak of each (feature, window) counts.
3. A firing can only be sampled if its rank does not exceed its feature's bar (the m-th lowest so far).
4. Almost nothing passes either bar once the pass is under way. What does goes, with all activations of its window,
   to `top` and `sample`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atlas.stats.batch import BUCKETS, EMPTY, Batch, Float32, Int64, UInt32, multipliers
from atlas.stats.firings import CELLS_AT_MOST, Firings
from atlas.stats.kernels import BINS, tally
from atlas.stats.rows import Rows
from atlas.stats.sample import Sample
from atlas.stats.select import FEATURES_AT_MOST, Kept, select_top
from atlas.stats.top import Top


@dataclass
class Totals:
    """Exact sums, and signatures.

    Attributes:
        count: int64 [f], firings.
        source: int64 [f, s], firings in each source.
        histogram: int64 [f, BINS].
        max: float32 [f].
        signature: uint32 [f, BUCKETS], what tells how often two features fire together (`together`).
    """

    count: Int64
    source: Int64
    histogram: Int64
    max: Float32
    signature: UInt32


class Accumulator:
    """Statistics of a block of features, mergeable with another's of the same shape.

    Args:
        width: Number of features.
        sources: Number of corpus sources.
        top: Top snippets to keep, k.
        sample: Sampled firings to keep, m.
        first: Index of the block's first feature in its dictionary.

    Raises:
        ValueError: If the block is too wide.
    """

    def __init__(self, width: int, sources: int, top: int, sample: int, first: int = 0) -> None:
        if width > FEATURES_AT_MOST:
            msg = f"{width} features: a block has at most {FEATURES_AT_MOST}"
            raise ValueError(msg)
        self.width, self.k, self.m, self.first = width, top, sample, first
        self.tokens = 0
        self.totals = Totals(
            np.zeros(width, np.int64),
            np.zeros((width, sources), np.int64),
            np.zeros((width, BINS), np.int64),
            np.zeros(width, np.float32),
            np.full((width, BUCKETS), EMPTY, np.uint32),
        )
        self._multiplier = multipliers(np.arange(first, first + width))
        self._reset()

    def update(self, firings: Firings, batch: Batch) -> None:
        """Add what the block did on one micro-batch.

        Raises:
            ValueError: If cells of this block and this many tokens cannot be numbered in 31 bits.
        """
        if self.width * batch.tokens >= CELLS_AT_MOST:
            msg = f"{self.width} features x {batch.tokens} tokens are too many for one micro-batch"
            raise ValueError(msg)
        self.tokens += batch.tokens
        if not len(firings):
            return
        totals, size = self.totals, len(firings)
        peaks, drawn, ranks = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.uint64)
        found, low = tally(
            firings.cells,
            firings.value,
            batch.row,
            batch.source,
            batch.hash,
            self._multiplier,
            self._top.bar,
            self._sample.bar,
            totals.count,
            totals.source,
            totals.histogram,
            totals.max,
            totals.signature,
            peaks,
            drawn,
            ranks,
        )
        if found:
            self._top.fire(batch, firings, peaks[:found])
        if low:
            self._sample.draw(batch, firings, drawn[:low], ranks[:low])

    def merge(self, other: Accumulator) -> None:
        """Add all that another accumulator of the same block has seen."""
        self.tokens += other.tokens
        self.totals.count += other.totals.count
        self.totals.source += other.totals.source
        self.totals.histogram += other.totals.histogram
        np.maximum(self.totals.max, other.totals.max, out=self.totals.max)
        np.minimum(self.totals.signature, other.totals.signature, out=self.totals.signature)
        self._top.add(other._top.rows())
        self._sample.add(other._sample.rows())

    def top(self) -> tuple[Rows, Kept]:
        """Rows kept for top snippets, sorted by (feature, activation, window), and which of them are to be shown."""
        rows = self._top.rows().packed()
        return rows, select_top(rows.feature, rows.value, rows.window, rows.key, self.k)

    def sample(self) -> Rows:
        """The uniform sample of firings, sorted by (feature, rank)."""
        return self._sample.rows()

    def arrays(self) -> dict[str, np.ndarray]:
        """The whole state as named arrays, equal for equal sets of firings."""
        used = np.flatnonzero(self.totals.histogram)
        state: dict[str, np.ndarray] = {
            "tokens": np.array([self.tokens], np.int64),
            "count": self.totals.count,
            "source": self.totals.source,
            "max": self.totals.max,
            "signature": self.totals.signature,
            "histogram_at": used,
            "histogram_n": self.totals.histogram.ravel()[used],
        }
        for name, rows in (("top", self._top.rows()), ("sample", self._sample.rows())):
            state |= {f"{name}_{column}": values for column, values in rows.arrays().items()}
        return state

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over a state that `arrays` gave; what was there is forgotten."""
        self.tokens = int(state["tokens"][0])
        histogram = np.zeros(self.width * BINS, np.int64)
        histogram[state["histogram_at"]] = state["histogram_n"]
        self.totals = Totals(
            state["count"].copy(),
            state["source"].copy(),
            histogram.reshape(self.width, BINS),
            state["max"].copy(),
            state["signature"].copy(),
        )
        self._reset()
        for name, table in (("top", self._top), ("sample", self._sample)):
            columns = {key.removeprefix(f"{name}_"): v for key, v in state.items() if key.startswith(f"{name}_")}
            table.add(Rows.of(**columns))

    def _reset(self) -> None:
        self._top, self._sample = Top(self.width, self.k), Sample(self.width, self.m)
