"""What the modules of formats share: the section they read for, and the dictionary they return."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import torch

from atlas.errors import AtlasError
from atlas.sources import revision_of, sha256_of

if TYPE_CHECKING:
    from atlas.dictionaries.base import Dictionary
    from atlas.dictionaries.files import Files


@dataclass(frozen=True)
class Wanted:
    """What a recipe says of a dictionary, beside where it is.

    Attributes:
        id: Its id.
        hook_point: Wins over the one in the weights, if not empty.
        layer: Which layer of a file that holds several; None for not said.
        k: How many features fire, where the weights do not say; 0 for not said.
    """

    id: str
    hook_point: str = ""
    layer: int | None = None
    k: int = 0

    def place(self, found: str, files: Files) -> str:
        """The hook point: the recipe's, or the one that was found.

        Raises:
            AtlasError: If there is neither.
        """
        if not (self.hook_point or found):
            raise AtlasError(files.source, "names no hook point", "set hook_point in the recipe")
        return self.hook_point or found


def which_layer(files: Files, wanted: Wanted, pattern: str) -> tuple[str, int]:
    """The file of the layer that is meant, of a folder that may hold several, and that layer.

    Args:
        files: What lies there.
        wanted: Its `layer` decides, and may be left out where there is one only.
        pattern: A regular expression for the names, whose group is the layer.

    Raises:
        AtlasError: If there are none, or several and none is named, or the one that is named is not there.
    """
    names = {int(found[1]): found[0] for name in files.matching(pattern) if (found := re.fullmatch(pattern, name))}
    if not names:
        raise AtlasError(files.source, f"has no file of a layer; it holds {files.listing()}")
    layer = next(iter(names)) if wanted.layer is None and len(names) == 1 else wanted.layer
    if layer is None or layer not in names:
        there = ", ".join(map(str, sorted(names)))
        raise AtlasError(files.source, f"holds layer{'s' * (len(names) > 1)} {there}", "say which: layer = N")
    return names[layer], layer


class Format(Protocol):
    """A module of this package."""

    NAME: str
    LAYOUT: str

    def claims(self, files: Files) -> bool:
        """Whether files of these names are in this format; fetches no weights."""

    def read(self, files: Files, wanted: Wanted) -> Dictionary:
        """Read the dictionary.

        Raises:
            AtlasError: If something is missing, damaged, of another shape, or of a kind that is not read.
        """


def finished(dictionary: Dictionary, files: Files) -> Dictionary:
    """A dictionary with its address and the digest over the files that were read.

    Raises:
        AtlasError: If the weights leave float32's range when the format's scales are worked into them.
    """
    for name, tensor in dictionary.tensors().items():
        if not bool(torch.isfinite(tensor).all()):
            raise AtlasError(files.source, f"{name} is not finite once the scales of the format are worked in")
    lines = [f"{name} {sha256_of(path)}" for name, path in sorted(files.used.items())]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    revision = next((found for path in files.used.values() if (found := revision_of(path))), "")
    return replace(dictionary, digest=digest, source=files.source, revision=revision)
