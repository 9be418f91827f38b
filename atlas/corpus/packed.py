"""Text that cannot be read where it lies: compressed files, Parquet, and what a Python function gives.

Each gives documents one after the other; `parts.StreamedPart` lays them into a temporary file, from which they are
then drawn in hash order, as it does with a dataset of the Hub. Files that could be read where they lie come here too
where a part wants more of them than text: ids of tokens, conversations, addresses, filters.

    .gz .bz2 .zst .lz4      of a JSON Lines file or of a text, by the name without this ending (Arrow unpacks them)
    .parquet                a document a row: the text in `column`, its id in `id` if there is such a column
    python:package.module:function
                            called without arguments; yields texts, pairs of an id and a text, or rows: columns by name

What grows: nothing but the temporary file, except that a compressed text which is one document is held as a whole.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from atlas.corpus import files
from atlas.corpus.rows import Given, read_row
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from atlas.config import PartSection

COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}
PARQUET = ".parquet"
BATCH = 256
"""Rows of a Parquet file read at a time."""


def is_packed(paths: Iterable[Path]) -> bool:
    """Whether any of these files cannot be read where it lies."""
    return any(path.suffix.lower() in {PARQUET, *COMPRESSED} for path in paths)


def read_files(pattern: Path, section: PartSection) -> Iterator[Given]:
    """Documents of all files that match, packed or not, in the order of their paths.

    Raises:
        AtlasError: If nothing matches, or a file cannot be unpacked, is not UTF-8 or lacks the column.
    """
    for file in files.find(pattern):
        if file.path.suffix.lower() == PARQUET:
            yield from _rows(file, section)
        else:
            yield from _unpacked(file, section)


def _rows(file: files.File, section: PartSection) -> Iterator[Given]:
    with _readable(file.path):
        table = pq.ParquetFile(file.path)
        names = table.schema_arrow.names
        asked = [section.column, section.id_column or "id", section.url_column, section.licence_column]
        roots = {column if column in names else column.partition(".")[0] for column in asked}
        missing = sorted(roots.difference([*names, "", "id"]))
        if missing:
            raise AtlasError(file.path, f"has no column {missing[0]!r}", f"there are {', '.join(names)}"[:300])
        number = 0
        for batch in table.iter_batches(BATCH, columns=[name for name in names if name in roots]):
            for row in batch.to_pylist():
                number += 1
                natural = files.natural(file.name, number, row.get("id"))
                yield read_row(section, f"{file.path}:{number}", natural, row)


def _unpacked(file: files.File, section: PartSection) -> Iterator[Given]:
    with _readable(file.path), pa.input_stream(str(file.path), compression=COMPRESSED.get(file.ending)) as stream:
        if not file.inner(COMPRESSED).is_lines:
            if section.kind != "text":
                raise AtlasError(file.path, f"is plain text, not {section.kind}", "use JSON Lines or Parquet")
            text = files.decode(file, stream.read(), 0)
            yield Given(file.name, text.removeprefix("\ufeff").replace("\r\n", "\n"))
            return
        at = 0
        for line, raw in enumerate(_lines(stream), start=1):
            row = files.parsed(file, raw, at, line)
            at += len(raw)
            if row is not None:
                natural = files.natural(file.name, line, row.get("id"))
                yield read_row(section, f"{file.path}:{line}", natural, row)


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
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise AtlasError(path, f"cannot be read ({reason})", "fetch it again") from error


def read_function(section: PartSection, folder: Path) -> Iterator[Given]:
    """What a function of the author's gives, for as long as it is wanted.

    Args:
        section: A part whose `source` is `python:package.module:function`; the recipe's folder is looked into first.
        folder: The recipe's folder.

    Raises:
        AtlasError: If there is no such function, it fails, or gives something else than texts.
    """
    source = section.source
    for number, given in enumerate(_call(source, folder)):
        natural = f"{number:08d}"
        if isinstance(given, Mapping):
            yield read_row(section, f"{source}, row {number}", natural, given)
            continue
        pair = (natural, given) if isinstance(given, str) else given
        if not (isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(p, str) for p in pair)):  # noqa: PLR2004
            mend = "yield texts, (id, text), or rows of columns by name"
            raise AtlasError(source, f"gave {type(given).__name__} as number {number}", mend)
        yield read_row(section, f"{source}, number {number}", pair[0], {section.column: pair[1]})


def _call(source: str, folder: Path) -> Iterator[Any]:
    module, _, name = source.removeprefix("python:").partition(":")
    sys.path.insert(0, str(folder))
    try:
        yield from getattr(importlib.import_module(module), name)()
    except Exception as error:  # whatever the author's code raises
        raise AtlasError(source, f"failed ({type(error).__name__}: {error})"[:300], "mend the function") from error
    finally:
        sys.path.remove(str(folder))
