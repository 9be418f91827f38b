"""The documents of a recipe: text with an id that stays the same from build to build.

1. Every part of the corpus names its source (`demo:`, `file:` or `hf://`); its loader yields
   (natural id, text) pairs.
2. A document's id is `part/natural id`, such as `bible/genesis-1` or `stdlib/json/decoder.py`.
3. A very long text is cut at line ends into sections, each a document of its own (`id#2` and on), so
   that sampling reaches its middle and its end, and memory stays bounded while tokenising.
4. Empty texts are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from atlas.corpus import files, hub
from atlas.corpus.demo import DEMO
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from atlas.config import PartSection, Recipe

SECTION = 200_000
"""Characters in a section, more or less: a long chapter, some 50,000 tokens."""

CHARACTERS_PER_TOKEN = 8
"""How much of an endless source is read for a token of budget: about twice what English needs."""


@dataclass(frozen=True, slots=True)
class Document:
    """One text. `id` is unique in the corpus, `source` is the id of the part it belongs to."""

    id: str
    source: str
    text: str


def load_documents(recipe: Recipe, cache: Path) -> dict[str, list[Document]]:
    """Read every part of the recipe's corpus.

    Args:
        recipe: The recipe; only `corpus` and the folder it lies in matter.
        cache: Folder for downloaded text, `Places.cache`.

    Returns:
        Documents of every part, by part id, in the order of the recipe.

    Raises:
        AtlasError: If a source is malformed, missing, empty or unreadable, or an id comes twice.
    """
    return {part.id: _documents(part, _pairs(part, recipe, cache)) for part in recipe.corpus.part}


def _pairs(part: PartSection, recipe: Recipe, cache: Path) -> Iterable[tuple[str, str]]:
    """The loader that the part's `source` asks for, not yet run."""
    where = f"corpus.part {part.id}"
    if part.source.startswith("demo:"):
        name = part.source.removeprefix("demo:")
        if name not in DEMO:
            raise AtlasError(where, f"no demo text is called {name!r}", f"there are {', '.join(sorted(DEMO))}")
        return DEMO[name](cache)
    if part.source.startswith("file:"):
        return files.read(recipe.resolve(part.source.removeprefix("file:")), part.column)
    if part.source.startswith("hf://"):
        characters = CHARACTERS_PER_TOKEN * recipe.corpus.tokens
        return hub.read(part.source, part.split, part.column, characters)
    raise AtlasError(
        where, f"unknown source {part.source!r}", "use demo:NAME, file:GLOB or hf://datasets/org/name[@revision]"
    )


def _documents(part: PartSection, pairs: Iterable[tuple[str, str]]) -> list[Document]:
    where = f"corpus.part {part.id}"
    documents: list[Document] = []
    seen: set[str] = set()
    for natural, text in pairs:
        name = f"{part.id}/{natural}"
        if name in seen:
            raise AtlasError(where, f"two documents are called {natural!r}", "make ids unique")
        seen.add(name)
        documents += [Document(i, part.id, t) for i, t in sections(name, text) if t.strip()]
    if not documents:
        raise AtlasError(where, f"{part.source} holds no text")
    return documents


def sections(name: str, text: str, size: int = SECTION) -> Iterator[tuple[str, str]]:
    """Cut a long text into sections of at most `size` characters, at a line end, else a space, else anywhere.

    Joined, the sections are the text. The first keeps the text's own id.
    """
    start, number = 0, 1
    while start < len(text) or number == 1:
        end = start + size
        if end < len(text):
            line = text.rfind("\n", start, end)
            word = line if line >= start else text.rfind(" ", start, end)
            end = word + 1 if word >= start else end
        yield name if number == 1 else f"{name}#{number}", text[start:end]
        start, number = end, number + 1
