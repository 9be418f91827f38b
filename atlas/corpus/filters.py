"""What of a part is left out before sampling, and why: by length, by language, by likeness to what came before.

1. Length, in characters: `shortest` and `longest`.
2. Language: the most likely one of all that py3langid knows (Lui and Baldwin, "langid.py", 2012), off the first `LOOK`
   characters.
3. Near-duplicates: sets of `SHINGLE` words in a row are compared by MinHash (Broder 1997) of `PERMUTATIONS`
   permutations; datasketch's LSH index finds candidates. A text whose estimated Jaccard similarity to one that was kept
   reaches `near_duplicates` is left out: of texts that are alike the first stays, in the order of the source.

Every text has one reason at most, the first in this order, and reasons are counted. What grows: the index of
near-duplicates, some 5 KB a text that is kept.
"""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any

from atlas.corpus.rows import text_of
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from atlas.config import PartSection
    from atlas.corpus.rows import Given

LENGTH, LANGUAGE, ALIKE = "length", "language", "near-duplicate"
"""Why a text was left out."""

LOOK = 2000
"""Characters that a language is guessed from."""

SHINGLE, PERMUTATIONS = 5, 128

_WORD = re.compile(r"\w+")


class Filter:
    """The filters of one part.

    Args:
        section: The part.

    Attributes:
        dropped: What was left out, by reason.

    Raises:
        AtlasError: If a library is missing, or a language is not known to it.
    """

    def __init__(self, section: PartSection) -> None:
        self._section = section
        self._languages = _Languages(section) if section.languages else None
        self._likeness = _Likeness(section) if section.near_duplicates else None
        self.dropped = dict.fromkeys((LENGTH, LANGUAGE, ALIKE), 0)

    def __call__(self, rows: Iterable[Given]) -> Iterator[Given]:
        """The rows that stay, in their order."""
        for row in rows:
            reason = self._reason(text_of(row.content))
            if reason:
                self.dropped[reason] += 1
            else:
                yield row

    def _reason(self, text: str) -> str:
        section = self._section
        if len(text) < section.shortest or (section.longest and len(text) > section.longest):
            return LENGTH
        if self._languages is not None and not self._languages.holds(text):
            return LANGUAGE
        return ALIKE if self._likeness is not None and self._likeness.seen(text) else ""


def is_filtered(section: PartSection) -> bool:
    """Whether a part asks for any filter."""
    return bool(section.shortest or section.longest or section.languages or section.near_duplicates)


class _Languages:
    def __init__(self, section: PartSection) -> None:
        langid = _import("py3langid.langid", section, "languages")
        # The identifier's own copy: the package's is one for the whole process.
        self._identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)
        known = set(map(str, self._identifier.nb_classes))
        for language in section.languages:
            if language not in known:
                raise AtlasError(
                    f"corpus.part {section.id}",
                    f"no language {language!r} is known",
                    f"known: {' '.join(sorted(known))}",
                )
        self._wanted = frozenset(section.languages)

    def holds(self, text: str) -> bool:
        return str(self._identifier.classify(text[:LOOK])[0]) in self._wanted


class _Likeness:
    def __init__(self, section: PartSection) -> None:
        self._library = _import("datasketch", section, "near_duplicates")
        self._least = section.near_duplicates
        self._index = self._library.MinHashLSH(threshold=self._least, num_perm=PERMUTATIONS)
        self._empty = self._library.MinHash(num_perm=PERMUTATIONS, seed=1)  # drawing permutations takes longest
        self._kept: list[Any] = []

    def seen(self, text: str) -> bool:
        """Whether a text like this one was kept; keeps it if not."""
        words = _WORD.findall(text.casefold())
        shingles = {" ".join(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1))}
        sketch = self._empty.copy()
        sketch.update_batch([shingle.encode("utf-8", "replace") for shingle in sorted(shingles)])
        if any(sketch.jaccard(self._kept[other]) >= self._least for other in self._index.query(sketch)):
            return True
        self._index.insert(len(self._kept), sketch)
        self._kept.append(sketch)
        return False


def _import(name: str, section: PartSection, key: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise AtlasError(
            f"corpus.part {section.id}: {key}",
            f"the package `{package}` is not installed",
            "`pip install sae-atlas[filters]`",
        ) from None
