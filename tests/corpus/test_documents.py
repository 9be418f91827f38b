"""Documents: ids, files, the hub, and every way in which a source can be wrong."""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.corpus import load_documents
from atlas.corpus.documents import sections
from atlas.errors import AtlasError


def texts(recipe, tmp_path):
    return {d.id: d.text for part in load_documents(recipe, tmp_path / "cache").values() for d in part}


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
        ("x.txt", b"caf\xe9", r"x\.txt: not UTF-8 at byte 3"),
        ("x.jsonl", b'{"text": "a"}\n{', r"x\.jsonl:2: not JSON"),
        ("x.jsonl", b'{"body": "a"}', r"x\.jsonl:1: no text under 'text'"),
        ("x.jsonl", b'["a"]', r"x\.jsonl:1: no text under 'text'"),
        ("x.jsonl", b'{"text": 3}', r"x\.jsonl:1: no text under 'text'"),
        ("x.jsonl", b'{"text": "a", "id": 1}\n{"text": "b", "id": 1}', r"two documents are called 'x\.jsonl:1'"),
        ("x.txt", b"  \n ", r"corpus\.part p: file:x\.txt holds no text"),
        ("y.txt", b"other", r"x\.txt: no file matches"),
    ],
)
def test_bad_files_are_named(recipe, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    source = "file:x.jsonl" if name.endswith("jsonl") else "file:x.txt"
    with pytest.raises(AtlasError, match=message):
        load_documents(recipe(("p", source)), tmp_path)


def test_an_unreadable_file_is_named(recipe, tmp_path, monkeypatch):
    def refuse(_path):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "x.txt").write_text("secret")
    monkeypatch.setattr(Path, "read_bytes", refuse)  # root reads everything, whatever the mode
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
    parts = list(sections("d", text, size))
    assert "".join(t for _, t in parts) == text
    assert all(len(t) <= size for _, t in parts)
    assert [name for name, _ in parts] == ["d", *(f"d#{n}" for n in range(2, len(parts) + 1))]


def test_sections_end_at_line_ends_before_spaces():
    assert [t for _, t in sections("d", "one two\nthree four five", 12)] == ["one two\n", "three four ", "five"]


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
    assert list(found.items())[:2] == [("p/00000000", "row 0"), ("p/00000001", "row 1")]
    assert sum(map(len, list(found.values())[:-1])) < 8000 <= sum(map(len, found.values()))


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"column": "body"}, "row 0 has no text in column 'body'; its columns are n, text"),
        ({"column": "n"}, "row 0 has no text in column 'n'"),
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
