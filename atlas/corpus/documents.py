"""The documents of a recipe: text with an id that stays the same from build to build.

1. Every part of the corpus names its source (`demo:`, `file:`, `python:` or `hf://`), which gives natural ids and
   texts.
2. A document's id is `part/natural id`, such as `bible/genesis-1` or `stdlib/json/decoder.py`.
3. A very long text is cut at line ends into sections, each a document of its own (`id#2` and on), so
   that sampling reaches its middle and its end, and memory stays bounded while tokenising.
4. Empty texts are left out and counted.

Texts stay on disk (`atlas.corpus.parts`); only their places are held. A dataset of the Hub is read from
its beginning, `CHARACTERS_PER_TOKEN` characters for every token of the budget, as is what a function gives; a
`demo:` text has a few megabytes. They and packed files lie in a temporary file in the cache while they are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas.corpus import hub
from atlas.corpus.demo import DEMO
from atlas.corpus.files import FilePart, matches
from atlas.corpus.packed import is_packed, read_files, read_function
from atlas.corpus.parts import Part, StreamedPart
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from atlas.config import PartSection, Recipe

CHARACTERS_PER_TOKEN = 8
"""How much of an endless source is read for a token of budget: about twice what English needs."""


def load_documents(recipe: Recipe, cache: Path, check: Callable[[], None] = lambda: None) -> dict[str, Part]:
    """Index every part of the recipe's corpus.

    Args:
        recipe: The recipe; only `corpus` and the folder it lies in matter.
        cache: Folder for downloaded text, `Places.cache`.
        check: Called now and then; what it raises ends the work.

    Returns:
        Every part by its id, in the order of the recipe. Close them after use.

    Raises:
        AtlasError: If a source is malformed, missing, empty or unreadable, or an id comes twice.
    """
    parts: dict[str, Part] = {}
    try:
        for section in recipe.corpus.part:
            parts[section.id] = _part(section, recipe, cache, check)
            _check_holds_text(section, parts[section.id])
    except BaseException:
        for part in parts.values():
            part.close()
        raise
    return parts


def _part(section: PartSection, recipe: Recipe, cache: Path, check: Callable[[], None]) -> Part:
    if section.source.startswith("file:"):
        pattern = recipe.resolve(section.source.removeprefix("file:"))
        if not is_packed(matches(pattern)):
            return FilePart(section.id, pattern, section.column, recipe.corpus.seed, check)
    return StreamedPart(section.id, _pairs(section, recipe, cache), recipe.corpus.seed, cache, check)


def _pairs(section: PartSection, recipe: Recipe, cache: Path) -> Iterable[tuple[str, str]]:
    """The loader that the part's `source` asks for, not yet run."""
    source = section.source
    if source.startswith("demo:"):
        name = source.removeprefix("demo:")
        if name not in DEMO:
            known = ", ".join(sorted(DEMO))
            raise AtlasError(_where(section), f"no demo text is called {name!r}", f"there are {known}")
        return DEMO[name](cache)
    if source.startswith("file:"):
        return read_files(recipe.resolve(source.removeprefix("file:")), section.column)
    if source.startswith("python:"):
        return read_function(source, recipe.folder, CHARACTERS_PER_TOKEN * recipe.corpus.tokens)
    if source.startswith("hf://"):
        return hub.read(source, section.split, section.column, CHARACTERS_PER_TOKEN * recipe.corpus.tokens)
    raise AtlasError(
        _where(section),
        f"unknown source {source!r}",
        "use demo:NAME, file:GLOB, python:module:function or hf://datasets/org/name[@revision]",
    )


def _where(section: PartSection) -> str:
    return f"corpus.part {section.id}"


def _check_holds_text(section: PartSection, part: Part) -> None:
    if not len(part):
        left = f"; the {part.empty} that it has are empty" if part.empty else ""
        raise AtlasError(_where(section), f"{section.source} holds no text{left}", "mend the source, or remove it")
