"""Concepts between the author's file and the site: read once, told to feature pages and to search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from atlas.config import Concept, Recipe, read_concepts
from atlas.render.concepts import path_of
from atlas.search import Entry
from atlas.store import Store


def concepts_of(recipe: Recipe, store: Store) -> tuple[Concept, ...]:
    """The concepts of the recipe's file, none if it names no file.

    Raises:
        AtlasError: If the file is missing or malformed, or lists a feature that the store lacks.
    """
    if not recipe.site.concepts:
        return ()
    widths = {d.id: d.width for d in store.manifest.dictionaries}
    return read_concepts(recipe.resolve(recipe.site.concepts), widths)


def entries(concepts: Sequence[Concept]) -> Iterator[Entry]:
    """Concepts as search knows them: found by their title."""
    for concept in concepts:
        yield Entry(path_of(concept), "", concept.title, concept.summary, {"name": concept.title})
