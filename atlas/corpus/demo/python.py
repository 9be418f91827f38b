"""Python itself: the text of its language reference, and the source of its standard library."""

from __future__ import annotations

import importlib
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from atlas.corpus.demo.packages import missing

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "pydoc_data"

LONGEST = 8_000
"""Characters read of a source file, as the demo's SAEs were trained."""

SKIPPED = frozenset(
    {
        "__phello__", "__pycache__", "_pyrepl", "dist-packages", "encodings", "ensurepip", "idlelib", "lib2to3",
        "pydoc_data", "site-packages", "test", "tests", "turtledemo",
    }
)  # fmt: skip
"""Folders left out: tests, other people's packages, and tables (`encodings`, `pydoc_data`)."""


def pydoc(_cache: Path) -> Iterator[tuple[str, str]]:
    """Topics of Python's built-in help: chapters of the language reference, one a document.

    Source: `pydoc_data.topics` of the running Python. Licence: PSF.

    Yields:
        `assignment`, and the topic's text.

    Raises:
        AtlasError: If this Python comes without them.
    """
    try:
        topics = importlib.import_module("pydoc_data.topics").topics
    except ImportError:
        raise missing(PACKAGE) from None
    for name in sorted(topics):
        yield name, topics[name].strip("\n")


def stdlib(_cache: Path) -> Iterator[tuple[str, str]]:
    """Source files of Python's standard library, the first 8,000 characters of each.

    Source: the running Python. Licence: PSF.

    Yields:
        `json/decoder.py`, and the beginning of the file, cut at a line end.
    """
    root = Path(sysconfig.get_path("stdlib"))
    for name in sorted(path.relative_to(root).as_posix() for path in _modules(root)):
        try:
            text = (root / name).read_bytes().decode("utf-8").replace("\r\n", "\n")
        except UnicodeDecodeError:  # a handful of old modules declare another encoding
            continue
        yield name, head(text)


def _modules(folder: Path) -> Iterator[Path]:
    """Modules of a package, and of the packages in it."""
    for path in folder.iterdir():
        # `_sysconfigdata` tells where and how this Python was built: no text, and nobody's business.
        if path.suffix == ".py" and not path.name.startswith("_sysconfigdata"):
            yield path
        elif path.is_dir() and path.name not in SKIPPED and (path / "__init__.py").is_file():
            yield from _modules(path)


def head(text: str, longest: int = LONGEST) -> str:
    """The whole lines among the first `longest` characters."""
    if len(text) <= longest:
        return text
    return text[: text.rfind("\n", 0, longest) + 1] or text[:longest]
