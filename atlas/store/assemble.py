"""Rows of the store's tables to records."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from math import isnan
from typing import Any

import numpy as np
import pyarrow as pa

from atlas.records import (
    DictionaryRecord,
    FeatureRecord,
    GroupKind,
    Histogram,
    LogitEffects,
    Name,
    Neighbour,
    Snippet,
    SnippetGroup,
    SourceRecord,
    TokenEffect,
)
from atlas.store.manifest import Manifest
from atlas.store.schema import INTERVAL, QUANTILE, TOP, edge

KINDS: dict[int, GroupKind] = {QUANTILE: "quantile", INTERVAL: "interval"}
UNNAMED = Name("", "none")
KEPT = 8192


class Windows:
    """All stored windows with their tokens' bytes.

    Many features show the same window, so the last `KEPT` that were asked for are kept as tuples.
    """

    def __init__(
        self, windows: pa.Table, documents: pa.Table, sources: list[SourceRecord], pieces: dict[int, bytes]
    ) -> None:
        ids = windows["ids"].combine_chunks()
        names, urls, licences = (documents[column].to_pylist() for column in ("id", "url", "licence"))
        self.row = {w: i for i, w in enumerate(windows["window"].to_pylist())}
        self.offsets, self.ids = ids.offsets.to_numpy(), ids.values.to_numpy()
        of = windows["document"].to_pylist()
        self.document = [names[d] for d in of]
        self.url = [urls[d] for d in of]
        self.licence = [licences[d] for d in of]
        self.source = [sources[s].id for s in windows["source"].to_pylist()]
        self.start = windows["start"].to_pylist()
        self.pieces = pieces
        self.text = lru_cache(maxsize=KEPT)(self._text)

    def _text(self, row: int) -> tuple[tuple[int, ...], tuple[bytes, ...]]:
        """Token ids of the window in this row, without BOS, and their bytes."""
        ids = tuple(self.ids[self.offsets[row] : self.offsets[row + 1]].tolist())
        return ids, tuple(map(self.pieces.__getitem__, ids))


@dataclass(frozen=True)
class SnippetColumns:
    """Some rows of `snippets` as plain lists, and for each feature where its rows begin."""

    columns: dict[str, list[Any]]
    begin: list[int]

    @staticmethod
    def of(table: pa.Table, first: int, features: int) -> SnippetColumns:
        """All rows of a row group that begins with feature `first`."""
        begin = np.searchsorted(table["feature"].to_numpy(), np.arange(first, first + features + 1))
        columns = {name: table[name].to_pylist() for name in table.column_names if name not in {"at", "act"}}
        for name in ("at", "act"):
            lists = table[name].combine_chunks()
            values, offsets = lists.values.to_numpy().tolist(), lists.offsets.to_numpy().tolist()
            columns[name] = [values[a:b] for a, b in itertools.pairwise(offsets)]
        return SnippetColumns(columns, begin.tolist())


class Assembler:
    """Makes records of one dictionary's rows."""

    def __init__(
        self,
        manifest: Manifest,
        dictionary: DictionaryRecord,
        windows: Windows,
        names: dict[tuple[str, int], Name],
    ) -> None:
        self.manifest, self.dictionary, self.windows, self.names = manifest, dictionary, windows, names

    def feature(self, row: dict[str, Any], snippets: SnippetColumns, place: int) -> FeatureRecord:
        """One feature from its row of `features` and its rows of `snippets`; `place` counts in the row group."""
        dictionary, index = self.dictionary, row["index"]
        parts = self.snippets(snippets, place)
        return FeatureRecord(
            model=dictionary.model,
            dictionary=dictionary.id,
            index=index,
            count=row["count"],
            tokens=dictionary.tokens,
            max=row["max"],
            top=tuple(parts.get((TOP, 0), ())),
            quantiles=self._groups(
                row, parts, QUANTILE, row["quantile_count"], row["quantile_low"], row["quantile_high"]
            ),
            intervals=self._groups(
                row, parts, INTERVAL, row["interval_count"], *_steps(row["max"], len(row["interval_count"]))
            ),
            histogram=_histogram(row["histogram_bin"], row["histogram_count"]),
            sources={s.id: n for s, n in zip(self.manifest.corpus.sources, row["sources"], strict=True)},
            logits=self._logits(row),
            neighbours=self._related(row, "neighbour"),
            cofiring=self._related(row, "cofiring"),
            name=self.names.get((dictionary.id, index), UNNAMED),
        )

    def _related(self, row: dict[str, Any], name: str) -> tuple[Neighbour, ...]:
        columns = (row[f"{name}_{key}"] for key in ("dictionary", "index", "cosine", "jaccard", "here", "there"))
        return tuple(
            Neighbour(self.manifest.dictionaries[d].id, i, cosine, *(None if isnan(x) else x for x in shares))
            for d, i, cosine, *shares in zip(*columns, strict=True)
        )

    def snippets(self, snippets: SnippetColumns, place: int) -> dict[tuple[int, int], list[Snippet]]:
        """A feature's snippets by (kind, group)."""
        parts: dict[tuple[int, int], list[Snippet]] = {}
        columns, windows = snippets.columns, self.windows
        for i in range(snippets.begin[place], snippets.begin[place + 1]):
            row = windows.row[columns["window"][i]]
            ids, pieces = windows.text(row)
            values = [0.0] * len(ids)
            for at, act in zip(columns["at"][i], columns["act"][i], strict=True):
                values[at] = act
            snippet = Snippet(
                window=columns["window"][i],
                document=windows.document[row],
                source=windows.source[row],
                start=windows.start[row],
                ids=ids,
                pieces=pieces,
                values=tuple(values),
                position=columns["position"][i],
                value=columns["value"][i],
                repeats=columns["repeats"][i],
                url=windows.url[row],
                licence=windows.licence[row],
            )
            parts.setdefault((columns["kind"][i], columns["group"][i]), []).append(snippet)
        return parts

    def _groups(
        self,
        row: dict[str, Any],
        parts: dict[tuple[int, int], list[Snippet]],
        kind: int,
        counts: list[int],
        lows: list[float],
        highs: list[float],
    ) -> tuple[SnippetGroup, ...]:
        if not row["sampled"]:
            return ()
        return tuple(
            SnippetGroup(KINDS[kind], low, high, count / row["sampled"], tuple(parts.get((kind, g), ())))
            for g, (count, low, high) in enumerate(zip(counts, lows, highs, strict=True))
        )

    def _logits(self, row: dict[str, Any]) -> LogitEffects:
        def effects(side: str) -> tuple[TokenEffect, ...]:
            pairs = zip(row[f"logit_{side}"], row[f"logit_{side}_value"], strict=True)
            return tuple(TokenEffect(i, self.windows.pieces[i], v) for i, v in pairs)

        low, high, counts = row["logit_low"], row["logit_high"], row["logit_count"]
        step = (high - low) / max(len(counts), 1)
        edges = tuple(low + step * i for i in range(len(counts) + 1))
        return LogitEffects(
            effects("top"),
            effects("bottom"),
            Histogram(edges, tuple(counts)),
            row["logit_mean"],
            row["logit_std"],
            row["logit_skew"],
            row["logit_kurtosis"],
        )


def _steps(maximum: float, n: int) -> tuple[list[float], list[float]]:
    edges = [maximum * i / n for i in range(n + 1)]
    return edges[:-1], edges[1:]


def _histogram(bins: list[int], counts: list[int]) -> Histogram:
    """The occupied stretch of the log2 histogram, empty bins inside it included."""
    if not bins:
        return Histogram((), ())
    full = [0] * (bins[-1] - bins[0] + 1)
    for b, n in zip(bins, counts, strict=True):
        full[b - bins[0]] = n
    return Histogram(tuple(edge(b) for b in range(bins[0], bins[-1] + 2)), tuple(full))
