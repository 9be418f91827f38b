"""Where a very long text is cut, so that sampling reaches its middle and memory stays bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SECTION = 200_000
"""Characters in a section, more or less: a long chapter, some 50,000 tokens."""


def section_end(text: str, start: int, size: int) -> int:
    """End of the section that begins at `start`: at most `size` characters on.

    At a line end, else behind a space, else anywhere; at the text's end if that is near enough.
    """
    end = start + size
    if end >= len(text):
        return len(text)
    line = text.rfind("\n", start, end)
    word = line if line >= start else text.rfind(" ", start, end)
    return word + 1 if word >= start else end


def sections(text: str, size: int | None = None) -> Iterator[tuple[int, str]]:
    """Cut a text into sections of at most `size` characters (None: `SECTION`), each with its number from 1.

    Joined, the sections are the text. An empty text is one empty section.
    """
    start, number = 0, 1
    while start < len(text) or number == 1:
        end = section_end(text, start, size or SECTION)
        yield number, text[start:end]
        start, number = end, number + 1


def section_id(document: str, number: int) -> str:
    """Id of a section as a document of its own: the first keeps the text's id, others add `#2` and on."""
    return document if number == 1 else f"{document}#{number}"
