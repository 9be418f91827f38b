"""Reads a matrix of effects twice and takes everything from it that is kept: ends of the order, moments, histogram.

Sums run in lanes (element i belongs to lane i mod LANES), which are added up in float64 at the end. That keeps them
exact to about 1e-6, and lets the compiler use vector instructions without reordering any addition.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atlas.stats.compiled import compiled

LANES = 1024

Float32 = NDArray[np.float32]


@compiled
def describe(
    effects: Float32,
    top: NDArray[np.int32],
    top_value: Float32,
    bottom: NDArray[np.int32],
    bottom_value: Float32,
    counts: NDArray[np.int32],
    moments: Float32,
) -> None:
    """Describe each row.

    1. First reading: each lane's greatest and least entry and sum. The k-th greatest of the lanes' greatest is a bar
       that at least k entries reach, so that next to none below the k greatest are looked at again.
    2. Second reading: an entry above the bar is put into the list of the greatest, in its place; the bar is the last
       of a full list. Entries come by token id and have to be above it, so the first of equals is kept. The same for
       the least; the histogram's bins; powers of what is off the mean.

    Args:
        effects: float32 [f, v], finite.
        top: int32 [f, k], k <= v, written to: tokens with the greatest effects, greatest first, equal ones by id.
        top_value: float32 [f, k], written to: their effects.
        bottom: As `top`, of the least.
        bottom_value: As `top_value`.
        counts: [f, bins], zero, added to: entries by equal-width bin from the least to the greatest.
        moments: [f, 4], written to: mean, standard deviation, skewness, excess kurtosis (0, 0, 0, -3 of equal ones).
    """
    rows, v = effects.shape
    k, bins = top.shape[1], counts.shape[1]
    high, low = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    first, second = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    third, fourth = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    place = np.empty(LANES, np.int32)
    for f in range(rows):
        high[:], low[:], first[:] = -np.inf, np.inf, 0
        for start in range(0, v, LANES):
            part = effects[f, start : start + LANES]
            for j in range(len(part)):
                x = part[j]
                high[j] = max(high[j], x)
                low[j] = min(low[j], x)
                first[j] += x
        mean = np.float32(first.astype(np.float64).sum() / v)
        least, most = low.min(), high.max()
        per_unit = np.float32(bins) / max(most - least, np.float32(1e-30))  # finite where all are equal
        upper = np.nextafter(np.sort(high)[LANES - k], np.float32(-np.inf)) if k <= LANES else np.float32(-np.inf)
        lower = np.nextafter(np.sort(low)[k - 1], np.float32(np.inf)) if k <= LANES else np.float32(np.inf)
        above = below = 0
        second[:], third[:], fourth[:] = 0, 0, 0
        for start in range(0, v, LANES):
            part = effects[f, start : start + LANES]
            for j in range(len(part)):
                off = part[j] - mean
                square = off * off
                second[j] += square
                third[j] += square * off
                fourth[j] += square * square
                place[j] = np.int32((part[j] - least) * per_unit)
            for j in range(len(part)):
                counts[f, min(max(place[j], 0), bins - 1)] += 1
                x = part[j]
                if x > upper:
                    above = _enter(top[f], top_value[f], above, start + j, x, np.float32(1))
                    upper = top_value[f, k - 1] if above == k else upper
                if x < lower:
                    below = _enter(bottom[f], bottom_value[f], below, start + j, x, np.float32(-1))
                    lower = bottom_value[f, k - 1] if below == k else lower
        variance = second.astype(np.float64).sum() / v
        safe = max(variance, 1e-100)  # equal entries have no shape: the cube and the square must not vanish
        moments[f, 0] = mean
        moments[f, 1] = np.sqrt(variance)
        moments[f, 2] = third.astype(np.float64).sum() / v / safe**1.5
        moments[f, 3] = fourth.astype(np.float64).sum() / v / safe**2 - 3


@compiled
def _enter(token: NDArray[np.int32], value: Float32, held: int, new: int, x: np.float32, sign: np.float32) -> int:
    """Put an entry into a list that falls by `sign * value`, behind its equals; a full list loses its last.

    Returns:
        How many the list holds now.
    """
    at = min(held, len(value) - 1)
    while at and sign * value[at - 1] < sign * x:
        value[at] = value[at - 1]
        token[at] = token[at - 1]
        at -= 1
    value[at] = x
    token[at] = new
    return min(held + 1, len(value))
