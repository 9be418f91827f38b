"""The bytes of the search index, version 1; `site_src/assets/search-core.js` reads the same.

A varint is an unsigned number of 7 bits a byte, least significant first, the high bit set on all but the last
byte (LEB128). A posting says that a term occurs in a document, with a mask of the fields where it does.

    postings = varint(blocks << 4 | groups)
               if blocks: varint(documents in all), blocks x 8 bytes (digest of the block's file)
               groups x group
    group    = varint(documents << 4 | mask), then a varint per document: its docid less the one before (-1 at first)
    shard    = "ATS1", varint(terms), terms x (varint(bytes shared with the term before), varint(bytes more),
               those bytes of UTF-8, varint(bytes of postings), postings)
    node     = "ATS1", varint(documents in all), varint(groups), groups x group
    block    = "ATS1", varint(groups), groups x group

`postings` hold the best `BLOCK` documents themselves; what goes beyond lies in block files, `BLOCK` x 4 each, in
the same order: id, name, tokens, promotes, and docid ascending within each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from atlas.errors import AtlasError

VERSION = 1
MAGIC = b"ATS1"
LOW, MORE = 0x7F, 0x80
"""Of a varint's byte: its number, and that another follows."""
CHUNK = 64
"""Documents whose names and lines share a file."""
BLOCK = 2000
"""Documents of a term that lie in its shard itself."""
SPILL = 4 * BLOCK
"""Documents in a block file."""
SHARD_BYTES = 24 * 1024
SPAN = 2
"""A prefix whose terms lie in more shards than this has a node file."""

FIELDS = {"name": 4, "tokens": 2, "promotes": 1}
ID = 8
"""Mask of the field that nobody fills: the feature's own id."""


def best_field(mask: int, order: Sequence[int]) -> int:
    """Place in `order` of the first field that is in the mask."""
    return next(place for place, field in enumerate(order) if mask & field)


EXACT_ORDER = (ID, 4, 2, 1)
PREFIX_ORDER = (4, 2, 1, ID)
"""Whoever types `65` means a word more often than feature 650; whoever types `650` may well mean it."""
EXACT_PLACE = [0] + [best_field(mask, EXACT_ORDER) for mask in range(1, 16)]
PREFIX_PLACE = [0] + [best_field(mask, PREFIX_ORDER) for mask in range(1, 16)]

Posting = tuple[int, int]
"""Docid and mask."""


@dataclass(frozen=True, slots=True)
class Postings:
    """Decoded postings: how many documents there are in all, those given here, and where the others lie."""

    total: int
    here: tuple[Posting, ...]
    blocks: tuple[str, ...] = ()


def digest(data: bytes, characters: int = 8) -> str:
    """First hexadecimal characters of the SHA-256."""
    return hashlib.sha256(data).hexdigest()[:characters]


def varint(value: int) -> bytes:
    """One unsigned number."""
    out = bytearray()
    while value > LOW:
        out.append(value & LOW | MORE)
        value >>= 7
    out.append(value)
    return bytes(out)


def groups(postings: Iterable[Posting]) -> tuple[int, bytes]:
    """Postings grouped by mask, highest first, docids ascending: how many groups, and their bytes."""
    by_mask: dict[int, list[int]] = {}
    for document, mask in postings:
        by_mask.setdefault(mask, []).append(document)
    out = bytearray()
    for mask in sorted(by_mask, reverse=True):
        documents = sorted(by_mask[mask])
        out += varint(len(documents) << 4 | mask)
        before = -1
        for document in documents:
            gap = document - before
            before = document
            while gap > LOW:  # inlined varint: this is the loop that runs once a posting
                out.append(gap & LOW | MORE)
                gap >>= 7
            out.append(gap)
    return len(by_mask), bytes(out)


def postings(total: int, here: Iterable[Posting], blocks: Sequence[str] = ()) -> bytes:
    """Encode the postings of one term."""
    count, body = groups(here)
    head = varint(len(blocks) << 4 | count)
    if blocks:
        head += varint(total) + b"".join(map(bytes.fromhex, blocks))
    return head + body


def shard(terms: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Encode ascending terms (UTF-8) with their encoded postings."""
    out = bytearray(MAGIC + varint(len(terms)))
    before = b""
    for term, body in terms:
        shared = _shared(before, term)
        out += varint(shared) + varint(len(term) - shared) + term[shared:] + varint(len(body)) + body
        before = term
    return bytes(out)


def node(total: int, here: Iterable[Posting]) -> bytes:
    """Encode the best documents of all terms that begin with a prefix."""
    count, body = groups(here)
    return MAGIC + varint(total) + varint(count) + body


def block(here: Iterable[Posting]) -> bytes:
    """Encode a block of further documents of a term."""
    count, body = groups(here)
    return MAGIC + varint(count) + body


def _shared(a: bytes, b: bytes) -> int:
    length = min(len(a), len(b))
    return next((i for i in range(length) if a[i] != b[i]), length)


class Cursor:
    """Reads the form from bytes; every way in which they can be wrong is an `AtlasError`."""

    def __init__(self, where: str, data: bytes) -> None:
        """Begin after the magic bytes of the file `where`."""
        self.where, self._data, self._at = where, data, len(MAGIC)
        if data[: len(MAGIC)] != MAGIC:
            self._refuse("is not a search file of version 1")

    def _refuse(self, wrong: str) -> NoReturn:
        raise AtlasError(self.where, wrong, "build the site again")

    def take(self, size: int) -> bytes:
        """The next bytes."""
        if self._at + size > len(self._data):
            self._refuse("ends too early")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self) -> int:
        """The next varint, below 2**35."""
        value = 0
        for shift in range(0, 35, 7):
            byte = self.take(1)[0]
            value |= (byte & LOW) << shift
            if byte < MORE:
                return value
        return self._refuse("has a number that is too long")

    def end(self) -> None:
        """Make sure that nothing is left."""
        if self._at != len(self._data):
            self._refuse("has bytes after its end")

    def groups(self, count: int) -> Iterator[Posting]:
        """The next groups' postings."""
        for _ in range(count):
            head = self.number()
            document = -1
            for _ in range(head >> 4):
                document += self.number()
                yield document, head & 15

    def postings(self) -> Postings:
        """The next term's postings."""
        head = self.number()
        total = self.number() if head >> 4 else 0
        blocks = tuple(self.take(8).hex() for _ in range(head >> 4))
        here = tuple(sorted(self.groups(head & 15)))
        return Postings(total or len(here), here, blocks)

    def shard(self) -> Iterator[tuple[str, Postings]]:
        """The terms of a shard."""
        term = b""
        for _ in range(self.number()):
            shared = self.number()
            if shared > len(term):
                self._refuse("has a term that shares more than there is")
            term = term[:shared] + self.take(self.number())
            after = self.number() + self._at
            yield term.decode("utf-8", "replace"), self.postings()
            if self._at != after:
                self._refuse(f"has postings of another length for {term!r}")
        self.end()
