"""The statistics of one dictionary in plain Python: slow, by definition, with no code of the package's."""

from __future__ import annotations

import bisect
import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

WORD = 2**64 - 1
EDGES = [2.0**octave * (1 + step / 8) for octave in range(-16, 24) for step in range(8)]


@dataclass(frozen=True)
class Window:
    """A window of the made-up corpus: its tokens, and activations by (feature, position)."""

    id: int
    source: int
    tokens: tuple[int, ...]
    fires: dict[tuple[int, int], float]

    def of(self, feature: int) -> dict[int, float]:
        """Activations of one feature by position, in order of position."""
        return {p: v for (f, p), v in sorted(self.fires.items()) if f == feature}


class Shown(NamedTuple):
    """A snippet as it is kept: what it stands for, and all firings of its window."""

    window: int
    position: int
    value: float
    repeats: int
    firings: tuple[tuple[int, float], ...]


def splitmix(x: int) -> int:
    """One output of SplitMix64 with state x."""
    x = (x + 0x9E3779B97F4A7C15) & WORD
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & WORD
    return x ^ (x >> 31)


def rank(feature: int, window: int, position: int) -> int:
    """A firing's place in the lottery for the sample."""
    return (splitmix(window << 16 | position) * (splitmix(feature) | 1) & WORD) >> 12


def signature(windows: list[Window], feature: int) -> dict[int, int]:
    """Of each bucket of positions, by the 8 highest bits of their hash, the least of the next 32 bits."""
    least: dict[int, int] = {}
    for window in windows:
        for position in window.of(feature):
            drop = splitmix(window.id << 16 | position)
            bucket, depth = drop >> 56, drop >> 24 & 2**32 - 1
            least[bucket] = min(least.get(bucket, depth), depth)
    return least


def count(windows: list[Window], feature: int) -> int:
    return sum(len(w.of(feature)) for w in windows)


def by_source(windows: list[Window], feature: int) -> Counter[int]:
    return Counter(w.source for w in windows for _ in w.of(feature))


def maximum(windows: list[Window], feature: int) -> float:
    return max((v for w in windows for v in w.of(feature).values()), default=0.0)


def histogram(windows: list[Window], feature: int) -> Counter[int]:
    values = (v for w in windows for v in w.of(feature).values())
    return Counter(max(bisect.bisect_right(EDGES, v) - 1, 0) for v in values)


def context(window: Window, position: int) -> tuple[int | None, ...]:
    """Four tokens before, the token, two after."""
    reach = range(position - 4, position + 3)
    return tuple(window.tokens[p] if 0 <= p < len(window.tokens) else None for p in reach)


def top(windows: list[Window], feature: int, k: int) -> list[Shown]:
    """The k best contexts by peak, then window id; each by its best window, the others counted."""
    groups: defaultdict[object, list[tuple[float, int, int, Window]]] = defaultdict(list)
    for window in windows:
        fires = window.of(feature)
        if fires:
            peak = max(fires.values())
            position = min(p for p, v in fires.items() if v == peak)
            groups[context(window, position)].append((-peak, window.id, position, window))
    ranked = sorted(sorted(group, key=lambda row: row[:2]) for group in groups.values())[:k]
    bar = -ranked[k - 1][0][0] if len(ranked) == k else -math.inf
    out = []
    for (negative, id_, position, window), *others in ranked:
        repeats = min(8, sum(-other[0] > bar for other in others))
        out.append(Shown(id_, position, -negative, repeats, tuple(window.of(feature).items())))
    return out


def sample(windows: list[Window], feature: int, m: int) -> list[tuple[int, Shown]]:
    """The m firings of lowest rank, with their ranks."""
    rows = [
        (rank(feature, w.id, p), Shown(w.id, p, v, 0, tuple(w.of(feature).items())))
        for w in windows
        for p, v in w.of(feature).items()
    ]
    return sorted(rows)[:m]


def quantiles(rows: list[tuple[int, Shown]], groups: int) -> list[list[tuple[int, Shown]]]:
    """The sample cut into parts of equal size by activation; equal activations by rank."""
    cut: list[list[tuple[int, Shown]]] = [[] for _ in range(groups)]
    for place, row in enumerate(sorted(rows, key=lambda r: (r[1].value, r[0]))):
        cut[place * groups // len(rows)].append(row)
    return cut


def intervals(rows: list[tuple[int, Shown]], groups: int, most: float) -> list[list[tuple[int, Shown]]]:
    """The sample cut at equal steps from 0 to the maximum; an edge belongs to the interval below it."""
    cut: list[list[tuple[int, Shown]]] = [[] for _ in range(groups)]
    for row in rows:
        cut[math.ceil(Fraction(row[1].value) * groups / Fraction(most)) - 1].append(row)
    return cut


def choose(rows: list[tuple[int, Shown]], per_group: int) -> list[Shown]:
    """The firings of lowest rank, at most one a window."""
    best: dict[int, Shown] = {}
    for _, row in sorted(rows):
        best.setdefault(row.window, row)
    return list(best.values())[:per_group]
