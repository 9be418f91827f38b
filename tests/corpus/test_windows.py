"""Windows: every token once, in a fixed order, and never a control token."""

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_tokenizers import byte_level, fast

from atlas.corpus import make_windows, token_bytes, windows
from atlas.errors import AtlasError

LINES = st.lists(st.text("the cat\nsat 猫", min_size=1, max_size=120), min_size=1, max_size=8)


@pytest.fixture
def corpus(recipe, tmp_path):
    """A recipe of two parts: thirty documents of verse, three of code."""

    def make(**settings):
        for n in range(30):
            (tmp_path / f"verse-{n:02}.txt").write_text(f"the cat {n} sat on the mat\n" * (n + 1))
        for n in range(3):
            (tmp_path / f"code-{n}.py").write_text("def cat(self):\n    return 猫\n" * (n + 3), "utf-8")
        return recipe(("verse", "file:verse-*.txt"), ("code", "file:code-*.py"), **settings)

    return make


def test_every_token_of_a_corpus_within_budget_is_there_once(corpus, gpt, tmp_path):
    made = make_windows(corpus(tokens=10**6), gpt, tmp_path)
    table = token_bytes(gpt)
    found = {}
    for w in sorted(range(len(made)), key=lambda w: made.start[w]):
        name = made.documents[made.document[w]].id
        found[name] = found.get(name, b"") + b"".join(table[i] for i in made.tokens(w))
    assert len(found) == 33
    for name, text in found.items():
        whole = (tmp_path / name.partition("/")[2]).read_bytes()
        assert whole.startswith(text)
        assert len(whole) - len(text) < 8 * max(map(len, table))  # what a dropped last window held
    assert made.dropped > 0
    assert sum(d.tokens for d in made.documents) - made.ids.size < 8 * made.dropped


def test_shapes_types_and_counts(corpus, gpt, tmp_path):
    made = make_windows(corpus(tokens=400), gpt, tmp_path)
    n = len(made)
    assert (made.ids.dtype, made.offsets.dtype, made.document.dtype) == (np.int32, np.int64, np.int32)
    assert (made.source.dtype, made.start.dtype) == (np.int16, np.int32)
    assert (len(made.offsets), len(made.source), len(made.start)) == (n + 1, n, n)
    assert made.offsets[-1] == made.ids.size == sum(s.tokens for s in made.sources)
    assert [s.windows for s in made.sources] == [int((made.source == i).sum()) for i in (0, 1)]
    assert [s.documents for s in made.sources] == [sum(d.source == i for d in made.documents) for i in (0, 1)]
    assert [s.id for s in made.sources] == ["verse", "code"]
    assert all(made.documents[d].source == s for d, s in zip(made.document, made.source, strict=True))
    assert set(made.document) == set(range(len(made.documents)))
    with pytest.raises(ValueError, match="read-only"):
        made.ids[0] = 1


def test_the_budget_is_split_and_the_last_document_cut_at_a_window(corpus, gpt, tmp_path):
    made = make_windows(corpus(tokens=300), gpt, tmp_path)
    assert 300 <= made.ids.size < 300 + 2 * 15
    assert all(150 <= s.tokens < 150 + 15 for s in made.sources)


def test_windows_are_sorted_by_length_and_then_mixed(corpus, gpt, tmp_path):
    made = make_windows(corpus(tokens=10**6), gpt, tmp_path)
    lengths = np.diff(made.offsets)
    assert lengths[0] == 15
    assert (np.diff(lengths) <= 0).all()
    assert lengths[-1] >= windows.SHORTEST
    full = made.document[lengths == 15]
    assert (np.diff(full) != 0).mean() > 0.8  # neighbours come from different documents


def test_without_bos_a_window_is_all_text(corpus, gpt, tmp_path):
    made = make_windows(corpus(bos=False), gpt, tmp_path)
    assert made.offsets[1] == 16
    assert set(made.start % 16) == {0}


def test_same_recipe_same_bytes_whatever_the_batches(corpus, gpt, tmp_path, monkeypatch):
    once = make_windows(corpus(tokens=500), gpt, tmp_path)
    monkeypatch.setattr(windows, "BATCH_CHARACTERS", 1)
    again = make_windows(corpus(tokens=500), fast(byte_level()), tmp_path)
    assert again.digest() == once.digest()
    assert make_windows(corpus(tokens=500, seed=1), gpt, tmp_path).digest() != once.digest()


@pytest.mark.parametrize("field", ["ids", "offsets", "document", "source", "start"])
def test_the_digest_covers_every_array(corpus, gpt, tmp_path, field):
    made = make_windows(corpus(), gpt, tmp_path)
    changed = getattr(made, field).copy()
    changed[-1] += 1
    assert dataclasses.replace(made, **{field: changed}).digest() != made.digest()
    assert dataclasses.replace(made, dropped=made.dropped + 1).digest() != made.digest()
    assert dataclasses.replace(made, documents=made.documents[::-1]).digest() != made.digest()
    assert dataclasses.replace(made, sources=made.sources[::-1]).digest() != made.digest()


@pytest.mark.parametrize("which", ["gpt", "gemma"])
def test_control_tokens_spelt_out_are_text(which, request, recipe, tmp_path):
    tokenizer = request.getfixturevalue(which)
    backend = tokenizer.backend_tokenizer
    (tmp_path / "x.txt").write_text("<eos> the <bos> cat <pad> sat <eos><unk>" * 3)
    before = backend.to_str()
    made = make_windows(recipe(("p", "file:x.txt")), tokenizer, tmp_path)
    special = {i for i, token in backend.get_added_tokens_decoder().items() if token.special}
    assert special
    assert not special & set(made.ids.tolist())
    assert b"<eos>" in b"".join(token_bytes(tokenizer)[i] for i in made.tokens(0))
    assert backend.to_str() == before
    assert backend.encode_special_tokens is False  # the caller's tokenizer is as it was


def test_truncation_and_padding_of_the_tokenizer_do_not_matter(corpus, tmp_path, gpt):
    backend = byte_level()
    backend.enable_truncation(4)
    backend.enable_padding(length=50)
    assert make_windows(corpus(), fast(backend), tmp_path).digest() == make_windows(corpus(), gpt, tmp_path).digest()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(LINES, st.integers(8, 24), st.booleans())
def test_any_text_is_cut_without_loss(recipe, gemma, tmp_path, lines, window, bos):
    for old in tmp_path.glob("*.txt"):
        old.unlink()
    for n, line in enumerate(lines):
        (tmp_path / f"{n}.txt").write_text("0123456789 " + line, "utf-8")
    made = make_windows(recipe(("p", "file:*.txt"), window=window, bos=bos, tokens=10**6), gemma, tmp_path)
    length = window - bos
    ends = made.start + np.diff(made.offsets)
    whole = np.array([d.tokens for d in made.documents])[made.document]
    assert set(made.start % length) == {0}
    assert (ends == np.minimum(made.start + length, whole)).all()


def test_progress_ends_at_the_budget_and_never_goes_back(corpus, gpt, tmp_path):
    calls = []
    make_windows(corpus(tokens=300), gpt, tmp_path, lambda done, of: calls.append((done, of)))
    assert calls == sorted(calls)
    assert calls[0][0] < 300
    assert calls[-1] == (300, 300)


def test_a_corpus_of_crumbs_is_an_error(recipe, gpt, tmp_path):
    (tmp_path / "x.txt").write_text("cat")
    with pytest.raises(AtlasError, match="no text of 8 tokens or more"):
        make_windows(recipe(("p", "file:x.txt")), gpt, tmp_path)
