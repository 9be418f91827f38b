"""A row of a source, whatever the source, as a document: what it says, its id, where it is from, its licence.

    kind = "text"      the column holds text
    kind = "tokens"    ... token ids of this model's tokenizer: a corpus tokenised before, as SAELens trains on
    kind = "chat"      ... a conversation, [{"role": "user", "content": "..."}, ...], as transformers' templates take it

A column may lie inside another one: `meta.url` is what `url` is in `meta`, unless a column has that very name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from atlas.errors import AtlasError

if TYPE_CHECKING:
    from atlas.config import PartSection

CHARACTERS_PER_TOKEN = 8
"""How much of an endless source is read for a token of budget: about twice what English needs."""

MOST_IDS = 2**31
"""Token ids are kept in 32 bits."""

LONGEST = 2000
"""Characters of an id, an address or a licence that are kept."""

Message = dict[str, str]
Content = str | NDArray[np.int32] | list[Message]


class Given(NamedTuple):
    """A document as its source gives it. `natural` is its id within the part."""

    natural: str
    content: Content
    url: str = ""
    licence: str = ""


def read_row(section: PartSection, where: str, natural: str, row: Mapping[str, Any]) -> Given:
    """Make a document of a row.

    Args:
        section: Says which columns hold what.
        where: Names the row in messages.
        natural: The document's id, unless `id_column` names another.
        row: Columns by name.

    Raises:
        AtlasError: If a column is missing, or holds something else.
    """
    value = _find(row, section.column)
    content = _CONTENTS[section.kind](value)
    if content is None:
        has = ", ".join(map(str, row))[:200]
        what = {"text": "text", "tokens": "list of token ids", "chat": "conversation"}[section.kind]
        raise AtlasError(
            where, f"no {what} under {section.column!r}", f"set `column` (there are {has}) or `kind` of this part"
        )
    return Given(
        _own(row, section.id_column, where) if section.id_column else clean(natural),
        content,
        _own(row, section.url_column, where) if section.url_column else "",
        _own(row, section.licence_column, where) if section.licence_column else "",
    )


def limited(rows: Iterable[Given], tokens: int) -> Iterator[Given]:
    """Rows from the beginning, until there is enough text for so many tokens; for sources that may not end."""
    left = CHARACTERS_PER_TOKEN * tokens
    for row in rows:
        yield row
        left -= _size(row.content)
        if left <= 0:
            return


def text_of(content: Content) -> str:
    """The words of a document, for filters; "" for token ids."""
    if isinstance(content, str):
        return content
    return "" if isinstance(content, np.ndarray) else "\n".join(message["content"] for message in content)


def _size(content: Content) -> int:
    """Characters, as far as they are known; token ids count as half of what is read for one."""
    return len(content) * CHARACTERS_PER_TOKEN // 2 if isinstance(content, np.ndarray) else len(text_of(content))


def _find(row: Mapping[str, Any], column: str) -> Any:
    """The value of a column, or of one inside another; None if there is none."""
    if column in row:
        return row[column]
    outer, _, inner = column.partition(".")
    within = row.get(outer)
    return _find(within, inner) if inner and isinstance(within, Mapping) else None


def _own(row: Mapping[str, Any], column: str, where: str) -> str:
    """A short text of the row: what is null is empty, what is missing an error."""
    value = _find(row, column)
    if value is None and column not in row and column.partition(".")[0] not in row:
        raise AtlasError(where, f"no column {column!r}", f"its columns are {', '.join(map(str, row))[:200]}")
    return "" if value is None else clean(" ".join(str(value).split()))[:LONGEST]


def clean(text: str) -> str:
    """Text without half surrogates, which a function can give and UTF-8 cannot hold; "?" stands for each."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _text(value: Any) -> str | None:
    return clean(value) if isinstance(value, str) else None


def _tokens(value: Any) -> NDArray[np.int32] | None:
    try:
        ids = np.asarray(value)
    except ValueError:  # lists of different lengths
        return None
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        return None
    return ids.astype(np.int32) if not ids.size or (ids.min() >= 0 and ids.max() < MOST_IDS) else None


def _chat(value: Any) -> list[Message] | None:
    if not isinstance(value, (list, tuple, np.ndarray)) or not len(value):
        return None
    said: list[Message] = []
    for message in value:
        if not isinstance(message, Mapping):
            return None
        role, content = message.get("role"), message.get("content")
        if not (isinstance(role, str) and isinstance(content, str)):
            return None
        said.append({"role": clean(role), "content": clean(content)})
    return said


_CONTENTS = {"text": _text, "tokens": _tokens, "chat": _chat}
