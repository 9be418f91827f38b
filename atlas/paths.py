"""Every path that the package writes to, and where its own data files lie.

<root>/                       `build/out` under the current folder, or $ATLAS_OUT
  cache/                      converted models, downloaded text; shared, safe to delete
  <atlas>/work/               checkpoints and corpus of an unfinished collect pass
  <atlas>/store/              the store (see `atlas.store`)
  <atlas>/site/               the finished site
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


def out_root() -> Path:
    """Folder under which everything is built."""
    return Path(os.environ.get("ATLAS_OUT", "build/out"))


@dataclass(frozen=True, slots=True)
class Places:
    """Where one atlas is built."""

    root: Path
    atlas: str

    @property
    def base(self) -> Path:
        """Folder of this atlas."""
        return self.root / self.atlas

    @property
    def work(self) -> Path:
        """Checkpoints of the collect pass and its corpus as tokens, until the store is written."""
        return self.base / "work"

    @property
    def store(self) -> Path:
        """The store."""
        return self.base / "store"

    @property
    def site(self) -> Path:
        """The finished site."""
        return self.base / "site"

    @property
    def cache(self) -> Path:
        """Converted models and downloaded text."""
        return self.root / "cache"


def places(atlas: str, root: Path | None = None) -> Places:
    """Where the atlas of this id is built, under `root` or the default root."""
    return Places(root or out_root(), atlas)


def package_data() -> Path:
    """Folder that holds `site_src/`, `mkdocs.yml`, `recipes/` and `demo/` of the package.

    In a wheel they lie in `atlas/_data`; in a checkout they are the repository's own folders.
    """
    return Path(__file__).parent / "_data"


def data(*parts: str) -> Path:
    """A data file of the package: `data("site_src", "theme")`, in a wheel or in a checkout alike."""
    packed = package_data()
    if packed.is_dir():
        return packed.joinpath(*parts)
    checkout = Path(__file__).resolve().parents[1]
    first = {"recipes": ("build", "recipes"), "demo": ("build", "demo")}.get(parts[0], (parts[0],))
    return checkout.joinpath(*first, *parts[1:])
