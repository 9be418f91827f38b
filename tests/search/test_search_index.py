"""The index says what reading every entry would say: the same documents, in the same order, for every term."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_support import entries, entry

from atlas.errors import AtlasError
from atlas.search import Entry, Reader, build_index, form, tokenise
from atlas.search.index import LINE_LENGTH, NAME_LENGTH
from atlas.search.terms import cut, nodes, order, separator

WORDS = st.sampled_from(
    [
        "the",
        "Theory",
        "thé",
        "bridge",
        "章节",
        "__proto__",
        "constructor",
        "getName",
        "<script>",
        "\0",
        "🌉",
        "a",
        "9",
        "650",
    ]
)
TEXT = st.lists(WORDS | st.text(max_size=6), max_size=6).map(" ".join)
ENTRIES = st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=30).map(entries)


def brute(all_entries: list[Entry]) -> dict[str, dict[int, int]]:
    """Every term with its documents and masks, the slow way."""
    found: dict[str, dict[int, int]] = {}
    for document, one in enumerate(all_entries):
        for term in (one.id, one.id.rpartition("/")[2]):
            found.setdefault(term, {})[document] = form.ID
        for field, text in one.fields.items():
            for term in tokenise(text):
                masks = found.setdefault(term, {})
                masks[document] = masks.get(document, 0) | form.FIELDS[field]
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@settings(deadline=None)
@given(ENTRIES)
def test_every_lookup_equals_brute_force(some: list[Entry]) -> None:
    with tempfile.TemporaryDirectory() as name:
        build_index(some, Path(name))
        reader = Reader(Path(name))
        expected = brute(some)
        assert dict(reader.terms()) == expected
        assert [term for term, _ in reader.terms()] == sorted(expected, key=order)
        for term, masks in expected.items():
            assert list(reader.lookup(term).items()) == sorted(masks.items())
            docs = {doc for other, found in expected.items() if other.startswith(term[:1]) for doc in found}
            assert reader.prefix(term[:1])[0] == len(docs)
            assert list(reader.prefix(term[:1])[1]) == sorted(docs)
        assert reader.lookup("no such term") == {}
        for place, one in enumerate(some):
            assert reader.document(place).path == one.path
        reader.verify()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Entry], Path]:
    """An index with block files and nodes: one word everywhere, and many words."""
    texts = [
        (f"word{i % 1500}x{i // 3}", f"common w{i % 7} {'often' if i % 3 else ''}", "later") for i in range(13_000)
    ]
    folder = tmp_path_factory.mktemp("many")
    build_index(entries(texts), folder)
    return entries(texts), folder


def test_long_lists_and_wide_prefixes_equal_brute_force(many: tuple[list[Entry], Path]) -> None:
    some, folder = many
    reader, expected = Reader(folder), brute(some)
    assert len(reader.manifest.shards) > 10
    assert list((folder / "p").iterdir())
    assert dict(reader.terms()) == expected
    for prefix in [name for name, _ in reader.manifest.nodes] + ["w", "word", "9", "9-res", "9-res-4k/", "common"]:
        masks: dict[int, int] = {}
        for term, found in expected.items():
            for doc, mask in found.items() if term.startswith(prefix) else ():
                masks[doc] = masks.get(doc, 0) | mask
        best = sorted(masks, key=lambda doc: (form.PREFIX_PLACE[masks[doc]], doc))
        total, given_docs = reader.prefix(prefix)
        assert total == len(masks)
        assert sorted(given_docs) == sorted(best[: len(given_docs)])
        assert all(masks[doc] == mask for doc, mask in given_docs.items())
        assert len(given_docs) >= min(total, form.BLOCK)
    reader.verify()


def test_files_are_small_and_named_by_their_content(many: tuple[list[Entry], Path]) -> None:
    _, folder = many
    documents = b""
    for name, data in files(folder).items():
        if name == "manifest.json":
            continue
        kind, _, rest = name.partition("/")
        named = rest.split(".")[-2]
        assert len(data) <= (form.SHARD_BYTES if kind != "p" else 3 * form.SPILL)
        assert kind == "d" or hashlib.sha256(data).hexdigest().startswith(named)
    for number in range(len(list((folder / "d").iterdir()))):
        documents += next((folder / "d").glob(f"{number}.*")).read_bytes()
    docset = hashlib.sha256(documents).hexdigest()[:8]
    assert {p.name.split(".")[1] for p in (folder / "d").iterdir()} == {docset}


def test_the_same_entries_give_the_same_bytes(many: tuple[list[Entry], Path], tmp_path: Path) -> None:
    some, folder = many
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "00.deadbeef.bin").write_bytes(b"of an earlier build")
    (tmp_path / "index.html").write_text("somebody else's")
    build_index(iter(some[:70]), tmp_path)
    build_index(iter(some), tmp_path)
    (tmp_path / "index.html").unlink()
    assert files(tmp_path) == files(folder)


def test_hostile_names_come_back_as_they_were(tmp_path: Path) -> None:
    names = [
        "<script>alert(1)</script>",
        "a\0b",
        "🌉" * 90,
        "x" * 9000,
        "__proto__",
        "constructor",
        "\ud800 alone",
        "a\n b",
    ]
    build_index(entries((name, name, name) for name in names), tmp_path)
    reader = Reader(tmp_path)
    reader.verify()
    shown = [reader.document(place).name for place in range(len(names))]
    assert shown[:3] == names[:3]
    assert shown[3] == "x" * (NAME_LENGTH - 1) + "…"
    assert shown[4:6] == names[4:6]
    assert shown[6:] == ["\ufffd alone", "a b"]
    assert list(reader.lookup("proto")) == [4]
    assert list(reader.lookup("constructor")) == [5]
    assert all(len(reader.document(place).line) <= LINE_LENGTH for place in range(len(names)))
    assert all(len(path.name) < 100 for path in tmp_path.rglob("*"))


def test_ids_are_terms(tmp_path: Path) -> None:
    build_index([entry(650, "a"), entry(650, "b", dictionary="5-res-2k"), entry(65, "650 pages")], tmp_path)
    reader = Reader(tmp_path)
    assert reader.lookup("650") == {0: form.ID, 1: form.ID, 2: 4}
    assert reader.lookup("5-res-2k/650") == {1: form.ID}


@pytest.mark.parametrize(
    "wrong",
    [
        Entry("m/s/1", "s/2", "", "", {}),
        Entry("../s/1", "s/1", "", "", {}),
        Entry("m/s/01", "s/01", "", "", {}),
        Entry("m/s/1", "s/1", "", "", {"title": "x"}),
        Entry("c/x", "x", "", "", {}),
        Entry("d/x", "", "", "", {}),
        Entry("c/../x", "", "", "", {}),
    ],
)
def test_wrong_entries_are_refused(wrong: Entry, tmp_path: Path) -> None:
    with pytest.raises(AtlasError):
        build_index([wrong], tmp_path)


def test_a_concept_is_found_by_its_name_alone(tmp_path: Path) -> None:
    concept = Entry("c/suspension-bridges", "", "Suspension bridges", "What hangs.", {"name": "Suspension bridges"})
    build_index([concept, entry(650, "bridges")], tmp_path)
    reader = Reader(tmp_path)
    assert reader.lookup("bridges") == {0: form.FIELDS["name"], 1: form.FIELDS["name"]}
    assert reader.document(0) == ("c/suspension-bridges", "Suspension bridges", "What hangs.")


def test_an_empty_index_finds_nothing(tmp_path: Path) -> None:
    assert build_index([], tmp_path).docs == 0
    Reader(tmp_path).verify()
    assert Reader(tmp_path).lookup("x") == {}
    assert Reader(tmp_path).prefix("x") == (0, {})


@given(st.sets(st.text("ab\U0001f309\uff21", min_size=1, max_size=6), min_size=1), st.integers(20, 60))
def test_shards_divide_the_terms(some: set[str], limit: int) -> None:
    ordered = sorted(some, key=order)
    cuts = cut(ordered, [10] * len(ordered), limit)
    ends = [*cuts[1:], len(ordered)]
    assert cuts[0] == 0
    assert all(a < b and (b - a == 1 or (b - a) * 10 <= limit) for a, b in zip(cuts, ends, strict=True))
    begins = [separator(ordered[a - 1] if a else "", ordered[a]) for a in cuts]
    for begin, a in zip(begins, cuts, strict=True):
        assert order(begin) <= order(ordered[a])
        assert not a or order(ordered[a - 1]) < order(begin)
    for prefix, first, last in nodes(ordered, begins):
        assert [term for term in ordered if term.startswith(prefix)] == ordered[first:last]


@pytest.mark.parametrize("damage", ["cut", "flip", "magic", "gone", "version", "json"])
def test_damage_is_reported_in_one_line(damage: str, tmp_path: Path) -> None:
    build_index(entries([("a bridge", "b", "c")] * 3), tmp_path)
    shard = next((tmp_path / "t").iterdir())
    data = shard.read_bytes()
    if damage in {"version", "json"}:
        manifest = tmp_path / "manifest.json"
        text = manifest.read_text().replace('"version":1', '"version":2') if damage == "version" else "<html>"
        manifest.write_text(text)
    elif damage == "gone":
        shard.unlink()
    else:
        other = {"cut": data[:-1], "flip": data[:-1] + bytes([data[-1] ^ 1]), "magic": b"ATS2" + data[4:]}
        shard.write_bytes(other[damage])
    with pytest.raises(AtlasError) as caught:
        Reader(tmp_path).verify()
    assert "\n" not in str(caught.value)
    assert "build the site again" in str(caught.value)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        for _, postings in form.Cursor("x", form.MAGIC + data).shard():
            assert len(postings.here) <= len(data)
    except AtlasError:
        pass
