"""A chunk of the corpus: what the model reads next, in the order in which it reads it.

1. A chunk takes windows as they are read and closes with the one that brings it to `CHUNK` tokens.
2. Its windows are sorted by length, longest first, then by a hash of document and start: micro-batches
   need little padding, and neighbours in a batch come from anywhere. A window's id is its place,
   counted through all chunks.
3. Micro-batches are runs of windows in that order. Each takes as many as fit into `batch * window`
   positions, padding and BOS included, so that short windows are not run in small batches.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import orjson

from atlas.corpus.sampling import hash_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from atlas.config import CorpusSection
    from atlas.corpus.reading import Window

CHUNK = 2**18
"""Tokens at which a chunk is closed. Part of the corpus's identity: ids of windows depend on it."""

ARRAYS: dict[str, np.dtype[Any]] = {
    "ids": np.dtype("<i4"),
    "offsets": np.dtype("<i8"),
    "document": np.dtype("<i4"),
    "source": np.dtype("<i2"),
    "start": np.dtype("<i4"),
    "batches": np.dtype("<i8"),
}
"""Arrays of a chunk and their types."""

K = TypeVar("K", bound=np.generic)


@dataclass(frozen=True, slots=True)
class DocumentRef:
    """A document that windows were cut from; `tokens` is its whole length, read or not.

    `url` and `licence` are what its source says of it, and empty where it says nothing.
    """

    id: str
    source: int
    tokens: int
    url: str = ""
    licence: str = ""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Part of the corpus as the model reads it. Arrays are read-only.

    Attributes:
        number: Its place among the chunks.
        first: Id of its first window, counted through all chunks.
        first_batch: Number of its first micro-batch, counted through all chunks.
        ids: int32 [tokens], token ids without BOS, window after window.
        offsets: int64 [windows + 1], where each window begins in `ids`.
        document: int32 [windows], index into `documents`.
        source: int16 [windows], index into the recipe's parts.
        start: int32 [windows], the window's first token, counted in its document.
        batches: int64 [micro-batches + 1], where each begins, as windows after `first`.
        documents: Documents of these windows, sorted by source, then id. One that crosses the end of a
            chunk is in both.
    """

    number: int
    first: int
    first_batch: int
    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    document: NDArray[np.int32]
    source: NDArray[np.int16]
    start: NDArray[np.int32]
    batches: NDArray[np.int64]
    documents: list[DocumentRef]

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.document)

    @property
    def windows(self) -> range:
        """Ids of its windows, counted through all chunks."""
        return range(self.first, self.first + len(self))

    def tokens(self, window: int) -> NDArray[np.int32]:
        """Token ids of a window, int32 [length].

        Args:
            window: The window's id, counted through all chunks.

        Raises:
            IndexError: If the window is in another chunk.
        """
        if window not in self.windows:
            msg = f"window {window} is not in chunk {self.number}"
            raise IndexError(msg)
        place = window - self.first
        return self.ids[self.offsets[place] : self.offsets[place + 1]]

    def micro_batches(self) -> Iterator[tuple[int, range]]:
        """Number and window ids of every micro-batch, both counted through all chunks."""
        bounds = (self.batches + self.first).tolist()
        for number, (low, high) in enumerate(pairwise(bounds)):
            yield self.first_batch + number, range(low, high)

    def heading(self) -> bytes:
        """All that is not an array, as JSON."""
        documents = [[d.id, d.source, d.tokens, d.url, d.licence] for d in self.documents]
        return orjson.dumps([self.number, self.first, self.first_batch, documents])

    def digest(self) -> str:
        """SHA-256 of all of it: equal digests, equal chunks."""
        state = hashlib.sha256(self.heading())
        for name, kind in ARRAYS.items():
            array = np.ascontiguousarray(getattr(self, name), dtype=kind)
            state.update(f"\n{name} {kind.str} {array.size}\n".encode())
            state.update(array.data)
        return state.hexdigest()


def arrange(
    number: int, first: int, first_batch: int, windows: Sequence[Window], corpus: CorpusSection, batch: int
) -> Chunk:
    """Make a chunk of windows.

    Args:
        number: Its place among the chunks.
        first: Id of its first window.
        first_batch: Number of its first micro-batch.
        windows: At least one, in any order.
        corpus: The recipe's `[corpus]`.
        batch: Full windows in a micro-batch.
    """
    sources = {part.id: index for index, part in enumerate(corpus.part)}
    found = {(sources[w.part], w.document): w for w in windows}
    documents = [
        DocumentRef(name, source, w.length, w.url, w.licence) for (source, name), w in sorted(found.items(), key=_first)
    ]
    index = {d.id: i for i, d in enumerate(documents)}
    order = sorted(windows, key=lambda w: (-len(w.ids), hash_order(f"{w.document}\0{w.start}", 0), w.document, w.start))
    lengths = np.array([len(w.ids) for w in order], dtype=np.int64)
    return Chunk(
        number=number,
        first=first,
        first_batch=first_batch,
        ids=frozen(np.concatenate([w.ids for w in order])),
        offsets=frozen(np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])),
        document=frozen(np.array([index[w.document] for w in order], dtype=np.int32)),
        source=frozen(np.array([sources[w.part] for w in order], dtype=np.int16)),
        start=frozen(np.array([w.start for w in order], dtype=np.int32)),
        batches=frozen(_batches(lengths + corpus.bos, batch * corpus.window)),
        documents=documents,
    )


def _first(item: tuple[tuple[int, str], Window]) -> tuple[int, str]:
    return item[0]


def restore(heading: bytes, arrays: Mapping[str, NDArray[Any]]) -> Chunk:
    """Make a chunk again, of its heading and its arrays by name."""
    number, first, first_batch, documents = orjson.loads(heading)
    fields = {name: frozen(np.asarray(arrays[name], kind)) for name, kind in ARRAYS.items()}
    refs = [DocumentRef(*document) for document in documents]
    return Chunk(number=number, first=first, first_batch=first_batch, documents=refs, **fields)


def _batches(positions: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Bounds of micro-batches, int64 [n + 1]: as many windows as fit, but at least one.

    Args:
        positions: int64 [windows], positions that each window takes, longest first.
        limit: Positions that a micro-batch has.
    """
    bounds = [0]
    while bounds[-1] < len(positions):
        fit = limit // int(positions[bounds[-1]])
        bounds.append(min(bounds[-1] + max(1, fit), len(positions)))
    return np.array(bounds, dtype=np.int64)


def frozen(array: NDArray[K]) -> NDArray[K]:
    """The array, read-only."""
    array.flags.writeable = False
    return array
