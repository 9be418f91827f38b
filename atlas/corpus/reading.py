"""Documents to windows, in the order in which they are read, and how to take up again after a stop.

1. Documents of every part come in hash order (`atlas.corpus.sampling`) and become token ids (`encoding`), little
   further than the budget needs.
2. A document is cut into windows of `window - 1` tokens (`window` without BOS), the last one shorter.
   Windows never span documents, nor the texts that were packed into one row of token ids;
   those of fewer than `SHORTEST` tokens are dropped and counted. If the
   recipe sets `per_document`, only so many windows of a document are read, chosen by hash: a small
   budget then meets many documents instead of a few from end to end.
3. Where the reading stands is a `Position`: a few numbers for every part. A reader that begins at a
   position goes on as the one that was stopped there would have.

Same recipe, text and tokenizer, same windows. BOS is not stored: the model stage puts it in front.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson

from atlas.corpus.sampling import Filling, fill, hash_order, unfilled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from atlas.config import CorpusSection
    from atlas.corpus.encoding import Encoder
    from atlas.corpus.parts import Part

SHORTEST = 8
"""Tokens that a window needs: a shorter one shows no context."""

UNTOKENISED, SHORT = "no tokens", "short"
"""Why something was left out: a text that the tokenizer makes nothing of, a window of fewer than `SHORTEST` tokens."""


class Window(NamedTuple):
    """Consecutive tokens of a document. `number` counts the windows read of it before this one."""

    part: str
    document: str
    length: int  # of the document, in tokens
    start: int
    ids: NDArray[np.int32]
    place: int  # of the document, in its part's hash order
    number: int
    url: str = ""
    licence: str = ""


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
    reasons = dict.fromkeys(reason for part in parts.values() for reason in part.dropped)
    dropped = {reason: sum(part.dropped.get(reason, 0) for part in parts.values()) for reason in reasons}
    dropped |= {UNTOKENISED: 0, SHORT: 0}
    filling = unfilled(_shares(corpus), corpus.tokens)
    return Position(filling, dict.fromkeys(parts, (0, 0)), zero, dict(zero), dropped)


class Reader:
    """Windows of a corpus, from a position on.

    Args:
        corpus: The recipe's `[corpus]`.
        parts: What `load_documents` found.
        encoder: Makes token ids of documents.
        position: Where to begin; kept up to date with every window that is handed on.
        check: Called for every document; what it raises ends the reading.
    """

    def __init__(
        self,
        corpus: CorpusSection,
        parts: Mapping[str, Part],
        encoder: Encoder,
        position: Position,
        check: Callable[[], None],
    ) -> None:
        self._corpus, self._parts, self._encoder, self._check = corpus, parts, encoder, check
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
        for place, document, ids, texts in self._encoder.encoded(self._parts[name], first, self._check):
            dropped[UNTOKENISED] += not len(ids)
            number = 0
            for start, end in _spans(document.id, texts, length, corpus.per_document, corpus.seed):
                piece = ids[start:end]
                # Only a text's last window can be short: it is counted whether others are left out or not.
                if len(piece) < min(SHORTEST, length):
                    dropped[SHORT] += 1
                    continue
                if place > first or number >= done:
                    # A copy, since a view would keep the whole document's tokens until the chunk is made.
                    yield Window(
                        name, document.id, len(ids), start, piece.copy(), place, number, document.url, document.licence
                    )
                number += 1


def _shares(corpus: CorpusSection) -> dict[str, float]:
    return {part.id: part.share for part in corpus.part}


def _spans(document: str, texts: Sequence[tuple[int, int]], length: int, most: int, seed: int) -> list[tuple[int, int]]:
    """Where windows begin and end; at most so many of a document, chosen by hash, if `most` is not 0.

    Args:
        document: Its id.
        texts: Begin and end of each text in it.
        length: Tokens of a window.
        most: Windows that are wanted.
        seed: Seed of the sampling.
    """
    spans = [(start, min(start + length, end)) for begin, end in texts for start in range(begin, end, length)]
    if not most or len(spans) <= most:
        return spans
    return sorted(sorted(spans, key=lambda span: hash_order(f"{document}\0{span[0]}", seed))[:most])
