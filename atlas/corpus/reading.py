"""Documents to windows, in the order in which they are read, and how to take up again after a stop.

1. Documents of every part come in hash order (`atlas.corpus.sampling`) and are tokenised in batches,
   little further than the budget needs. Control tokens spelt out in a text are text.
2. A document is cut into windows of `window - 1` tokens (`window` without BOS), the last one shorter.
   Windows never span documents; those of fewer than `SHORTEST` tokens are dropped and counted. If the
   recipe sets `per_document`, only so many windows of a document are read, chosen by hash: a small
   budget then meets many documents instead of a few from end to end.
3. Where the reading stands is a `Position`: a few numbers for every part. A reader that begins at a
   position goes on as the one that was stopped there would have.

Same recipe, text and tokenizer, same windows. BOS is not stored: the model stage puts it in front.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson

from atlas.corpus.sampling import Filling, fill, hash_order, unfilled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from atlas.config import CorpusSection
    from atlas.corpus.parts import Document, Part
    from atlas.corpus.tokens import FastTokenizer

SHORTEST = 8
"""Tokens that a window needs: a shorter one shows no context."""

BATCH_CHARACTERS = 100_000
"""Text tokenised at a time; has no influence on the result."""

EMPTY, UNTOKENISED, SHORT = "empty", "no tokens", "short"
"""Why something was left out: a text without anything but white space, a text that the tokenizer makes
nothing of, a window of fewer than `SHORTEST` tokens."""


class Window(NamedTuple):
    """Consecutive tokens of a document. `number` counts the windows read of it before this one."""

    part: str
    document: str
    length: int  # of the document, in tokens
    start: int
    ids: NDArray[np.int32]
    place: int  # of the document, in its part's hash order
    number: int


@dataclass(slots=True)
class Position:
    """How far the corpus is read.

    Attributes:
        filling: How far the budget is spent.
        places: For every part, the document at which its reading stands, and the windows read of it.
        documents: For every part, documents of which a window was read.
        windows: For every part, windows read.
        dropped: What was left out, by reason.
    """

    filling: Filling
    places: dict[str, tuple[int, int]]
    documents: dict[str, int]
    windows: dict[str, int]
    dropped: dict[str, int]

    def dumps(self) -> str:
        """As JSON."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def loads(cls, text: str) -> Position:
        """From what `dumps` wrote."""
        found: dict[str, Any] = orjson.loads(text)
        places = {part: (place, number) for part, (place, number) in found.pop("places").items()}
        return cls(filling=Filling(**found.pop("filling")), places=places, **found)


def beginning(corpus: CorpusSection, parts: Mapping[str, Part]) -> Position:
    """The position before the first window."""
    zero = dict.fromkeys(parts, 0)
    dropped = {EMPTY: sum(part.empty for part in parts.values()), UNTOKENISED: 0, SHORT: 0}
    filling = unfilled(_shares(corpus), corpus.tokens)
    return Position(filling, dict.fromkeys(parts, (0, 0)), zero, dict(zero), dropped)


class Reader:
    """Windows of a corpus, from a position on.

    Args:
        corpus: The recipe's `[corpus]`.
        parts: What `load_documents` found.
        backend: What `tokenizer_for_text` made.
        position: Where to begin; kept up to date with every window that is handed on.
        check: Called for every document; what it raises ends the reading.
    """

    def __init__(
        self,
        corpus: CorpusSection,
        parts: Mapping[str, Part],
        backend: Any,
        position: Position,
        check: Callable[[], None],
    ) -> None:
        self._corpus, self._parts, self._backend, self._check = corpus, parts, backend, check
        self.position = position
        streams = {name: self._windows(name, *position.places[name]) for name in parts}
        shares = _shares(corpus)
        self._filled = fill(streams, shares, corpus.tokens, lambda window: len(window.ids), position.filling)

    def __iter__(self) -> Iterator[Window]:
        """The reader itself: there is one reading."""
        return self

    def __next__(self) -> Window:
        """The next window."""
        name, window = next(self._filled)
        self.position.places[name] = (window.place, window.number + 1)
        self.position.windows[name] += 1
        self.position.documents[name] += window.number == 0
        return window

    def _windows(self, name: str, first: int, done: int) -> Iterator[Window]:
        """Windows of a part, from its document at place `first`, `done` of whose windows are left out."""
        corpus, dropped = self._corpus, self.position.dropped
        length = corpus.window - 1 if corpus.bos else corpus.window
        for place, document, ids in self._encoded(self._parts[name], first):
            dropped[UNTOKENISED] += not len(ids)
            number = 0
            for start in _starts(document.id, len(ids), length, corpus.per_document, corpus.seed):
                piece = ids[start : start + length]
                # Only a document's last window can be short: it is counted once, after all that are read.
                if len(piece) < min(SHORTEST, length):
                    dropped[SHORT] += 1
                    continue
                if place > first or number >= done:
                    # A copy, since a view would keep the whole document's tokens until the chunk is made.
                    yield Window(name, document.id, len(ids), start, piece.copy(), place, number)
                number += 1

    def _encoded(self, part: Part, first: int) -> Iterator[tuple[int, Document, NDArray[np.int32]]]:
        """Places, documents and their token ids, int32 [length], a batch of texts at a time."""
        batch: list[tuple[int, Document]] = []
        characters = 0
        for place in range(first, len(part)):
            self._check()
            document = part.document(place)
            if batch and characters + len(document.text) > BATCH_CHARACTERS:
                yield from self._encode(batch)
                batch, characters = [], 0
            batch.append((place, document))
            characters += len(document.text)
        if batch:
            yield from self._encode(batch)

    def _encode(self, batch: list[tuple[int, Document]]) -> Iterator[tuple[int, Document, NDArray[np.int32]]]:
        encodings = self._backend.encode_batch_fast([d.text for _, d in batch], add_special_tokens=False)
        for (place, document), encoding in zip(batch, encodings, strict=True):
            yield place, document, np.array(encoding.ids, dtype=np.int32)


def tokenizer_for_text(tokenizer: FastTokenizer) -> Any:
    """A copy of the `tokenizers.Tokenizer` that takes control tokens for text and keeps every token."""
    backend = copy.deepcopy(tokenizer.backend_tokenizer)
    backend.encode_special_tokens = True
    backend.no_truncation()
    backend.no_padding()
    return backend


def _shares(corpus: CorpusSection) -> dict[str, float]:
    return {part.id: part.share for part in corpus.part}


def _starts(document: str, tokens: int, length: int, most: int, seed: int) -> list[int]:
    """Where a document's windows begin; at most so many of them, chosen by hash, if `most` is not 0."""
    starts = list(range(0, tokens, length))
    if not most or len(starts) <= most:
        return starts
    return sorted(sorted(starts, key=lambda start: hash_order(f"{document}\0{start}", seed))[:most])
