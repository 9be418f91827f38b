"""Chunks from text, from anywhere in the corpus on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas.corpus import chunks, reading
from atlas.corpus.chunks import Chunk, arrange
from atlas.corpus.documents import load_documents
from atlas.corpus.encoding import Encoder
from atlas.corpus.reading import Position, Reader, Window, beginning
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from atlas.config import Recipe
    from atlas.corpus.parts import Part
    from atlas.corpus.tokens import FastTokenizer


class Maker:
    """Makes chunks. Text and tokenizer are prepared when the first one is made; close it after use.

    Args:
        recipe: The recipe.
        tokenizer: The model's fast tokenizer.
        cache: Folder for downloaded text.
        batch: Full windows in a micro-batch.
        check: Called now and then; what it raises ends the work.
        held_out: Take the documents that are held out, not those that are read.
    """

    def __init__(
        self,
        recipe: Recipe,
        tokenizer: FastTokenizer,
        cache: Path,
        batch: int,
        check: Callable[[], None],
        *,
        held_out: bool = False,
    ) -> None:
        self._held_out = held_out
        self._recipe, self._tokenizer, self._cache, self._batch, self._check = recipe, tokenizer, cache, batch, check
        self._parts: dict[str, Part] | None = None
        self._encoder: Encoder | None = None
        self._reader: Reader | None = None

    def make(
        self, position: str, number: int, first: int, first_batch: int, tick: Callable[[int], None]
    ) -> tuple[Chunk, str] | None:
        """Make a chunk.

        Args:
            position: Where the chunk before it ended, as JSON; empty for the first.
            number: Its place among the chunks.
            first: Id of its first window.
            first_batch: Number of its first micro-batch.
            tick: Called with tokens read.

        Returns:
            The chunk and where it ended; None if there is nothing more to read.

        Raises:
            AtlasError: If a part cannot be read, or the whole corpus has no window that is long enough.
        """
        reader = self._reader_at(position)
        windows: list[Window] = []
        tokens = 0
        while tokens < chunks.CHUNK and (window := next(reader, None)) is not None:
            windows.append(window)
            tokens += len(window.ids)
            tick(len(window.ids))
        if windows:
            chunk = arrange(number, first, first_batch, windows, self._recipe.corpus, self._batch)
            return chunk, reader.position.dumps()
        if number == 0:
            where, left = "corpus", reader.position.dropped
            found = ", ".join(f"{count} {reason}" for reason, count in left.items() if count)
            raise AtlasError(
                where, f"no text of {reading.SHORTEST} tokens or more (left out: {found})", "add text to its parts"
            )
        return None

    @property
    def position(self) -> Position:
        """Where the reading stands; there is one after `make`."""
        if self._reader is None:
            msg = "nothing was read yet"
            raise RuntimeError(msg)
        return self._reader.position

    def vocabulary(self) -> int:
        """One more than the tokenizer's highest id."""
        vocabulary = self._tokenizer.backend_tokenizer.get_vocab(with_added_tokens=True)
        return max(vocabulary.values(), default=-1) + 1

    def close(self) -> None:
        """Let go of open files."""
        for part in (self._parts or {}).values():
            part.close()

    def _reader_at(self, position: str) -> Reader:
        """The reader that stands there: the one that read the chunk before, or a new one."""
        if self._reader is not None and position == self._reader.position.dumps():
            return self._reader
        if self._parts is None or self._encoder is None:
            self._parts = load_documents(self._recipe, self._cache, self._check, held_out=self._held_out)
            self._encoder = Encoder(self._tokenizer)
        begin = Position.loads(position) if position else beginning(self._recipe.corpus, self._parts)
        self._reader = Reader(self._recipe.corpus, self._parts, self._encoder, begin, self._check)
        return self._reader
