"""Chunks: every token once, in a fixed order, never a control token, and micro-batches within the budget."""

import dataclasses

import numpy as np
import pytest
from corpus_support import BATCH, digests, read, windows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_tokenizers import byte_level, fast

from atlas.corpus import encoding, read_all, reading, token_bytes
from atlas.corpus.chunks import arrange, restore
from atlas.corpus.reading import Window
from atlas.errors import AtlasError

LINES = st.lists(st.text("the cat\nsat 猫", min_size=1, max_size=120), min_size=1, max_size=8)
FIELDS = ["ids", "offsets", "document", "source", "start", "batches"]


@pytest.mark.usefixtures("small")
def test_every_token_of_a_corpus_within_budget_is_there_once(corpus, gpt, tmp_path):
    chunks, end = read(corpus(tokens=10**6), gpt, tmp_path)
    table = token_bytes(gpt)
    found = {}
    for name, _, ids in sorted(windows(chunks), key=lambda w: w[1]):
        found[name] = found.get(name, b"") + b"".join(table[i] for i in ids)
    assert len(chunks) > 5
    assert len(found) == 33 == end.documents
    for name, text in found.items():
        whole = (tmp_path / name.partition("/")[2]).read_bytes()
        assert whole.startswith(text)
        assert len(whole) - len(text) < 8 * max(map(len, table))  # what a dropped last window held
    assert end.dropped["short"] == end.dropped_total > 0
    whole = {d.id: d.tokens for c in chunks for d in c.documents}
    assert 0 < sum(whole.values()) - end.tokens < 8 * end.dropped["short"]
    assert (end.counts == np.bincount(np.concatenate([c.ids for c in chunks]), minlength=len(table))).all()


@pytest.mark.usefixtures("small")
def test_shapes_types_and_counts(corpus, gpt, tmp_path):
    chunks, end = read(corpus(tokens=3000), gpt, tmp_path)
    first = first_batch = 0
    for number, chunk in enumerate(chunks):
        n = len(chunk)
        assert (chunk.number, chunk.first, chunk.first_batch) == (number, first, first_batch)
        kinds = [getattr(chunk, field).dtype for field in FIELDS]
        assert kinds == [np.int32, np.int64, np.int32, np.int16, np.int32, np.int64]
        assert (len(chunk.offsets), len(chunk.source), len(chunk.start)) == (n + 1, n, n)
        assert chunk.offsets[-1] == chunk.ids.size
        assert all(chunk.documents[d].source == s for d, s in zip(chunk.document, chunk.source, strict=True))
        assert set(chunk.document) == set(range(len(chunk.documents)))
        assert chunk.documents == sorted(chunk.documents, key=lambda d: (d.source, d.id))
        first, first_batch = first + n, first_batch + len(chunk.batches) - 1
        for field in FIELDS:
            with pytest.raises(ValueError, match="read-only"):
                getattr(chunk, field)[0] = 1
    with pytest.raises(IndexError, match="window 0 is not in chunk 1"):
        chunks[1].tokens(0)
    assert all(200 <= c.ids.size < 200 + 15 for c in chunks[:-1])
    assert (end.chunks, end.windows, end.batches) == (len(chunks), first, first_batch)
    assert end.firsts.tolist() == [*(c.first for c in chunks), first]
    assert end.tokens == sum(c.ids.size for c in chunks) == sum(s.tokens for s in end.sources) == end.counts.sum()
    assert [s.windows for s in end.sources] == [sum(int((c.source == i).sum()) for c in chunks) for i in (0, 1)]
    documents = {d for c in chunks for d in c.documents}
    assert [s.documents for s in end.sources] == [sum(d.source == i for d in documents) for i in (0, 1)]
    assert [(s.id, s.label, s.licence) for s in end.sources] == [("verse", "L", "CC0"), ("code", "L", "CC0")]
    assert end.digests == tuple(digests(chunks))


def test_the_budget_is_split_and_the_last_document_cut_at_a_window(corpus, gpt, tmp_path):
    _, end = read(corpus(tokens=300), gpt, tmp_path)
    assert 300 <= end.tokens < 300 + 2 * 15
    assert all(150 <= s.tokens < 150 + 15 for s in end.sources)


def test_windows_of_a_chunk_are_sorted_by_length_and_then_mixed(corpus, gpt, tmp_path):
    (chunk,) = read_all(corpus(tokens=10**6), gpt, tmp_path, tmp_path / "spool", BATCH)
    lengths = np.diff(chunk.offsets)
    assert lengths[0] == 15
    assert (np.diff(lengths) <= 0).all()
    assert lengths[-1] >= reading.SHORTEST
    full = chunk.document[lengths == 15]
    assert (np.diff(full) != 0).mean() > 0.8  # neighbours come from different documents


def test_without_bos_a_window_is_all_text(corpus, gpt, tmp_path):
    (chunk,), _ = read(corpus(bos=False), gpt, tmp_path)
    assert chunk.offsets[1] == 16
    assert set(chunk.start % 16) == {0}


@settings(max_examples=200)
@given(st.lists(st.integers(1, 15), min_size=1, max_size=80), st.integers(1, 9), st.booleans())
def test_micro_batches_hold_every_window_once_and_as_many_as_fit(lengths, batch, bos):
    part = type("Part", (), {"id": "p"})
    recipe = type("Corpus", (), {"part": [part], "window": 16, "bos": bos})
    made = [Window("p", f"p/{n}", size, 0, np.zeros(size, np.int32), n, 0) for n, size in enumerate(lengths)]
    chunk = arrange(3, 100, 50, made, recipe, batch)
    batches = list(chunk.micro_batches())
    assert [number for number, _ in batches] == list(range(50, 50 + len(batches)))
    assert [w for _, rows in batches for w in rows] == list(chunk.windows) == list(range(100, 100 + len(lengths)))
    longest = [len(chunk.tokens(rows[0])) + bos for _, rows in batches]
    for (_, rows), size in zip(batches, longest, strict=True):
        assert size == max(len(chunk.tokens(w)) for w in rows) + bos
        assert size * len(rows) <= batch * 16
        if rows is not batches[-1][1]:
            assert len(rows) >= batch
            assert size * (len(rows) + 1) > batch * 16
    assert chunk.digest() == arrange(3, 100, 50, made[::-1], recipe, batch).digest()


def test_same_recipe_same_bytes_whatever_the_batches(corpus, gpt, tmp_path, monkeypatch):
    once = read(corpus(tokens=500), gpt, tmp_path / "1")[1].digest
    monkeypatch.setattr(encoding, "BATCH_CHARACTERS", 1)
    assert read(corpus(tokens=500), fast(byte_level()), tmp_path / "2")[1].digest == once
    assert read(corpus(tokens=500, seed=1), gpt, tmp_path / "3")[1].digest != once
    assert read(corpus(tokens=500), gpt, tmp_path / "4", batch=5)[1].digest != once


@pytest.mark.parametrize("field", FIELDS)
def test_the_digest_covers_everything(corpus, gpt, tmp_path, field):
    (chunk,), _ = read(corpus(), gpt, tmp_path)
    changed = getattr(chunk, field).copy()
    changed[-1] += 1
    assert dataclasses.replace(chunk, **{field: changed}).digest() != chunk.digest()
    assert dataclasses.replace(chunk, documents=chunk.documents[::-1]).digest() != chunk.digest()
    for number in ("number", "first", "first_batch"):
        assert dataclasses.replace(chunk, **{number: 7}).digest() != chunk.digest()
    again = restore(chunk.heading(), {name: getattr(chunk, name).copy() for name in FIELDS})
    assert again.digest() == chunk.digest()


@pytest.mark.parametrize("which", ["gpt", "gemma"])
def test_control_tokens_spelt_out_are_text(which, request, recipe, tmp_path):
    tokenizer = request.getfixturevalue(which)
    backend = tokenizer.backend_tokenizer
    (tmp_path / "x.txt").write_text("<eos> the <bos> cat <pad> sat <eos><unk>" * 3)
    before = backend.to_str()
    (chunk,), _ = read(recipe(("p", "file:x.txt")), tokenizer, tmp_path)
    special = {i for i, token in backend.get_added_tokens_decoder().items() if token.special}
    assert special
    assert not special & set(chunk.ids.tolist())
    assert b"<eos>" in b"".join(token_bytes(tokenizer)[i] for i in chunk.tokens(0))
    assert backend.to_str() == before
    assert backend.encode_special_tokens is False  # the caller's tokenizer is as it was


def test_truncation_and_padding_of_the_tokenizer_do_not_matter(corpus, tmp_path, gpt):
    backend = byte_level()
    backend.enable_truncation(4)
    backend.enable_padding(length=50)
    once = read(corpus(), gpt, tmp_path / "1")[1]
    assert read(corpus(), fast(backend), tmp_path / "2")[1].digest == once.digest


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(LINES, st.integers(8, 24), st.booleans())
def test_any_text_is_cut_without_loss(recipe, gemma, tmp_path, lines, window, bos):
    for old in tmp_path.glob("*.txt"):
        old.unlink()
    for n, line in enumerate(lines):
        (tmp_path / f"{n}.txt").write_text("0123456789 " + line, "utf-8")
    made = recipe(("p", "file:*.txt"), window=window, bos=bos, tokens=10**6)
    (chunk,) = read_all(made, gemma, tmp_path, tmp_path / "spool", BATCH)
    length = window - bos
    ends = chunk.start + np.diff(chunk.offsets)
    whole = np.array([d.tokens for d in chunk.documents])[chunk.document]
    assert set(chunk.start % length) == {0}
    assert (ends == np.minimum(chunk.start + length, whole)).all()


def test_a_corpus_of_crumbs_is_an_error(recipe, gpt, tmp_path):
    (tmp_path / "x.txt").write_text("cat")
    with pytest.raises(AtlasError, match=r"no text of 8 tokens or more \(left out: 1 short\); add text to its parts"):
        read(recipe(("p", "file:x.txt")), gpt, tmp_path)


def test_a_corpus_shorter_than_a_window_is_one_short_window(recipe, gpt, tmp_path):
    (tmp_path / "x.txt").write_text("the cat 0123456")
    (chunk,), end = read(recipe(("p", "file:x.txt"), window=64), gpt, tmp_path)
    assert (len(chunk), end.windows, end.batches, end.dropped_total) == (1, 1, 1, 0)
    assert 8 <= end.tokens < 63
    assert end.tokens == chunk.documents[0].tokens


def test_what_is_left_out_is_counted_by_reason(recipe, gemma, tmp_path):
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "blank.txt").write_text(" \n\t\n")
    (tmp_path / "crumb.txt").write_text("cat")
    (tmp_path / "text.txt").write_text("0123456789 the cat")
    backend = gemma.backend_tokenizer
    chunks, end = read(recipe(("p", "file:*.txt")), gemma, tmp_path / "1")
    assert end.dropped == {"empty": 2, "held out": 0, "no tokens": 0, "short": 1}
    assert end.dropped_total == 3
    assert {d.id for c in chunks for d in c.documents} == {"p/text.txt"}
    assert backend is gemma.backend_tokenizer


def test_a_text_that_the_tokenizer_makes_nothing_of_is_counted(recipe, tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    backend = Tokenizer(models.BPE({"a": 0}, []))  # without an unknown token, other characters vanish
    backend.pre_tokenizer = pre_tokenizers.Split("b", "removed")
    (tmp_path / "a.txt").write_text("a" * 15)
    (tmp_path / "b.txt").write_text("b" * 20)
    _, end = read(recipe(("p", "file:*.txt")), fast(backend), tmp_path)
    assert end.dropped == {"empty": 0, "held out": 0, "no tokens": 1, "short": 0}
    assert (end.tokens, end.documents) == (15, 1)
