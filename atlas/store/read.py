"""Reading a store: `open_store(path)` gives records, one feature at a time or streaming."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from atlas.errors import AtlasError
from atlas.records import DictionaryRecord, FeatureRecord, Name
from atlas.store.assemble import Assembler, SnippetColumns, Windows
from atlas.store.atomic import recover
from atlas.store.manifest import Manifest, read_manifest
from atlas.store.schema import ROWS, TOP

TABLES = ("features", "snippets")
SHARED = ("documents", "windows", "tokens", "names", "map")


def open_store(path: Path | str) -> Store:
    """Open a finished store.

    Raises:
        AtlasError: If there is none, or it is damaged or of another format.
    """
    folder = Path(path)
    recover(folder)
    return Store(folder, read_manifest(folder))


class Store:
    """A finished store. Cheap to open: tables are read when they are asked for."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest

    @property
    def dictionaries(self) -> dict[str, DictionaryRecord]:
        """The dictionaries by id, in the recipe's order."""
        return {d.id: d for d in self.manifest.dictionaries}

    def feature(self, dictionary: str, index: int) -> FeatureRecord:
        """One feature.

        Raises:
            AtlasError: If there is no such dictionary or feature.
        """
        record = self._dictionary(dictionary)
        if not 0 <= index < record.width:
            raise AtlasError(f"{dictionary}/{index}", f"no such feature; indices run from 0 to {record.width - 1}")
        group, row = divmod(index, ROWS)
        return next(self._group(record, group, [row]))

    def features(
        self, dictionary: str, start: int = 0, stop: int | None = None, *, groups: bool = True
    ) -> Iterator[FeatureRecord]:
        """The features `start` to `stop` of a dictionary in order of index, read a row group at a time.

        Without `groups` their quantiles and intervals hold no snippets, which is three times as fast.
        """
        record = self._dictionary(dictionary)
        stop = record.width if stop is None else min(stop, record.width)
        for group in range(start // ROWS, -(-stop // ROWS)):
            first = group * ROWS
            rows = range(max(start - first, 0), min(stop - first, ROWS))
            yield from self._group(record, group, rows, groups=groups)

    def alive(self, dictionary: str) -> list[int]:
        """Indices of the features that fired, ascending."""
        path = self.folder / self._dictionary(dictionary).id / "features.parquet"
        count = self._read(path, ["count"])["count"].to_numpy()
        return [int(i) for i in count.nonzero()[0]]

    def to_arrow(self, table: str, dictionary: str = "") -> pa.Table:
        """A whole table: `features` or `snippets` of a dictionary, or one of the shared tables."""
        if table in SHARED:
            return self._read(self.folder / f"{table}.parquet")
        if table not in TABLES:
            raise AtlasError(table, f"no such table; there are {', '.join((*TABLES, *SHARED))}")
        return self._read(self.folder / self._dictionary(dictionary).id / f"{table}.parquet")

    @cached_property
    def windows(self) -> Windows:
        """All stored windows."""
        sources = self.manifest.corpus.sources
        return Windows(self.to_arrow("windows"), self.to_arrow("documents"), sources, self.pieces)

    @cached_property
    def pieces(self) -> dict[int, bytes]:
        """Bytes of every token that occurs in the store."""
        table = self.to_arrow("tokens")
        return dict(zip(table["id"].to_pylist(), table["bytes"].to_pylist(), strict=True))

    @cached_property
    def token_counts(self) -> dict[int, int]:
        """How often the corpus has each token; tokens that only logit effects mention count 0."""
        table = self.to_arrow("tokens")
        return dict(zip(table["id"].to_pylist(), table["count"].to_pylist(), strict=True))

    @cached_property
    def names(self) -> dict[tuple[str, int], Name]:
        """Display names by (dictionary, index); empty before `atlas name` has run."""
        if not (self.folder / "names.parquet").exists():
            return {}
        rows = self.to_arrow("names").to_pylist()
        return {(r["dictionary"], r["feature"]): Name(r["text"], r["method"], r["author"], r["note"]) for r in rows}

    def _dictionary(self, dictionary: str) -> DictionaryRecord:
        try:
            return self.dictionaries[dictionary]
        except KeyError:
            known = ", ".join(self.dictionaries)
            raise AtlasError(dictionary, f"no such dictionary in {self.folder}; there are {known}") from None

    def _read(self, path: Path, columns: list[str] | None = None) -> pa.Table:
        try:
            return pq.read_table(path, columns=columns)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(path, error) from None

    def _group(
        self, record: DictionaryRecord, group: int, rows: Iterable[int], *, groups: bool = True
    ) -> Iterator[FeatureRecord]:
        folder = self.folder / record.id
        try:
            features = pq.ParquetFile(folder / "features.parquet").read_row_group(group)
            snippets = pq.ParquetFile(folder / "snippets.parquet").read_row_group(group)
            snippets = snippets if groups else snippets.filter(pc.field("kind") == TOP)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(folder, error) from None
        assembler = Assembler(self.manifest, record, self.windows, self.names)
        columns = SnippetColumns.of(snippets, group * ROWS, len(features))
        table = features.to_pydict()
        for row in rows:
            yield assembler.feature({k: v[row] for k, v in table.items()}, columns, row)


def _damaged(path: Path, error: Exception) -> AtlasError:
    return AtlasError(path, f"cannot be read ({str(error).splitlines()[0]})", "run `atlas collect` again")
