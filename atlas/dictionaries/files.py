"""What lies at a dictionary's address: a folder or a single file, on this machine, on the Hub, or out of SAELens.

Names are known before anything is fetched, so that a format can be recognised by them, and only the files that it
reads are fetched.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from atlas.dictionaries import from_saelens
from atlas.errors import AtlasError
from atlas.paths import out_root
from atlas.sources import SCHEME, hub_file, hub_files, parse_hub

DEPTH, MOST = 2, 20_000
"""Folders below the address that are looked into, and files there: a dictionary's folder has a handful."""

TRAIL = 6
"""Folders of a local path whose names are looked at, innermost last."""


@dataclass
class Files:
    """The files at an address.

    Attributes:
        source: The address, as in the recipe.
        names: Files below the address, relative to it; of a single file its name alone.
        single: Whether the address is that of a file.
        trail: The names of the folders that lead to it, the last one the folder's or the file's own. Publishers put
            layers, widths and models there.
        used: Files that were read, by name, for the digest.
    """

    source: str
    names: frozenset[str]
    single: bool
    trail: tuple[str, ...]
    _fetch: Callable[[str], Path]
    used: dict[str, Path] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        """A file, fetched if need be.

        Raises:
            AtlasError: If it is not there, or not to be had.
        """
        if name not in self.names:
            raise AtlasError(self.source, f"has no {name}", f"it holds {self.listing()}")
        if name not in self.used:
            self.used[name] = self._fetch(name)
        return self.used[name]

    def beside(self, *names: str) -> Path | None:
        """The first of these files that a folder above holds, or a single file's own, the nearest first.

        What all layers share lies there.
        """
        for up in range(0 if self.single else 1, 3):
            for name in names:
                relative = "../" * up + name
                try:
                    found = self._fetch(relative)
                except AtlasError:
                    continue
                self.used[relative] = found
                return found
        return None

    def matching(self, pattern: str) -> list[str]:
        """Names that match a regular expression as a whole, sorted."""
        return sorted(name for name in self.names if re.fullmatch(pattern, name))

    def listing(self, most: int = 8) -> str:
        """Some names, for messages."""
        names = sorted(self.names, key=lambda name: (name.count("/"), name))
        return ", ".join(names[:most]) + (", ..." if len(names) > most else "") if names else "nothing"

    def in_trail(self, pattern: str) -> re.Match[str] | None:
        """The last place where a folder's or the file's name holds this regular expression."""
        for part in reversed(self.trail):
            found = re.search(pattern, part)
            if found:
                return found
        return None


def find_files(source: str, resolve: Callable[[str], Path], cache: Path | None = None) -> Files:
    """What lies at an address of a recipe.

    Args:
        source: A folder or file, relative to the recipe, `hf://org/repo[/path][@revision]`, or
            `saelens:RELEASE/SAE_ID`.
        resolve: Makes a relative path absolute, such as `Recipe.resolve`.
        cache: Where what SAELens has loaded is kept; None for the default root's cache.

    Raises:
        AtlasError: If nothing is there, or the Hub is out of reach.
    """
    if source.startswith(from_saelens.SCHEME):
        return _here(source, from_saelens.fetch(source, cache or out_root() / "cache"))
    return _on_hub(source) if source.startswith(SCHEME) else _here(source, resolve(source))


def _here(source: str, path: Path) -> Files:
    if path.is_file():
        return Files(
            source, frozenset({path.name}), True, (*path.parent.parts[-TRAIL:], path.name), _Local(path.parent)
        )
    if not path.is_dir():
        raise AtlasError(source, f"no such folder or file ({path})", "paths are relative to the recipe")
    names: list[str] = []
    todo = [(path, 0)]
    while todo and len(names) < MOST:
        folder, depth = todo.pop()
        for entry in folder.iterdir():
            if entry.is_file():
                names.append(entry.relative_to(path).as_posix())
            elif entry.is_dir() and depth < DEPTH:
                todo.append((entry, depth + 1))
    return Files(source, frozenset(names), False, path.parts[-TRAIL:], _Local(path))


@dataclass(frozen=True)
class _Local:
    folder: Path

    def __call__(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise AtlasError(path, "no such file")
        return path


def _on_hub(source: str) -> Files:
    place = parse_hub(source)
    names = frozenset(hub_files(source, DEPTH))
    trail = (*place.repo.split("/"), *(place.path.split("/") if place.path else ()))
    single = names == {PurePosixPath(place.path).name} and bool(PurePosixPath(place.path).suffix)
    folder = PurePosixPath(place.path).parent if single else PurePosixPath(place.path)
    return Files(source, names, single, trail, _Remote(place.repo, folder, place.revision))


@dataclass(frozen=True)
class _Remote:
    repo: str
    folder: PurePosixPath
    revision: str | None

    def __call__(self, name: str) -> Path:
        folder = self.folder
        while name.startswith("../"):
            if not folder.name:
                raise AtlasError(self.repo, f"has no {name}")
            name, folder = name.removeprefix("../"), folder.parent
        inside = (folder / name).as_posix()
        at = f"@{self.revision}" if self.revision else ""
        above, _, last = inside.rpartition("/")
        return hub_file(f"{SCHEME}{self.repo}{'/' if above else ''}{above}{at}", last)
