"""Sentences in other languages: Django's translated messages, for features of scripts and languages.

Messages of a web framework are not prose, but they are whole sentences by native speakers, in every
script, under one clear licence, in a package that pip installs.
"""

from __future__ import annotations

import importlib.util
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from atlas.corpus.demo.packages import missing
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "django"

LANGUAGES = (
    "fr",
    "de",
    "es",
    "it",
    "pt",
    "ru",
    "uk",
    "ja",
    "zh_Hans",
    "ko",
    "ar",
    "he",
    "hi",
    "fa",
    "tr",
    "pl",
    "nl",
    "el",
)
SHORTEST = 20
"""Characters of a message that is kept; a wide character (kanji, hangul) counts twice."""

TOGETHER = 12
"""Messages in a document."""

MAGIC = 0x950412DE
"""What a compiled catalogue begins with, in the byte order of the machine that wrote it."""

MOST_HOLES = 2
"""Placeholders in a message that is kept: more of them, and it is a form, not a sentence."""

_HOLE = re.compile(r"%\(\w+\)[a-z]|%[a-z]|\{\w*\}")


def catalogues(_cache: Path) -> Iterator[tuple[str, str]]:
    """Django's messages in eighteen languages: twelve a document, one a line.

    Source: the `.mo` files of the package `django`. Licence: BSD 3-clause.

    Yields:
        `fr/admin/0003`, and twelve messages of Django's admin in French.

    Raises:
        AtlasError: If the package is not installed, or a catalogue is damaged.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise missing(PACKAGE)
    root = Path(spec.submodule_search_locations[0])
    for language in LANGUAGES:
        for path in sorted(root.glob(f"**/locale/{language}/LC_MESSAGES/django.mo")):
            app = path.relative_to(root).parts[-5]  # contrib/admin/locale/fr/LC_MESSAGES/django.mo
            kept = list(dict.fromkeys(m for source, m in messages(path) if m != source and _is_sentence(m)))
            for number, first in enumerate(range(0, len(kept), TOGETHER), start=1):
                yield f"{language}/{app}/{number:04d}", "\n".join(kept[first : first + TOGETHER])


def messages(path: Path) -> Iterator[tuple[str, str]]:
    """Originals and translations of a compiled catalogue, sorted by original, as the format demands.

    Of plural forms the last is taken, the general one. Line ends within a message become spaces.
    https://www.gnu.org/software/gettext/manual/html_node/MO-Files.html

    Raises:
        AtlasError: If the file is not a catalogue in UTF-8.
    """
    data = path.read_bytes()
    try:
        order = "<" if data[:4] == b"\xde\x12\x04\x95" else ">"
        magic, _, count, originals, translations = struct.unpack_from(f"{order}5I", data)
        if magic != MAGIC:
            raise AtlasError(path, "not a message catalogue")
        for index in range(count):
            pair = []
            for table, plural in ((originals, 0), (translations, -1)):
                size, start = struct.unpack_from(f"{order}2I", data, table + 8 * index)
                pair.append(" ".join(data[start : start + size].split(b"\0")[plural].decode("utf-8").split()))
            if pair[0]:  # the empty original's translation is the catalogue's header
                yield pair[0], pair[1]
    except (struct.error, UnicodeDecodeError) as error:
        raise AtlasError(path, f"a damaged message catalogue ({error})") from None


def _is_sentence(message: str) -> bool:
    width = len(message) + sum("\u2e80" <= char <= "\uffdc" for char in message)
    return width >= SHORTEST and len(_HOLE.findall(message)) <= MOST_HOLES and "<" not in message
