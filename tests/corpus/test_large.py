"""Large inputs: read in seconds where the budget is small, and never held in memory."""

import tracemalloc
from contextlib import contextmanager
from types import SimpleNamespace

import orjson
import pytest
from corpus_support import BATCH

from atlas.corpus import cutting, open_corpus
from atlas.corpus.documents import load_documents
from atlas.corpus.files import BLOCK
from atlas.errors import AtlasError

MEGABYTE = 1 << 20
LINE = "the cat %d sat on the mat; été, 猫 and the dog\r\n"


@contextmanager
def measured():
    """What Python allocated at most in the block, in bytes."""
    peak = SimpleNamespace(bytes=0)
    tracemalloc.start()
    try:
        yield peak
        peak.bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def block():
    """A megabyte of text."""
    size = len((LINE % 10_000).encode())
    return "".join(LINE % n for n in range(10_000, 10_000 + MEGABYTE // size)).encode()


@pytest.fixture
def budget(recipe, gpt, tmp_path):
    """Read so many tokens of a source; gives the end and the peak of memory."""

    def read(source, tokens, **corpus):
        made = recipe(("p", source), tokens=tokens, **corpus)
        with measured() as peak, open_corpus(made, gpt, tmp_path, tmp_path / "spool", "k", BATCH) as opened:
            for _ in opened:
                pass
        return opened.end, peak.bytes

    return read


def test_a_text_of_50_megabytes_is_cut_and_not_held(budget, block, tmp_path):
    with (tmp_path / "x.txt").open("wb") as file:
        for n in range(50):
            file.write(b"part %d\n" % n + block)
    end, peak = budget("file:x.txt", 450, per_document=3)
    assert end.tokens >= 450
    assert end.documents == 10  # of 250 sections, from all over it
    assert peak < 20 * MEGABYTE


def test_a_line_of_50_megabytes_is_cut_too(budget, block, tmp_path):
    text = orjson.dumps({"text": block.decode() * 50})
    (tmp_path / "x.jsonl").write_bytes(text + b'\n{"text": "short, but the last line of the file"}\n')
    end, _ = budget("file:x.jsonl", 300, per_document=4)
    assert end.tokens >= 300
    assert end.documents > 1


def test_bytes_that_are_not_text_are_found_far_on(recipe, block, tmp_path):
    whole = block * 12 + b"\xfe" + block
    (tmp_path / "x.txt").write_bytes(whole)
    with pytest.raises(AtlasError, match=f"not UTF-8 at byte {12 * len(block)}"):
        load_documents(recipe(("p", "file:x.txt")), tmp_path)


@pytest.mark.parametrize("kind", ["txt", "jsonl", "stream"])
def test_memory_does_not_grow_with_the_text(recipe, block, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(cutting, "SECTION", 20_000)

    def peak_of(megabytes):
        path, source = tmp_path / f"{megabytes}.{kind}", f"file:{megabytes}.{kind}"
        pairs = ((str(n), block.decode()) for n in range(megabytes))
        if kind == "stream":
            source = "demo:large"
            monkeypatch.setitem(load_documents.__globals__["DEMO"], "large", lambda _cache: pairs)
        else:
            with path.open("wb") as file:
                for name, text in pairs:
                    file.write(orjson.dumps({"id": name, "text": text}) + b"\n" if kind == "jsonl" else text.encode())
        with measured() as peak:
            part = load_documents(recipe(("p", source)), tmp_path)["p"]
            for place in range(0, len(part), 40):
                part.document(place)
            part.close()
        return peak.bytes

    small, large = peak_of(2), peak_of(16)
    assert large < small + 2 * BLOCK


@pytest.mark.usefixtures("small")
def test_memory_does_not_grow_with_the_tokens(budget, block, tmp_path, monkeypatch):
    monkeypatch.setattr("atlas.corpus.chunks.CHUNK", 2000)
    monkeypatch.setattr(cutting, "SECTION", 2000)
    (tmp_path / "x.txt").write_bytes(block)
    few, small = budget("file:x.txt", 20_000)
    many, large = budget("file:x.txt", 200_000)
    assert (few.chunks, many.chunks) == (10, 100)
    assert large < small + 400_000  # tokens alone would take 720,000 bytes more
