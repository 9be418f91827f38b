"""Text that cannot be read where it lies: compressed files, Parquet, and what a Python function gives.

Each gives (natural id, text) one after the other; `parts.StreamedPart` lays the texts into a temporary file, from
which documents are then drawn in hash order, as it does with a dataset of the Hub.

    .gz .bz2 .zst .lz4      of a JSON Lines file or of a text, by the name without this ending (Arrow unpacks them)
    .parquet                a document a row: the text in `column`, its id in `id` if there is such a column
    python:package.module:function
                            called without arguments; yields texts, or pairs of an id and a text

What grows: nothing but the temporary file, except that a compressed text which is one document is held as a whole.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from atlas.corpus import files
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}
PARQUET = ".parquet"
BATCH = 256
"""Rows of a Parquet file read at a time."""


def is_packed(paths: Iterable[Path]) -> bool:
    """Whether any of these files cannot be read where it lies."""
    return any(path.suffix.lower() in {PARQUET, *COMPRESSED} for path in paths)


def read_files(pattern: Path, column: str) -> Iterator[tuple[str, str]]:
    """Documents of all files that match, packed or not, in the order of their paths.

    Raises:
        AtlasError: If nothing matches, or a file cannot be unpacked, is not UTF-8 or lacks the column.
    """
    for file in files.find(pattern):
        if file.path.suffix.lower() == PARQUET:
            yield from _rows(file, column)
        else:
            yield from _unpacked(file, column)


def _rows(file: files.File, column: str) -> Iterator[tuple[str, str]]:
    with _readable(file.path):
        table = pq.ParquetFile(file.path)
        names = table.schema_arrow.names
        if column not in names:
            known = ", ".join(names)
            raise AtlasError(file.path, f"has no column {column!r}", f"set `column` to one of {known}"[:300])
        wanted = [column, *(["id"] if "id" in names and column != "id" else [])]
        number = 0
        for batch in table.iter_batches(BATCH, columns=wanted):
            for row in batch.to_pylist():
                number += 1
                if not isinstance(row[column], str):
                    raise AtlasError(f"{file.path}:{number}", f"no text under {column!r}", "choose another `column`")
                natural = row.get("id")
                yield files.natural(file.name, number, natural), row[column]


def _unpacked(file: files.File, column: str) -> Iterator[tuple[str, str]]:
    with _readable(file.path), pa.input_stream(str(file.path), compression=COMPRESSED.get(file.ending)) as stream:
        if not file.inner(COMPRESSED).is_lines:
            text = files.decode(file, stream.read(), 0)
            yield file.name, text.removeprefix("\ufeff").replace("\r\n", "\n")
            return
        at = 0
        for line, raw in enumerate(_lines(stream), start=1):
            found = files.row(file, raw, at, line, column)
            at += len(raw)
            if found is not None:
                yield found


def _lines(stream: Any) -> Iterator[bytes]:
    """Lines of bytes with their line feeds."""
    rest = b""
    while block := stream.read(files.BLOCK):
        *whole, rest = (rest + block).split(b"\n")
        yield from (line + b"\n" for line in whole)
    if rest:
        yield rest


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise AtlasError(path, f"cannot be read ({reason})", "fetch it again") from error


def read_function(source: str, folder: Path, characters: int) -> Iterator[tuple[str, str]]:
    """What a function of the author's gives, until so many characters were read.

    Args:
        source: `python:package.module:function`; the recipe's folder is looked into first.
        folder: The recipe's folder.
        characters: Where to stop, so that it may go on for ever.

    Raises:
        AtlasError: If there is no such function, it fails, or gives something else than texts.
    """
    for number, given in enumerate(_call(source, folder)):
        pair = (f"{number:08d}", given) if isinstance(given, str) else given
        if not (isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(p, str) for p in pair)):  # noqa: PLR2004
            raise AtlasError(source, f"gave {type(given).__name__} as number {number}", "yield texts, or (id, text)")
        yield pair
        characters -= len(pair[1])
        if characters <= 0:
            return


def _call(source: str, folder: Path) -> Iterator[Any]:
    module, _, name = source.removeprefix("python:").partition(":")
    sys.path.insert(0, str(folder))
    try:
        yield from getattr(importlib.import_module(module), name)()
    except Exception as error:  # whatever the author's code raises
        raise AtlasError(source, f"failed ({type(error).__name__}: {error})"[:300], "mend the function") from error
    finally:
        sys.path.remove(str(folder))
