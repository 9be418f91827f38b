"""Terms of texts, and that the JavaScript client makes the same ones."""

from __future__ import annotations

import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_support import client

from atlas.search.tokenise import MAX_TERM, fold, tokenise

CASES = {
    "": [],
    "Chapter numbers in scripture": ["chapter", "numbers", "in", "scripture"],
    "one One ONE": ["one"],
    "getSystemVersion": ["getsystemversion", "get", "system", "version"],
    "get_system_version": ["getsystemversion", "get", "system", "version"],
    "HTTPServer": ["httpserver", "http", "server"],
    "v2Parser 4K H2O x86": ["v2parser", "v2", "parser", "4k", "h2o", "x86"],
    "__proto__ constructor": ["proto", "constructor"],
    "___": [],
    "d'un l’aide": ["d", "un", "l", "aide"],
    "café naïve Ångström": ["cafe", "naive", "angstrom"],
    "cafe\u0301": ["cafe"],
    "Straße ẞ ﬁn ｆｕｌｌ": ["strasse", "ss", "fin", "full"],
    "İstanbul ΟΔΟΣ": ["istanbul", "οδοσ"],
    "章节号": ["章节", "节号", "章", "节", "号"],
    "章": ["章"],
    "GPT模型v2": ["gpt", "模型", "模", "型", "v2"],
    "がぎ ｶﾞ": ["がぎ", "が", "ぎ", "ガ"],
    "한국어": ["한국", "국어", "한", "국", "어"],
    "हिन्दी ไทย": ["हिन्दी", "ไทย"],
    "2²  ½ 9:10": ["22", "1", "2", "9", "10"],
    "<script>alert('x')</script>": ["script", "alert", "x"],
    "a\0b\ufffdc\u200bd": ["a", "b", "c", "d"],
    "🌉 👩‍🔬 bridge": ["bridge"],
    "x" * 1000: ["x" * MAX_TERM],
    "␣the↵": ["the"],
}


@pytest.mark.parametrize("text", CASES)
def test_terms(text: str) -> None:
    assert tokenise(text) == CASES[text]


def test_client_makes_the_same_terms() -> None:
    assert client(texts=list(CASES))["terms"] == list(CASES.values())


def test_client_makes_the_same_terms_of_every_character() -> None:
    # The stated exceptions: characters newer than this Python's Unicode, and what was a small letter then.
    known = [chr(i) for i in range(0x110000) if unicodedata.category(chr(i)) not in {"Cn", "Cs", "Co"}]
    since = "\N{LATIN LETTER PHARYNGEAL VOICED FRICATIVE}"
    known = [char for char in known if since not in unicodedata.normalize("NFKC", char)]
    picked = random.Random(6).sample(known, len(known))  # noqa: S311 (repeatable, not secret)
    texts = ["".join(picked[i : i + 9]) for i in range(0, len(picked), 9)]
    texts += [f"a{char}B {char}a" for char in known if unicodedata.category(char) not in {"Lo", "So"}]
    differ = [
        (a, b, c) for a, b, c in zip(texts, map(tokenise, texts), client(texts=texts)["terms"], strict=True) if b != c
    ]
    assert differ == []


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cn", "Co", "Cs"]))


@given(TEXT)
def test_terms_are_folded_distinct_and_bounded(text: str) -> None:
    terms = tokenise(text)
    assert len(set(terms)) == len(terms)
    assert all(0 < len(term) <= MAX_TERM and term == fold(term) for term in terms)


@given(TEXT)
def test_case_makes_no_difference_to_a_lower_case_text(text: str) -> None:
    # Only there: in a text with capitals their places are cuts between parts.
    plain = fold(text)
    assert tokenise(plain) == tokenise(fold(plain.upper()))


def test_case_folding_is_that_of_unicode() -> None:
    """What casefold makes equal is equal, except that the Greek iota below goes with the accents."""
    differ = [c for c in map(chr, range(0x110000)) if c != c.casefold() and tokenise(c) != tokenise(c.casefold())]
    assert all("\N{GREEK SMALL LETTER IOTA}" in unicodedata.normalize("NFD", c.casefold()) for c in differ)
