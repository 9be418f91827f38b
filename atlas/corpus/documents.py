"""The documents of a recipe: text with an id that stays the same from build to build.

1. Every part of the corpus names its source (`demo:`, `file:`, `python:` or `hf://`), which gives rows; `rows` makes
   documents of them.
2. A document's id is `part/natural id`, such as `bible/genesis-1` or `stdlib/json/decoder.py`.
3. A very long text is cut at line ends into sections, each a document of its own (`id#2` and on), so
   that sampling reaches its middle and its end, and memory stays bounded while tokenising.
4. Filters (`filters`), empty texts and the held-out share leave documents out, and count them.

Texts stay on disk (`atlas.corpus.parts`); only their places are held. A dataset of the Hub is read from
its beginning, `CHARACTERS_PER_TOKEN` characters for every token of the budget that filters let through, as is what a
function gives; a `demo:` text has a few megabytes. They and packed files lie in a temporary file in the cache while
they are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas.corpus import hub
from atlas.corpus.demo import DEMO
from atlas.corpus.files import FilePart, matches
from atlas.corpus.filters import Filter, is_filtered
from atlas.corpus.packed import is_packed, read_files, read_function
from atlas.corpus.parts import Part, Side, StreamedPart
from atlas.corpus.rows import Given, limited
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from atlas.config import PartSection, Recipe


def load_documents(
    recipe: Recipe, cache: Path, check: Callable[[], None] = lambda: None, *, held_out: bool = False
) -> dict[str, Part]:
    """Index every part of the recipe's corpus.

    Args:
        recipe: The recipe; only `corpus` and the folder it lies in matter.
        cache: Folder for downloaded text, `Places.cache`.
        check: Called now and then; what it raises ends the work.
        held_out: Take the documents that are held out, not those that are read.

    Returns:
        Every part by its id, in the order of the recipe. Close them after use.

    Raises:
        AtlasError: If a source is malformed, missing, empty or unreadable, or an id comes twice.
    """
    parts: dict[str, Part] = {}
    side = Side(recipe.corpus.held_out, recipe.corpus.seed, held_out)
    try:
        for section in recipe.corpus.part:
            parts[section.id] = _part(section, recipe, side, cache, check)
            _check_holds_text(section, parts[section.id])
    except BaseException:
        for part in parts.values():
            part.close()
        raise
    return parts


def _part(section: PartSection, recipe: Recipe, side: Side, cache: Path, check: Callable[[], None]) -> Part:
    if section.source.startswith("file:") and _is_plain(section):
        pattern = recipe.resolve(section.source.removeprefix("file:"))
        if not is_packed(matches(pattern)):
            return FilePart(section.id, pattern, section.column, side, check)
    rows = _rows(section, recipe, cache)
    chosen = Filter(section) if is_filtered(section) else None
    rows = rows if chosen is None else chosen(rows)
    if section.source.startswith(("python:", "hf://")):
        rows = limited(rows, recipe.corpus.tokens)
    part = StreamedPart(section.id, rows, side, cache, check)
    part.dropped |= chosen.dropped if chosen else {}
    return part


def _is_plain(section: PartSection) -> bool:
    """Whether nothing but text is wanted of files, so that they can be read where they lie."""
    columns = section.id_column, section.url_column, section.licence_column
    return section.kind == "text" and "." not in section.column and not any(columns) and not is_filtered(section)


def _rows(section: PartSection, recipe: Recipe, cache: Path) -> Iterable[Given]:
    """What the part's `source` gives, not yet read."""
    source = section.source
    if source.startswith("demo:"):
        name = source.removeprefix("demo:")
        if name not in DEMO:
            known = ", ".join(sorted(DEMO))
            raise AtlasError(_where(section), f"no demo text is called {name!r}", f"there are {known}")
        return (Given(natural, text) for natural, text in DEMO[name](cache))
    if source.startswith("file:"):
        return read_files(recipe.resolve(source.removeprefix("file:")), section)
    if source.startswith("python:"):
        return read_function(section, recipe.folder)
    if source.startswith("hf://"):
        return hub.read(section)
    raise AtlasError(
        _where(section),
        f"unknown source {source!r}",
        "use demo:NAME, file:GLOB, python:module:function or hf://datasets/org/name[@revision]",
    )


def _where(section: PartSection) -> str:
    return f"corpus.part {section.id}"


def _check_holds_text(section: PartSection, part: Part) -> None:
    if not len(part):
        found = ", ".join(f"{count} {reason}" for reason, count in part.dropped.items() if count)
        left = f"; left out: {found}" if found else ""
        raise AtlasError(_where(section), f"{section.source} holds no text{left}", "mend the source, or remove it")
