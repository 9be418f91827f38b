"""The map's points as columns: what a page fetches to draw them, some 18 bytes a feature.

`points.bin` is the columns one after the other, little-endian, each from a multiple of 4 bytes on; `map.json` says
where each begins, and names dictionaries, sources and clusters. Names and snippets are in neither: a page fetches those
of the feature under the pointer from the search index, where features have the same numbers (`doc`, the static rank).
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import orjson
import pyarrow as pa

from atlas.render.pages import Line

SIDE = 65535
DENSITIES = (-7.0, 0.0)
"""Range of the density column, in powers of ten."""
MOST_SOURCES = 255


@dataclass(frozen=True)
class Points:
    """Features of a map by static rank, n of each column.

    Attributes:
        doc: uint32, the feature's static rank; what is written is its number in the search index.
        feature: uint32, its index in its dictionary.
        x, y: uint16, `SIDE` for 1; y grows downwards, as on a page.
        cluster: uint16, 0 for none, else 1 + its number.
        dictionary: uint16, place in the manifest.
        density: uint8, log10 of it, `DENSITIES` to 0 to 255.
        source: uint8, place in the manifest's sources of the one where it fires most; 255 from there on.
    """

    doc: np.ndarray
    feature: np.ndarray
    x: np.ndarray
    y: np.ndarray
    cluster: np.ndarray
    dictionary: np.ndarray
    density: np.ndarray
    source: np.ndarray


def points(table: pa.Table, best: Iterable[Line], ids: Sequence[str], labels: Sequence[str], only: str = "") -> Points:
    """The points of the map of all dictionaries, or of `only` one.

    Args:
        table: `map` of the store.
        best: All features by static rank, read once.
        ids: Dictionaries in the manifest's order.
        labels: What pages call the sources, in the manifest's order.
        only: A dictionary, or "".
    """
    place, source = {d: i for i, d in enumerate(ids)}, {label: i for i, label in reversed([*enumerate(labels)])}
    of = table["dictionary"].combine_chunks().dictionary_encode()
    codes = np.array([place[d] for d in of.dictionary.to_pylist()], np.int64)
    dictionary = codes[of.indices.to_numpy()] if len(table) else np.zeros(0, np.int64)
    feature = table["feature"].to_numpy().astype(np.int64)
    rows = {i: _row_of(dictionary, feature, i) for i in range(len(ids))}
    known = np.array(
        [
            (doc, rows[i][x.index], source.get(x.source, MOST_SOURCES), x.density)
            for doc, x in enumerate(best)
            if (not only or x.dictionary == only)
            and x.index < len(rows[i := place[x.dictionary]])
            and rows[i][x.index] >= 0
        ],
        np.dtype([("doc", "u4"), ("row", "i8"), ("source", "u2"), ("density", "f8")]),
    )
    row, lead = known["row"], "" if only else "all_"
    low, high = DENSITIES
    log = (np.log10(np.maximum(known["density"], 10.0**low)) - low) / (high - low)
    return Points(
        doc=known["doc"],
        feature=feature[row].astype("<u4"),
        x=_scaled(table[f"{lead}x"].to_numpy()[row]),
        y=_scaled(1 - table[f"{lead}y"].to_numpy()[row]),
        cluster=(table[f"{lead}cluster"].to_numpy()[row] + 1).astype("<u2"),
        dictionary=dictionary[row].astype("<u2"),
        density=np.round(255 * np.clip(log, 0, 1)).astype("u1"),
        source=np.minimum(known["source"], MOST_SOURCES).astype("u1"),
    )


def _row_of(dictionary: np.ndarray, feature: np.ndarray, place: int) -> np.ndarray:
    """Row of the table by feature of a dictionary; -1 for those that have none."""
    here = np.flatnonzero(dictionary == place)
    rows = np.full(int(feature[here].max(initial=-1)) + 1, -1, np.int64)
    rows[feature[here]] = here
    return rows


def _scaled(values: np.ndarray) -> np.ndarray:
    return np.round(np.clip(values.astype(np.float64), 0, 1) * SIDE).astype("<u2")


def packed(found: Points) -> tuple[bytes, list[tuple[str, str, int]]]:
    """The columns' bytes; and each one's name, type and offset."""
    out, columns = bytearray(), []
    for field in fields(found):
        column = getattr(found, field.name)
        columns.append((field.name, f"u{column.dtype.itemsize}", len(out)))
        out += column.astype(column.dtype.newbyteorder("<")).tobytes()
        out += b"\0" * (-len(out) % 4)
    return bytes(out), columns


def map_json(
    found: Points,
    data: bytes,
    columns: object,
    model: str,
    ids: Sequence[str],
    labels: Sequence[str],
    names: Sequence[str],
) -> bytes:
    """`map.json`: what the columns of `points.bin` mean. `names` are those of the clusters."""
    return orjson.dumps(
        {
            "format": 1,
            "points": f"points.bin?v={hashlib.sha256(data).hexdigest()[:8]}",
            "count": len(found.doc),
            "columns": columns,
            "model": model,
            "dictionaries": list(ids),
            "sources": list(labels),
            "density": DENSITIES,
            "clusters": [(name, *middle) for name, middle in zip(names, middles(found, len(names)), strict=True)],
        }
    )


def middles(found: Points, clusters: int) -> list[tuple[int, int, int]]:
    """Size and middle (the median of each axis) of every cluster."""
    order = np.argsort(found.cluster, kind="stable")
    cuts = np.searchsorted(found.cluster[order], np.arange(1, clusters + 2))
    out = []
    for low, high in itertools.pairwise(cuts):
        here = order[low:high]
        if len(here):
            out.append((len(here), int(np.median(found.x[here])), int(np.median(found.y[here]))))
        else:
            out.append((0, 0, 0))
    return out
