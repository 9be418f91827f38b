"""Snippets as pages show them: cut around their token, bytes merged into text."""

from __future__ import annotations

import pytest

from atlas.records import Snippet
from atlas.render.shapes import SnippetView
from atlas.render.snippets import LONGEST_RUN, Reach, snippet_view

CHARACTER = "敏".encode()


def cut(position: int, start: int = 0, length: int = 20) -> SnippetView:
    pieces = tuple(f"{i},".encode() for i in range(length))
    values = tuple(float(i == position) for i in range(length))
    one = Snippet(0, "d", "s", start, tuple(range(length)), pieces, values, position, 1.0)
    return snippet_view(one, 1.0, {}, Reach(3, 2))


@pytest.mark.parametrize(
    ("position", "text", "before", "after"),
    [(0, "0,1,2,", False, True), (3, "0,1,2,3,4,5,", False, True), (4, "1,2,3,4,5,6,", True, True),
     (17, "14,15,16,17,18,19,", True, False), (19, "16,17,18,19,", True, False)],
)  # fmt: skip
def test_a_snippet_is_cut_around_its_token_and_at_the_windows_ends(
    position: int, text: str, before: bool, after: bool
) -> None:
    view = cut(position)
    assert "".join(p.text for p in view.pieces) == text
    assert [p.text for p in view.pieces if p.focus] == [f"{position},"]
    assert (view.before, view.after) == (before, after)


def test_a_window_inside_a_document_goes_on_before_its_first_token() -> None:
    assert cut(0, start=127).before
    assert not cut(0, start=0).before
    assert (cut(0, length=1).before, cut(0, length=1).after) == (False, False)


def test_tokens_of_one_character_share_its_highlight_and_the_focus_prints_its_own_value() -> None:
    pieces = (CHARACTER[:1], CHARACTER[1:], b" x", b"y" * 500)
    one = Snippet(0, "d", "s", 0, (0, 1, 2, 3), pieces, (9.0, 3.0, 0.0, 4.5), 1, 3.0)
    view = snippet_view(one, 9.0, {"s": "S"}, Reach(9, 9))
    assert [(p.text[:1], p.level, p.value, p.focus) for p in view.pieces] == [
        ("敏", 9, "3", True),
        (" ", 0, "", False),
        ("y", 5, "4.5", False),
    ]
    assert view.pieces[2].text == "y" * LONGEST_RUN + "…"
