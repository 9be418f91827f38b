"""A tiny store made of records: what is read back must be the records that went in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from atlas.records import (
    DictionaryRecord,
    FeatureRecord,
    Histogram,
    LogitEffects,
    Name,
    Neighbour,
    Snippet,
    SnippetGroup,
    SourceRecord,
    TokenEffect,
)
from atlas.store import schema
from atlas.store.manifest import FORMAT, CorpusEntry, Manifest, ModelEntry
from atlas.store.write import ragged, write_table

WIDE, NARROW = "9-res-wide", "9-res-narrow"
WIDTHS = {WIDE: 2 * schema.ROWS + 6, NARROW: 5}
SOURCES = ["prose", "code"]
PIECES = {5: b"the", 6: b" cat", 7: b"\xc3", 8: b"\xa9", 9: b"\xff", 20: b"!", 21: b""}
WINDOWS = {
    4: ("doc-a", "prose", 0, (5, 6, 7)),
    10: ("doc-a", "prose", 3, (8, 9)),
    11: ("doc-b", "code", 0, (9, 5, 5, 6)),
}
NAMES = {(WIDE, 1): Name("Cats", "hand", "A. Reader", "a note"), (WIDE, 1025): Name("“the”", "lexical")}


def fires(dictionary: str, index: int) -> bool:
    """Whether a feature is alive: of the wide dictionary, none of the whole second row group is."""
    return dictionary == NARROW or (index % 3 != 0 and not schema.ROWS <= index < 2 * schema.ROWS)


def snippet(window: int, seed: int, repeats: int = 0) -> Snippet:
    document, source, start, ids = WINDOWS[window]
    position = seed % len(ids)
    values = [0.0] * len(ids)
    values[0], values[position] = 0.125, (seed % 13 + 1) / 8
    pieces = tuple(PIECES[i] for i in ids)
    own = ("https://a.example/b", "MIT") if document == "doc-b" else ("", "")
    return Snippet(
        window, document, source, start, ids, pieces, tuple(values), position, values[position], repeats, *own
    )


def record(dictionary: str, index: int) -> FeatureRecord:
    """A feature, different from the others in every field."""
    alive = fires(dictionary, index)
    most = (index % 13 + 1) / 8 if alive else 0.0
    low, high, bin_ = -1.0 - index % 5, 2.0, 100 + index % 50

    def group(kind: Any, at: float, to: float, share: float, *windows: int) -> SnippetGroup:
        return SnippetGroup(kind, at, to, share, tuple(snippet(w, index + w) for w in windows))

    return FeatureRecord(
        model="tiny",
        dictionary=dictionary,
        index=index,
        count=index + 2 if alive else 0,
        tokens=5000,
        max=most,
        top=(snippet(11, index, index % 4), snippet(4, index)) if alive else (),
        quantiles=(group("quantile", 0.125, 0.25, 0.5, 4), group("quantile", 0.25, most, 0.5, 10, 11)) if alive else (),
        intervals=(group("interval", 0.0, most / 2, 0.75, 10), group("interval", most / 2, most, 0.25))
        if alive
        else (),
        histogram=Histogram(tuple(schema.edge(b) for b in range(bin_, bin_ + 4)), (1, 0, index + 1))
        if alive
        else Histogram((), ()),
        sources={"prose": index if alive else 0, "code": 2 if alive else 0},
        logits=LogitEffects(
            (TokenEffect(20, b"!", high), TokenEffect(5, b"the", 1.5)),
            (TokenEffect(21, b"", low), TokenEffect(9, b"\xff", -0.5)),
            Histogram(tuple(low + (high - low) / 4 * i for i in range(5)), (1, index, 0, 2)),
            0.25,
            1.5,
            -0.5,
            float(index),
        ),
        neighbours=(Neighbour(dictionary, index + 1, 0.5, 0.25, None, 0.75), Neighbour(NARROW, index % 5, -0.25)),
        cofiring=(Neighbour(dictionary, index + 2, -0.5, 0.5, 0.625, 0.75),) * (index % 3),
        name=NAMES.get((dictionary, index), Name("", "none")),
    )


def related(name: str, rows: list[tuple[Neighbour, ...]], place: dict[str, int]) -> dict[str, Any]:
    """Columns of related features; what a record does not know is NaN in the table."""
    columns: dict[str, Any] = {
        f"{name}_dictionary": [[place[n.dictionary] for n in row] for row in rows],
        f"{name}_index": [[n.index for n in row] for row in rows],
    }
    for key in ("cosine", "jaccard", "here", "there"):
        values = [[np.nan if (x := getattr(n, key)) is None else x for n in row] for row in rows]
        columns[f"{name}_{key}"] = values
    return columns


def lists(rows: Sequence[Sequence[Any]], kind: pa.DataType) -> pa.ListArray:
    return ragged(np.array(list(chain(*rows))), np.array([len(r) for r in rows]), kind)


def _features(records: list[FeatureRecord]) -> dict[str, Any]:
    place = {d: i for i, d in enumerate(WIDTHS)}
    columns: dict[str, Any] = {
        "index": [r.index for r in records],
        "count": [r.count for r in records],
        "max": [r.max for r in records],
        "sources": [[r.sources[s] for s in SOURCES] for r in records],
        "histogram_bin": [[100 + r.index % 50, 102 + r.index % 50] if r.count else [] for r in records],
        "histogram_count": [[1, r.index + 1] if r.count else [] for r in records],
        "sampled": [4 if r.count else 0 for r in records],
        "quantile_low": [[g.low for g in r.quantiles] or [0.0, 0.0] for r in records],
        "quantile_high": [[g.high for g in r.quantiles] or [0.0, 0.0] for r in records],
        "quantile_count": [[2, 2] if r.count else [0, 0] for r in records],
        "interval_count": [[3, 1] if r.count else [0, 0] for r in records],
        **related("neighbour", [r.neighbours for r in records], place),
        **related("cofiring", [r.cofiring for r in records], place),
        "logit_low": [r.logits.histogram.edges[0] for r in records],
        "logit_high": [r.logits.histogram.edges[-1] for r in records],
        "logit_count": [r.logits.histogram.counts for r in records],
    }
    for name in ("mean", "std", "skew", "kurtosis"):
        columns[f"logit_{name}"] = [getattr(r.logits, name) for r in records]
    for side in ("top", "bottom"):
        columns[f"logit_{side}"] = [[e.id for e in getattr(r.logits, side)] for r in records]
        columns[f"logit_{side}_value"] = [[e.value for e in getattr(r.logits, side)] for r in records]
    kinds = {field.name: field.type for field in schema.FEATURES}
    return {n: lists(c, kinds[n].value_type) if pa.types.is_list(kinds[n]) else c for n, c in columns.items()}


def _rows(records: list[FeatureRecord]) -> Iterator[tuple[FeatureRecord, int, int, int, Snippet]]:
    for r in records:
        yield from ((r, schema.TOP, 0, rank, s) for rank, s in enumerate(r.top))
        for kind, groups in ((schema.QUANTILE, r.quantiles), (schema.INTERVAL, r.intervals)):
            for g, group in enumerate(groups):
                yield from ((r, kind, g, rank, s) for rank, s in enumerate(group.snippets))


def _snippets(records: list[FeatureRecord]) -> dict[str, Any]:
    rows = list(_rows(records))
    at = [[p for p, v in enumerate(s.values) if v] for *_, s in rows]
    return {
        "feature": [r.index for r, *_ in rows],
        "kind": [kind for _, kind, *_ in rows],
        "group": [group for _, _, group, _, _ in rows],
        "rank": [rank for *_, rank, _ in rows],
        **{name: [getattr(s, name) for *_, s in rows] for name in ("window", "position", "value", "repeats")},
        "at": lists(at, pa.int16()),
        "act": lists([[s.values[p] for p in ps] for ps, (*_, s) in zip(at, rows, strict=True)], pa.float32()),
    }


def dictionary(name: str) -> DictionaryRecord:
    width = WIDTHS[name]
    alive = [record(name, i) for i in range(width) if fires(name, i)]
    firings = sum(r.count for r in alive)
    return DictionaryRecord(
        "tiny",
        name,
        "",
        "blocks.9.hook_resid_post",
        9,
        "jumprelu",
        width,
        8,
        5000,
        firings,
        len(alive),
        "here",
        "d",
        {},
    )


def manifest(**files: str) -> Manifest:
    sources = [SourceRecord(s, s.title(), "public domain", 1, 2, 2500) for s in SOURCES]
    return Manifest(
        format=FORMAT,
        version="0.0",
        model=ModelEntry(
            id="tiny", name="Tiny", source="here", fell_back=False, digest="m", tokenizer_digest="t", dtype="float32",
            layers=18, d_model=8, vocabulary=30, final_norm="RMSNorm", softcap=None,
        ),
        corpus=CorpusEntry(
            digest="c", tokens=5000, windows=12, documents=2, dropped={}, window=8, bos=True, bos_id=2, seed=0,
            sources=sources,
        ),
        dictionaries=[dictionary(d) for d in WIDTHS],
        settings={"top": 2},
        run={"device": "cpu"},
        stages={},
        files=files,
    )  # fmt: skip


def write_store(folder: Path, *, names: bool = True) -> Manifest:
    """Write it all; the manifest last."""
    files = {}
    for name, width in WIDTHS.items():
        records = [record(name, i) for i in range(width)]
        cuts = list(range(schema.ROWS, width, schema.ROWS))
        rows = _snippets(records)
        places = [int(p) for p in np.searchsorted(rows["feature"], cuts)]
        for table, columns, kind, at in (
            ("features", _features(records), schema.FEATURES, cuts),
            ("snippets", rows, schema.SNIPPETS, places),
        ):
            files[f"{name}/{table}.parquet"] = write_table(folder / name / f"{table}.parquet", columns, kind, at)
    documents = sorted({w[0] for w in WINDOWS.values()})
    shared: dict[str, tuple[dict[str, Any], pa.Schema]] = {
        "windows": (
            {
                "window": list(WINDOWS),
                "document": [documents.index(w[0]) for w in WINDOWS.values()],
                "source": [SOURCES.index(w[1]) for w in WINDOWS.values()],
                "start": [w[2] for w in WINDOWS.values()],
                "ids": lists([w[3] for w in WINDOWS.values()], pa.int32()),
            },
            schema.WINDOWS,
        ),
        "documents": (
            {"id": documents, "source": [0, 1], "url": ["", "https://a.example/b"], "licence": ["", "MIT"]},
            schema.DOCUMENTS,
        ),
        "tokens": (
            {"id": list(PIECES), "bytes": list(PIECES.values()), "count": [100 * i for i in PIECES]},
            schema.TOKENS,
        ),
    }
    if names:
        columns = {"dictionary": [d for d, _ in NAMES], "feature": [i for _, i in NAMES]}
        told = {f: [getattr(n, f) for n in NAMES.values()] for f in ("text", "method", "author", "note")}
        shared["names"] = ({**columns, **told}, schema.NAMES)
    for name, (columns, kind) in shared.items():
        files[f"{name}.parquet"] = write_table(folder / f"{name}.parquet", columns, kind)
    made = manifest(**files)
    made.write(folder)
    return made
