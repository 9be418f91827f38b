"""Documents to token windows: what the model reads, in the order in which it reads it.

1. Documents of every part come in hash order (`atlas.corpus.sampling`) and are tokenised in batches,
   no further than the budget needs. Control tokens spelt out in a text are text.
2. A document is cut into windows of `window - 1` tokens (`window` without BOS), the last one shorter.
   Windows never span documents; those of fewer than `SHORTEST` tokens are dropped and counted. If the
   recipe sets `per_document`, only so many windows of a document are read, chosen by hash: a small
   budget then meets many documents instead of a few from end to end.
3. Windows are sorted by length, longest first, then by a hash of document and start: micro-batches
   need little padding, and neighbours in a batch come from anywhere. A window's id is its place.

Same recipe, text and tokenizer, same bytes. BOS is not stored: the model stage puts it in front.
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import orjson

from atlas.corpus.documents import Document, load_documents
from atlas.corpus.sampling import fill, hash_order
from atlas.errors import AtlasError
from atlas.records import SourceRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from atlas.config import Recipe
    from atlas.corpus.tokens import FastTokenizer

SHORTEST = 8
"""Tokens that a window needs: a shorter one shows no context."""

BATCH_CHARACTERS = 100_000
"""Text tokenised at a time; has no influence on the result."""


@dataclass(frozen=True, slots=True)
class DocumentRef:
    """A document that windows were cut from; `tokens` is its whole length, read or not."""

    id: str
    source: int
    tokens: int


@dataclass(frozen=True, eq=False)
class Windows:
    """The corpus as the model reads it. Arrays are read-only.

    Attributes:
        ids: int32 [n_tokens], token ids without BOS, window after window.
        offsets: int64 [n_windows + 1], where each window begins in `ids`.
        document: int32 [n_windows], index into `documents`.
        source: int16 [n_windows], index into `sources`.
        start: int32 [n_windows], the window's first token, counted in its document.
        documents: What was read, sorted by source, then id.
        sources: One per part of the recipe, with what was read of it.
        dropped: Windows left out for being shorter than `SHORTEST`.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    document: NDArray[np.int32]
    source: NDArray[np.int16]
    start: NDArray[np.int32]
    documents: list[DocumentRef]
    sources: list[SourceRecord]
    dropped: int

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.document)

    def tokens(self, window: int) -> NDArray[np.int32]:
        """Token ids of one window, int32 [length]."""
        return self.ids[self.offsets[window] : self.offsets[window + 1]]

    def digest(self) -> str:
        """SHA-256 of all of it: equal digests, equal windows."""
        state = hashlib.sha256()
        arrays = (("ids", "<i4"), ("offsets", "<i8"), ("document", "<i4"), ("source", "<i2"), ("start", "<i4"))
        for name, kind in arrays:
            array = np.ascontiguousarray(getattr(self, name), dtype=kind)
            state.update(f"{name} {kind} {array.size}\n".encode())
            state.update(array.tobytes())
        rest = {
            "documents": [[d.id, d.source, d.tokens] for d in self.documents],
            "sources": [[s.id, s.documents, s.windows, s.tokens] for s in self.sources],
            "dropped": self.dropped,
        }
        state.update(orjson.dumps(rest, option=orjson.OPT_SORT_KEYS))
        return state.hexdigest()


K = TypeVar("K", bound=np.generic)


class _Window(NamedTuple):
    document: str
    length: int  # of the document
    start: int
    ids: NDArray[np.int32]


def make_windows(
    recipe: Recipe, tokenizer: FastTokenizer, cache: Path, progress: Callable[[int, int], None] = lambda *_: None
) -> Windows:
    """Read, sample, tokenise and cut the corpus of a recipe.

    Args:
        recipe: The recipe; only `corpus` and the folder it lies in matter.
        tokenizer: The model's fast tokenizer; it is copied, not changed.
        cache: Folder for downloaded text, `Places.cache`.
        progress: Called with tokens read so far and the budget.

    Raises:
        AtlasError: If a part cannot be read, or no window is long enough.
    """
    corpus = recipe.corpus
    parts = load_documents(recipe, cache)
    backend = copy.deepcopy(tokenizer.backend_tokenizer)
    backend.encode_special_tokens = True
    backend.no_truncation()
    backend.no_padding()
    length = corpus.window - 1 if corpus.bos else corpus.window
    dropped = read = 0

    def stream(documents: list[Document]) -> Iterator[_Window]:
        nonlocal dropped, read
        for document, ids in _encode(documents, backend):
            for start in _starts(document.id, len(ids), length, corpus.per_document, corpus.seed):
                piece = ids[start : start + length]
                if len(piece) < min(SHORTEST, length):
                    dropped += 1
                    continue
                read += len(piece)
                yield _Window(document.id, len(ids), start, piece)
            progress(min(read, corpus.tokens), corpus.tokens)

    taken = fill(
        {part: stream(sorted(d, key=lambda d: hash_order(d.id, corpus.seed))) for part, d in parts.items()},
        {part.id: part.share for part in corpus.part},
        corpus.tokens,
        lambda window: len(window.ids),
    )
    progress(corpus.tokens, corpus.tokens)
    if not any(taken.values()):
        where = "corpus"
        raise AtlasError(where, f"no text of {SHORTEST} tokens or more", "add text to its parts")
    return _arrange(recipe, taken, dropped)


def _starts(document: str, tokens: int, length: int, most: int, seed: int) -> list[int]:
    """Where a document's windows begin; at most so many of them, chosen by hash, if `most` is not 0."""
    starts = list(range(0, tokens, length))
    if not most or len(starts) <= most:
        return starts
    return sorted(sorted(starts, key=lambda start: hash_order(f"{document}\0{start}", seed))[:most])


def _encode(documents: list[Document], backend: Any) -> Iterator[tuple[Document, NDArray[np.int32]]]:
    """Token ids of every document, int32 [length], a batch of texts at a time."""
    at = 0
    while at < len(documents):
        batch: list[Document] = []
        characters = 0
        while at < len(documents) and (not batch or characters + len(documents[at].text) <= BATCH_CHARACTERS):
            batch.append(documents[at])
            characters += len(documents[at].text)
            at += 1
        encodings = backend.encode_batch_fast([d.text for d in batch], add_special_tokens=False)
        for document, encoding in zip(batch, encodings, strict=True):
            yield document, np.array(encoding.ids, dtype=np.int32)


def _arrange(recipe: Recipe, taken: dict[str, list[_Window]], dropped: int) -> Windows:
    """Sort the windows and lay them out as arrays."""
    part_index = {part.id: index for index, part in enumerate(recipe.corpus.part)}
    found = {(part_index[part], w.document): w.length for part, windows in taken.items() for w in windows}
    documents = [DocumentRef(name, part, found[part, name]) for part, name in sorted(found)]
    index = {d.id: i for i, d in enumerate(documents)}
    windows = [w for part in recipe.corpus.part for w in taken[part.id]]
    windows.sort(key=lambda w: (-len(w.ids), hash_order(f"{w.document}\0{w.start}", 0), w.document, w.start))
    lengths = np.array([len(w.ids) for w in windows], dtype=np.int64)
    document = np.array([index[w.document] for w in windows], dtype=np.int32)
    sources = [
        SourceRecord(
            id=part.id,
            label=part.label,
            licence=part.licence,
            documents=sum(d.source == i for d in documents),
            windows=len(taken[part.id]),
            tokens=sum(len(w.ids) for w in taken[part.id]),
        )
        for i, part in enumerate(recipe.corpus.part)
    ]
    return Windows(
        ids=_frozen(np.concatenate([w.ids for w in windows])),
        offsets=_frozen(np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])),
        document=_frozen(document),
        source=_frozen(np.array([d.source for d in documents], dtype=np.int16)[document]),
        start=_frozen(np.array([w.start for w in windows], dtype=np.int32)),
        documents=documents,
        sources=sources,
        dropped=dropped,
    )


def _frozen(array: NDArray[K]) -> NDArray[K]:
    """The array, read-only."""
    array.flags.writeable = False
    return array
