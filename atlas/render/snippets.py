"""Snippets for people: cut around the token that matters, bytes merged into text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from atlas.records import Snippet
from atlas.render import numbers
from atlas.render.shapes import Piece, SnippetView
from atlas.text import shown_between, visible

LONGEST_RUN = 200
"""Characters shown of one run; a hostile token can be as long as a book."""

LONGEST_URL, LONGEST_LICENCE = 500, 60
_WEB = re.compile(r"https?://[^\s<>\"'`\\]+")


@dataclass(frozen=True, slots=True)
class Reach:
    """Tokens shown before and after the one that matters."""

    before: int
    after: int


REACH = Reach(14, 10)
"""What a page shows unless it would be too large, and what `feature.json` holds."""

ROW = Reach(10, 7)


def snippet_view(snippet: Snippet, maximum: float, labels: dict[str, str], reach: Reach) -> SnippetView:
    """A snippet as a page shows it; runs without an activation that follow one another are one piece.

    Args:
        snippet: What to show.
        maximum: The feature's maximum, which intensity is relative to.
        labels: What pages call each source.
        reach: How much to show.
    """
    low = max(0, snippet.position - reach.before)
    high = min(len(snippet.ids), snippet.position + reach.after + 1)
    pieces: list[Piece] = []
    silent: list[str] = []
    for run, first, last in shown_between(snippet.pieces, low, high):
        value = snippet.values[first] if first == last else max(snippet.values[first : last + 1])
        text = run if len(run) <= LONGEST_RUN else run[:LONGEST_RUN] + "…"
        focus = first <= snippet.position <= last
        if not (value or focus):
            silent.append(text)
            continue
        if silent:
            pieces.append(Piece("".join(silent), 0, "", focus=False))
            silent = []
        # the token that a snippet stands for prints its own value, also where it shares a character
        printed = numbers.activation(snippet.value if focus else value) if value else ""
        pieces.append(Piece(text, numbers.level(value, maximum), printed, focus))
    if silent:
        pieces.append(Piece("".join(silent), 0, "", focus=False))
    return SnippetView(
        value=numbers.activation(snippet.value),
        pieces=tuple(pieces),
        before=low > 0 or snippet.start > 0,
        after=high < len(snippet.ids),
        source=labels.get(snippet.source, snippet.source),
        document=snippet.document,
        repeats=snippet.repeats,
        url=web(snippet.url),
        licence=visible(snippet.licence[:LONGEST_LICENCE]),
    )


def web(url: str) -> str:
    """An address that a page may link to: of the web, absolute, not too long; else ""."""
    return url if len(url) <= LONGEST_URL and _WEB.fullmatch(url) else ""
