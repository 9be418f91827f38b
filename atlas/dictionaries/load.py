"""From a recipe's `[[dictionary]]` to a `Dictionary`, wherever its files are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas.dictionaries import saelens
from atlas.errors import AtlasError
from atlas.sources import SCHEME, hub_file

if TYPE_CHECKING:
    from pathlib import Path

    from atlas.config import DictionarySection, Recipe
    from atlas.dictionaries.base import Dictionary


def load_dictionary(section: DictionarySection, recipe: Recipe, cache: Path) -> Dictionary:
    """Load the dictionary that a section of a recipe names.

    Args:
        section: One `[[dictionary]]`; its `hook_point`, if set, wins over the one in the weights.
        recipe: The whole recipe: local folders are relative to where it lies.
        cache: The atlas's cache. Unused so far: files of the Hub stay in the Hub's own cache, and no format that is
            read yet needs converting.

    Raises:
        AtlasError: If the files are not to be had, or are not a dictionary that is supported.
    """
    del cache
    if section.source.startswith(SCHEME):
        config, weights = hub_file(section.source, saelens.CONFIG), hub_file(section.source, saelens.WEIGHTS)
    else:
        folder = recipe.resolve(section.source)
        if not folder.is_dir():
            raise AtlasError(section.source, f"no such folder ({folder})", "paths are relative to the recipe")
        config, weights = folder / saelens.CONFIG, folder / saelens.WEIGHTS
    return saelens.read(config, weights, section.id, section.source, section.hook_point)
