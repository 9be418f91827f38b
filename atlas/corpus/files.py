"""Text of one's own: `file:GLOB`, plain text or JSON Lines."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Iterator

JSONL = frozenset({".jsonl", ".ndjson"})
MAGIC = frozenset("*?[")


def read(pattern: Path, column: str) -> Iterator[tuple[str, str]]:
    """Documents of the files that match, in the order of their paths.

    A JSON Lines file holds a document a line: the text under `column`, its id under `id` if there is
    one, else the number of the line. Any other file is one document. Ids are relative to the folder
    that the glob starts from, so they do not tell where on a machine the files lie.

    Args:
        pattern: Absolute path, with `*`, `?`, `[...]` or `**` where wanted.
        column: Key of the text in JSON Lines.

    Raises:
        AtlasError: If nothing matches, a file cannot be read or is not UTF-8, or a line is not an
            object with a text under `column`.
    """
    fixed = pattern.parent
    for index, name in enumerate(pattern.parts):
        if MAGIC & set(name):
            fixed = Path(*pattern.parts[:index])
            break
    paths = matches(pattern)
    if not paths:
        raise AtlasError(pattern, "no file matches", "mend the path; it is relative to the recipe's folder")
    for path in paths:
        name = path.relative_to(fixed).as_posix()
        text = _text(path)
        if path.suffix.lower() in JSONL:
            yield from _lines(path, name, text, column)
        else:
            yield name, text


def matches(pattern: Path) -> list[Path]:
    """Files that an absolute pattern matches, in the order of their paths."""
    found = map(Path, glob.glob(str(pattern), recursive=True))  # noqa: PTH207 (pathlib takes no absolute globs)
    return sorted(p for p in found if p.is_file())


def _text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AtlasError(path, f"not UTF-8 at byte {error.start}", "convert it, or leave it out of the glob") from None
    except OSError as error:
        raise AtlasError(path, f"cannot be read ({error.strerror})") from None
    return text.replace("\r\n", "\n")


def _lines(path: Path, name: str, text: str, column: str) -> Iterator[tuple[str, str]]:
    # Split at line feeds alone: JSON strings may hold U+2028 and others that splitlines() cuts at.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise AtlasError(where, f"not JSON ({error})") from None
        if not isinstance(row, dict) or not isinstance(row.get(column), str):
            raise AtlasError(where, f"no text under {column!r}", "set `column` of this part of the corpus")
        natural = row.get("id")
        yield f"{name}:{number if natural is None else ' '.join(str(natural).split())}", row[column]
