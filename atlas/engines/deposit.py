"""From a finished pass to the store's tables.

For each dictionary: summarise its accumulator, compute what follows from its weights (logit effects,
neighbours in every dictionary of the same model width), and write its two tables. Then the shared
tables: only windows that a snippet shows, their documents, and every token that occurs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from atlas.effects import LogitTable, logit_effects, nearest
from atlas.engines.local import Job
from atlas.stats import Accumulator, Summary, summarise
from atlas.store.schema import DOCUMENTS, FEATURES, ROWS, SNIPPETS, TOKENS, WINDOWS
from atlas.store.write import ragged, rectangular, write_table


@dataclass(frozen=True)
class Keep:
    """How much to keep, from the recipe's `[collect]`."""

    groups: int
    per_group: int
    logits: int
    neighbours: int
    across: int


@dataclass
class Used:
    """What the tables written so far mention."""

    windows: set[int]
    tokens: set[int]


def deposit(
    job: Job,
    accumulators: list[Accumulator],
    keep: Keep,
    pieces: list[bytes],
    folder: Path,
    tick: Callable[[int], None],
) -> dict[str, str]:
    """Write all tables into `folder`; returns each file's digest by its name in the store.

    Args:
        job: The pass.
        accumulators: Its result, in the order of the dictionaries.
        keep: How much to keep.
        pieces: Bytes of every token id.
        folder: An empty folder.
        tick: Called with a number of features done.
    """
    used = Used(set(), set())
    files: dict[str, str] = {}
    for place, (dictionary, accumulator) in enumerate(zip(job.dictionaries, accumulators, strict=True)):
        summary = summarise(accumulator, keep.groups, keep.per_group)
        fold = job.model.final_norm_fold()
        logits = logit_effects(
            dictionary.W_dec, job.model.unembedding(), fold.scale, centred=fold.centred, k=keep.logits, tick=tick
        )
        columns = _features(summary) | _logits(logits) | _neighbours(job, place, keep)
        name = f"{dictionary.id}/features.parquet"
        cuts = list(range(ROWS, dictionary.width, ROWS))
        files[name] = write_table(folder / name, columns, FEATURES, cuts)
        name = f"{dictionary.id}/snippets.parquet"
        rows = [int(r) for r in np.searchsorted(summary.rows.feature, cuts)]
        files[name] = write_table(folder / name, _snippets(summary), SNIPPETS, rows)
        used.windows.update(np.unique(summary.rows.window).tolist())
        used.tokens.update(np.unique(np.concatenate([logits.top.ravel(), logits.bottom.ravel()])).tolist())
    return files | _shared(job, used, pieces, folder)


def _features(summary: Summary) -> dict[str, Any]:
    totals = summary.totals
    feature, bin_ = np.nonzero(totals.histogram)
    used = np.bincount(feature, minlength=len(totals.count))
    return {
        "index": np.arange(len(totals.count), dtype=np.int32),
        "count": totals.count,
        "max": totals.max,
        "sources": rectangular(totals.source, pa.int64()),
        "histogram_bin": ragged(bin_.astype(np.int16), used, pa.int16()),
        "histogram_count": ragged(totals.histogram[feature, bin_], used, pa.int64()),
        "sampled": summary.sampled.astype(np.int32),
        "quantile_low": rectangular(summary.bounds[:, :, 0], pa.float32()),
        "quantile_high": rectangular(summary.bounds[:, :, 1], pa.float32()),
        "quantile_count": rectangular(summary.quantile_counts.astype(np.int32), pa.int32()),
        "interval_count": rectangular(summary.interval_counts.astype(np.int32), pa.int32()),
    }


def _logits(table: LogitTable) -> dict[str, Any]:
    names = ("logit_mean", "logit_std", "logit_skew", "logit_kurtosis")
    return {
        "logit_top": rectangular(table.top, pa.int32()),
        "logit_top_value": rectangular(table.top_value, pa.float32()),
        "logit_bottom": rectangular(table.bottom, pa.int32()),
        "logit_bottom_value": rectangular(table.bottom_value, pa.float32()),
        "logit_low": table.low,
        "logit_high": table.high,
        "logit_count": rectangular(table.counts, pa.int32()),
        **{name: table.moments[:, i] for i, name in enumerate(names)},
    }


def _neighbours(job: Job, place: int, keep: Keep) -> dict[str, Any]:
    """Neighbours in the same dictionary first, then in the others in the recipe's order."""
    own = job.dictionaries[place]
    parts = []
    for other_place, other in enumerate(job.dictionaries):
        k = keep.neighbours if other_place == place else keep.across
        if other.W_dec.shape[1] == own.W_dec.shape[1] and k:
            parts.append((other_place, nearest(own.W_dec, other.W_dec, k, same=other_place == place)))
    parts.sort(key=lambda part: part[0] != place)
    width = own.width
    where = [np.full(p.index.shape, i, np.int16) for i, p in parts]
    empty = np.zeros((width, 0), np.int32)
    return {
        "neighbour_dictionary": rectangular(np.hstack([empty.astype(np.int16), *where]), pa.int16()),
        "neighbour_index": rectangular(np.hstack([empty, *(p.index for _, p in parts)]), pa.int32()),
        "neighbour_cosine": rectangular(
            np.hstack([empty.astype(np.float32), *(p.cosine for _, p in parts)]), pa.float32()
        ),
    }


def _snippets(summary: Summary) -> dict[str, Any]:
    rows = summary.rows
    return {
        "feature": rows.feature.astype(np.int32),
        "kind": summary.kind.astype(np.int8),
        "group": summary.group.astype(np.int8),
        "rank": summary.rank.astype(np.int16),
        "window": rows.window,
        "position": rows.position.astype(np.int16),
        "value": rows.value,
        "repeats": summary.repeats.astype(np.int16),
        "at": ragged(rows.at.astype(np.int16), rows.length, pa.int16()),
        "act": ragged(rows.act, rows.length, pa.float32()),
    }


def _shared(job: Job, used: Used, pieces: list[bytes], folder: Path) -> dict[str, str]:
    windows = job.windows
    shown = np.array(sorted(used.windows), np.int64)
    documents, row_of = np.unique(windows.document[shown], return_inverse=True)
    ids = [windows.tokens(w) for w in shown.tolist()]
    counts = np.bincount(windows.ids, minlength=len(pieces))
    tokens = np.union1d(np.flatnonzero(counts), np.array(sorted(used.tokens), np.int64)).astype(np.int64)
    flat = np.concatenate([np.zeros(0, np.int32), *ids])
    return {
        "windows.parquet": write_table(
            folder / "windows.parquet",
            {
                "window": shown,
                "document": row_of.astype(np.int32),
                "source": windows.source[shown].astype(np.int16),
                "start": windows.start[shown],
                "ids": ragged(flat, np.array([len(i) for i in ids], np.int64), pa.int32()),
            },
            WINDOWS,
        ),
        "documents.parquet": write_table(
            folder / "documents.parquet",
            {
                "id": [windows.documents[d].id for d in documents],
                "source": [windows.documents[d].source for d in documents],
            },
            DOCUMENTS,
        ),
        "tokens.parquet": write_table(
            folder / "tokens.parquet",
            {"id": tokens.astype(np.int32), "bytes": [pieces[t] for t in tokens], "count": counts[tokens]},
            TOKENS,
        ),
    }
