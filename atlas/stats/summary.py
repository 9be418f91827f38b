"""From an accumulator to what the store keeps of a dictionary's firings.

Rank quantiles: the sample of a feature, sorted by activation, is cut into `groups` parts of equal size.
Intervals: the same sample is cut at equal steps of activation from 0 to the feature's maximum, and the
share of the sample in each estimates the share of firings. From each part the `per_group` firings of
lowest rank are shown, at most one a window: again a uniform choice, never "the best of the range".
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from atlas.stats.accumulate import Accumulator, Totals
from atlas.stats.batch import Float32, Int64
from atlas.stats.rows import Rows, rank_in_groups, starts_of
from atlas.store.schema import INTERVAL, QUANTILE, TOP


@dataclass(frozen=True)
class Summary:
    """What is kept of a dictionary with f features.

    Attributes:
        tokens: Tokens that counted.
        totals: Exact counts.
        sampled: int64 [f], size of the sample.
        bounds: float32 [f, groups, 2], least and greatest activation in each rank quantile, 0 where empty.
        quantile_counts: int64 [f, groups], firings of the sample in each rank quantile.
        interval_counts: int64 [f, groups], firings of the sample in each interval.
        rows: The snippets, sorted by (feature, kind, group, rank).
        kind, group, rank, repeats: int64 [n], parallel to `rows`.
    """

    tokens: int
    totals: Totals
    sampled: Int64
    bounds: Float32
    quantile_counts: Int64
    interval_counts: Int64
    rows: Rows
    kind: Int64
    group: Int64
    rank: Int64
    repeats: Int64


def summarise(accumulator: Accumulator, groups: int, per_group: int) -> Summary:
    """Cut the sample into groups, choose what to show, and put it behind the top snippets."""
    width = accumulator.width
    top, kept = accumulator.top()
    best = np.flatnonzero(kept.best)
    shown = top.take(best)
    place = rank_in_groups(starts_of(shown.feature))
    parts = [(shown, np.full(len(shown), TOP), np.zeros(len(shown), np.int64), place, kept.repeats[best])]

    sample = accumulator.sample()
    sampled = np.bincount(sample.feature, minlength=width)
    quantile = _quantiles(sample, sampled, groups)
    interval = _intervals(sample, accumulator.totals.max, groups)
    for kind, group in ((QUANTILE, quantile), (INTERVAL, interval)):
        order, rank = _choose(sample, group, per_group)
        parts.append(
            (sample.take(order), np.full(len(order), kind), group[order], rank, np.zeros(len(order), np.int64))
        )

    rows = Rows.join([p[0] for p in parts])
    kinds, group, rank, repeats = (np.concatenate([p[i] for p in parts]) for i in range(1, 5))
    order = np.lexsort((rank, group, kinds, rows.feature))
    cells = sample.feature * groups
    return Summary(
        accumulator.tokens,
        accumulator.totals,
        sampled,
        _bounds(sample, quantile, width, groups),
        np.bincount(cells + quantile, minlength=width * groups).reshape(width, groups),
        np.bincount(cells + interval, minlength=width * groups).reshape(width, groups),
        rows.take(order).packed(),
        kinds[order],
        group[order],
        rank[order],
        repeats[order],
    )


def _quantiles(sample: Rows, sampled: Int64, groups: int) -> Int64:
    order = np.lexsort((sample.key, sample.value, sample.feature))
    place = np.empty(len(sample), np.int64)
    place[order] = rank_in_groups(starts_of(sample.feature[order]))
    return place * groups // np.maximum(sampled[sample.feature], 1)


def _intervals(sample: Rows, maximum: Float32, groups: int) -> Int64:
    # float64 so that the edges are those that the page prints, whatever the width of the interval
    part = sample.value.astype(np.float64) / np.maximum(maximum[sample.feature].astype(np.float64), 1e-300)
    return np.clip(np.ceil(part * groups).astype(np.int64) - 1, 0, groups - 1)


def _choose(sample: Rows, group: Int64, per_group: int) -> tuple[Int64, Int64]:
    """The `per_group` firings of lowest rank in each group, of different windows; their order and rank."""
    order = np.lexsort((sample.key, sample.window, group, sample.feature))
    order = order[starts_of(sample.feature[order], group[order], sample.window[order])]
    order = order[np.lexsort((sample.key[order], group[order], sample.feature[order]))]
    rank = rank_in_groups(starts_of(sample.feature[order], group[order]))
    keep = rank < per_group
    return order[keep], rank[keep]


def _bounds(sample: Rows, group: Int64, width: int, groups: int) -> Float32:
    cell = sample.feature * groups + group
    low = np.full(width * groups, np.inf, np.float32)
    high = np.zeros(width * groups, np.float32)
    np.minimum.at(low, cell, sample.value)
    np.maximum.at(high, cell, sample.value)
    return np.stack([np.where(np.isinf(low), np.float32(0), low), high], axis=1).reshape(width, groups, 2)


def join(parts: list[Summary]) -> Summary:
    """The summary of a dictionary from those of its blocks, in the order of their features."""
    firsts = np.cumsum([0, *(len(p.totals.count) for p in parts)])
    rows = Rows.join(
        [replace(p.rows, feature=p.rows.feature + np.int32(f)) for p, f in zip(parts, firsts, strict=False)]
    )
    totals = Totals(*(np.concatenate([getattr(p.totals, f.name) for p in parts]) for f in fields(Totals)))
    skip = {"tokens", "totals", "rows"}
    columns = {
        f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Summary) if f.name not in skip
    }
    return Summary(tokens=parts[0].tokens, totals=totals, rows=rows, **columns)
