"""Reads a search index as its files say, for tests and for `atlas check`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from atlas.errors import AtlasError
from atlas.search import form, terms
from atlas.search.index import Manifest


class Document(NamedTuple):
    """What a result shows."""

    path: str
    name: str
    line: str


class Reader:
    """An index in a folder."""

    def __init__(self, folder: Path) -> None:
        """Read the manifest.

        Args:
            folder: The folder that holds `manifest.json`.
        """
        self.folder = folder
        raw = self._json("manifest.json")
        if not isinstance(raw, dict) or raw.get("format") != "atlas-search":
            raise AtlasError(folder, "holds no search index", "build the site again")
        if raw.get("version") != form.VERSION:
            wrong = f"is a search index of version {raw.get('version')}, not {form.VERSION}"
            raise AtlasError(folder, wrong, "build the site again")
        raw["shards"], raw["nodes"] = (tuple((a, b) for a, b in raw[key]) for key in ("shards", "nodes"))
        self.manifest = Manifest(**raw)

    @cached_property
    def _begins(self) -> list[bytes]:
        return [terms.order(begin) for begin, _ in self.manifest.shards]

    def lookup(self, term: str) -> dict[int, int]:
        """Every document that has exactly this term, ascending, with its mask of fields."""
        place = sum(begin <= terms.order(term) for begin in self._begins) - 1
        if place < 0:
            return {}
        return next((self._all(postings) for other, postings in self._shard(place) if other == term), {})

    def prefix(self, prefix: str) -> tuple[int, dict[int, int]]:
        """How many documents have a term that begins so, and those that a client sees (all, or the best).

        Masks are those of all such terms together.
        """
        first = max(sum(begin <= terms.order(prefix) for begin in self._begins) - 1, 0)
        last = first
        while last + 1 < len(self._begins) and self.manifest.shards[last + 1][0].startswith(prefix):
            last += 1
        if last - first >= form.SPAN:
            name, digest = next(node for node in self.manifest.nodes if node[0].startswith(prefix))
            cursor = form.Cursor(*self._file("n", name, digest))
            total = cursor.number()
            return total, dict(sorted(cursor.groups(cursor.number())))
        found: dict[int, int] = {}
        for place in range(first, min(last + 1, len(self._begins))):
            for term, postings in self._shard(place):
                for document, mask in self._all(postings).items() if term.startswith(prefix) else ():
                    found[document] = found.get(document, 0) | mask
        return len(found), dict(sorted(found.items()))

    def document(self, docid: int) -> Document:
        """Path, name and line of a document."""
        number, place = divmod(docid, self.manifest.chunk)
        return self._chunk(number)[place]

    def terms(self) -> Iterator[tuple[str, dict[int, int]]]:
        """Every term, ascending, with its documents."""
        for place in range(len(self._begins)):
            for term, postings in self._shard(place):
                yield term, self._all(postings)

    def verify(self) -> None:
        """Read every file; `AtlasError` if one is missing, of another digest, out of order or misplaced."""
        before = b""
        for term, postings in self.terms():
            if terms.order(term) <= before or any(not 0 <= doc < self.manifest.docs for doc in postings):
                raise AtlasError(self.folder, f"has term {term!r} out of order", "build the site again")
            before = terms.order(term)
        for name, digest in self.manifest.nodes:
            self._file("n", name, digest)
        chunks = -(-self.manifest.docs // self.manifest.chunk)
        held = sum(len(self._chunk(number)) for number in range(chunks))
        data = b"".join(self._bytes(f"d/{number}.{self.manifest.docset}.json") for number in range(chunks))
        if held != self.manifest.docs or form.digest(data) != self.manifest.docset:
            raise AtlasError(self.folder / "d", "does not hold the documents of the manifest", "build the site again")

    def _all(self, postings: form.Postings) -> dict[int, int]:
        found = dict(postings.here)
        for digest in postings.blocks:
            name = f"p/{digest}.bin"
            data = self._bytes(name)
            if form.digest(data, 16) != digest:
                raise AtlasError(self.folder / name, "has another digest than its name", "build the site again")
            cursor = form.Cursor(name, data)
            found.update(cursor.groups(cursor.number()))
        if len(found) != postings.total:
            raise AtlasError(self.folder, "has postings of another number than stated", "build the site again")
        return dict(sorted(found.items()))

    def _shard(self, place: int) -> Iterator[tuple[str, form.Postings]]:
        return form.Cursor(*self._file("t", *self.manifest.shards[place])).shard()

    def _chunk(self, number: int) -> list[Document]:
        return [Document(*row) for row in self._json(f"d/{number}.{self.manifest.docset}.json")]

    def _file(self, folder: str, begin: str, digest: str) -> tuple[str, bytes]:
        name = f"{folder}/{terms.file_stem(begin)}.{digest}.bin"
        data = self._bytes(name)
        if form.digest(data) != digest:
            raise AtlasError(self.folder / name, "has another digest than its name", "build the site again")
        return name, data

    def _bytes(self, name: str) -> bytes:
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            wrong = f"cannot be read ({error.strerror})"
            raise AtlasError(self.folder / name, wrong, "build the site again") from error

    def _json(self, name: str) -> Any:
        try:
            return orjson.loads(self._bytes(name))
        except orjson.JSONDecodeError as error:
            raise AtlasError(self.folder / name, "is not JSON", "build the site again") from error
