"""The corpus on disk: a file for every chunk, and one that says that it is complete.

    chunk-000000.sealed ...   a chunk, the position of the reading after it, the digest of the file before
    end.sealed                totals, digests of all chunks, where each begins, tokens counted by id

Every file names the key of its corpus and holds a digest of its content (`atlas.store.sealed`), and every
chunk the digest of the file before it: a chunk that is damaged, in another's place, of another corpus, or
follows another chunk than it did is not read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson

from atlas.corpus.chunks import ARRAYS, Chunk, frozen, restore
from atlas.corpus.reading import Position
from atlas.records import SourceRecord
from atlas.store import sealed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from atlas.config import CorpusSection

HEADING = "heading"


@dataclass(frozen=True, eq=False)
class CorpusEnd:
    """What is known when the corpus is read to its end.

    Attributes:
        windows: Windows in all.
        tokens: Tokens in all, BOS not counted.
        batches: Micro-batches in all.
        documents: Documents of which a window was read.
        dropped: What was left out, by reason: texts that are `empty` or give `no tokens`, windows too `short`.
        sources: One for every part of the recipe, with what was read of it.
        digests: `Chunk.digest()` of every chunk.
        firsts: int64 [chunks + 1], id of every chunk's first window; the last entry is `windows`.
        counts: int64 [ids], how often every token id occurs, up to the tokenizer's highest.
        digest: SHA-256 of the corpus: of chunks, sources and what was left out.
    """

    windows: int
    tokens: int
    batches: int
    documents: int
    dropped: dict[str, int]
    sources: list[SourceRecord]
    digests: tuple[str, ...]
    firsts: NDArray[np.int64]
    counts: NDArray[np.int64]
    digest: str

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return len(self.digests)

    @property
    def dropped_total(self) -> int:
        """Everything left out, texts and windows."""
        return sum(self.dropped.values())


class Spooled(NamedTuple):
    """A chunk as it lies on disk, the position of the reading after it, and the digest of its file."""

    chunk: Chunk
    position: str
    seal: str


class Spool:
    """The files of one corpus.

    Args:
        folder: Where they lie; no other corpus should.
        key: Digest of everything that decides the corpus.
        corpus: The recipe's `[corpus]`: labels and licences of sources are not stored but taken from it.
    """

    def __init__(self, folder: Path, key: str, corpus: CorpusSection) -> None:
        self.folder, self._key, self._corpus = folder, key, corpus

    def path(self, number: int) -> Path:
        """File of a chunk."""
        return self.folder / f"chunk-{number:06d}.sealed"

    @property
    def end_path(self) -> Path:
        """File of the end."""
        return self.folder / "end.sealed"

    def save(self, chunk: Chunk, position: str, previous: str) -> Spooled:
        """Write a chunk atomically.

        Args:
            chunk: The chunk.
            position: `Position.dumps()` after it.
            previous: Digest of the file of the chunk before; empty for the first.

        Raises:
            AtlasError: If the file cannot be written.
        """
        arrays = {name: getattr(chunk, name) for name in ARRAYS}
        arrays[HEADING] = np.frombuffer(chunk.heading(), np.uint8)
        header = {"key": self._key, "chunk": str(chunk.number), "previous": previous, "position": position}
        return Spooled(chunk, position, sealed.save(self.path(chunk.number), arrays.items(), header))

    def load(self, number: int, **expected: str) -> Spooled | None:
        """A chunk; None if there is no whole file of it, or its header has other words than `expected`."""
        found = sealed.load(self.path(number), key=self._key, chunk=str(number), **expected)
        if found is None:
            return None
        arrays, header = found
        return Spooled(restore(arrays[HEADING].tobytes(), arrays), header["position"], header[sealed.SEAL])

    def save_end(
        self,
        position: Position,
        digests: Sequence[str],
        firsts: Sequence[int],
        batches: int,
        counts: NDArray[np.int64],
    ) -> CorpusEnd:
        """Write that the corpus is complete, and remove files that are no part of it.

        Args:
            position: Where the reading ended.
            digests: Digests of all chunks.
            firsts: First windows of all chunks, then the number of windows.
            batches: Number of micro-batches.
            counts: int64 [ids], occurrences of every token id.
        """
        record = {
            "batches": batches,
            "dropped": position.dropped,
            "sources": [
                [part.id, position.documents[part.id], position.windows[part.id], position.filling.used[part.id]]
                for part in self._corpus.part
            ],
            "digests": list(digests),
        }
        arrays = {"firsts": np.array(firsts, np.int64), "counts": counts}
        sealed.save(self.end_path, arrays.items(), {"key": self._key, "record": orjson.dumps(record).decode()})
        kept = {self.end_path, *(self.path(number) for number in range(len(digests)))}
        for path in self.folder.glob("chunk-*.sealed*"):  # left by a longer corpus, or by a kill while writing
            if path not in kept:
                path.unlink(missing_ok=True)
        return self._end(record, arrays)

    def load_end(self) -> CorpusEnd | None:
        """The end; None if the corpus was never read to it."""
        found = sealed.load(self.end_path, key=self._key)
        if found is None:
            return None
        arrays, header = found
        return self._end(orjson.loads(header["record"]), arrays)

    def _end(self, record: Mapping[str, Any], arrays: Mapping[str, NDArray[np.int64]]) -> CorpusEnd:
        found: dict[str, tuple[int, int, int]] = {i: (d, w, t) for i, d, w, t in record["sources"]}
        sources = [SourceRecord(part.id, part.label, part.licence, *found[part.id]) for part in self._corpus.part]
        state = {k: record[k] for k in ("digests", "dropped", "sources")}
        return CorpusEnd(
            windows=sum(s.windows for s in sources),
            tokens=sum(s.tokens for s in sources),
            batches=record["batches"],
            documents=sum(s.documents for s in sources),
            dropped=record["dropped"],
            sources=sources,
            digests=tuple(record["digests"]),
            firsts=frozen(arrays["firsts"]),
            counts=frozen(arrays["counts"]),
            digest=hashlib.sha256(orjson.dumps(state, option=orjson.OPT_SORT_KEYS)).hexdigest(),
        )
