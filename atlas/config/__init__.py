"""The recipe: one TOML file that says what to build, validated once, frozen afterwards.

Every key is declared in `sections` and nowhere else, with its default and its meaning; the reference page of the site
is generated from these declarations. `Recipe.digest` names what a stage depends on, so that an edited recipe redoes
only what the edit touches.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any

import orjson
from pydantic import Field, ValidationError, model_validator

from atlas.config.concepts import RESERVED_CONCEPTS, Concept, ConceptFeature, read_concepts
from atlas.config.sections import (
    SIZE,
    AtlasSection,
    CollectSection,
    CorpusSection,
    DictionarySection,
    MapSection,
    ModelSection,
    NamesSection,
    PartSection,
    Section,
    SiteSection,
)
from atlas.errors import AtlasError

__all__ = [
    "EXECUTION",
    "PRESENTATION",
    "RESERVED",
    "RESERVED_CONCEPTS",
    "SIZE",
    "AtlasSection",
    "CollectSection",
    "Concept",
    "ConceptFeature",
    "CorpusSection",
    "DictionarySection",
    "MapSection",
    "ModelSection",
    "NamesSection",
    "PartSection",
    "Recipe",
    "Section",
    "SiteSection",
    "load",
    "read_concepts",
]

PRESENTATION: dict[str, Any] = {
    "model": {"name"},
    "corpus": {"part": {"__all__": {"label", "licence"}}},
    "dictionary": {"__all__": {"label"}},
}
"""Keys that change what pages say but not what is measured; `Recipe.digest` leaves them out."""

EXECUTION: dict[str, Any] = {"collect": {"memory", "checkpoint", "engine", "workers"}}
"""Keys that change how a pass runs but not a byte of what it finds; `Recipe.digest` leaves them out as well.

(`memory` also decides a batch of 0: what it is decided to be is part of the pass's digest.)
"""

RESERVED = frozenset(
    {"assets", "c", "compare", "concepts", "docs", "embed", "list", "map", "search", "studies", "v", "windows"}
    | {"404.html", "atlas.json", "index.html", "sitemap.xml"}
)
"""First path components that the site uses itself; a model may not be called so."""


_MENDS = {
    "extra_forbidden": "remove it or mend its spelling (the keys are on the reference page)",
    "missing": "add it",
}


class Recipe(Section):
    """A whole recipe."""

    atlas: AtlasSection
    model: ModelSection
    corpus: CorpusSection
    dictionary: tuple[DictionarySection, ...] = Field(min_length=1)
    collect: CollectSection = CollectSection()
    names: NamesSection = NamesSection()
    map: MapSection = MapSection()
    site: SiteSection = SiteSection()
    folder: Path = Field(Path(), exclude=True, description="Set by `load`: what relative paths are relative to.")

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        for what, ids in (
            ("dictionary", [d.id for d in self.dictionary]),
            ("corpus.part", [p.id for p in self.corpus.part]),
        ):
            twice = sorted({i for i in ids if ids.count(i) > 1})
            if twice:
                msg = f"{what} id {twice[0]!r} is used twice"
                raise ValueError(msg)
        if self.model.id in RESERVED:
            msg = f"model.id {self.model.id!r} is a folder of the site itself; choose another"
            raise ValueError(msg)
        widths = {d.id for d in self.dictionary}
        for entry in self.site.featured:
            dictionary, _, index = entry.rpartition("/")
            if dictionary not in widths or not re.fullmatch("0|[1-9][0-9]{0,8}", index):
                msg = f"site.featured {entry!r} is not `dictionary/index` of a dictionary of this recipe"
                raise ValueError(msg)
        return self

    def resolve(self, path: str) -> Path:
        """A path of the recipe, relative to the recipe's folder unless absolute."""
        return (self.folder / Path(path).expanduser()).resolve()

    def digest(self, *sections: str) -> str:
        """SHA-256 of the named sections' values; independent of formatting, of labels and of where the file lies."""
        data = self.model_dump(mode="json", include=set(sections), exclude=PRESENTATION | EXECUTION)
        return hashlib.sha256(orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).hexdigest()


def load(path: Path | str) -> Recipe:
    """Read and validate a recipe.

    Raises:
        AtlasError: If the file is missing, is not TOML, or a key is unknown, missing or out of range.
    """
    path = Path(path)
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise AtlasError(path, "no such recipe", "`atlas new DIR` writes one to start from") from None
    except (OSError, UnicodeDecodeError) as error:
        raise AtlasError(path, f"cannot be read ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise AtlasError(path, f"not valid TOML: {error}") from None
    if "folder" in data:  # ours, not the recipe's
        raise AtlasError(f"{path}: folder", "unknown key", _MENDS["extra_forbidden"])
    try:
        return Recipe.model_validate({**data, "folder": path.resolve().parent})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "recipe"
        wrong = str(first["msg"]).removeprefix("Value error, ")
        found = "unknown key" if first["type"] == "extra_forbidden" else wrong
        raise AtlasError(f"{path}: {key}", found, _MENDS.get(first["type"], "")) from None
