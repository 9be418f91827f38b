"""Lexical names: a feature is called after the words that set its firings apart. No model is asked.

1. The text of every stored window is cut into units: words, runs of punctuation, line ends, indents.
   For every unit and every pair of neighbouring units the number of windows that hold it is counted:
   the background.
2. A top snippet speaks for the unit that its peak token lies in, and for the two pairs around it, with
   the weight of its activation.
3. A term's score is the weight of the snippets it speaks for that no chosen term covers yet, times its
   inverse document frequency in the background: a word that is everywhere says little, however often
   it is the peak. A pair must cover `PAIR_KEEPS` of what its own word covers to be preferred to it.
4. Up to `TERMS` terms are chosen greedily, each covering at least `LEAST` of the weight.
5. Where one source has most of the firings, far above its share of the corpus, it is named too.

The result depends on nothing but the store, and says of itself that it is lexical.
"""

from __future__ import annotations

import itertools
import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from atlas.records import FeatureRecord, Name, SourceRecord
from atlas.text import merge, visible

TERMS = 3
LEAST = 0.1
PAIR_KEEPS = 0.6
SOURCE_SHARE, SOURCE_LIFT = 0.6, 2.0
LONGEST = 28

_UNIT = re.compile(r"[^\W_]+(?:['’_-][^\W_]+)*|[ \t]*\n\s*|[ \t]{2,}|[^\w\s]+|_+")

Term = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Unit:
    text: str  # folded, for counting
    shown: str
    start: int
    stop: int


class LexicalNamer:
    """Names features against a background of windows.

    Args:
        windows: Token bytes of every stored window.
        sources: The corpus's sources.
    """

    def __init__(self, windows: Iterable[Sequence[bytes]], sources: Sequence[SourceRecord]) -> None:
        self._frequency: Counter[Term] = Counter()
        self._windows = 0
        for pieces in windows:
            units = [u.text for u in _units(_text(pieces)[0])]
            self._frequency.update({(u,) for u in units})
            self._frequency.update(set(itertools.pairwise(units)))
            self._windows += 1
        tokens = sum(s.tokens for s in sources) or 1
        self._sources = {s.id: (s.label, s.tokens / tokens) for s in sources}

    def name(self, feature: FeatureRecord) -> Name:
        """A name for a feature; an empty one if it never fires."""
        told = ((snippet.value, _terms(snippet.pieces, snippet.position)) for snippet in feature.top)
        votes = [(weight, terms) for weight, terms in told if terms]
        chosen = self._choose(votes)
        if not chosen:
            return Name("", "none")
        text = ", ".join(f"“{shown}”" for shown in chosen)
        source = self._source(feature)
        return Name(f"{text} in {source}" if source else text, "lexical")

    def _choose(self, votes: list[tuple[float, dict[Term, str]]]) -> list[str]:
        total = sum(weight for weight, _ in votes)
        left = list(votes)
        chosen: list[str] = []
        while left and len(chosen) < TERMS:
            cover: dict[Term, float] = {}
            for weight, terms in left:
                for term in terms:
                    cover[term] = cover.get(term, 0.0) + weight
            best = self._best(cover)
            if best is None or cover[best] < LEAST * total:
                break
            shown = Counter(terms[best] for _, terms in left if best in terms)
            form = min(shown.items(), key=lambda item: (-item[1], item[0]))[0]
            if form not in chosen:
                chosen.append(form)
            left = [(weight, terms) for weight, terms in left if best not in terms]
        return chosen

    def _best(self, cover: dict[Term, float]) -> Term | None:
        def score(term: Term) -> float:
            return cover[term] * math.log((self._windows + 1) / (self._frequency[term] + 0.5))

        ranked = sorted(cover, key=lambda term: (-score(term), term))
        return next((term for term in ranked if len(term) == 1 or self._earns_its_place(term, cover)), None)

    @staticmethod
    def _earns_its_place(pair: Term, cover: dict[Term, float]) -> bool:
        """Whether a pair says a word, and nearly as often as a unit that it holds does."""
        has_word = any(c.isalnum() for c in "".join(pair))
        return has_word and any(cover[pair] >= PAIR_KEEPS * cover[(unit,)] for unit in pair if (unit,) in cover)

    def _source(self, feature: FeatureRecord) -> str:
        if not feature.count:
            return ""
        best = min(feature.sources, key=lambda s: (-feature.sources[s], s))
        label, base = self._sources[best]
        share = feature.sources[best] / feature.count
        return label if share >= SOURCE_SHARE and base and share / base >= SOURCE_LIFT else ""


def _text(pieces: Sequence[bytes]) -> tuple[str, list[int]]:
    """The text of tokens, and where each token's text begins."""
    text, starts = "", []
    for run in merge(pieces):
        starts += [len(text)] * (run.last - run.first + 1)
        text += run.text
    return text, starts


@lru_cache(maxsize=8192)  # many features have the same windows
def _read(pieces: tuple[bytes, ...]) -> tuple[str, list[int], list[_Unit]]:
    text, starts = _text(pieces)
    return text, starts, _units(text)


@lru_cache(maxsize=1 << 16)  # and many the same peaks in them
def _terms(pieces: tuple[bytes, ...], position: int) -> dict[Term, str]:
    """The unit of the token at `position` and its pairs, each with the form to show."""
    text, starts, units = _read(pieces)
    at = starts[position]
    # a token that begins with a space belongs to the word behind the space
    while at < len(text) - 1 and text[at] == " " and not text[at + 1].isspace():
        at += 1
    place = bisect_right(units, at, key=lambda unit: unit.start) - 1
    if place < 0 or at >= units[place].stop:
        return {}
    unit = units[place]
    terms: dict[Term, str] = {(unit.text,): _show(unit.shown)}
    if place:
        before = units[place - 1]
        terms[before.text, unit.text] = _show(text[before.start : unit.stop])
    if place + 1 < len(units):
        after = units[place + 1]
        terms[unit.text, after.text] = _show(text[unit.start : after.stop])
    return {term: shown for term, shown in terms.items() if shown and len(shown) <= LONGEST}


def _units(text: str) -> list[_Unit]:
    return [_Unit(m[0].casefold(), m[0], m.start(), m.end()) for m in _UNIT.finditer(text)]


def _show(text: str) -> str:
    """A unit on one line, blanks at its ends visible where it has nothing else."""
    if not text.strip():
        return "line end" if "\n" in text else "spaces"
    return " ".join(visible(text).replace("\n", " ↵ ").split())
