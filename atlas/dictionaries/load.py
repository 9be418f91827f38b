"""From a recipe's `[[dictionary]]` to a `Dictionary`, wherever its files are and in whatever format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas.dictionaries.base import centred, with_floor
from atlas.dictionaries.files import find_files
from atlas.dictionaries.formats import ALL, Wanted
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from pathlib import Path

    from atlas.config import DictionarySection, Recipe
    from atlas.dictionaries.base import Dictionary
    from atlas.dictionaries.files import Files
    from atlas.dictionaries.formats import Format


def load_dictionary(section: DictionarySection, recipe: Recipe, cache: Path | None = None) -> Dictionary:
    """Load the dictionary that a section of a recipe names.

    Args:
        section: One `[[dictionary]]`; its `hook_point`, if set, wins over the one in the weights.
        recipe: The whole recipe: local folders are relative to where it lies.
        cache: Where what SAELens has loaded is kept; None for the default root's cache.

    Raises:
        AtlasError: If the files are not to be had, or are not a dictionary that is read.
    """
    files = find_files(section.source, recipe.resolve, cache)
    wanted = Wanted(section.id, section.hook_point, section.layer, section.k)
    found = find_format(files, section.format).read(files, wanted)
    found = centred(found) if section.centre else found
    return with_floor(found, section.floor) if section.floor else found


def find_format(files: Files, wanted: str = "") -> Format:
    """The format that files are in.

    Args:
        files: What lies at the address.
        wanted: The recipe's `format`, which is taken whatever the names of the files.

    Raises:
        AtlasError: If no format has such files, or several have.
    """
    if wanted:
        return next(form for form in ALL if wanted == form.NAME)
    found = [form for form in ALL if form.claims(files)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(form.NAME for form in found)
        raise AtlasError(files.source, f"could be {names}", f'say which: format = "{found[0].NAME}"')
    raise AtlasError(
        files.source,
        f"in no format that is known; it holds {files.listing()}",
        "; ".join(f"{form.NAME} has {form.LAYOUT}" for form in ALL),
    )
