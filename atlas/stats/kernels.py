"""The loops of the pass that read every activation or every firing.

Each does in one reading what takes numpy several, each through memory: at a thousand features the encoder's product
takes 25 ms a micro-batch, so a few milliseconds are what a dictionary may cost on top of it. All are exact: integers,
comparisons and copies, no arithmetic on activations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atlas.stats.batch import BUCKETS, EMPTY, HASH_BITS, Float32, Int32, Int64, UInt32, UInt64
from atlas.stats.compiled import compiled, inlined
from atlas.store.schema import BINS_PER_OCTAVE, OCTAVES

BINS = (OCTAVES[1] - OCTAVES[0]) * BINS_PER_OCTAVE

_SHIFT = np.uint64(64 - HASH_BITS)
_BUCKET, _DEPTH, _WORD = np.uint64(65 - BUCKETS.bit_length()), np.uint64(33 - BUCKETS.bit_length()), np.uint64(EMPTY)
_ONES = np.uint64(0x0101010101010101)
_LOWEST_BIN = (127 + OCTAVES[0]) * BINS_PER_OCTAVE


@compiled
def sift(pre: Float32, bars: Float32, marks: np.ndarray, words: Int32, cells: Int32, values: Float32) -> int:
    """Cells above their row's bar.

    A row at a time, which stays in the first cache: compare all cells with vector instructions, a byte each; list the
    words of eight bytes that are not zero, without a branch that could be mispredicted; take the bits of those.

    Args:
        pre: float32 [f, n], f n < 2**31.
        bars: float32 [f].
        marks: uint8 [8 w] to work in, 8 w >= n; zero behind n.
        words: int32 [w] to work in.
        cells: int32 [f n], into which `row * n + column` of what is above is written, ascending.
        values: float32 [f n], its activations.

    Returns:
        How many there are.
    """
    found = 0
    rows, n = pre.shape
    eight = marks.view(np.uint64)  # the first byte is the lowest, as on every processor that torch runs on
    for f in range(rows):
        bar = bars[f]
        for t in range(n):
            marks[t] = pre[f, t] > bar
        some = 0
        for w in range(len(words)):
            words[some] = w
            some += eight[w] != 0
        for i in range(some):
            first = 8 * np.int64(words[i])
            word = eight[words[i]]
            while word:
                rest = word & (word - np.uint64(1))
                below = ((word ^ rest) - np.uint64(1)) & _ONES  # a bit in each byte below the lowest one that is set
                at = first + np.int64((below * _ONES) >> np.uint64(56))  # how many those are
                cells[found] = f * n + at
                values[found] = pre[f, at]
                found += 1
                word = rest
    return found


@compiled
def round_bits(bits: NDArray[np.uint32], rounded: NDArray[np.uint32]) -> None:
    """Bits of float32 numbers to bits of them with 12 significant bits, ties to even."""
    for i in range(len(bits)):
        last = (bits[i] >> np.uint32(12)) & np.uint32(1)
        rounded[i] = (bits[i] + np.uint32(0x7FF) + last) & np.uint32(0xFFFFF000)


@compiled
def bin_of(bits: np.uint32) -> int:
    """The log2 histogram's bin of a positive float32, given its bits; what lies outside goes to the ends.

    The bins (`store.schema.edge`) are the top bits of a float32.
    """
    place = np.int64(bits >> np.uint32(20)) - _LOWEST_BIN
    return int(max(np.int64(0), min(place, np.int64(BINS - 1))))


@compiled
def tally(
    cells: Int32,
    value: Float32,
    row: Int32,
    source: Int32,
    hashes: UInt64,
    multiplier: UInt64,
    top_bar: Float32,
    sample_bar: UInt64,
    count: Int64,
    by_source: Int64,
    histogram: Int64,
    largest: Float32,
    signature: UInt32,
    peaks: Int32,
    drawn: Int32,
    ranks: UInt64,
) -> tuple[int, int]:
    """Count firings, and find those that may be kept.

    Args:
        cells: int32 [m], `feature * tokens + token`, ascending.
        value: float32 [m], positive.
        row: int32 [tokens], each token's window.
        source: int32 [tokens].
        hashes: uint64 [tokens].
        multiplier: uint64 [f], as `batch.multipliers`.
        top_bar: float32 [f], what a peak must reach.
        sample_bar: uint64 [f], what a rank must not exceed.
        count: int64 [f], added to.
        by_source: int64 [f, sources], added to.
        histogram: int64 [f, BINS], added to.
        largest: float32 [f], raised.
        signature: uint32 [f, BUCKETS], lowered (`together`).
        peaks: int32 [m], into which the firing is written that is the peak of a (feature, window) and reaches the
            bar: the earliest of equals.
        drawn: int32 [m], into which firings are written whose rank does not exceed the bar.
        ranks: uint64 [m], their ranks.

    Returns:
        How many of both there are.
    """
    tokens = len(row)
    value_bits = value.view(np.uint32)
    found = low = i = 0
    while i < len(cells):
        feature = np.int64(cells[i]) // tokens
        start = feature * tokens
        end = start + tokens
        by, most, bar = multiplier[feature], sample_bar[feature], top_bar[feature]
        bins, sources, lowest = histogram[feature], by_source[feature], signature[feature]
        first, highest, window = i, largest[feature], np.int32(-1)
        while i < len(cells) and cells[i] < end:
            token = cells[i] - start
            here = value[i]
            sources[source[token]] += 1
            bins[bin_of(value_bits[i])] += 1
            highest = max(highest, here)
            if here >= bar:
                if row[token] != window:
                    window = row[token]
                    peaks[found] = i
                    found += 1
                elif here > value[peaks[found - 1]]:
                    peaks[found - 1] = i
            drop = hashes[token]
            bucket, depth = np.int64(drop >> _BUCKET), np.uint32((drop >> _DEPTH) & _WORD)
            lowest[bucket] = min(lowest[bucket], depth)
            rank = (drop * by) >> _SHIFT
            if rank <= most:
                drawn[low] = i
                ranks[low] = rank
                low += 1
            i += 1
        count[feature] += i - first
        largest[feature] = highest
    return found, low


@inlined
def group(cells: Int32, row: Int32, at: int | np.integer) -> tuple[int, int]:
    """Where the firings of the (feature, window) of the firing `at` begin and end; `cells` and `row` as in `tally`."""
    base = cells[at] // len(row) * len(row)
    end = base + len(row)
    window = row[cells[at] - base]
    low, high = int(at), int(at) + 1
    while low and cells[low - 1] >= base and row[cells[low - 1] - base] == window:
        low -= 1
    while high < len(cells) and cells[high] < end and row[cells[high] - base] == window:
        high += 1
    return low, high


@compiled
def copy_parts(
    start: Int64, length: np.ndarray, at: np.ndarray, act: Float32, new_at: np.ndarray, new_act: Float32
) -> None:
    """Copy ragged parts one after the other; within the same arrays if they come in the order in which they lie.

    Args:
        start: int64 [n], where each part begins.
        length: Integers [n].
        at: Integers that the parts are in.
        act: float32, the same.
        new_at: As long as all parts, written to.
        new_act: The same.
    """
    to = 0
    for i in range(len(start)):
        low = start[i]
        for j in range(low, low + length[i]):
            new_at[to] = at[j]
            new_act[to] = act[j]
            to += 1
