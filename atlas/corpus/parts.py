"""What a part of the corpus looks like to its reader: documents in hash order, fetched one at a time.

Nothing here holds text in memory. A part is an index of places, some 30 to 60 bytes a document, and the
text itself lies on disk: in the author's own files (`atlas.corpus.files`), or, for text that comes as a
stream (the Hub, the demo), in a temporary file that has no name and goes when it is closed.
"""

from __future__ import annotations

import tempfile
from array import array
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import orjson

from atlas.corpus.cutting import section_id, sections
from atlas.corpus.rows import Content, Given
from atlas.corpus.sampling import hash_order, is_held_out
from atlas.errors import AtlasError
from atlas.store.atomic import unwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

EMPTY, HELD_OUT = "empty", "held out"
"""Why a text was left out: it holds nothing but white space, or is on the other side of the split."""


@dataclass(frozen=True, slots=True)
class Document:
    """One text. `id` is unique in the corpus, `source` is the id of the part it belongs to.

    `content` is text, int32 token ids, or messages; `url` and `licence` are empty where the source says none.
    """

    id: str
    source: str
    content: Content
    url: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Side:
    """Which documents are meant: those that are read, or those that are held out.

    Attributes:
        share: Share of documents that are held out.
        seed: Seed of the sampling.
        held_out: Whether the held-out ones are meant.
    """

    share: float = 0.0
    seed: int = 0
    held_out: bool = False

    def has(self, document: str) -> bool:
        """Whether a document, by its id without the number of a section, is on this side."""
        return (self.share > 0 and is_held_out(document, self.share, self.seed)) == self.held_out


class Part(Protocol):
    """Documents of one part, numbered in hash order (`atlas.corpus.sampling`)."""

    @property
    def dropped(self) -> Mapping[str, int]:
        """Texts that were left out, by reason."""

    def __len__(self) -> int:
        """Number of documents."""

    def document(self, place: int) -> Document:
        """The document at a place of the hash order, read now.

        Raises:
            AtlasError: If it cannot be read, or is not what it was when the part was indexed.
        """

    def close(self) -> None:
        """Let go of open files."""


class Places:
    """An index in the making: where every document lies, to be sorted by the hash of its id.

    Args:
        seed: Seed of the hash order.
        width: Numbers that say where a document lies.
    """

    def __init__(self, seed: int, width: int) -> None:
        self._seed = seed
        self._hash = (array("Q"), array("Q"))  # its first and its last 8 bytes, big-endian: they sort as bytes do
        self._where = [array("q") for _ in range(width)]

    def add(self, document: str, *where: int) -> None:
        """Note where a document lies."""
        digest = hash_order(document, self._seed)
        self._hash[0].append(int.from_bytes(digest[:8], "big"))
        self._hash[1].append(int.from_bytes(digest[8:], "big"))
        for column, value in zip(self._where, where, strict=True):
            column.append(value)

    def sorted(self) -> tuple[NDArray[np.int64], int | None]:
        """Places in hash order, int64 [documents, width], and one whose id the next one has too (else None)."""
        high, low = (np.frombuffer(column, np.uint64) for column in self._hash)
        order = np.lexsort((low, high))
        twice = np.flatnonzero((np.diff(high[order]) == 0) & (np.diff(low[order]) == 0))
        where = np.stack([np.frombuffer(column, np.int64)[order] for column in self._where], axis=1)
        return where, int(twice[0]) if len(twice) else None


class StreamedPart:
    """A part whose text comes as a stream: it is written to a temporary file, then read in hash order.

    Args:
        part: Id of the part.
        rows: Its documents.
        side: Which of them are meant, and the seed of the hash order.
        folder: Where the temporary file is made; it takes as much space as the text.
        check: Called for every text; what it raises ends the reading.

    Raises:
        AtlasError: If an id comes twice, or the text cannot be stored.
    """

    def __init__(self, part: str, rows: Iterable[Given], side: Side, folder: Path, check: Callable[[], None]) -> None:
        self._part = part
        self.dropped = nothing_dropped()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (lives as long as the part; `close` ends it)
        except OSError as error:
            raise unwritable(folder, error) from error
        try:
            self._where = self._store(rows, side, folder, check)
        except BaseException:
            self.close()
            raise

    def _store(self, rows: Iterable[Given], side: Side, folder: Path, check: Callable[[], None]) -> NDArray[np.int64]:
        places, at = Places(side.seed, 2), 0
        for row in rows:
            check()
            for number, content in _cut(row.content):
                if is_blank(content):
                    self.dropped[EMPTY] += 1
                    continue
                if not side.has(f"{self._part}/{row.natural}"):
                    self.dropped[HELD_OUT] += 1
                    continue
                document = section_id(f"{self._part}/{row.natural}", number)
                data = _packed(Document(document, self._part, content, row.url, row.licence))
                try:
                    self._file.write(data)
                except OSError as error:
                    raise unwritable(folder, error) from error
                places.add(document, at, len(data))
                at += len(data)
        try:
            self._file.flush()
        except OSError as error:
            raise unwritable(folder, error) from error
        where, twice = places.sorted()
        if twice is not None:
            self._where = where
            raise same_id(self._part, self.document(twice).id)
        return where

    def __len__(self) -> int:
        """Number of documents."""
        return len(self._where)

    def document(self, place: int) -> Document:
        """The document at a place of the hash order."""
        at, length = self._where[place].tolist()
        self._file.seek(at)
        return _unpacked(self._file.read(length), self._part)

    def close(self) -> None:
        """Close the temporary file, and with it let it go."""
        with suppress(OSError):  # of what could not be written, which was said already
            self._file.close()


def is_blank(content: Content) -> bool:
    """Whether a text holds nothing but white space, or a document nothing at all."""
    return not content.strip() if isinstance(content, str) else not len(content)


def nothing_dropped() -> dict[str, int]:
    """Counts of what an index leaves out, before it begins."""
    return {EMPTY: 0, HELD_OUT: 0}


def _cut(content: Content) -> Iterable[tuple[int, Content]]:
    """Sections of a text; other documents are not cut."""
    return sections(content) if isinstance(content, str) else [(1, content)]


def _packed(document: Document) -> bytes:
    """A line of JSON that says what it is, then the content."""
    content = document.content
    if isinstance(content, str):
        kind, data = "text", content.encode()
    elif isinstance(content, np.ndarray):
        kind, data = "tokens", content.astype("<i4").tobytes()
    else:
        kind, data = "chat", orjson.dumps(content)
    return orjson.dumps([kind, document.id, document.url, document.licence], option=orjson.OPT_APPEND_NEWLINE) + data


def _unpacked(data: bytes, part: str) -> Document:
    line, _, rest = data.partition(b"\n")
    kind, name, url, licence = orjson.loads(line)
    content: Content
    if kind == "text":
        content = rest.decode()
    elif kind == "tokens":
        content = np.frombuffer(rest, "<i4").astype(np.int32)
    else:
        content = orjson.loads(rest)
    return Document(name, part, content, url, licence)


def same_id(part: str, document: str) -> AtlasError:
    """The one line for an id that comes twice."""
    natural = document.removeprefix(f"{part}/")
    return AtlasError(f"corpus.part {part}", f"two documents are called {natural!r}", "make ids unique")
