"""Text to search terms; `site_src/assets/search-core.js` does exactly the same for what a reader types.

Algorithm:

1. NFKC, so that full-width letters, ligatures and the like become plain ones.
2. Accents go: NFD, drop non-spacing marks, NFC. Marks that are vowels (Indic and South-East Asian scripts) or
   make another letter (kana voicing) stay: without them words would become other words.
3. Words are runs of letters, digits, remaining marks and `_`; runs of Han, kana or Hangul are apart.
4. A word counts whole, `_` left out, and by its parts: cut at `_` and where camelCase rises.
   `getSystemVersion` and `get_system_version` both give getsystemversion, get, system, version.
5. Han, kana and Hangul have few spaces: such a run counts by its pairs of characters and by each character.
6. Case is folded: lower, upper, lower (JavaScript has no casefold; this does the same), final sigma as sigma.
7. A term is cut after 40 characters.

Characters that Unicode gained or reclassified after this Python was built may be read otherwise by a newer browser.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import pairwise
from typing import NamedTuple

MAX_TERM = 40
"""Longest term, in characters: nobody types more, and a blob of base64 is not worth its bytes."""

_KEPT_MARKS = ((0x0900, 0x1AAF), (0x1B00, 0x1CCF), (0x3099, 0x309A), (0xA800, 0xABFF), (0x11000, 0x11FFF))
_CJK = (
    (0x1100, 0x11FF),  # Hangul letters
    (0x3005, 0x3005),  # ideographic repetition
    (0x3007, 0x3007),  # ideographic zero
    (0x3041, 0x3096),  # Hiragana
    (0x3099, 0x309A),  # voicing marks that found no letter to join
    (0x309D, 0x309F),
    (0x30A1, 0x30FA),  # Katakana
    (0x30FC, 0x30FF),
    (0x3131, 0x318E),  # Hangul letters, old form
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3),  # Hangul syllables
    (0xF900, 0xFAFF),
    (0x1B000, 0x1B16F),
    (0x20000, 0x3FFFD),  # Han, present and future extensions
)
_WORD = re.compile(r"[ulod_]+|c+")
_FINAL_SIGMA, _SIGMA = "\u03c2", "\u03c3"
_RISE = re.compile(r"(?<=l)(?=u)|(?<=[ud])(?=ul)")


class Word(NamedTuple):
    """A word as terms: `whole` matches most exactly, `parts` is what it falls apart into."""

    whole: tuple[str, ...]
    parts: tuple[str, ...]


def tokenise(text: str) -> list[str]:
    """Distinct terms of a text, in order of first appearance: of every word the whole, then the parts."""
    return list(dict.fromkeys(term for word in words(text) for term in word.whole + word.parts))


def words(text: str) -> Iterator[Word]:
    """The words of a text, in order."""
    plain = strip_accents(unicodedata.normalize("NFKC", text))
    kinds = "".join(map(_kind, plain))
    for match in _WORD.finditer(kinds):
        first, last = match.span()
        word = _cjk(plain[first:last]) if kinds[first] == "c" else _word(plain[first:last])
        if word.whole:
            yield word


def fold(text: str) -> str:
    """Text with case differences gone, without accents that folding brings to light."""
    if text.isascii():
        return text.lower()
    return strip_accents(text.lower().upper().lower().replace(_FINAL_SIGMA, _SIGMA))


def strip_accents(text: str) -> str:
    """Text without its accents, but with the marks that make other letters or vowels."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", "".join(c for c in unicodedata.normalize("NFD", text) if not _accent(c)))


@lru_cache(maxsize=1 << 16)
def _word(word: str) -> Word:
    kinds = "".join(map(_kind, word))
    cuts = [0, *(match.start() for match in _RISE.finditer(kinds)), len(word)]
    pieces = [part for a, b in pairwise(cuts) for part in word[a:b].split("_") if part]
    whole = fold(word.replace("_", ""))[:MAX_TERM]
    parts = dict.fromkeys(fold(part)[:MAX_TERM] for part in pieces)
    return Word((whole,) if whole else (), tuple(part for part in parts if part))


def _cjk(run: str) -> Word:
    run = fold(run)
    singles = tuple(dict.fromkeys(run))
    pairs = tuple(dict.fromkeys(run[i : i + 2] for i in range(len(run) - 1)))
    return Word(pairs or singles, singles)


@cache
def _kind(char: str) -> str:
    """Upper, lower, other letter or mark, digit, CJK, `_`, or a space for what separates."""
    code = ord(char)
    if char == "_":
        return "_"
    if any(low <= code <= high for low, high in _CJK):
        return "c"
    category = unicodedata.category(char)
    return {"Lu": "u", "Ll": "l"}.get(category) or {"L": "o", "M": "o", "N": "d"}.get(category[0], " ")


@cache
def _accent(char: str) -> bool:
    code = ord(char)
    return unicodedata.category(char) == "Mn" and not any(low <= code <= high for low, high in _KEPT_MARKS)
