"""The accumulator of a block of features: everything the collect pass keeps about them.

Memory is O(features x (k + m)), whatever the number of tokens. Algorithm of `update`, in which no step
loops over features or tokens in Python:

1. One reading of the firings (`kernels.tally`) adds counts, per-source counts, the log2 histogram and the
   maximum in place, and finds the candidates:
2. A firing can only lead to a top snippet if it reaches its feature's bar (the k-th best context so far);
   of those that do, the peak of each (feature, window) becomes a candidate.
3. A firing is a candidate for the sample if its rank does not exceed its feature's bar (the m-th lowest
   so far). Almost nothing passes either bar once the pass is under way.
4. Candidates wait (`waiting`); when they outnumber what is kept they are sorted in (`snippets.select_*`)
   and the bars are moved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atlas.stats.batch import HASH_BITS, Batch, Float32, Int64, UInt64, multipliers
from atlas.stats.firings import CELLS_AT_MOST, Firings
from atlas.stats.kernels import BINS, tally
from atlas.stats.rows import Rows
from atlas.stats.snippets import FEATURES_AT_MOST, Kept, select_sample, select_top
from atlas.stats.waiting import Candidates, Waiting

PATIENCE = 2.0
"""Candidates that may wait before they are sorted in, as a multiple of the rows that a table keeps."""

HELD = 400_000
"""Firings that a table's candidates may hold back, if the engine does not say."""

_OPEN = np.uint64(2**HASH_BITS - 1)


@dataclass
class Totals:
    """Exact sums. `count` int64 [f], `source` int64 [f, s], `histogram` int64 [f, BINS], `max` float32 [f]."""

    count: Int64
    source: Int64
    histogram: Int64
    max: Float32


class Accumulator:
    """Statistics of a block of features, mergeable with another's of the same shape.

    Args:
        width: Number of features.
        sources: Number of corpus sources.
        top: Top snippets to keep, k.
        sample: Sampled firings to keep, m.
        first: Index of the block's first feature in its dictionary.
        held: Firings that candidates may hold back, 8 bytes each; has no influence on the result.

    Raises:
        ValueError: If the block is too wide.
    """

    def __init__(self, width: int, sources: int, top: int, sample: int, first: int = 0, held: int = HELD) -> None:
        if width > FEATURES_AT_MOST:
            msg = f"{width} features: a block has at most {FEATURES_AT_MOST}"
            raise ValueError(msg)
        self.width, self.k, self.m, self.first = width, top, sample, first
        self._held = held
        self.tokens = 0
        self.totals = Totals(
            np.zeros(width, np.int64),
            np.zeros((width, sources), np.int64),
            np.zeros((width, BINS), np.int64),
            np.zeros(width, np.float32),
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
            self._top_bar,
            self._sample_bar,
            totals.count,
            totals.source,
            totals.histogram,
            totals.max,
            peaks,
            drawn,
            ranks,
        )
        if found:
            self._new_top.add(Candidates.of(batch, firings, peaks[:found].copy()))
            if self._new_top.count > PATIENCE * self.width * self.k:
                self._settle_top()
        if low:
            self._new_sample.add(Candidates.of(batch, firings, drawn[:low].copy(), ranks[:low].copy()))
            if self._new_sample.count > PATIENCE * self.width * self.m:
                self._settle_sample()

    def merge(self, other: Accumulator) -> None:
        """Add all that another accumulator of the same block has seen."""
        self.tokens += other.tokens
        self.totals.count += other.totals.count
        self.totals.source += other.totals.source
        self.totals.histogram += other.totals.histogram
        np.maximum(self.totals.max, other.totals.max, out=self.totals.max)
        other.settle()
        self._new_top.add_rows(other._top)
        self._new_sample.add_rows(other._sample)
        self.settle()

    def settle(self) -> None:
        """Sort in all candidates."""
        self._settle_top()
        self._settle_sample()

    def top(self) -> tuple[Rows, Kept]:
        """Rows kept for top snippets, sorted by (feature, activation, window), and which of them are to be shown."""
        self._settle_top()
        rows = self._top.packed()
        return rows, select_top(rows.feature, rows.value, rows.window, rows.key, self.k)

    def sample(self) -> Rows:
        """The uniform sample of firings, sorted by (feature, rank)."""
        self._settle_sample()
        return self._sample.packed()

    def arrays(self) -> dict[str, np.ndarray]:
        """The whole state as named arrays, equal for equal sets of firings."""
        self.settle()
        used = np.flatnonzero(self.totals.histogram)
        state: dict[str, np.ndarray] = {
            "tokens": np.array([self.tokens], np.int64),
            "count": self.totals.count,
            "source": self.totals.source,
            "max": self.totals.max,
            "histogram_at": used,
            "histogram_n": self.totals.histogram.ravel()[used],
        }
        for name, rows in (("top", self._top), ("sample", self._sample)):
            state |= {f"{name}_{column}": values for column, values in rows.arrays().items()}
        return state

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over a state that `arrays` gave; what was there is forgotten."""
        self.tokens = int(state["tokens"][0])
        histogram = np.zeros(self.width * BINS, np.int64)
        histogram[state["histogram_at"]] = state["histogram_n"]
        self.totals = Totals(
            state["count"].copy(), state["source"].copy(), histogram.reshape(self.width, BINS), state["max"].copy()
        )
        self._reset()
        for name, waiting in (("top", self._new_top), ("sample", self._new_sample)):
            columns = {key.removeprefix(f"{name}_"): v for key, v in state.items() if key.startswith(f"{name}_")}
            waiting.add_rows(Rows.of(**columns))
        self.settle()

    def _reset(self) -> None:
        self._top, self._sample = Rows.empty(), Rows.empty()
        self._new_top, self._new_sample = Waiting(self._held), Waiting(self._held)
        self._top_bar = np.zeros(self.width, np.float32)
        self._sample_bar: UInt64 = np.full(self.width, _OPEN)

    def _settle_top(self) -> None:
        if not self._new_top.count:
            return
        feature, window, _, value, key = self._new_top.columns(self._top)
        kept = select_top(feature, value, window, key, self.k)
        self._top = self._new_top.take(self._top, kept.order)
        best = self._top.feature[kept.best], self._top.value[kept.best]
        full = np.bincount(best[0], minlength=self.width) >= self.k
        bar = np.full(self.width, np.inf, np.float32)
        np.minimum.at(bar, *best)
        self._top_bar = np.where(full, bar, np.float32(0))

    def _settle_sample(self) -> None:
        if not self._new_sample.count:
            return
        feature, window, position, _, key = self._new_sample.columns(self._sample)
        self._sample = self._new_sample.take(self._sample, select_sample(feature, key, window, position, self.m))
        count = np.bincount(self._sample.feature, minlength=self.width)
        bar = np.zeros(self.width, np.uint64)
        np.maximum.at(bar, self._sample.feature, self._sample.key)
        self._sample_bar = np.where(count >= self.m, bar, _OPEN)
