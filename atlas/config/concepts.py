"""Concepts: lists of features that an author has chosen, ordered and written about, in TOML.

[[concept]]
id = "scripture"
title = "Scripture"
summary = "One sentence for lists."
essay = "Markdown, over as many lines as it needs."   # or page = "scripture.md", beside this file
features = ["9-res-4k/4035", "12-res-2k/81"]

[[concept]]
id = "dates"
title = "Dates"
summary = "Features with a note each."

[[concept.feature]]
feature = "9-res-4k/1123"
note = "Optional: what it is doing in this list."
"""

from __future__ import annotations

import re
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints, ValidationError

from atlas.config.sections import Section, Slug
from atlas.errors import AtlasError

MOST = 200
"""Features of one concept; a longer list is a table."""
RESERVED_CONCEPTS = frozenset({"index.html"})
"""Files that the folder of concepts holds itself."""

_Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]
_Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]
_Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]
_FEATURE = re.compile(r"([a-z0-9][a-z0-9._-]*)/(0|[1-9][0-9]{0,8})")
_MENDS = {
    "extra_forbidden": "remove it or mend its spelling",
    "missing": "add it",
    "string_pattern_mismatch": "use lower-case letters, digits, `.`, `_` and `-`, and begin with a letter or a digit",
}


class _Listed(Section):
    feature: str
    note: _Note = ""


class _Concept(Section):
    id: Slug
    title: _Title
    summary: _Line
    essay: str = ""
    page: str = ""
    features: tuple[str, ...] = ()
    feature: tuple[_Listed, ...] = ()


class _File(Section):
    concept: tuple[_Concept, ...] = ()


@dataclass(frozen=True, slots=True)
class ConceptFeature:
    """A feature in a concept's list, with what the author says of it there."""

    dictionary: str
    index: int
    note: str = ""

    @property
    def id(self) -> str:
        """`dictionary/index`."""
        return f"{self.dictionary}/{self.index}"


@dataclass(frozen=True, slots=True)
class Concept:
    """A page of features under one idea; `essay` is Markdown. All of it is the author's own text."""

    id: str
    title: str
    summary: str
    essay: str
    features: tuple[ConceptFeature, ...]


def read_concepts(path: Path, widths: Mapping[str, int]) -> tuple[Concept, ...]:
    """Read a file of concepts.

    Args:
        path: The TOML file; pages that it names are relative to its folder.
        widths: Number of features of each dictionary of the atlas.

    Returns:
        The concepts, in the order of the file.

    Raises:
        AtlasError: If the file or a page of it is missing or malformed, an id is used twice or is the site's own, or
            a feature is unknown or listed twice.
    """
    try:
        entries = _File.model_validate(tomllib.loads(path.read_text("utf-8"))).concept
    except FileNotFoundError:
        raise AtlasError(path, "no such file of concepts", "mend site.concepts in the recipe") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise AtlasError(path, f"cannot be read as TOML ({error})") from None
    except ValidationError as error:
        first = error.errors()[0]
        mend = _MENDS.get(first["type"], "")
        raise AtlasError(f"{path}: {'.'.join(map(str, first['loc']))}", str(first["msg"]), mend) from None
    concepts: dict[str, Concept] = {}
    for entry in entries:
        where = f"{path}: concept {entry.id}"
        if entry.id in RESERVED_CONCEPTS:
            raise AtlasError(where, "this id is a file of the site itself", "choose another id")
        if entry.id in concepts:
            raise AtlasError(where, "is there twice", "give each concept an id of its own")
        features = tuple(_features(entry, widths, where))
        concepts[entry.id] = Concept(entry.id, entry.title, entry.summary, _essay(entry, path, where), features)
    return tuple(concepts.values())


def _essay(entry: _Concept, path: Path, where: str) -> str:
    if not entry.page:
        return textwrap.dedent(entry.essay).strip()
    if entry.essay:
        raise AtlasError(where, "has an essay and a page", "keep one of them")
    page = path.parent / Path(entry.page).expanduser()
    try:
        return page.read_text("utf-8").strip()
    except FileNotFoundError:
        raise AtlasError(
            f"{where}: page {entry.page}", "no such file", "it is relative to the file of concepts"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise AtlasError(f"{where}: page {entry.page}", f"cannot be read ({error})") from None


def _features(entry: _Concept, widths: Mapping[str, int], where: str) -> Iterator[ConceptFeature]:
    """The list, checked; a mistake in it names the feature."""
    if entry.features and entry.feature:
        raise AtlasError(where, "has `features` and `[[concept.feature]]`", "keep one of them")
    listed = [(x.feature, x.note) for x in entry.feature] or [(x, "") for x in entry.features]
    if len(listed) > MOST:
        raise AtlasError(where, f"lists {len(listed)} features", f"list at most {MOST}")
    seen: set[str] = set()
    for text, note in listed:
        match = _FEATURE.fullmatch(text)
        if not match:
            raise AtlasError(f"{where}: {text!r}", "is no feature", 'write it as "dictionary/index"')
        dictionary, index = match[1], int(match[2])
        if dictionary not in widths:
            raise AtlasError(f"{where}: {text}", "no such dictionary in the atlas", f"it has {', '.join(widths)}")
        if index >= widths[dictionary]:
            raise AtlasError(
                f"{where}: {text}", f"index out of range; {dictionary} has {widths[dictionary]}", "they begin at 0"
            )
        if text in seen:
            raise AtlasError(f"{where}: {text}", "is listed twice", "keep one of them")
        seen.add(text)
        yield ConceptFeature(dictionary, index, note)
