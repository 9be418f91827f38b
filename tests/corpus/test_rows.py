"""Rows of any source: which columns hold what, and what is refused."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atlas.config import PartSection
from atlas.corpus import load_documents
from atlas.corpus.rows import Given, limited, read_row
from atlas.errors import AtlasError

CHAT = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "good day"}]


def part(**keys: Any) -> PartSection:
    return PartSection.model_validate({"id": "p", "label": "P", "licence": "CC0", "source": "file:x"} | keys)


def test_what_a_row_says_of_its_document() -> None:
    row = {
        "text": "words",
        "meta": {"url": "https://a.example", "set": {"name": " the\nPile "}},
        "n": 3,
        "meta.n": None,
    }
    columns = {"url_column": "meta.url", "licence_column": "meta.set.name", "id_column": "n"}
    assert read_row(part(**columns), "w", "7", row) == Given("3", "words", "https://a.example", "the Pile")
    assert read_row(part(url_column="meta.n"), "w", "7", row) == Given("7", "words")
    assert read_row(part(column="meta.url"), "w", "7", row).content == "https://a.example"
    assert read_row(part(url_column="n"), "w", "7", row | {"n": "x" * 9000}).url == "x" * 2000


@pytest.mark.parametrize("ids", [[1, 2, 3], (1, 2, 3), np.array([1, 2, 3]), []])
def test_token_ids(ids: Any) -> None:
    found = read_row(part(kind="tokens", column="input_ids"), "w", "7", {"input_ids": ids}).content
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.int32
    assert found.tolist() == list(ids)


def test_conversations() -> None:
    section = part(kind="chat", column="messages")
    extra = [{"role": m["role"], "content": m["content"], "name": 3} for m in CHAT]
    assert read_row(section, "w", "7", {"messages": extra}).content == CHAT


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *(("text", value) for value in (None, 3, ["a"], [1, 2])),
        *(("tokens", value) for value in ("1 2", [[1], [2]], [[1], [2, 3]], [1.5], [-1], [2**31], None, [True])),
        *(
            ("chat", value)
            for value in ("hello", [], [{"role": "user"}], [["user", "x"]], [CHAT[0] | {"content": [1]}])
        ),
    ],
)
def test_what_is_something_else_is_refused(kind: str, value: Any) -> None:
    with pytest.raises(AtlasError, match=r"^w: no .* under 'text'; set `column` \(there are text, b\) or `kind`"):
        read_row(part(kind=kind), "w", "7", {"text": value, "b": 1})


def test_a_column_that_is_not_there_is_named() -> None:
    for key in ("url_column", "licence_column", "id_column"):
        with pytest.raises(AtlasError, match=r"^w: no column 'address'; its columns are text$"):
            read_row(part(**{key: "address"}), "w", "7", {"text": "a"})


def test_half_surrogates_become_question_marks() -> None:
    found = read_row(part(url_column="u"), "w", "\ud800", {"text": "a\udfff", "u": "\ud800"})
    assert found == Given("?", "a?", "?")


def test_an_endless_source_is_read_as_far_as_the_budget_needs() -> None:
    def rows(content: Any) -> Any:
        while True:
            yield Given("x", content)

    assert len(list(limited(rows("x" * 10), 10))) == 8
    assert len(list(limited(rows(np.zeros(10, np.int32)), 10))) == 2, "twice the budget"
    assert len(list(limited(rows(CHAT), 10))) == 6


def test_tokens_and_what_belongs_to_a_document_come_through_every_source(recipe, tmp_path, monkeypatch) -> None:
    table = pa.table({"ids": [[5, 6], [7]], "meta": [{"url": "u1"}, {"url": "u2"}], "by": ["MIT", None]})
    pq.write_table(table, tmp_path / "x.parquet")
    (tmp_path / "x.jsonl").write_text(
        '{"ids": [5, 6], "meta": {"url": "u1"}, "by": "MIT"}\n\n{"ids": [7], "meta": {"url": "u2"}, "by": null}\n'
    )
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "own_rows.py").write_text(
        "import json\n\n\ndef rows():\n    with open(__file__.replace('own_rows.py', 'x.jsonl')) as file:\n"
        "        yield from (json.loads(line) for line in file if line.strip())\n"
    )
    keys = {"kind": "tokens", "column": "ids", "url_column": "meta.url", "licence_column": "by"}
    for source in ("file:x.parquet", "file:x.jsonl", "python:own_rows:rows"):
        (found,) = load_documents(recipe({"id": "p", "source": source} | keys), tmp_path).values()
        documents = sorted((found.document(i) for i in range(len(found))), key=lambda d: d.url)
        assert [(np.asarray(d.content).tolist(), d.url, d.licence) for d in documents] == [
            ([5, 6], "u1", "MIT"),
            ([7], "u2", ""),
        ]
        found.close()


def test_columns_of_a_file_are_looked_for_before_it_is_read(recipe, tmp_path) -> None:
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(AtlasError, match=r"x\.parquet: has no column 'meta'; there are text"):
        load_documents(recipe({"id": "p", "source": "file:x.parquet", "url_column": "meta.url"}), tmp_path)
    (tmp_path / "x.txt").write_text("words")
    with pytest.raises(AtlasError, match=r"x\.txt: is plain text, not chat; use JSON Lines or Parquet"):
        load_documents(recipe({"id": "p", "source": "file:x.txt", "kind": "chat"}), tmp_path)


def test_ids_have_no_text_to_filter() -> None:
    with pytest.raises(ValueError, match="has no text to filter"):
        part(kind="tokens", shortest=3)
