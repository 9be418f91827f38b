"""Token bytes to readable text.

A token is a run of bytes, not of characters: byte-level and byte-fallback vocabularies cut Chinese
characters, emoji and many Indic letters in the middle. `merge` joins the bytes of neighbouring tokens
until they end on a character boundary, so that every script reads correctly, and says which tokens
share each run of text. Algorithm:

1. Feed the tokens' bytes to an incremental UTF-8 decoder, one token at a time.
2. While the decoder holds an unfinished character, the next token belongs to the same run.
3. A run that begins with a combining mark, a joiner or a variation selector, or follows a joiner, is
   one grapheme with the run before it and joins it.
4. Bytes that are not UTF-8 become U+FFFD.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

_ZWJ = "\u200d"
_MARKS = frozenset({"Mn", "Me", "Mc"})
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


class Run(NamedTuple):
    """Text that one or more tokens share: tokens `first` to `last`, both included."""

    text: str
    first: int
    last: int


def merge(pieces: Sequence[bytes]) -> list[Run]:
    """Join token bytes into runs of whole characters; every token is in exactly one run."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    runs: list[Run] = []
    text, first, pending = "", 0, False
    for i, piece in enumerate(pieces):
        alone = None if pending else _alone(piece)
        if alone is not None and not (runs and runs[-1].text.endswith(_ZWJ)):
            runs.append(Run(alone, i, i))
            first = i + 1
            continue
        text += decoder.decode(piece, final=i == len(pieces) - 1)
        pending = bool(decoder.getstate()[0])
        if pending:
            continue
        if runs and _continues(runs[-1].text, text):
            before = runs.pop()
            text, first = before.text + text, before.first
        runs.append(Run(text, first, i))
        text, first = "", i + 1
    return runs


def runs_between(pieces: tuple[bytes, ...], low: int, high: int) -> list[Run]:
    """The runs of a window that tokens `low` to `high` (not included) have a part in, with places in the window.

    The window is merged as a whole, so that a cut never leaves half a character at an edge; and once,
    since many features show the same window.
    """
    window = _window(pieces)
    return window.runs[window.run[low] : window.run[high - 1] + 1] if low < high else []


def shown_between(pieces: tuple[bytes, ...], low: int, high: int) -> list[Run]:
    """`runs_between` with `visible` text."""
    window = _window(pieces)
    return window.shown[window.run[low] : window.run[high - 1] + 1] if low < high else []


def texts_between(pieces: tuple[bytes, ...], low: int, high: int) -> list[str]:
    """The visible text of tokens `low` to `high` (not included); a run's is its first token's, "" the others'."""
    window = _window(pieces)
    texts = window.texts[low:high]
    if texts and not texts[0]:
        texts[0] = window.shown[window.run[low]].text
    return texts


class _Window(NamedTuple):
    """A window's runs, the same with visible text, the run of each token, and the text of each token."""

    runs: list[Run]
    shown: list[Run]
    run: list[int]
    texts: list[str]


@lru_cache(maxsize=8192)
def _window(pieces: tuple[bytes, ...]) -> _Window:
    runs = merge(pieces)
    shown = [Run(visible(run.text), run.first, run.last) for run in runs]
    place = [i for i, run in enumerate(runs) for _ in range(run.first, run.last + 1)]
    texts = [run.text if token == run.first else "" for run in shown for token in range(run.first, run.last + 1)]
    return _Window(runs, shown, place, texts)


@lru_cache(maxsize=1 << 16)
def _alone(piece: bytes) -> str | None:
    """The text of a token that is whole characters and joins nothing before it; None for the others.

    Nearly all tokens are such, and a page has thousands of them: this is the way around the decoder.
    """
    try:
        text = piece.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if text and _joins(text[0]) else text


def _continues(before: str, text: str) -> bool:
    """Whether `text` belongs to the grapheme that ends `before`."""
    if not before or not text or before[-1].isspace():
        return False
    return before.endswith(_ZWJ) or _joins(text[0])


def _joins(char: str) -> bool:
    """Whether a character belongs to the grapheme before it: joiners, combining marks, skin tones."""
    return char == _ZWJ or unicodedata.category(char) in _MARKS or "\U0001f3fb" <= char <= "\U0001f3ff"


def visible(text: str) -> str:
    """Text with what would not show, or would disturb its surroundings, made visible.

    Control characters become their pictures (U+2400 block), directional controls are dropped: a
    page isolates each snippet's direction itself, and an override could otherwise reorder it.
    Line ends stay, for the caller to place.
    """
    if text.isprintable():
        return text
    out = []
    for char in text:
        code = ord(char)
        if char == "\n":
            out.append(char)
        elif code < 0x20:
            out.append(" " if char == "\t" else chr(0x2400 + code))
        elif code == 0x7F or 0x80 <= code < 0xA0:
            out.append("\u2421" if code == 0x7F else "\ufffd")
        elif char not in _BIDI_CONTROLS:
            out.append(char)
    return "".join(out)


def label(piece: bytes) -> str:
    """One token alone, as a table shows it: its spaces, tabs and line ends visible."""
    text = visible(piece.decode("utf-8", "replace").replace("\t", "⇥"))
    return text.replace(" ", "␣").replace("\n", "↵")
