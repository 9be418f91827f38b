"""The corpus as a stream of chunks: read in the background, kept on disk, never whole in memory.

1. A thread makes chunk after chunk, a few before they are wanted (`AHEAD`). A chunk that lies whole on
   disk (`atlas.corpus.spool`) is taken from there; any other is made from the text, which is taken up
   where the chunk before it ended, and written before it is handed on.
2. The text is touched only when a chunk has to be made: with a whole spool it is not read at all.
3. When the text ends, or the budget is spent, the end is written: the corpus is complete.

What grows with the corpus: the files; in memory 8 bytes and a digest for every chunk, and the indexes of
the parts (`atlas.corpus.parts`) while text is read. The corpus does not depend on who takes it how fast,
nor on restarts.
"""

from __future__ import annotations

import hashlib
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Self

import numpy as np

from atlas.corpus import chunks, cutting, reading
from atlas.corpus.background import Background
from atlas.corpus.fingerprint import corpus_key
from atlas.corpus.lookup import Found, look_up
from atlas.corpus.making import Maker
from atlas.corpus.spool import CorpusEnd, Spool
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from atlas.config import Recipe
    from atlas.corpus.chunks import Chunk
    from atlas.corpus.tokens import FastTokenizer

FORMAT = "corpus 2"
"""Raise it when the same inputs would give other chunks."""

AHEAD = 3
"""Chunks that may wait; has no influence on the result."""


class Corpus:
    """Chunks in order, as often as wanted. Leave the `with` block and the thread has ended.

    Only one reading runs at a time: a new one ends the one before it.

    Attributes:
        progress: Tokens read so far by the reading that runs, or of the last one.
    """

    def __init__(
        self,
        recipe: Recipe,
        tokenizer: FastTokenizer,
        cache: Path,
        folder: Path,
        key: str,
        batch: int,
        *,
        held_out: bool = False,
    ) -> None:
        """See `open_corpus`."""
        corpus, self._held_out = recipe.corpus, held_out
        whole = FORMAT, key, recipe.digest("corpus"), batch, chunks.CHUNK, cutting.SECTION, reading.SHORTEST, held_out
        self._spool = Spool(folder, hashlib.sha256("\n".join(map(str, whole)).encode()).hexdigest(), corpus)
        self._recipe, self._tokenizer, self._cache, self._batch = recipe, tokenizer, cache, batch
        self._background: Background[Chunk] | None = None
        self._making = threading.Lock()
        self._end = self._spool.load_end()
        self.progress = 0

    def __enter__(self) -> Self:
        """The corpus itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """End the thread, if one runs. What it has written stays, and is gone on from the next time."""
        if self._background is not None:
            self._background.stop()
            self._background = None

    def __iter__(self) -> Iterator[Chunk]:
        """Chunks in order; waits for each.

        Raises:
            AtlasError: If the text cannot be read, has no window that is long enough, or a chunk cannot
                be written.
            RuntimeError: If the corpus was closed, or read anew, before the last chunk.
        """
        self.close()
        self._background = background = Background(self._chunks, AHEAD, "atlas-corpus")
        try:
            yield from background
        finally:
            background.stop()

    @property
    def end(self) -> CorpusEnd:
        """What is known of the whole corpus.

        Raises:
            RuntimeError: If it was never read to its end.
        """
        if self._end is None:
            msg = "the corpus was not read to its end yet"
            raise RuntimeError(msg)
        return self._end

    def lookup(self, windows: NDArray[np.int64]) -> Iterator[Found]:
        """Some windows of the complete corpus, those of one chunk at a time.

        Args:
            windows: int64 [n], ids, ascending.

        Raises:
            AtlasError: If a chunk is damaged and its text has changed since it was made.
            RuntimeError: If the corpus was never read to its end.
            ValueError: If the ids are not ascending, or there is no such window.
        """
        return look_up(windows, self.end.firsts, self._chunk)

    def _chunk(self, number: int) -> Chunk:
        """A chunk of the complete corpus; a damaged one is made again."""
        end = self.end
        found = self._spool.load(number)
        if found is None or found.chunk.digest() != end.digests[number]:
            for _ in self._chunks(lambda: None):
                pass
            found = self._spool.load(number)
        if found is None or found.chunk.digest() != end.digests[number]:
            raise AtlasError(
                self._spool.path(number), "was damaged, and its text has changed meanwhile", "delete its folder"
            )
        return found.chunk

    def _chunks(self, check: Callable[[], None]) -> Generator[Chunk]:
        """Chunks from the first on, each from disk or made; then the end."""
        digests: list[str] = []
        firsts, batches, counts = [0], 0, np.zeros(0, np.int64)
        position, seal = "", ""
        self.progress = 0
        with closing(self._maker(check)) as maker:
            while self._end is None or list(self._end.digests) != digests:
                check()
                with self._making:  # a lookup may be mending the same files
                    number, before = len(digests), self.progress
                    spooled = self._spool.load(number, previous=seal)
                    if spooled is None:
                        made = maker.make(position, number, firsts[-1], batches, self._tick)
                        if made is None:
                            counts = _add(counts, np.zeros(maker.vocabulary(), np.int64))
                            self._end = self._spool.save_end(maker.position, digests, firsts, batches, counts)
                            return
                        spooled = self._spool.save(*made, previous=seal)
                chunk, position, seal = spooled
                self.progress = before + len(chunk.ids)
                digests.append(chunk.digest())
                firsts.append(firsts[-1] + len(chunk))
                batches += len(chunk.batches) - 1
                counts = _add(counts, np.bincount(chunk.ids))
                if self._end is not None and self._end.digests[number : number + 1] != (digests[-1],):
                    self._end = None  # of another text
                del spooled
                yield chunk

    def _maker(self, check: Callable[[], None]) -> Maker:
        return Maker(self._recipe, self._tokenizer, self._cache, self._batch, check, held_out=self._held_out)

    def _tick(self, tokens: int) -> None:
        self.progress += tokens


def _add(some: NDArray[np.int64], more: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum, int64 [ids], as long as the longer of the two."""
    total = np.zeros(max(len(some), len(more)), np.int64)
    total[: len(some)] += some
    total[: len(more)] += more
    return total


def open_corpus(
    recipe: Recipe,
    tokenizer: FastTokenizer,
    cache: Path,
    folder: Path,
    key: str,
    batch: int,
    *,
    held_out: bool = False,
) -> Corpus:
    """The corpus of a recipe, to be read in a `with` block. Nothing is read yet but the end, if there is one.

    Args:
        recipe: The recipe; only `corpus` and the folder it lies in matter.
        tokenizer: The model's fast tokenizer; it is copied, not changed.
        cache: Folder for downloaded text, `Places.cache`.
        folder: Where chunks are kept, for this corpus alone.
        key: Digest of the text and the tokenizer (`corpus_key`), or of more. The recipe's `[corpus]`,
            `batch` and the rules of this package are added to it.
        batch: Full windows in a micro-batch; one of shorter windows holds more.
        held_out: Read the share that `corpus.held_out` keeps back, instead of the rest.
    """
    return Corpus(recipe, tokenizer, cache, folder, key, batch, held_out=held_out)


def read_all(
    recipe: Recipe, tokenizer: FastTokenizer, cache: Path, folder: Path, batch: int, *, held_out: bool = False
) -> list[Chunk]:
    """All chunks of a small corpus at once; arguments as for `open_corpus`."""
    key = corpus_key(recipe, tokenizer)
    with open_corpus(recipe, tokenizer, cache, folder, key, batch, held_out=held_out) as corpus:
        return list(corpus)
