"""The accumulator of one dictionary: everything the collect pass keeps about its features.

Memory is O(features x (k + m)), whatever the number of tokens. Algorithm of `update`:

1. Counts, per-source counts, the log2 histogram and the maximum are added in place.
2. Firings are grouped by (feature, window); the peak of each group is found.
3. A group is a candidate top snippet only if its peak reaches the feature's bar (the k-th best context
   so far), and a firing is a candidate for the sample only if its rank is below the feature's bar
   (the m-th lowest so far). Almost nothing passes once the pass is under way.
4. Candidates wait in a list; when they outnumber what is kept they are merged (`snippets.select_*`)
   and the bars are raised.

The bins of the histogram (`store.schema.edge`) are the top bits of a float32.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from atlas.stats.firings import Batch, Firings, Float32, Int64, UInt64
from atlas.stats.snippets import Kept, Rows, ragged, select_sample, select_top
from atlas.store.schema import BINS_PER_OCTAVE, OCTAVES

BINS = (OCTAVES[1] - OCTAVES[0]) * BINS_PER_OCTAVE
_PATIENCE = 50_000  # candidates that may wait before they are merged, at least


def bin_of(values: Float32) -> Int64:
    """int64 [n]: the log2 histogram's bin of positive float32 values; what lies outside goes to the ends."""
    bins = (values.view(np.uint32) >> np.uint32(20)).astype(np.int64)
    return np.clip(bins - (127 + OCTAVES[0]) * BINS_PER_OCTAVE, 0, BINS - 1)


@dataclass
class Totals:
    """Exact sums. `count` int64 [f], `source` int64 [f, s], `histogram` int64 [f, BINS], `max` float32 [f]."""

    count: Int64
    source: Int64
    histogram: Int64
    max: Float32


class Accumulator:
    """Statistics of one dictionary, mergeable with another's of the same shape.

    Args:
        width: Number of features.
        sources: Number of corpus sources.
        top: Top snippets to keep, k.
        sample: Sampled firings to keep, m.
    """

    def __init__(self, width: int, sources: int, top: int, sample: int) -> None:
        self.width, self.k, self.m = width, top, sample
        self.tokens = 0
        self.totals = Totals(
            np.zeros(width, np.int64),
            np.zeros((width, sources), np.int64),
            np.zeros((width, BINS), np.int64),
            np.zeros(width, np.float32),
        )
        self._top, self._sample = Rows.empty(), Rows.empty()
        self._new_top: list[Rows] = []
        self._new_sample: list[Rows] = []
        self._top_bar = np.zeros(width, np.float32)
        self._sample_bar: UInt64 = np.full(width, np.iinfo(np.uint64).max, np.uint64)

    def update(self, firings: Firings, batch: Batch, tokens: int) -> None:
        """Add one micro-batch; `tokens` is the number of its positions that count."""
        self.tokens += tokens
        if not len(firings.feature):
            return
        self._add_totals(firings, batch)
        starts = firings.groups
        length = np.diff(np.append(starts, len(firings.feature)))
        self._add_top(firings, batch, starts, length)
        self._add_sample(firings, batch, starts, length)

    def merge(self, other: Accumulator) -> None:
        """Add all that another accumulator has seen."""
        self.tokens += other.tokens
        self.totals.count += other.totals.count
        self.totals.source += other.totals.source
        self.totals.histogram += other.totals.histogram
        np.maximum(self.totals.max, other.totals.max, out=self.totals.max)
        self._new_top += [other._top, *other._new_top]
        self._new_sample += [other._sample, *other._new_sample]
        self._compact_top()
        self._compact_sample()

    def top(self) -> tuple[Rows, Kept]:
        """The rows kept for top snippets, sorted, and which of them are to be shown."""
        self._compact_top()
        kept = select_top(self._top, self.k)
        return self._top.take(kept.order), Kept(np.arange(len(kept.order)), kept.best, kept.repeats)

    def sample(self) -> Rows:
        """The uniform sample of firings, sorted by (feature, rank)."""
        self._compact_sample()
        return self._sample

    def arrays(self) -> dict[str, np.ndarray]:
        """The whole state as named arrays, equal for equal sets of firings."""
        self._compact_top()
        self._compact_sample()
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
            state |= {f"{name}_{f.name}": getattr(rows, f.name) for f in fields(Rows)}
        return state

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over a state that `arrays` gave."""
        self.tokens = int(state["tokens"][0])
        histogram = np.zeros(self.width * BINS, np.int64)
        histogram[state["histogram_at"]] = state["histogram_n"]
        self.totals = Totals(
            state["count"].copy(), state["source"].copy(), histogram.reshape(self.width, BINS), state["max"].copy()
        )
        self._top, self._sample = (
            Rows(*(state[f"{name}_{f.name}"] for f in fields(Rows))) for name in ("top", "sample")
        )
        self._new_top, self._new_sample = [self._top], [self._sample]
        self._top = self._sample = Rows.empty()
        self._compact_top()
        self._compact_sample()

    def _add_totals(self, firings: Firings, batch: Batch) -> None:
        feature, totals = firings.feature, self.totals
        totals.count += np.bincount(feature, minlength=self.width)
        sources = totals.source.shape[1]
        cells = feature * sources + batch.sources[firings.row]
        totals.source += np.bincount(cells, minlength=totals.source.size).reshape(totals.source.shape)
        np.add.at(totals.histogram.reshape(-1), feature * BINS + bin_of(firings.value), 1)
        np.maximum.at(totals.max, feature, firings.value)

    def _add_top(self, firings: Firings, batch: Batch, starts: Int64, length: Int64) -> None:
        peak = np.maximum.reduceat(firings.value, starts)
        good = np.flatnonzero(peak >= self._top_bar[firings.feature[starts]])
        if not len(good):
            return
        group = np.repeat(np.arange(len(starts)), length)
        hits = np.flatnonzero(firings.value == peak[group])
        first = hits[np.searchsorted(group[hits], good)]  # the earliest position that reaches the peak
        row, position = firings.row[first], firings.position[first]
        key = batch.contexts(row, position)
        self._new_top.append(_rows(firings, batch, first, key, starts[good], length[good]))
        if sum(map(len, self._new_top)) > max(_PATIENCE, len(self._top)):
            self._compact_top()

    def _add_sample(self, firings: Firings, batch: Batch, starts: Int64, length: Int64) -> None:
        rank = batch.sampling_ranks(firings)
        good = np.flatnonzero(rank <= self._sample_bar[firings.feature])
        if not len(good):
            return
        group = np.searchsorted(starts, good, side="right") - 1
        self._new_sample.append(_rows(firings, batch, good, rank[good], starts[group], length[group]))
        if sum(map(len, self._new_sample)) > max(_PATIENCE, len(self._sample)):
            self._compact_sample()

    def _compact_top(self) -> None:
        if not self._new_top:
            return
        rows = Rows.join([self._top, *self._new_top])
        kept = select_top(rows, self.k)
        self._top, self._new_top = rows.take(kept.order), []
        feature = self._top.feature[kept.best]
        full = np.bincount(feature, minlength=self.width) >= self.k
        bar = np.full(self.width, np.inf, np.float32)
        np.minimum.at(bar, feature, self._top.value[kept.best])
        self._top_bar = np.where(full, bar, np.float32(0))

    def _compact_sample(self) -> None:
        if not self._new_sample:
            return
        rows = Rows.join([self._sample, *self._new_sample])
        self._sample, self._new_sample = rows.take(select_sample(rows, self.m)), []
        count = np.bincount(self._sample.feature, minlength=self.width)
        bar = np.zeros(self.width, np.uint64)
        np.maximum.at(bar, self._sample.feature, self._sample.key)
        self._sample_bar = np.where(count >= self.m, bar, np.iinfo(np.uint64).max)


def _rows(firings: Firings, batch: Batch, focus: Int64, key: UInt64, starts: Int64, length: Int64) -> Rows:
    """Candidate rows for the firings at `focus`, each with its group's activations."""
    flat = ragged(starts, np.arange(len(starts)), length)
    return Rows(
        firings.feature[focus],
        batch.windows[firings.row[focus]],
        firings.position[focus],
        firings.value[focus],
        key,
        length,
        firings.position[flat],
        firings.value[flat],
    )
