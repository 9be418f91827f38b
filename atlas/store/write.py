"""Writing tables: Parquet, zstd, synced, with row groups cut at whole features."""

from __future__ import annotations

from collections.abc import Iterable
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
    table = _table(columns, schema)
    parts = zip([0, *(cuts or [])], [*(cuts or []), len(table)], strict=True)
    return _write(path, (table.slice(low, high - low) for low, high in parts), schema)


def write_groups(path: Path, groups: Iterable[dict[str, Any]], schema: pa.Schema) -> str:
    """Write a table of which one row group is in memory at a time; returns the digest of its file.

    Args:
        path: Where to.
        groups: Columns of each row group, as `write_table` takes them.
        schema: From `atlas.store.schema`.

    Raises:
        AtlasError: If the file cannot be written.
    """
    return _write(path, (_table(columns, schema) for columns in groups), schema)


def _write(path: Path, groups: Iterable[pa.Table], schema: pa.Schema) -> str:
    with atomic(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        for group in groups:
            writer.write_table(group, row_group_size=max(1, len(group)))
    return file_digest(path)


def _table(columns: dict[str, Any], schema: pa.Schema) -> pa.Table:
    return pa.table({field.name: pa.array(columns[field.name], field.type) for field in schema}, schema=schema)


def ragged(values: np.ndarray, length: np.ndarray, kind: pa.DataType) -> pa.ListArray:
    """A list column from flat values and the length of each row's part."""
    offsets = np.concatenate(([0], np.cumsum(length))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, kind))


def rectangular(values: np.ndarray, kind: pa.DataType) -> pa.ListArray:
    """A list column from a matrix [rows, n]."""
    rows, n = values.shape
    return ragged(values.reshape(-1), np.full(rows, n), kind)
