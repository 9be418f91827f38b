"""Tables of snippets: a row per (feature, window) or (feature, firing), each with the activations of its window."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from atlas.stats.batch import Float32, Int64, UInt64
from atlas.stats.kernels import copy_parts

SPARE = 1.5
"""How much longer the activations of a table may be than what its rows use of them."""

FIRES = 8
"""Firings in a window, about, of a feature that fires there: what room is made for."""

_KINDS = {
    "feature": np.int32,
    "window": np.uint32,
    "position": np.int16,
    "value": np.float32,
    "key": np.uint64,
    "start": np.int64,
    "length": np.int16,
}


@dataclass(frozen=True)
class Rows:
    """Parallel arrays, a row a snippet; its activations are a part of `at` and `act`.

    Attributes:
        feature: int32 [n], counted from the block's first.
        window: uint32 [n].
        position: int16 [n], the token that the snippet stands for.
        value: float32 [n], its activation.
        key: uint64 [n], hash of the context (top snippets) or rank (sample).
        start: int64 [n], where its activations begin in `at` and `act`.
        length: int16 [n], firings of the feature in the window that are kept with the row.
        at: int16, positions of activations, ascending in each row.
        act: float32, their values.
    """

    feature: NDArray[np.int32]
    window: NDArray[np.uint32]
    position: NDArray[np.int16]
    value: Float32
    key: UInt64
    start: Int64
    length: NDArray[np.int16]
    at: NDArray[np.int16]
    act: Float32

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.feature)

    @staticmethod
    def of(at: np.ndarray, act: Float32, length: np.ndarray, **columns: np.ndarray) -> Rows:
        """Rows from columns of any integer types; activations lie one row after the other."""
        columns |= {"length": length, "start": np.cumsum(length, dtype=np.int64) - length}
        made = {name: columns[name].astype(kind, copy=False) for name, kind in _KINDS.items()}
        return Rows(**made, at=at.astype(np.int16, copy=False), act=act)

    @staticmethod
    def empty() -> Rows:
        """No rows."""
        none = np.zeros(0, np.int64)
        names = ("feature", "window", "position", "value", "key")
        return Rows.of(none, none.astype(np.float32), none, **dict.fromkeys(names, none))

    @staticmethod
    def join(tables: list[Rows]) -> Rows:
        """All rows of the tables, one after the other."""
        shift = np.cumsum([0, *(len(t.at) for t in tables)])
        moved = [replace(t, start=t.start + by) if by else t for t, by in zip(tables, shift, strict=False)]
        return Rows(*(np.concatenate([getattr(t, f.name) for t in moved]) for f in fields(Rows)))

    def take(self, order: Int64) -> Rows:
        """The rows at `order`, in that order; the activations stay where they are, unless too many are left over."""
        columns = {name: getattr(self, name)[order] for name in _KINDS}
        rows = replace(self, **columns)
        return rows.packed() if len(self.at) > SPARE * int(rows.length.sum(dtype=np.int64)) else rows

    def packed(self) -> Rows:
        """The same rows with their activations one after the other, and no others."""
        start = np.cumsum(self.length, dtype=np.int64) - self.length
        size = int(self.length.sum(dtype=np.int64))
        at, act = np.empty(size, np.int16), np.empty(size, np.float32)
        copy_parts(self.start, self.length, self.at, self.act, at, act)
        return replace(self, start=start, at=at, act=act)

    def arrays(self) -> dict[str, np.ndarray]:
        """All columns but `start`, which `of` works out again; equal for equal rows."""
        rows = self.packed()
        return {f.name: getattr(rows, f.name) for f in fields(Rows) if f.name != "start"}


def rank_in_groups(new_group: np.ndarray) -> Int64:
    """int64 [n]: place of each row in its group; `new_group` is True where a group begins."""
    place = np.arange(len(new_group))
    return place - np.maximum.accumulate(np.where(new_group, place, 0))


def starts_of(*keys: np.ndarray) -> np.ndarray:
    """Bool [n]: where any of the sorted keys differs from the row before."""
    new = np.ones(len(keys[0]), bool)
    if len(new):
        new[1:] = np.logical_or.reduce([k[1:] != k[:-1] for k in keys])
    return new
