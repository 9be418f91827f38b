"""Token bytes become readable text: nothing is lost, every token has one run, graphemes stay whole."""

from __future__ import annotations

import unicodedata
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.text import Run, label, merge, runs_between, visible

ZWJ = "\u200d"
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
GRAPHEMES = {
    "accents": ["e\u0301", "n\u0303", "x", "a\u0308\u0323"],
    "family": ["👩\u200d👩\u200d👧\u200d👦", "!"],
    "rainbow flag": ["🏳\ufe0f\u200d🌈", " ", "a"],
    "skin tones": ["👍🏽", "👩🏿\u200d🔬", "👋"],
    "keycap": ["1\ufe0f\u20e3", "2"],
    "Devanagari": ["न", "म", "स्", "ते", " ", "दु", "नि", "या"],
    "Thai": ["ภ", "า", "ษ", "า", "ดี้", "ที่"],
    "Arabic": ["مُ", "حَ", "مَّ", "د"],
    "Hebrew": ["שָׁ", "ל", "וֹ", "ם"],
    "Chinese": ["敏", "捷", "的", "。"],
}
HARD = "".join("".join(parts) for parts in GRAPHEMES.values())
TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(HARD + ZWJ + "\n\t  ab"), max_size=30)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    return [data[a:b] for a, b in pairwise([0, *sorted({p for p in places if 0 < p < len(data)}), len(data)])]


def joins(before: str, after: str) -> bool:
    """Whether a reader would see two neighbouring characters as one."""
    extends = unicodedata.category(after) in {"Mn", "Mc", "Me"} or after == ZWJ or 0x1F3FB <= ord(after) <= 0x1F3FF
    return not before.isspace() and (extends or before == ZWJ)


def by_hand(text: str, pieces: list[bytes]) -> list[Run]:
    """Runs of a valid text: a token ends one if it ends at a character that the next does not extend."""
    sizes = accumulate(len(char.encode()) for char in text)
    ends = {size: i + 1 for i, size in enumerate(sizes)}  # bytes -> characters
    runs, first, begin, at = [], 0, 0, 0
    for i, piece in enumerate(pieces):
        at += len(piece)
        here = ends.get(at)
        if here is not None and (here == len(text) or not joins(text[here - 1], text[here])):
            runs.append(Run(text[begin:here], first, i))
            first, begin = i + 1, here
    return runs


def check_partition(pieces: list[bytes], runs: list[Run]) -> None:
    assert [i for run in runs for i in range(run.first, run.last + 1)] == list(range(len(pieces)))
    assert "".join(run.text for run in runs) == b"".join(pieces).decode("utf-8", "replace")


@given(TEXTS.filter(bool), st.lists(st.integers(1, 120)))
def test_any_text_cut_at_any_bytes_reads_as_it_was(text: str, places: list[int]) -> None:
    pieces = cut(text.encode(), places)
    runs = merge(pieces)
    check_partition(pieces, runs)
    assert runs == by_hand(text, pieces)


@given(st.lists(st.binary(max_size=5) | st.sampled_from([c.encode() for c in HARD])))
def test_any_bytes_at_all_keep_every_token_in_one_run(pieces: list[bytes]) -> None:
    check_partition(pieces, merge(pieces))


@pytest.mark.parametrize("script", GRAPHEMES)
def test_a_token_a_byte_gives_a_run_a_grapheme(script: str) -> None:
    text = "".join(GRAPHEMES[script])
    assert [run.text for run in merge([bytes([b]) for b in text.encode()])] == GRAPHEMES[script]


@pytest.mark.parametrize("script", GRAPHEMES)
def test_a_token_a_character_gives_a_run_a_grapheme(script: str) -> None:
    text = "".join(GRAPHEMES[script])
    assert [run.text for run in merge([c.encode() for c in text])] == GRAPHEMES[script]


def test_tokens_that_are_whole_stay_apart() -> None:
    assert merge([b"the", b" cat", b"", "née".encode(), b"\n"]) == [
        Run("the", 0, 0),
        Run(" cat", 1, 1),
        Run("", 2, 2),
        Run("née", 3, 3),
        Run("\n", 4, 4),
    ]
    assert merge([]) == []


def test_a_mark_does_not_join_a_space_and_begins_a_text_alone() -> None:
    assert [run.text for run in merge([b" ", "\u0301".encode()])] == [" ", "\u0301"]
    assert merge(["\u0301".encode(), b"a"]) == [Run("\u0301", 0, 0), Run("a", 1, 1)]


@pytest.mark.parametrize(
    ("pieces", "texts"),
    [
        ([b"\xff"], ["\ufffd"]),
        ([b"a", b"\x80", b"b"], ["a", "\ufffd", "b"]),
        ([b"a", b"\xe6\x95"], ["a", "\ufffd"]),  # the window ends inside a character
        ([b"\x95\x8f", b"a"], ["\ufffd\ufffd", "a"]),  # it begins inside one
        ([b"\xe6", b"a"], ["\ufffda"]),
        ([b"\xe6", b"\xe6\x95\x8f"], ["\ufffd敏"]),
        ([b"\xed\xa0\x80"], ["\ufffd\ufffd\ufffd"]),  # a surrogate
        ([b"\xc0\x80"], ["\ufffd\ufffd"]),  # an overlong NUL
    ],
)
def test_bytes_that_are_no_text_become_replacement_characters(pieces: list[bytes], texts: list[str]) -> None:
    assert [run.text for run in merge(pieces)] == texts


def test_the_same_tokens_read_the_same_again() -> None:
    pieces = [bytes([b]) for b in HARD.encode()]
    assert merge(pieces) == merge(pieces) == merge(tuple(pieces))


@given(TEXTS | st.text())
def test_what_is_visible_has_no_controls_and_loses_nothing_else(text: str) -> None:
    shown = visible(text)
    assert not {c for c in shown if unicodedata.category(c) == "Cc"} - {"\n"}
    assert not set(shown) & set(BIDI)
    assert visible(shown) == shown
    plain = [c for c in text if unicodedata.category(c) != "Cc" and c not in BIDI]
    kept = iter(shown)
    assert all(c in kept for c in plain)
    assert len(shown) == len(text) - sum(c in BIDI for c in text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b", "a␀b"),
        ("\x1b[31m", "␛[31m"),
        ("\r\n", "␍\n"),
        ("\t", " "),
        ("\x7f", "␡"),
        ("\x85\x9f", "\ufffd\ufffd"),
        ("\u202egpj.exe", "gpj.exe"),
        ("שלום \u2067x\u2069", "שלום x"),
        (BIDI, ""),
        ("👩\u200d👧", "👩\u200d👧"),
        ("<b> & \u00a0", "<b> & \u00a0"),
    ],
)
def test_what_would_not_show_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    ("piece", "shown"),
    [
        (b" the", "␣the"),
        (b"\n\n", "↵↵"),
        (b"\t", "⇥"),
        (b"\x00", "␀"),
        (b"\xe6\x95", "\ufffd"),
        ("\u202eא".encode(), "א"),
        (b"", ""),
    ],
)
def test_a_token_alone_shows_its_blanks(piece: bytes, shown: str) -> None:
    assert label(piece) == shown


def test_a_cut_never_leaves_half_a_character():
    cut = "敏".encode()
    pieces = (b"a", cut[:1], cut[1:], b"b", b"c")
    assert [run.text for run in runs_between(pieces, 2, 4)] == ["敏", "b"]
    assert [run.text for run in runs_between(pieces, 0, 2)] == ["a", "敏"]
    assert runs_between(pieces, 4, 5) == [Run("c", 4, 4)]
