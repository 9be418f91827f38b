"""`feature.json`, the columns of `features.json`, and the windows behind them: the same records as data.

Float32 numbers are those of the store, in the shortest form that reads back as the same float32. Lists of records are
columns, a key each: a third smaller than objects, and what pandas takes.

Features show the same windows over and over, so a feature has the text around a token only; whole windows lie beside
all dictionaries, `PER_FILE` to a file, each once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import orjson

from atlas.records import (
    DictionaryRecord,
    FeatureRecord,
    Histogram,
    Neighbour,
    Snippet,
    SnippetGroup,
    TokenEffect,
)
from atlas.render.snippets import REACH, web
from atlas.store.assemble import Windows
from atlas.text import texts_between

COLUMNS = ("index", "name", "named", "density", "max", "count", "source", "tokens", "kurtosis")

PER_FILE = 16
"""Windows to a file: some 5 KB compressed to see one of them, and few enough files for any host."""

_OPTION = orjson.OPT_SERIALIZE_NUMPY


def feature_json(feature: FeatureRecord, dictionary: DictionaryRecord, lead: str) -> bytes:
    """The record of a feature as JSON."""
    recompute = feature.top[0] if feature.top else None
    data: dict[str, Any] = {
        "format": 4,
        "path": feature.path,
        "model": feature.model,
        "dictionary": feature.dictionary,
        "index": feature.index,
        "hook_point": dictionary.hook_point,
        "name": {
            "text": feature.name.text,
            "method": feature.name.method,
            "author": feature.name.author,
            "note": feature.name.note,
        },
        "summary": lead.replace("`", ""),
        "count": feature.count,
        "tokens": feature.tokens,
        "density": feature.density,
        "max": np.float32(feature.max),
        "sources": feature.sources,
        "histogram": _histogram(feature.histogram),
        "logits": {
            "top": _effects(feature.logits.top),
            "bottom": _effects(feature.logits.bottom),
            "histogram": _histogram(feature.logits.histogram),
            "mean": np.float32(feature.logits.mean),
            "std": np.float32(feature.logits.std),
            "skew": np.float32(feature.logits.skew),
            "kurtosis": np.float32(feature.logits.kurtosis),
        },
        "neighbours": _related(feature.model, feature.neighbours),
        "cofiring": _related(feature.model, feature.cofiring),
        "recompute": {"ids": recompute.ids, "position": recompute.position, "value": np.float32(recompute.value)}
        if recompute
        else None,
        "top": _snippets(feature.top) | {"repeats": [s.repeats for s in feature.top]},
        "quantiles": [_group(g) for g in feature.quantiles],
        "intervals": [_group(g) for g in feature.intervals],
    }
    return orjson.dumps(data, option=_OPTION)


def window_files(windows: Windows) -> Iterable[tuple[str, bytes]]:
    """All stored windows as files: their paths from the site's root, and what they hold."""
    files: dict[int, list[int]] = {}
    for window in sorted(windows.row):
        files.setdefault(window // PER_FILE, []).append(window)
    for number, ids in files.items():
        rows = [windows.row[window] for window in ids]
        data = {
            "format": 2,
            "window": ids,
            "source": [windows.source[row] for row in rows],
            "document": [windows.document[row] for row in rows],
            "url": [web(windows.url[row]) for row in rows],
            "licence": [windows.licence[row] for row in rows],
            "start": [windows.start[row] for row in rows],
            "tokens": [_texts(windows.text(row)[1]) for row in rows],
        }
        yield f"windows/{number}.json", orjson.dumps(data)


def _texts(pieces: tuple[bytes, ...]) -> list[str]:
    return texts_between(pieces, 0, len(pieces))


def _floats(values: Sequence[float]) -> np.ndarray:
    return np.array(values, np.float32)


def _effects(effects: Sequence[TokenEffect]) -> dict[str, Any]:
    return {
        "id": [e.id for e in effects],
        "token": [e.piece.decode("utf-8", "replace") for e in effects],
        "value": _floats([e.value for e in effects]),
    }


def _related(model: str, features: Sequence[Neighbour]) -> dict[str, Any]:
    """Related features as columns; what is not known is null."""
    shares = {
        key: [None if (share := getattr(n, key)) is None else round(share, 4) for n in features]
        for key in ("jaccard", "here", "there")
    }
    path = [f"{model}/{n.dictionary}/{n.index}" for n in features]
    return {"path": path, "cosine": _floats([n.cosine for n in features]), **shares}


def _histogram(histogram: Histogram) -> dict[str, Any]:
    return {"edges": _floats(histogram.edges), "counts": histogram.counts}


def _group(group: SnippetGroup) -> dict[str, Any]:
    return {
        "low": np.float32(group.low),
        "high": np.float32(group.high),
        "share": group.share,
        "snippets": _snippets(group.snippets),
    }


def _snippets(snippets: Sequence[Snippet]) -> dict[str, Any]:
    """Snippets as columns; tokens that share a character have its text in the first of them and "" in the others."""
    first = [max(0, s.position - REACH.before) for s in snippets]
    at = [[i for i, value in enumerate(s.values) if value] for s in snippets]
    return {
        "value": _floats([s.value for s in snippets]),
        "window": [s.window for s in snippets],
        "position": [s.position for s in snippets],
        "length": [len(s.ids) for s in snippets],
        "start": [s.start for s in snippets],
        "source": [s.source for s in snippets],
        "first": first,
        "tokens": [
            texts_between(s.pieces, low, min(len(s.ids), s.position + REACH.after + 1))
            for s, low in zip(snippets, first, strict=True)
        ],
        "at": at,
        "values": [_floats([s.values[i] for i in places]) for s, places in zip(snippets, at, strict=True)],
    }
