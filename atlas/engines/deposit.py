"""From finished passes to the store's tables.

For each dictionary: summarise its accumulators, compute logit effects from its weights, find the features that are
related to each (`relations`), and write its two tables. Then the shared
tables: only windows that a snippet shows, their documents, and every token that occurs. One dictionary
is held at a time, and the windows of one chunk of text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from atlas.corpus import Corpus, DocumentRef, Found
from atlas.dictionaries.base import Dictionary
from atlas.effects import LogitTable, logit_effects
from atlas.engines.parts import Parts
from atlas.engines.relations import Relations, Wanted
from atlas.engines.state import Unfit
from atlas.model.lm import LanguageModel
from atlas.stats import Summary, join, summarise
from atlas.store.schema import DOCUMENTS, FEATURES, ROWS, SNIPPETS, TOKENS, WINDOWS
from atlas.store.write import ragged, rectangular, write_groups, write_table


@dataclass(frozen=True)
class Keep:
    """How much to keep, from the recipe's `[collect]`."""

    groups: int
    per_group: int
    logits: int
    related: Wanted


@dataclass(frozen=True)
class Outcome:
    """Totals of one dictionary, for the manifest."""

    tokens: int
    firings: int
    alive: int
    unfit: Unfit


@dataclass(frozen=True)
class Deposit:
    """What was written.

    Attributes:
        files: Each file's digest, by its name in the store.
        outcomes: A dictionary each.
    """

    files: dict[str, str]
    outcomes: list[Outcome]


def deposit(
    model: LanguageModel,
    dictionaries: Sequence[Dictionary],
    passes: Sequence[Parts],
    corpus: Corpus,
    keep: Keep,
    pieces: list[bytes],
    folder: Path,
    tick: Callable[[int], None],
) -> Deposit:
    """Write all tables into `folder`.

    Args:
        model: The model, for logit effects.
        dictionaries: In the recipe's order.
        passes: The finished passes; between them they have every block of every dictionary once.
        corpus: What was read, to its end.
        keep: How much to keep.
        pieces: Bytes of every token id.
        folder: An empty folder.
        tick: Called with a number of features done.

    Raises:
        AtlasError: If a part of a pass is damaged, or a table cannot be written.
    """
    windows, tokens = np.zeros(0, np.int64), np.zeros(0, np.int64)
    files: dict[str, str] = {}
    outcomes = []
    fold = model.final_norm_fold()
    relations = Relations(dictionaries, partial(written, model), passes, keep.related)
    for place, dictionary in enumerate(dictionaries):
        summary, unfit = _summary(passes, place, keep)
        directions = written(model, dictionary)
        logits = logit_effects(
            directions, model.unembedding(), fold.scale, centred=fold.centred, k=keep.logits, tick=tick
        )
        columns = _features(summary) | _logits(logits) | relations.columns(place, directions)
        name = f"{dictionary.id}/features.parquet"
        cuts = list(range(ROWS, dictionary.width, ROWS))
        files[name] = write_table(folder / name, columns, FEATURES, cuts)
        name = f"{dictionary.id}/snippets.parquet"
        rows = [int(r) for r in np.searchsorted(summary.rows.feature, cuts)]
        files[name] = write_table(folder / name, _snippets(summary), SNIPPETS, rows)
        windows = np.union1d(windows, summary.rows.window)
        tokens = np.union1d(tokens, np.concatenate([logits.top.ravel(), logits.bottom.ravel()]))
        count = summary.totals.count
        outcomes.append(Outcome(summary.tokens, int(count.sum()), int((count > 0).sum()), unfit))
    return Deposit(files | _shared(corpus, windows, tokens, pieces, folder), outcomes)


def _summary(passes: Sequence[Parts], place: int, keep: Keep) -> tuple[Summary, Unfit]:
    """The summary of a dictionary, a block of its features at a time, and what could not be counted."""
    where = {block: parts for parts in passes for block in parts.shape.blocks[place]}
    made = [summarise(where[b].accumulator(place, b), keep.groups, keep.per_group) for b in sorted(where)]
    return join(made), where[0].unfit(place)


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


def written(model: LanguageModel, dictionary: Dictionary) -> Tensor:
    """What each feature writes into the residual stream, float32 [f, d_model]."""
    point = model.hook(dictionary.hook_out or dictionary.hook_point)
    if dictionary.kind != "neurons":
        return model.into_stream(point, dictionary.W_dec)
    rows = model.into_stream(point, None)
    return torch.cat([rows, -rows])


def _snippets(summary: Summary) -> dict[str, Any]:
    rows = summary.rows
    return {
        "feature": rows.feature,
        "kind": summary.kind.astype(np.int8),
        "group": summary.group.astype(np.int8),
        "rank": summary.rank.astype(np.int16),
        "window": rows.window.astype(np.int64),
        "position": rows.position,
        "value": rows.value,
        "repeats": summary.repeats.astype(np.int16),
        "at": ragged(rows.at, rows.length.astype(np.int64), pa.int16()),
        "act": ragged(rows.act, rows.length.astype(np.int64), pa.float32()),
    }


def _shared(
    corpus: Corpus, shown: np.ndarray, promoted: np.ndarray, pieces: list[bytes], folder: Path
) -> dict[str, str]:
    counts = np.zeros(len(pieces), np.int64)
    counts[: len(corpus.end.counts)] = corpus.end.counts
    tokens = np.union1d(np.flatnonzero(counts), promoted)
    documents: dict[DocumentRef, int] = {}  # by row
    return {
        "windows.parquet": write_groups(
            folder / "windows.parquet", (_windows(found, documents) for found in corpus.lookup(shown)), WINDOWS
        ),
        "documents.parquet": write_table(
            folder / "documents.parquet",
            {name: [getattr(d, name) for d in documents] for name in DOCUMENTS.names},
            DOCUMENTS,
        ),
        "tokens.parquet": write_table(
            folder / "tokens.parquet",
            {"id": tokens.astype(np.int32), "bytes": [pieces[t] for t in tokens], "count": counts[tokens]},
            TOKENS,
        ),
    }


def _windows(found: Found, documents: dict[DocumentRef, int]) -> dict[str, Any]:
    """Columns of one chunk's windows; documents that were not seen before get the next rows."""
    rows = np.array([documents.setdefault(d, len(documents)) for d in found.documents], np.int32)
    return {
        "window": found.windows,
        "document": rows[found.document],
        "source": found.source,
        "start": found.start,
        "ids": ragged(found.ids, np.diff(found.offsets), pa.int32()),
    }
