"""Candidates that wait to be sorted into a table.

A candidate is only a pointer into its micro-batch's firings. Its window's activations are copied when it has
survived a selection, or when too many firings are being held for the sake of a few candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atlas.stats.batch import Batch, Int32, Int64, UInt64
from atlas.stats.firings import Firings
from atlas.stats.kernels import copy_firings, groups
from atlas.stats.rows import Rows


@dataclass(frozen=True)
class Candidates:
    """Candidates of one micro-batch: firings at `focus` (int32 [c]), with `feature` and `token` of each and a key."""

    batch: Batch
    firings: Firings
    focus: Int32
    feature: np.ndarray
    token: np.ndarray
    key: UInt64

    @staticmethod
    def of(batch: Batch, firings: Firings, focus: Int32, key: UInt64 | None = None) -> Candidates:
        """The firings at `focus`; by default a context's hash is the key."""
        cells = firings.cells[focus]
        feature = cells // np.int32(batch.tokens)
        token = cells - feature * np.int32(batch.tokens)
        return Candidates(batch, firings, focus, feature, token, batch.context[token] if key is None else key)

    def __len__(self) -> int:
        """Number of candidates."""
        return len(self.focus)

    def columns(self) -> tuple[np.ndarray, ...]:
        """Feature, window, position, value, key of each."""
        batch = self.batch
        return (
            self.feature,
            batch.windows[batch.row[self.token]],
            batch.position[self.token],
            self.firings.value[self.focus],
            self.key,
        )

    def rows(self, chosen: Int64) -> Rows:
        """The candidates at `chosen`, each with all firings of its feature in its window."""
        batch, firings, focus = self.batch, self.firings, self.focus[chosen]
        token, feature = self.token[chosen], self.feature[chosen]
        first, length = np.empty(len(focus), np.int64), np.empty(len(focus), np.int64)
        groups(firings.cells, batch.row, focus, first, length)
        size = int(length.sum())
        at, act = np.empty(size, np.int16), np.empty(size, np.float32)
        copy_firings(firings.cells, firings.value, batch.position, first, length, at, act)
        return Rows.of(
            feature=feature,
            window=batch.windows[batch.row[token]],
            position=batch.position[token],
            value=firings.value[focus],
            key=self.key[chosen],
            length=length,
            at=at,
            act=act,
        )


class Waiting:
    """Candidates of several micro-batches, and rows that were copied out already.

    Args:
        held: Firings that may be held back for candidates, 8 bytes each.
    """

    def __init__(self, held: int) -> None:
        self._most = held
        self._rows: list[Rows] = []
        self._candidates: list[Candidates] = []
        self.count = self._held = 0

    def add(self, candidates: Candidates) -> None:
        """Let the candidates of a micro-batch wait."""
        self._candidates.append(candidates)
        self.count += len(candidates)
        self._held += len(candidates.firings)
        if self._held > self._most:
            self._rows += [c.rows(np.arange(len(c))) for c in self._candidates]
            self._candidates, self._held = [], 0

    def add_rows(self, rows: Rows) -> None:
        """Let rows wait, such as another accumulator's table."""
        self._rows.append(rows)
        self.count += len(rows)

    def columns(self, table: Rows) -> list[np.ndarray]:
        """Feature, window, position, value, key of the table's rows and then of all that wait."""
        parts: list[tuple[np.ndarray, ...]] = [(r.feature, r.window, r.position, r.value, r.key) for r in self._rows]
        parts += [c.columns() for c in self._candidates]
        own = (table.feature, table.window, table.position, table.value, table.key)
        return [np.concatenate(column) for column in zip(own, *parts, strict=True)]

    def take(self, table: Rows, order: Int64) -> Rows:
        """The rows at `order` of what `columns` gave; nothing waits any more."""
        sizes = [len(table), *map(len, self._rows), *map(len, self._candidates)]
        first = np.cumsum([0, *sizes])
        ranks = np.argsort(order)
        ascending = order[ranks]
        cut = np.searchsorted(ascending, first)
        chosen = [ascending[a:b] - start for a, b, start in zip(cut, cut[1:], first, strict=False)]
        tables = [table, *self._rows]
        parts = [rows.take(here) for rows, here in zip(tables, chosen, strict=False)]
        parts += [c.rows(here) for c, here in zip(self._candidates, chosen[len(tables) :], strict=True)]
        self._rows, self._candidates = [], []
        self.count = self._held = 0
        # `parts` has the rows in ascending order of their number: bring them into the order that is asked for
        place = np.empty(len(order), np.int64)
        place[ranks] = np.arange(len(order))
        return Rows.join(parts).take(place)
