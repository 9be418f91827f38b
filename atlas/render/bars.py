"""Histograms as pages draw them: heights from 0 to 100 on a log scale of counts."""

from __future__ import annotations

import bisect
import math

from atlas.records import FeatureRecord, Histogram
from atlas.render import numbers
from atlas.render.shapes import BarsView


def activation_bars(feature: FeatureRecord) -> BarsView:
    """Activations on the log2 axis, with marks where one rank quantile ends and the next begins."""
    histogram = feature.histogram
    if not histogram.counts:
        return BarsView((), "", "", (), "No firings")
    low, high = histogram.edges[0], histogram.edges[-1]
    marks = tuple(round(_place(g.high, histogram), 1) for g in feature.quantiles[:-1] if g.high)
    text = f"Activations from {numbers.activation(low)} to {numbers.activation(feature.max)}, counts on a log scale"
    return BarsView(_log_heights(histogram.counts), numbers.activation(low), numbers.activation(high), marks, text)


def _place(value: float, histogram: Histogram) -> float:
    """Where a value lies along the bins, 0 to 100."""
    n = len(histogram.counts)
    i = min(max(bisect.bisect_right(histogram.edges, value) - 1, 0), n - 1)
    low, high = histogram.edges[i], histogram.edges[i + 1]
    return 100 * (i + min(max((value - low) / (high - low), 0.0), 1.0)) / n


def logit_bars(histogram: Histogram) -> BarsView:
    """Logit effects of the whole vocabulary, with a mark at zero."""
    low, high = histogram.edges[0], histogram.edges[-1]
    zero = (round(100 * -low / (high - low), 1),) if low < 0 < high else ()
    text = f"Logit effects of all tokens from {numbers.effect(low)} to {numbers.effect(high)}, counts on a log scale"
    return BarsView(_log_heights(histogram.counts), numbers.effect(low), numbers.effect(high), zero, text)


def _log_heights(counts: tuple[int, ...]) -> tuple[int, ...]:
    top = math.log1p(max(counts)) or 1.0
    return tuple(max(round(100 * math.log1p(c) / top), 2) if c else 0 for c in counts)
