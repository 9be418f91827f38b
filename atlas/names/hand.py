"""Names written by hand, in TOML.

author = "Who read the snippets"

[[name]]
feature = "9-res-4k/842"
name = "Verdict verbs in film reviews"
note = "Optional: what the snippets show beyond the name."
author = "Optional: if it is another person"
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from atlas.errors import AtlasError
from atlas.records import Name

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    feature: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*/[0-9]+$")]
    name: Line
    note: str = ""
    author: str = ""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    author: Line
    name: list[_Entry] = []


def read_names(path: Path, widths: dict[str, int], *, only: bool = True) -> dict[tuple[str, int], Name]:
    """Read a file of names.

    Args:
        path: The TOML file.
        widths: Number of features of each dictionary of the atlas.
        only: Whether a name for another dictionary is an error; otherwise it is left out, so that one
            file can serve several recipes.

    Returns:
        Names by (dictionary, index).

    Raises:
        AtlasError: If the file is missing or malformed, an index is out of range, or a feature is named twice.
    """
    try:
        entries = _File.model_validate(tomllib.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        raise AtlasError(path, "no such file of names", "mend names.files in the recipe") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise AtlasError(path, f"cannot be read as TOML ({error})") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise AtlasError(f"{path}: {'.'.join(map(str, first['loc']))}", str(first["msg"])) from None
    names: dict[tuple[str, int], Name] = {}
    for entry in entries.name:
        dictionary, _, number = entry.feature.partition("/")
        key = (dictionary, int(number))
        if dictionary not in widths:
            if only:
                raise AtlasError(f"{path}: {entry.feature}", "no such dictionary in the recipe")
            continue
        if key[1] >= widths[dictionary]:
            raise AtlasError(f"{path}: {entry.feature}", f"index out of range; {dictionary} has {widths[dictionary]}")
        if key in names:
            raise AtlasError(f"{path}: {entry.feature}", "is named twice", "keep one of the names")
        names[key] = Name(entry.name, "hand", entry.author or entries.author, entry.note)
    return names
