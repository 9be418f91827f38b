"""The graph that a map is drawn from: the decoder neighbours that the store holds already.

UMAP begins by finding every point's nearest neighbours. Collecting has found them, exactly, in every dictionary
(`atlas.effects.neighbours`), so neither weights nor torch are needed here, and a map can be drawn anew without a pass.
Features that never fired are left out, as points and as neighbours: their directions are what training left them
with, and there is no text to tell what they are. Where neighbours were left out, a row ends earlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from atlas.store import Store

ACROSS = 15
"""Neighbours of a feature on the map of all dictionaries: the nearest of those that the store has; umap-learn's own."""


@dataclass(frozen=True)
class Graph:
    """Neighbours of points.

    Attributes:
        dictionary: int16 [n], places in the manifest.
        feature: int32 [n], ascending within a dictionary.
        index: int32 [n, k], points, nearest first; -1 after the last.
        distance: float32 [n, k], 1 - cosine; a row's last one again where `index` is -1 (1 if there is none).
    """

    dictionary: np.ndarray
    feature: np.ndarray
    index: np.ndarray
    distance: np.ndarray


@dataclass(frozen=True)
class _Lists:
    """Neighbour lists of a dictionary's features that fired: `to` is [n, k] each."""

    feature: np.ndarray
    dictionary: np.ndarray
    to: np.ndarray
    cosine: np.ndarray


def own_of(store: Store, place: int) -> Graph:
    """The graph of one dictionary, with neighbours of its own alone.

    Args:
        store: A finished store.
        place: The dictionary's place in the manifest.
    """
    return _graph(store, [place])


def all_of(store: Store) -> Graph:
    """The graph of all dictionaries together: each feature's `ACROSS` nearest in any of them."""
    return _graph(store, range(len(store.manifest.dictionaries)))


def _graph(store: Store, places: Sequence[int]) -> Graph:
    widths = [d.width for d in store.manifest.dictionaries]
    offsets = np.concatenate(([0], np.cumsum(widths)))
    point = np.full(int(offsets[-1]), -1, np.int32)  # of every feature of every dictionary
    lists, n = [], 0
    for place in places:
        found = _read(store, place)
        point[offsets[place] + found.feature] = np.arange(n, n + len(found.feature), dtype=np.int32)
        n += len(found.feature)
        lists.append(found)
    near = [point[offsets[found.dictionary] + found.to] for found in lists]
    k = max((int((rows >= 0).sum(axis=1).max(initial=0)) for rows in near), default=0)
    k = min(k, ACROSS) if len(places) > 1 else k
    index, distance = np.full((n, k), -1, np.int32), np.ones((n, k), np.float32)
    low = 0
    for found, points in zip(lists, near, strict=True):
        rows = slice(low, low + len(points))
        index[rows], distance[rows] = _nearest(points, found.cosine, k)
        low = rows.stop
    return Graph(
        np.repeat(np.array(list(places), np.int16), [len(found.feature) for found in lists]),
        np.concatenate([found.feature for found in lists]) if lists else np.zeros(0, np.int32),
        index,
        distance,
    )


def _nearest(point: np.ndarray, cosine: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` nearest of each row that are points (>= 0), nearest first, equal ones in the store's order."""
    if k == 0 or point.shape[1] == 0:
        return np.full((len(point), k), -1, np.int32), np.ones((len(point), k), np.float32)
    order = np.argsort(np.where(point >= 0, -cosine, np.inf), axis=1, kind="stable")[:, :k]
    index = np.take_along_axis(point, order, 1)
    distance = np.clip(1 - np.take_along_axis(cosine, order, 1), 0, 2).astype(np.float32)
    last = (index >= 0).sum(axis=1)
    farthest = np.where(last > 0, np.take_along_axis(distance, np.maximum(last - 1, 0)[:, None], 1)[:, 0], 1)
    distance = np.where(index >= 0, distance, farthest[:, None]).astype(np.float32)
    short = k - index.shape[1]  # this dictionary's lists are shorter than another's
    index = np.pad(index, ((0, 0), (0, short)), constant_values=-1)
    return index, np.hstack([distance, np.repeat(farthest[:, None], short, 1).astype(np.float32)])


def _read(store: Store, place: int) -> _Lists:
    table = store.to_arrow("features", store.manifest.dictionaries[place].id)
    fired = np.flatnonzero(table["count"].to_numpy() > 0).astype(np.int32)
    columns = [_matrix(table[f"neighbour_{name}"]) for name in ("dictionary", "index", "cosine")]
    return _Lists(fired, *(column[fired] for column in columns))


def _matrix(column: pa.ChunkedArray) -> np.ndarray:
    """A list column whose lists are equally long, as a matrix [rows, k]."""
    flat = np.asarray(column.combine_chunks().flatten())
    return flat.reshape(len(column), -1) if len(flat) else np.zeros((len(column), 0), flat.dtype)
