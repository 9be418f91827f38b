"""A lexical name is the word that sets a feature's firings apart, and the same however it is asked for."""

from __future__ import annotations

import itertools
import random
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from names_support import SOURCES, feature, peak, snippet, tokens

from atlas.names import LexicalNamer
from atlas.names.lexical import LONGEST, TERMS
from atlas.records import Name

PROSE = [
    f"the old man {verb} the sea and the {noun} of the town" for verb in ("saw", "left") for noun in "abcdefghijklmno"
]


def namer(*more: str) -> LexicalNamer:
    return LexicalNamer([tokens(text) for text in (*PROSE, *more)], SOURCES)


def name(*texts: str, background: tuple[str, ...] = ()) -> str:
    made = namer(*background, *(t.replace("[", "").replace("]", "") for t in texts)).name(feature(*map(peak, texts)))
    assert made.method == "lexical"
    return made.text


def test_the_word_that_sets_apart_comes_before_the_commonest() -> None:
    texts = ["of [the] a", "in [the] b", "at [the] c", "by [the] d", "red [bridge] x", "low [bridge] y"]
    found = name(*texts).split(", ")
    assert found[0] == "“bridge”"
    assert "“the”" in found[1:]


def test_a_strong_snippet_speaks_louder_than_two_weak_ones() -> None:
    weak, strong = [peak("red [bridge] x"), peak("low [bridge] y")], peak("one [tunnel] z", 5.0)
    found = namer("red bridge x", "low bridge y", "one tunnel z").name(feature(*weak, strong)).text
    assert 0 < found.index("tunnel") < found.index("bridge")


def test_a_pair_that_always_stands_together_is_named_as_a_pair() -> None:
    elsewhere = ("a gate", "the golden age")
    assert name("x golden [gate] y", "z golden [gate] w", "v golden [gate] u", background=elsewhere) == "“golden gate”"
    assert name("x [golden] gate y", "z [golden] gate w", "v [golden] gate u", background=elsewhere) == "“golden gate”"


@pytest.mark.parametrize(("together", "expected"), [(6, "“golden gate”"), (5, "“gate”")])
def test_a_pair_must_keep_three_fifths_of_its_word(together: int, expected: str) -> None:
    texts = [f"x{i} golden [gate] y{i}" for i in range(together)]
    texts += [f"x{i} w{i} [gate] y{i}" for i in range(together, 10)]
    assert name(*texts, background=("a gate",) * 200).split(", ")[0] == expected


def test_a_word_in_changing_company_is_named_alone() -> None:
    assert name("x golden [gate] y", "z iron [gate] w", "v wooden [gate] u") == "“gate”"


def test_a_pair_needs_a_word() -> None:
    assert name("one [(] ) x", "two [(] ) y", "six [(] ) z", background=("a (", "b (")) == "“(”"


def test_at_most_three_terms_and_none_for_a_stray_snippet() -> None:
    many = [f"x{i} [{word}] y{i}" for i, word in enumerate(["ash", "birch", "cedar", "date", "elm"])]
    assert len(name(*many).split(", ")) == 3
    often = [f"x{i} [bridge] y{i}" for i in range(20)]
    assert name(*often, "p [stray] q") == "“bridge”"


def test_case_is_folded_and_the_commoner_form_shown() -> None:
    assert name("a [Bridge] b", "c [Bridge] d", "e [bridge] f") == "“Bridge”"


def test_a_word_is_rare_where_few_windows_hold_it_however_often_they_do() -> None:
    background = ("spam " * 50, "a ham", "b ham", "c ham")
    assert name("x [ham] y", "z [ham] w", "u [spam] v", "s [spam] t", background=background).startswith("“spam”")


@pytest.mark.parametrize("texts", [("x [zeta] y", "p [alpha] q", "s [mu] t"), ("x [Alpha] y", "p [alpha] q")])
def test_equally_good_terms_and_forms_go_by_the_alphabet(texts: tuple[str, ...]) -> None:
    names = {name(*order) for order in itertools.permutations(texts)}
    assert len(names) == 1


@pytest.mark.parametrize("position", [1, 2])
def test_any_token_of_a_word_speaks_for_the_whole_word(position: int) -> None:
    pieces = [b"red", b" bri", b"dge", b" x"]
    others = [[b"low", b" bri", b"dge", b" y"], [b"old", b" bri", b"dge", b" z"]]
    texts = [pieces, *others]
    made = LexicalNamer([*texts, *map(tokens, PROSE)], SOURCES).name(feature(*(snippet(p, position) for p in texts)))
    assert made.text == "“bridge”"


def test_what_has_no_letters_is_named_in_words() -> None:
    ends = [snippet([b"one", b"\n", b"two"], 1), snippet([b"six", b"\n", b"ten"], 1), snippet([b"a", b"\n", b"b"], 1)]
    assert namer().name(feature(*ends)).text == "“line end”"
    indents = [snippet([w, b"\t  ", b"(x"], 1) for w in (b"one", b"two", b"six")]
    assert namer().name(feature(*indents)).text == "“spaces”"


@pytest.mark.parametrize(
    ("sources", "suffix"),
    [
        ({"code": 8, "prose": 2}, " in Python source"),
        ({"code": 6, "prose": 4}, " in Python source"),
        ({"code": 59, "prose": 41}, ""),  # too small a share
        ({"code": 0, "prose": 10}, ""),  # most of the corpus anyway
    ],
)
def test_a_source_is_named_where_it_has_most_firings_and_little_text(sources: dict[str, int], suffix: str) -> None:
    texts = ["red [bridge] x", "low [bridge] y"]
    made = namer("red bridge x", "low bridge y").name(feature(*map(peak, texts), **sources))
    assert made == Name(f"“bridge”{suffix}", "lexical")


def test_a_feature_that_never_fired_has_no_name() -> None:
    assert namer().name(feature()) == Name("", "none")


def test_a_feature_that_fires_on_nothing_one_can_see_has_no_name() -> None:
    assert namer().name(feature(snippet([b"a", b"", b" "], 1), snippet([b"", b""], 0))).method in {"none", "lexical"}
    assert namer().name(feature(snippet([b"", b""], 1))) == Name("", "none")


WORDS = st.sampled_from(["the", "The", "gate", "golden", "(", ")", "\n", "née", "狐狸", "x", "  ", "it's"])
TEXTS = st.lists(st.lists(WORDS, min_size=1, max_size=8), min_size=1, max_size=8)


@settings(deadline=None, max_examples=60)
@given(TEXTS, st.randoms(use_true_random=False), st.data())
def test_the_order_of_windows_and_snippets_does_not_matter(
    texts: list[list[str]], chance: random.Random, data: st.DataObject
) -> None:
    windows = [[f" {word}".encode() for word in text] for text in texts]
    top = [snippet(w, data.draw(st.integers(0, len(w) - 1)), float(data.draw(st.integers(1, 4)))) for w in windows]
    first = LexicalNamer(windows, SOURCES).name(feature(*top))
    chance.shuffle(windows)
    assert LexicalNamer(windows, SOURCES[::-1]).name(feature(*chance.sample(top, len(top)))) == first


HOSTILE = [
    b"<script>alert(1)</script>", b"\xff\xfe", b"\x00", b"\xe2\x80\xae", b"\xf0\x9f", b"\x91\xa9", b"\xe2\x80\x8d",
    b"\n\n", b"\t\t", "“”".encode(), b"\\", b"`", b" " * 50, b"a" * 5000, b"'", b"-", b"_", b"\r\n",
    "\u0301".encode(), b"",
]  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from(HOSTILE) | st.binary(max_size=6), min_size=1, max_size=12), st.data())
def test_any_bytes_at_all_give_one_short_printable_line(pieces: list[bytes], data: st.DataObject) -> None:
    positions = data.draw(st.lists(st.integers(0, len(pieces) - 1), min_size=1, max_size=4))
    made = LexicalNamer([pieces], SOURCES).name(feature(*(snippet(pieces, p) for p in positions)))
    assert len(made.text) <= TERMS * (LONGEST + 8)
    assert not any(unicodedata.category(c) in {"Cc", "Zl", "Zp"} for c in made.text)
    assert not set(made.text) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
    assert made.text == made.text.strip()
    assert bool(made.text) == (made.method == "lexical")


def test_a_source_label_is_taken_as_it_is() -> None:
    sources = (replace(SOURCES[0], label="<b>code</b>"), SOURCES[1])
    made = LexicalNamer([tokens("a bridge b")] * 9, sources).name(feature(peak("a [bridge] b"), code=9, prose=0))
    assert made.text.endswith(" in <b>code</b>")
