"""Documents: ids, files, the hub, and every way in which a source can be wrong."""

import errno
import io
import os
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atlas.corpus import cutting, files, load_documents
from atlas.corpus.cutting import section_id, sections
from atlas.corpus.demo import DEMO
from atlas.corpus.sampling import hash_order
from atlas.errors import AtlasError


def texts(recipe, tmp_path):
    parts = load_documents(recipe, tmp_path / "cache")
    found = {d.id: d.content for part in parts.values() for d in map(part.document, range(len(part)))}
    for part in parts.values():
        part.close()
    return found


def test_text_files_are_documents_with_ids_that_do_not_tell_where_they_lie(recipe, tmp_path):
    (tmp_path / "t" / "b").mkdir(parents=True)
    (tmp_path / "t" / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    (tmp_path / "t" / "b" / "c.txt").write_text("zwei\u2028é", "utf-8")
    (tmp_path / "t" / "empty.txt").write_text(" \n")
    assert texts(recipe(("p", "file:t/**/*.txt")), tmp_path) == {"p/a.txt": "one\ntwo", "p/b/c.txt": "zwei\u2028é"}
    assert list(texts(recipe(("p", f"file:{tmp_path}/t/a.txt")), tmp_path)) == ["p/a.txt"]


def test_json_lines(recipe, tmp_path):
    rows = '{"body": "first\\u2028line"}\n\n{"body": "third", "id": 7}\n{"body": "é", "id": null}'
    (tmp_path / "x.jsonl").write_text(rows, "utf-8")
    part = {"id": "p", "source": "file:x.jsonl", "column": "body"}
    assert texts(recipe(part), tmp_path) == {
        "p/x.jsonl:1": "first\u2028line",
        "p/x.jsonl:7": "third",
        "p/x.jsonl:4": "é",
    }


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.txt", b"caf\xe9", r"x\.txt: not UTF-8 at byte 3; convert it"),
        ("x.txt", b"\xef\xbb\xbfcaf\xe9 au lait", r"x\.txt: not UTF-8 at byte 6"),
        ("x.txt", b"a" * 3_000_001 + b"\xc3\xa9\xff", r"x\.txt: not UTF-8 at byte 3000003"),
        ("x.txt", b"a" * (2**20 - 1) + b"\xc3(", r"x\.txt: not UTF-8 at byte 1048575"),
        ("x.jsonl", b'{"text": "a"}\n{"text": "caf\xe9"}', r"x\.jsonl: not UTF-8 at byte 27"),
        ("x.jsonl", b'\xef\xbb\xbf{"text": "caf\xe9"}', r"x\.jsonl: not UTF-8 at byte 16"),
        ("x.jsonl", b'{"text": "a"}\n{', r"x\.jsonl:2: not JSON"),
        ("x.jsonl", b'{"body": "a"}', r"x\.jsonl:1: no text under 'text'"),
        ("x.jsonl", b'["a"]', r"x\.jsonl:1: not an object; write a JSON object a line"),
        ("x.jsonl", b'{"text": 3}', r"x\.jsonl:1: no text under 'text'"),
        ("x.jsonl", b'{"text": "a", "id": 1}\n{"text": "b", "id": 1}', r"two documents are called 'x\.jsonl:1'"),
        ("x.txt", b"  \n ", r"corpus\.part p: file:x\.txt holds no text; left out: 1 empty"),
        ("x.txt", b"", r"corpus\.part p: file:x\.txt holds no text; left out: 1 empty"),
        ("x.jsonl", b"", r"corpus\.part p: file:x\.jsonl holds no text; mend the source"),
        ("y.txt", b"other", r"x\.txt: no file matches"),
    ],
)
def test_bad_files_are_named(recipe, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    source = "file:x.jsonl" if name.endswith("jsonl") else "file:x.txt"
    with pytest.raises(AtlasError, match=message):
        load_documents(recipe(("p", source)), tmp_path)


def test_an_unreadable_file_is_named(recipe, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "x.txt").write_text("secret")
    monkeypatch.setattr(Path, "open", refuse)  # root reads everything, whatever the mode
    with pytest.raises(AtlasError, match=r"x\.txt: cannot be read \(Permission denied\)"):
        load_documents(recipe(("p", "file:x.txt")), tmp_path)


@pytest.mark.parametrize(
    ("source", "message"),
    [("demo:bibel", "no demo text is called 'bibel'; there are amazon-reviews, bible"), ("web:x", "unknown source")],
)
def test_unknown_sources_are_refused(recipe, tmp_path, source, message):
    with pytest.raises(AtlasError, match=message):
        load_documents(recipe(("p", source)), tmp_path)


@given(st.text("ab \n", max_size=60), st.integers(1, 12))
def test_sections_join_to_the_text_and_have_ids_of_their_own(text, size):
    parts = list(sections(text, size))
    assert "".join(t for _, t in parts) == text
    assert all(len(t) <= size for _, t in parts)
    assert [section_id("d", n) for n, _ in parts] == ["d", *(f"d#{n}" for n in range(2, len(parts) + 1))]


def test_sections_end_at_line_ends_before_spaces():
    assert [t for _, t in sections("one two\nthree four five", 12)] == ["one two\n", "three four ", "five"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text("ab \n\r猫", max_size=60), st.integers(1, 12), st.integers(1, 7), st.booleans())
def test_a_file_is_cut_as_its_whole_text_would_be(recipe, tmp_path, text, size, block, marked):
    (tmp_path / "x.txt").write_bytes(b"\xef\xbb\xbf" * marked + text.encode())
    (tmp_path / "y.txt").write_text("more")
    whole = text.replace("\r\n", "\n")
    expected = {section_id("p/x.txt", n): t for n, t in sections(whole, size) if t.strip()} | {"p/y.txt": "more"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "SECTION", size)
        patch.setattr(files, "BLOCK", block)
        expected |= {section_id("p/y.txt", n): t for n, t in sections("more", size)}
        found = texts(recipe(("p", "file:*.txt")), tmp_path)
    assert found == expected
    assert list(found) == sorted(found, key=lambda i: hash_order(i, 0))


def test_a_long_text_of_a_line_is_cut_too(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(cutting, "SECTION", 12)
    (tmp_path / "x.jsonl").write_text('{"text": "", "id": 1}\r\n{"text": "one two\\nthree four five"}')
    assert texts(recipe(("p", "file:x.jsonl")), tmp_path) == {
        "p/x.jsonl:2": "one two\n",
        "p/x.jsonl:2#2": "three four ",
        "p/x.jsonl:2#3": "five",
    }


def test_a_section_may_not_be_called_as_another_document(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(cutting, "SECTION", 4)
    (tmp_path / "x.txt").write_text("one two")
    (tmp_path / "x.txt#2").write_text("two")
    with pytest.raises(AtlasError, match=r"two documents are called 'x\.txt#2'; make ids unique"):
        load_documents(recipe(("p", "file:x.txt*")), tmp_path)


def test_a_file_that_changes_while_it_is_read_is_named(recipe, tmp_path):
    (tmp_path / "x.txt").write_text("one")
    part = load_documents(recipe(("p", "file:x.txt")), tmp_path)["p"]
    (tmp_path / "x.txt").write_text("other")
    with pytest.raises(AtlasError, match=r"x\.txt: changed while the corpus was read; run again"):
        part.document(0)
    (tmp_path / "x.txt").unlink()
    with pytest.raises(AtlasError, match=r"x\.txt: cannot be read \(No such file or directory\)"):
        part.document(0)


def test_a_file_name_that_is_not_utf8_is_refused(recipe, tmp_path):
    os.close(os.open(os.fsencode(tmp_path) + b"/caf\xe9.txt", os.O_CREAT))
    with pytest.raises(AtlasError, match=r"caf\\udce9\.txt': the file's name is not UTF-8; rename it"):
        load_documents(recipe(("p", "file:*.txt")), tmp_path)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A dataset in the current folder: `datasets` reads `org/name` there by the same call as from the hub."""
    folder = tmp_path / "org" / "name"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"text": [f"row {n}" for n in range(5000)], "n": list(range(5000))}), folder / "a.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.mark.usefixtures("hub")
def test_a_dataset_is_streamed_until_the_budget_has_enough(recipe, tmp_path):
    found = texts(recipe(("p", "hf://datasets/org/name"), tokens=1000), tmp_path)
    assert list(found) == sorted(found, key=lambda i: hash_order(i, 0))
    rows = sorted(found.items())
    assert rows == [(f"p/{n:08d}", f"row {n}") for n in range(len(rows))]
    assert sum(len(t) for _, t in rows[:-1]) < 8000 <= sum(len(t) for _, t in rows)
    assert list((tmp_path / "cache").iterdir()) == []  # where they lay in between


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"column": "body"}, r"row 0: no text under 'body'; set `column` \(there are text, n\) or `kind`"),
        ({"column": "n"}, "row 0: no text under 'n'"),
        ({"split": "test"}, "split 'test' cannot be read"),
        ({"source": "hf://datasets/org/none"}, "hf://datasets/org/none: split 'train' cannot be read"),
        ({"source": "hf://org/name"}, "hf://org/name: not an address of a dataset"),
    ],
)
def test_bad_datasets_are_named(recipe, tmp_path, part, message):
    with pytest.raises(AtlasError, match=message):
        load_documents(recipe({"id": "p", "source": "hf://datasets/org/name", **part}), tmp_path)


def test_a_missing_package_is_said(recipe, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(AtlasError, match="`datasets` is not installed; `pip install datasets`"):
        load_documents(recipe(("p", "hf://datasets/org/name")), tmp_path)


def test_a_full_disk_is_said_where_streamed_text_is_stored(recipe, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("no folder")
    with pytest.raises(AtlasError, match="cache: cannot be written"):
        load_documents(recipe(("p", "demo:pydoc")), tmp_path / "cache")

    class Full(io.BytesIO):
        def write(self, _data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: Full())
    with pytest.raises(AtlasError, match=r"cannot be written \(No space left on device\); free space"):
        load_documents(recipe(("p", "demo:pydoc")), tmp_path)


def test_ids_of_a_stream_are_unique(recipe, tmp_path, monkeypatch):
    monkeypatch.setitem(DEMO, "twice", lambda _cache: [("x", "one"), ("y", "two"), ("x", "three")])
    with pytest.raises(AtlasError, match=r"corpus\.part p: two documents are called 'x'"):
        load_documents(recipe(("p", "demo:twice")), tmp_path)
