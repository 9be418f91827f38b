"""`feature.json` and the columns of `features.json`: the same records as data.

Numbers are those of the store, in the shortest form that reads back as the same float32.
"""

from __future__ import annotations

from typing import Any

import orjson

from atlas.records import DictionaryRecord, FeatureRecord, Histogram, Snippet, SnippetGroup, TokenEffect
from atlas.text import texts_between

REACH = 14
"""Tokens either side of the token that a group's snippet stands for; top snippets keep their whole window."""

COLUMNS = ("index", "name", "named", "density", "max", "count", "source", "tokens", "kurtosis")


def feature_json(feature: FeatureRecord, dictionary: DictionaryRecord, lead: str) -> bytes:
    """The record of a feature as JSON."""
    recompute = feature.top[0] if feature.top else None
    data: dict[str, Any] = {
        "format": 2,
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
        "max": short(feature.max),
        "sources": feature.sources,
        "histogram": _histogram(feature.histogram),
        "logits": {
            "top": [_effect(e) for e in feature.logits.top],
            "bottom": [_effect(e) for e in feature.logits.bottom],
            "histogram": _histogram(feature.logits.histogram),
            "mean": short(feature.logits.mean),
            "std": short(feature.logits.std),
            "skew": short(feature.logits.skew),
            "kurtosis": short(feature.logits.kurtosis),
        },
        "neighbours": [
            {"path": f"{feature.model}/{n.dictionary}/{n.index}", "cosine": short(n.cosine)} for n in feature.neighbours
        ],
        "recompute": {"ids": recompute.ids, "position": recompute.position, "value": short(recompute.value)}
        if recompute
        else None,
        "top": [_snippet(s) for s in feature.top],
        "quantiles": [_group(g) for g in feature.quantiles],
        "intervals": [_group(g) for g in feature.intervals],
    }
    return orjson.dumps(data)


def short(value: float) -> float:
    """A float32 in its shortest exact form: nine significant digits always suffice."""
    return float(f"{value:.9g}")


def _effect(effect: TokenEffect) -> dict[str, Any]:
    return {"id": effect.id, "token": effect.piece.decode("utf-8", "replace"), "value": short(effect.value)}


def _histogram(histogram: Histogram) -> dict[str, Any]:
    return {"edges": [short(e) for e in histogram.edges], "counts": histogram.counts}


def _group(group: SnippetGroup) -> dict[str, Any]:
    return {
        "low": short(group.low),
        "high": short(group.high),
        "share": group.share,
        "snippets": [_snippet(s, REACH) for s in group.snippets],
    }


def _snippet(snippet: Snippet, reach: int | None = None) -> dict[str, Any]:
    """A snippet; tokens that share a character have its text in the first of them and "" in the others."""
    low = 0 if reach is None else max(0, snippet.position - reach)
    high = len(snippet.ids) if reach is None else min(len(snippet.ids), snippet.position + reach + 1)
    fires = [(i, value) for i, value in enumerate(snippet.values[low:high]) if value]
    return {
        "value": short(snippet.value),
        "position": snippet.position - low,
        "source": snippet.source,
        "document": snippet.document,
        "window": snippet.window,
        "start": snippet.start + low,
        "repeats": snippet.repeats,
        "tokens": texts_between(snippet.pieces, low, high),
        "at": [i for i, _ in fires],
        "values": [short(value) for _, value in fires],
    }
