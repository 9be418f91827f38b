"""Compressed files, Parquet and functions give the documents that plain files give."""

from __future__ import annotations

import bz2
import gzip
import sys
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atlas.corpus import packed
from atlas.corpus.documents import load_documents
from atlas.corpus.fingerprint import fingerprint
from atlas.errors import AtlasError

ROWS = [
    {"id": "a", "text": "one\u2028two"},
    {"text": "three \U0001f600"},
    {"text": ""},
    {"id": 7, "text": "five\r\nsix"},
]
LINES = b"\n".join(orjson.dumps(row) for row in ROWS) + b"\n\n"


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


PACK = {".gz": gzip.compress, ".bz2": bz2.compress, ".zst": zstd}


def documents(recipe: Any, folder: Path, source: str) -> tuple[dict[str, str], int]:
    """Texts by id, and how many were empty."""
    (part,) = load_documents(recipe(("p", source)), folder / "cache").values()
    found = {d.id: d.content for d in (part.document(place) for place in range(len(part)))}
    assert len(found) == len(part)
    part.close()
    return found, part.dropped["empty"]


@pytest.mark.parametrize("ending", PACK)
def test_a_compressed_file_holds_what_the_plain_one_holds(recipe, tmp_path, ending, monkeypatch):
    monkeypatch.setattr("atlas.corpus.files.BLOCK", 7)
    for name, data in {"plain/x.jsonl": LINES, "plain/y.txt": b"\xef\xbb\xbfline\r\nline \xc3\xa9\n"}.items():
        for path, content in ((name, data), (f"packed/{Path(name).name}{ending}", PACK[ending](data))):
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_bytes(content)
    plain, empty = documents(recipe, tmp_path, "file:plain/*")
    found, left = documents(recipe, tmp_path, "file:packed/*")
    assert {key.replace(ending, ""): text for key, text in found.items()} == plain
    assert plain == {"p/x.jsonl:a": "one\u2028two", "p/x.jsonl:2": "three \U0001f600", "p/x.jsonl:7": "five\r\nsix"} | {
        "p/y.txt": "line\nline \u00e9\n"
    }
    assert left == empty == 1


def test_parquet_by_column_and_id(recipe, tmp_path):
    table = pa.table({"id": ["a", "b c", None], "text": ["one", "two", "three"], "other": [1, 2, 3]})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=2)
    pq.write_table(pa.table({"text": ["four"]}), tmp_path / "y.parquet")
    found, _ = documents(recipe, tmp_path, "file:*.parquet")
    assert found == {
        "p/x.parquet:a": "one",
        "p/x.parquet:b c": "two",
        "p/x.parquet:3": "three",
        "p/y.parquet:1": "four",
    }


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("x.jsonl.gz", b"not gzip", r"x\.jsonl\.gz: cannot be read \(.*\); fetch it again"),
        ("x.jsonl.gz", gzip.compress(LINES)[:-20], r"x\.jsonl\.gz: cannot be read"),
        ("x.jsonl.gz", gzip.compress(b'{"text": 3}\n'), r"x\.jsonl\.gz:1: no text under 'text'; set `column`"),
        ("x.txt.gz", gzip.compress(b"ab\xff"), r"x\.txt\.gz: not UTF-8 at byte 2"),
        ("x.parquet", b"PAR1 and no more", r"x\.parquet: cannot be read"),
    ],
)
def test_damage_is_one_line(recipe, tmp_path, name, data, says):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(AtlasError, match=says) as error:
        documents(recipe, tmp_path, f"file:{name}")
    assert "\n" not in str(error.value)


def test_parquet_without_the_column_or_with_numbers_in_it(recipe, tmp_path):
    pq.write_table(pa.table({"body": ["x"], "text": pa.array([None], pa.string())}), tmp_path / "x.parquet")
    with pytest.raises(
        AtlasError, match=r"x\.parquet:1: no text under 'text'; set `column` \(there are text\) or `kind`"
    ):
        documents(recipe, tmp_path, "file:x.parquet")
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "x.parquet")
    with pytest.raises(AtlasError, match=r"x\.parquet: has no column 'text'; there are body"):
        documents(recipe, tmp_path, "file:x.parquet")


def test_a_function_beside_the_recipe(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    module = tmp_path / "own_text_1.py"
    module.write_text(
        'def texts():\n    yield "one"\n    yield ("mine", "two")\n    while True:\n        yield "x" * 1000\n'
    )
    part = recipe(("p", "python:own_text_1:texts"))
    budget = 8 * part.corpus.tokens
    found, _ = documents(recipe, tmp_path, "python:own_text_1:texts")
    assert found["p/00000000"] == "one"
    assert found["p/mine"] == "two"
    assert budget <= sum(map(len, found.values())) <= budget + 1000
    before = fingerprint(part)
    module.write_text(module.read_text() + "# changed\n")
    assert fingerprint(part) != before
    assert str(tmp_path) not in sys.path


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing", r"failed \(AttributeError: .*missing"),
        ("fails", r"failed \(ZeroDivisionError"),
        ("numbers", r"gave int as number 1; yield texts, \(id, text\), or rows"),
    ],
)
def test_a_function_that_is_none_or_fails(recipe, tmp_path, name, says):
    (tmp_path / "own_text_2.py").write_text(
        'def fails():\n    yield "x"\n    1 / 0\n\n\ndef numbers():\n    yield "x"\n    yield 3\n'
    )
    with pytest.raises(AtlasError, match=says):
        documents(recipe, tmp_path, f"python:own_text_2:{name}")
    with pytest.raises(AtlasError, match=r"python:no_such_module:x: failed \(ModuleNotFoundError"):
        documents(recipe, tmp_path, "python:no_such_module:x")


def test_lines_are_cut_at_line_feeds_alone(monkeypatch):
    monkeypatch.setattr("atlas.corpus.files.BLOCK", 3)
    data = b"a\r\nb\xe2\x80\xa8c\n\nlast"
    assert list(packed._lines(pa.BufferReader(data))) == [b"a\r\n", b"b\xe2\x80\xa8c\n", b"\n", b"last"]
