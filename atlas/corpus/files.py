"""Text of one's own: `file:GLOB`, plain text or JSON Lines, read where it lies.

1. A first pass learns where every document begins and how long it is. It reads a block of a text file or
   a line of a JSON Lines file at a time, checks them, and keeps numbers only.
2. A document is read when its turn comes in hash order, by its place in its file.

What grows: some 60 bytes a document, and the list of files. What is held for a moment: a section of a
text file, or a whole line of a JSON Lines file (a line of many sections is parsed for each of them).
"""

from __future__ import annotations

import codecs
import glob
import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from atlas.corpus import cutting
from atlas.corpus.parts import EMPTY, HELD_OUT, Document, Places, Side, is_blank, nothing_dropped, same_id
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import BinaryIO

JSONL = frozenset({".jsonl", ".ndjson"})
MAGIC = frozenset("*?[")
BLOCK = 1 << 20
"""Bytes read at a time; has no influence on the result."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that matches. `name` is relative to the folder that the glob starts from."""

    path: Path
    name: str

    @property
    def is_lines(self) -> bool:
        """Whether it holds a document a line."""
        return self.path.suffix.lower() in JSONL

    @property
    def ending(self) -> str:
        """What follows the last dot, in small letters, with the dot."""
        return self.path.suffix.lower()

    def inner(self, packed: Collection[str]) -> File:
        """The file that is packed in this one, or this one."""
        return replace(self, path=self.path.with_suffix("")) if self.ending in packed else self


class _Piece(NamedTuple):
    """A section of a document: its text and where it lies. `line` is 0 in a file that is one document."""

    natural: str
    section: int
    text: str
    at: int  # bytes
    length: int  # bytes
    line: int


class FilePart:
    """Documents of the files that match a pattern.

    A JSON Lines file holds a document a line: the text under `column`, its id under `id` if there is
    one, else the number of the line. Any other file is one document. Ids are relative to the folder
    that the glob starts from, so they do not tell where on a machine the files lie.

    Args:
        part: Id of the part.
        pattern: Absolute path, with `*`, `?`, `[...]` or `**` where wanted.
        column: Key of the text in JSON Lines.
        side: Which documents are meant, and the seed of the hash order.
        check: Called for every piece of text; what it raises ends the pass.

    Raises:
        AtlasError: If nothing matches, a file cannot be read or is not UTF-8, a line is not an object
            with a text under `column`, or an id comes twice.
    """

    def __init__(self, part: str, pattern: Path, column: str, side: Side, check: Callable[[], None]) -> None:
        self._part, self._column = part, column
        self._files = find(pattern)
        self._states: list[tuple[int, int]] = []
        self.dropped = nothing_dropped()
        places = Places(side.seed, 5)
        for number, file in enumerate(self._files):
            with _reading(file.path) as handle:
                self._states.append(_state(handle))
                for piece in _lines(file, handle, column) if file.is_lines else _sections(file, handle):
                    check()
                    if is_blank(piece.text):
                        self.dropped[EMPTY] += 1
                        continue
                    if not side.has(f"{part}/{piece.natural}"):
                        self.dropped[HELD_OUT] += 1
                        continue
                    document = cutting.section_id(f"{part}/{piece.natural}", piece.section)
                    places.add(document, number, piece.at, piece.length, piece.line, piece.section)
        self._where, twice = places.sorted()
        if twice is not None:
            raise same_id(part, self.document(twice).id)

    def __len__(self) -> int:
        """Number of documents."""
        return len(self._where)

    def document(self, place: int) -> Document:
        """The document at a place of the hash order, read from its file.

        Raises:
            AtlasError: If the file cannot be read, or has changed since it was indexed.
        """
        number, at, length, line, section = self._where[place].tolist()
        file = self._files[number]
        with _reading(file.path) as handle:
            if _state(handle) != self._states[number]:
                raise AtlasError(file.path, "changed while the corpus was read", "run again when it is finished")
            handle.seek(at)
            raw = handle.read(length)
        natural, text = file.name, ""
        if line:
            natural, whole = row(file, raw, at, line, self._column) or ("", "")
            text = next((t for n, t in cutting.sections(whole) if n == section), "")
        else:
            text = decode(file, raw, at).replace("\r\n", "\n")
        return Document(cutting.section_id(f"{self._part}/{natural}", section), self._part, text)

    def close(self) -> None:
        """Nothing to do: a file is open only while it is read."""


def matches(pattern: Path) -> list[Path]:
    """Files that an absolute pattern matches, in the order of their paths."""
    found = map(Path, glob.glob(str(pattern), recursive=True))  # noqa: PTH207 (pathlib takes no absolute globs)
    return sorted(p for p in found if p.is_file())


def find(pattern: Path) -> list[File]:
    """Files that match, with names relative to the folder that the pattern starts from.

    Raises:
        AtlasError: If there are none, or a name is not UTF-8.
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
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise AtlasError(
                ascii(str(path)), "the file's name is not UTF-8", "rename it: it is part of an id"
            ) from None
    return [File(path, path.relative_to(fixed).as_posix()) for path in paths]


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    """The file, open; an error of the system on the way turned into an AtlasError."""
    try:
        with path.open("rb") as handle:
            yield handle
    except OSError as error:
        raise AtlasError(path, f"cannot be read ({error.strerror or error})") from None


def _state(handle: BinaryIO) -> tuple[int, int]:
    """What changes when a file does: its size and its time."""
    found = os.fstat(handle.fileno())
    return found.st_size, found.st_mtime_ns


def _sections(file: File, handle: BinaryIO) -> Iterator[_Piece]:
    """Sections of a text file, no more of it in memory than two of them."""
    start = len(codecs.BOM_UTF8) if handle.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8 else 0
    handle.seek(start)
    decoder = codecs.getincrementaldecoder("utf-8")()
    at = end = start
    raw, size, number, finished = "", cutting.SECTION, 1, False
    while raw or number == 1 or not finished:
        # Twice the size and a little, because "\r\n" counts once: then no cut depends on what follows.
        while len(raw) < 2 * size + 3 and not finished:
            block = handle.read(BLOCK)
            finished, end = not block, end + len(block)
            try:
                raw += decoder.decode(block, final=finished)
            except UnicodeDecodeError as error:
                raise _not_utf8(file, end - len(error.object) + error.start) from None
        if not raw and number > 1:
            return
        head = raw[: 2 * size + 3]
        text = head.replace("\r\n", "\n")
        cut = cutting.section_end(text, 0, size)
        taken = _undo(head, cut)
        length = len(head[:taken].encode())
        yield _Piece(file.name, number, text[:cut], at, length, 0)
        raw, at, number = raw[taken:], at + length, number + 1


def _undo(raw: str, end: int) -> int:
    r"""Where in `raw` lies what is at `end` once every `\r\n` is a `\n`."""
    place = end
    while (shifted := end + raw.count("\r\n", 0, place)) != place:
        place = shifted
    return place + 1 if raw[place - 1 : place + 1] == "\r\n" and place else place


def _lines(file: File, handle: BinaryIO, column: str) -> Iterator[_Piece]:
    """Sections of the documents of a JSON Lines file."""
    at = 0
    # Lines of bytes end at line feeds alone: JSON strings may hold U+2028 and others that splitlines() cuts at.
    for line, raw in enumerate(handle, start=1):
        found = row(file, raw, at, line, column)
        if found is not None:
            for number, text in cutting.sections(found[1]):
                yield _Piece(found[0], number, text, at, len(raw), line)
        at += len(raw)


def row(file: File, raw: bytes, at: int, line: int, column: str) -> tuple[str, str] | None:
    """Natural id and text of a line that begins at byte `at`; None if it is blank."""
    found = parsed(file, raw, at, line)
    if found is None:
        return None
    if not isinstance(found.get(column), str):
        raise AtlasError(f"{file.path}:{line}", f"no text under {column!r}", "set `column` of this part of the corpus")
    return natural(file.name, line, found.get("id")), found[column]


def parsed(file: File, raw: bytes, at: int, line: int) -> dict[str, Any] | None:
    """The columns of a line that begins at byte `at`; None if it is blank."""
    if at == 0 and raw.startswith(codecs.BOM_UTF8):
        at = len(codecs.BOM_UTF8)
        raw = raw[at:]
    where = f"{file.path}:{line}"
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if not decode(file, raw, at).strip():
            return None
        raise AtlasError(where, f"not JSON ({error})") from None
    if not isinstance(found, dict):
        raise AtlasError(where, "not an object", "write a JSON object a line")
    return found


def natural(name: str, line: int, own: object) -> str:
    """Natural id of a document in a file of many: its own id if it has one, else its line."""
    return f"{name}:{line if own is None else ' '.join(str(own).split())}"


def decode(file: File, raw: bytes, at: int) -> str:
    """Bytes that begin at a place of a file as text; raises `AtlasError` if they are not UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(file, at + error.start) from None


def _not_utf8(file: File, at: int) -> AtlasError:
    return AtlasError(file.path, f"not UTF-8 at byte {at}", "convert it, or leave it out of the glob")
