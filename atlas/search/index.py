"""Writes the search index: small whole files, each named by its content, found through one manifest.

    manifest.json              {format, version, docs, chunk, docset, fields, shards: [[from, digest]], nodes: [...]}
    t/<from>.<digest>.bin      a shard: the terms from `from` (hex of its UTF-8, 16 bytes at most) to the next shard's
    n/<prefix>.<digest>.bin    a node: the best documents of a prefix whose terms lie in many shards
    p/<digest>.bin             a block: what a long list of postings has beyond its best part
    d/<n>.<docset>.json        64 documents: [path, name, line]

Algorithm:

1. Read the entries once, in docid order: write their chunk of documents, keep one 64-bit key per term and document
   (term, docid, mask of fields). Memory is these keys and the distinct terms.
2. Number the terms in ascending order (of UTF-16 units, which is how JavaScript compares) and sort the keys.
3. Encode the postings of every term (`atlas.search.form`).
4. Cut the ascending terms into shards of at most 24 KB, where in the last third the dividing prefix is shortest;
   a prefix that still spans more than two shards gets a node.
5. Write the manifest last; then remove what an earlier index left in the folder.

The same entries give the same bytes.
"""

from __future__ import annotations

import os
import re
import shutil
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from atlas.errors import AtlasError
from atlas.search import form, terms
from atlas.search.tokenise import tokenise

NAME_LENGTH, LINE_LENGTH = 200, 96
_CONCEPT = re.compile(r"c/[a-z0-9][a-z0-9._-]*")
_PATH = re.compile(r"[a-z0-9][a-z0-9._-]*/([a-z0-9][a-z0-9._-]*/(0|[1-9][0-9]*))")
_FOLDERS = ("t", "n", "p", "d")

Keys = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Entry:
    """One feature, or one concept, as search knows it.

    Attributes:
        path: Its frozen address: `model/dictionary/index`, or `c/concept` (no model is called `c`).
        id: What people type to find it: `dictionary/index`; "" for a concept, which is found by its name.
        name: Its display name.
        line: One short line shown below the name.
        fields: The text to search: `name`, `tokens` (that make it fire) and `promotes` (that it makes likelier).
    """

    path: str
    id: str
    name: str
    line: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `manifest.json` says.

    Attributes:
        format: Always `atlas-search`.
        version: Version of the form (`atlas.search.form`).
        docs: Number of documents.
        chunk: Documents in a file of `d/`.
        docset: Digest of all files of `d/` together.
        fields: Bit of every field in a posting's mask.
        shards: Where each shard begins, with its digest, ascending.
        nodes: Prefix of each node, with its digest, ascending.
    """

    format: str
    version: int
    docs: int
    chunk: int
    docset: str
    fields: dict[str, int]
    shards: tuple[tuple[str, str], ...]
    nodes: tuple[tuple[str, str], ...]


def build_index(entries: Iterable[Entry], out: Path) -> Manifest:
    """Write the index of the entries.

    Args:
        entries: The features in docid order, best first (`atlas.search.rank`).
        out: Folder of the index, `<site>/search/`; other files in it are left alone.

    Returns:
        The manifest, as written.
    """
    for folder in _FOLDERS:
        (out / folder).mkdir(parents=True, exist_ok=True)
    written: set[Path] = set()
    vocabulary, raw, count, docset = _collect(entries, out, written)
    names = sorted(vocabulary, key=terms.order)
    keys = _sorted_keys(raw, names, vocabulary)
    starts = np.searchsorted(keys, np.arange(len(names) + 1, dtype=np.uint64) << np.uint64(32)).tolist()

    bodies = [_body(_postings(keys[a:b]), out, written) for a, b in pairwise(starts)]
    encoded = [name.encode() for name in names]
    cuts = terms.cut(names, [len(n) + len(b) + 4 for n, b in zip(encoded, bodies, strict=True)])
    shards = []
    for a, b in pairwise([*cuts, len(names)] if cuts else []):
        begin = terms.separator(names[a - 1] if a else "", names[a])
        data = form.shard(list(zip(encoded[a:b], bodies[a:b], strict=True)))
        shards.append((begin, _write(out, f"t/{terms.file_stem(begin)}", data, written)))
    nodes = [
        (prefix, _write(out, f"n/{terms.file_stem(prefix)}", _node(keys[starts[a] : starts[b]]), written))
        for prefix, a, b in terms.nodes(names, [begin for begin, _ in shards])
    ]
    fields = {**form.FIELDS, "id": form.ID}
    manifest = Manifest("atlas-search", form.VERSION, count, form.CHUNK, docset, fields, tuple(shards), tuple(nodes))
    _publish(out / "manifest.json", orjson.dumps(asdict(manifest)))
    for folder in _FOLDERS:
        for stale in set((out / folder).iterdir()) - written:
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
    return manifest


def _collect(entries: Iterable[Entry], out: Path, written: set[Path]) -> tuple[dict[str, int], array[int], int, str]:
    """Step 1: write the documents, number the terms as they come, and key every posting."""
    vocabulary: dict[str, int] = {}
    keys = array("Q")
    chunk: list[tuple[str, str, str]] = []
    total, count = sha256(), 0
    unnamed: list[Path] = []

    def flush() -> None:
        data = orjson.dumps(chunk)
        total.update(data)
        # Its name holds the digest of all documents (one digest instead of thousands in the manifest), known last.
        unnamed.append(out / "d" / f"{len(unnamed)}.part")
        unnamed[-1].write_bytes(data)
        chunk.clear()

    for count, entry in enumerate(entries, 1):
        chunk.append((entry.path, _clip(entry.name, NAME_LENGTH), _clip(entry.line, LINE_LENGTH)))
        for term, mask in _masks(entry).items():
            keys.append(vocabulary.setdefault(term, len(vocabulary)) << 32 | (count - 1) << 4 | mask)
        if len(chunk) == form.CHUNK:
            flush()
    if chunk:
        flush()
    docset = total.hexdigest()[:8]
    for number, part in enumerate(unnamed):
        written.add(part.replace(out / "d" / f"{number}.{docset}.json"))
    return vocabulary, keys, count, docset


def _masks(entry: Entry) -> dict[str, int]:
    match = _PATH.fullmatch(entry.path)
    concept = _CONCEPT.fullmatch(entry.path) and not entry.id
    if not concept and (not match or match[1] != entry.id):
        raise AtlasError(entry.path, f"has id {entry.id!r}", "an id is the last two parts of model/dictionary/index")
    if unknown := sorted(set(entry.fields) - set(form.FIELDS)):
        raise AtlasError(entry.path, f"has unknown search fields {unknown}", f"use {sorted(form.FIELDS)}")
    masks = {match[1]: form.ID, match[2]: form.ID} if match else {}
    for field, text in entry.fields.items():
        for term in tokenise(text):
            masks[term] = masks.get(term, 0) | form.FIELDS[field]
    return masks


def _clip(text: str, length: int) -> str:
    """At most so many characters, on one line, without what UTF-8 cannot hold (lone surrogates)."""
    text = " ".join(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").split())
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _sorted_keys(raw: array[int], names: list[str], vocabulary: dict[str, int]) -> Keys:
    """Step 2: keys whose upper half is the term's place in ascending order, ascending."""
    rank = np.empty(len(names), dtype=np.uint64)
    rank[[vocabulary[name] for name in names]] = np.arange(len(names), dtype=np.uint64)
    keys: Keys = np.frombuffer(raw, dtype=np.uint64) if len(raw) else np.empty(0, np.uint64)
    keys = rank[keys >> np.uint64(32)] << np.uint64(32) | keys & np.uint64(0xFFFFFFFF)
    keys.sort()
    return keys


def _postings(keys: Keys) -> list[form.Posting]:
    return [(key >> 4, key & 15) for key in (keys & np.uint64(0xFFFFFFFF)).tolist()]


def _body(postings: list[form.Posting], out: Path, written: set[Path]) -> bytes:
    """Step 3: the encoded postings of a term; what exceeds its best part goes into block files."""
    blocks = []
    if len(postings) > form.BLOCK:
        postings.sort(key=lambda posting: (form.EXACT_PLACE[posting[1]], posting[0]))
        for start in range(form.BLOCK, len(postings), form.SPILL):
            data = form.block(postings[start : start + form.SPILL])
            blocks.append(form.digest(data, 16))
            written.add(_put(out / "p" / f"{blocks[-1]}.bin", data))
    return form.postings(len(postings), postings[: form.BLOCK], blocks)


def _node(keys: Keys) -> bytes:
    """The best documents of all the terms whose keys these are."""
    low = keys & np.uint64(0xFFFFFFFF)
    low.sort()
    documents, first = np.unique(low >> np.uint64(4), return_index=True)
    masks = np.bitwise_or.reduceat(low & np.uint64(15), first)
    best = np.lexsort((documents, np.array(form.PREFIX_PLACE)[masks]))[: form.BLOCK]
    here = zip(documents[best].tolist(), masks[best].tolist(), strict=True)
    return form.node(len(documents), here)


def _write(out: Path, stem: str, data: bytes, written: set[Path]) -> str:
    digest = form.digest(data)
    written.add(_put(out / f"{stem}.{digest}.bin", data))
    return digest


def _put(path: Path, data: bytes) -> Path:
    # No fsync: nothing points at this name before the manifest does, and the next build writes it again.
    path.write_bytes(data)
    return path


def _publish(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
