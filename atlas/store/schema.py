"""Arrow schemas of the store's tables; units and shapes stand beside each column."""

from __future__ import annotations

import pyarrow as pa

ROWS = 512
"""Features in a Parquet row group, in `features` and `snippets` alike."""

OCTAVES = (-16, 24)
BINS_PER_OCTAVE = 8
"""The log2 histogram of activations: 8 bins an octave, equal steps inside one, from 2^-16 to 2^24."""

TOP, QUANTILE, INTERVAL = 0, 1, 2
"""Kinds of snippet."""


def _related(name: str) -> list[tuple[str, pa.DataType]]:
    """Columns of related features, lists of one length; `jaccard`, `here`, `there` as in `stats.together`, or NaN."""
    return [
        (f"{name}_dictionary", pa.list_(pa.int16())),  # place in the manifest
        (f"{name}_index", pa.list_(pa.int32())),
        *((f"{name}_{number}", pa.list_(pa.float32())) for number in ("cosine", "jaccard", "here", "there")),
    ]


FEATURES = pa.schema(
    [
        ("index", pa.int32()),
        ("count", pa.int64()),  # firings
        ("max", pa.float32()),
        ("sources", pa.list_(pa.int64())),  # firings by source, in the manifest's order
        ("histogram_bin", pa.list_(pa.int16())),  # bins that are not empty (see `edge`)
        ("histogram_count", pa.list_(pa.int64())),
        ("sampled", pa.int32()),  # size of the uniform sample
        ("quantile_low", pa.list_(pa.float32())),  # by rank quantile, lowest first
        ("quantile_high", pa.list_(pa.float32())),
        ("quantile_count", pa.list_(pa.int32())),  # of the sample
        ("interval_count", pa.list_(pa.int32())),  # of the sample, by equal-width interval from 0 to max
        ("logit_top", pa.list_(pa.int32())),  # token ids, greatest effect first
        ("logit_top_value", pa.list_(pa.float32())),
        ("logit_bottom", pa.list_(pa.int32())),  # token ids, least effect first
        ("logit_bottom_value", pa.list_(pa.float32())),
        ("logit_low", pa.float32()),  # range of the histogram, equal-width bins
        ("logit_high", pa.float32()),
        ("logit_count", pa.list_(pa.int32())),  # vocabulary tokens by bin
        ("logit_mean", pa.float32()),
        ("logit_std", pa.float32()),
        ("logit_skew", pa.float32()),
        ("logit_kurtosis", pa.float32()),  # excess
        *_related("neighbour"),  # greatest cosine first, a dictionary after the other
        *_related("cofiring"),  # greatest jaccard first, likewise
    ]
)

SNIPPETS = pa.schema(
    [
        ("feature", pa.int32()),
        ("kind", pa.int8()),  # TOP, QUANTILE or INTERVAL
        ("group", pa.int8()),  # lowest first
        ("rank", pa.int16()),
        ("window", pa.int64()),
        ("position", pa.int16()),  # BOS not counted
        ("value", pa.float32()),
        ("repeats", pa.int16()),  # further windows with the same context, counted up to 8
        ("at", pa.list_(pa.int16())),  # positions where it fires
        ("act", pa.list_(pa.float32())),
    ]
)

WINDOWS = pa.schema(
    [
        ("window", pa.int64()),
        ("document", pa.int32()),  # row of documents.parquet
        ("source", pa.int16()),
        ("start", pa.int32()),  # offset of the first token in its document
        ("ids", pa.list_(pa.int32())),  # without BOS
    ]
)

DOCUMENTS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.int16()),
        ("url", pa.string()),  # as its source says, or empty; hostile, like the licence
        ("licence", pa.string()),
    ]
)

TOKENS = pa.schema([("id", pa.int32()), ("bytes", pa.binary()), ("count", pa.int64())])

NAMES = pa.schema(
    [
        ("dictionary", pa.string()),
        ("feature", pa.int32()),
        ("text", pa.string()),
        ("method", pa.string()),
        ("author", pa.string()),
        ("note", pa.string()),
    ]
)

MAP = pa.schema(
    [
        ("dictionary", pa.string()),
        ("feature", pa.int32()),  # only those that fired
        ("x", pa.float32()),  # on the map of its dictionary, 0 to 1
        ("y", pa.float32()),
        ("cluster", pa.int32()),  # by falling size; -1 for none
        ("all_x", pa.float32()),  # on the map of all dictionaries
        ("all_y", pa.float32()),
        ("all_cluster", pa.int32()),
    ]
)


def edge(bin_: int) -> float:
    """Lower edge of a bin of the log2 histogram."""
    octave, step = divmod(bin_, BINS_PER_OCTAVE)
    return float(2.0 ** (OCTAVES[0] + octave) * (1 + step / BINS_PER_OCTAVE))
