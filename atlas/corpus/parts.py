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

from atlas.corpus.cutting import section_id, sections
from atlas.corpus.sampling import hash_order
from atlas.errors import AtlasError
from atlas.store.atomic import unwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Document:
    """One text. `id` is unique in the corpus, `source` is the id of the part it belongs to."""

    id: str
    source: str
    text: str


class Part(Protocol):
    """Documents of one part, numbered in hash order (`atlas.corpus.sampling`)."""

    @property
    def empty(self) -> int:
        """Texts that were left out for holding nothing but white space."""

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
        pairs: Natural ids and texts.
        seed: Seed of the hash order.
        folder: Where the temporary file is made; it takes as much space as the text.
        check: Called for every text; what it raises ends the reading.

    Raises:
        AtlasError: If an id comes twice, or the text cannot be stored.
    """

    def __init__(
        self, part: str, pairs: Iterable[tuple[str, str]], seed: int, folder: Path, check: Callable[[], None]
    ) -> None:
        self._part = part
        self.empty = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (lives as long as the part; `close` ends it)
        except OSError as error:
            raise unwritable(folder, error) from error
        try:
            self._where = self._store(pairs, seed, folder, check)
        except BaseException:
            self.close()
            raise

    def _store(
        self, pairs: Iterable[tuple[str, str]], seed: int, folder: Path, check: Callable[[], None]
    ) -> NDArray[np.int64]:
        places, at = Places(seed, 2), 0
        for natural, text in pairs:
            check()
            for number, section in sections(text):
                if is_blank(section):
                    self.empty += 1
                    continue
                document = section_id(f"{self._part}/{natural}", number)
                data = f"{document}\0{section}".encode()
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
        document, _, text = self._file.read(length).decode().partition("\0")
        return Document(document, self._part, text)

    def close(self) -> None:
        """Close the temporary file, and with it let it go."""
        with suppress(OSError):  # of what could not be written, which was said already
            self._file.close()


def is_blank(text: str) -> bool:
    """Whether a text holds nothing but white space."""
    return not text or text.isspace()


def same_id(part: str, document: str) -> AtlasError:
    """The one line for an id that comes twice."""
    natural = document.removeprefix(f"{part}/")
    return AtlasError(f"corpus.part {part}", f"two documents are called {natural!r}", "make ids unique")
