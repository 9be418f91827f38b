"""Writing tables: Parquet, zstd, synced, with row groups cut at whole features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from atlas.store.atomic import atomic, file_digest


def write_table(path: Path, columns: dict[str, Any], schema: pa.Schema, cuts: list[int] | None = None) -> str:
    """Write a table and return the digest of its file.

    Args:
        path: Where to.
        columns: Arrays or lists by column name; all of the schema's columns.
        schema: From `atlas.store.schema`.
        cuts: Rows at which a new row group begins (without 0); None leaves it to Arrow.

    Raises:
        AtlasError: If the file cannot be written.
    """
    table = pa.table({field.name: pa.array(columns[field.name], field.type) for field in schema}, schema=schema)
    with atomic(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        for low, high in zip([0, *(cuts or [])], [*(cuts or []), len(table)], strict=True):
            writer.write_table(table.slice(low, high - low), row_group_size=max(1, high - low))
    return file_digest(path)


def ragged(values: np.ndarray, length: np.ndarray, kind: pa.DataType) -> pa.ListArray:
    """A list column from flat values and the length of each row's part."""
    offsets = np.concatenate(([0], np.cumsum(length))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, kind))


def rectangular(values: np.ndarray, kind: pa.DataType) -> pa.ListArray:
    """A list column from a matrix [rows, n]."""
    rows, n = values.shape
    return ragged(values.reshape(-1), np.full(rows, n), kind)
