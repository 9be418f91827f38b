"""The spool: damage is found and mended, and windows are found again."""

import shutil

import numpy as np
import pytest
from corpus_support import BATCH, digests, names, read, windows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atlas.corpus import making, open_corpus
from atlas.errors import AtlasError
from atlas.store import sealed

pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture
def spooled(corpus, gpt, tmp_path):
    """A recipe, the folder that `read` wrote its spool to, and its chunks and end."""
    recipe = corpus(tokens=3000)
    return recipe, tmp_path, *read(recipe, gpt, tmp_path)


def truncate(folder):
    path = folder / "chunk-000002.sealed"
    path.write_bytes(path.read_bytes()[:-7])


def flip(folder):
    path = folder / "chunk-000002.sealed"
    data = bytearray(path.read_bytes())
    data[-100] ^= 4
    path.write_bytes(data)


def swap(folder):
    one, two = folder / "chunk-000001.sealed", folder / "chunk-000002.sealed"
    one.rename(folder / "x")
    two.rename(one)
    (folder / "x").rename(two)


def empty(folder):
    (folder / "chunk-000000.sealed").write_bytes(b"")


def lose(folder):
    (folder / "chunk-000001.sealed").unlink()


def end_lost(folder):
    (folder / "end.sealed").unlink()


def end_cut(folder):
    path = folder / "end.sealed"
    path.write_bytes(path.read_bytes()[:100])


def partial(folder):
    lose(folder)
    (folder / "chunk-000001.sealed.partial").write_bytes(b"killed here")
    end_lost(folder)


def all_lost(folder):
    shutil.rmtree(folder)


@pytest.mark.parametrize("damage", [truncate, flip, swap, empty, lose, end_lost, end_cut, partial, all_lost])
def test_damage_is_mended(spooled, gpt, damage):
    recipe, folder, chunks, end = spooled
    before = {p.name: p.read_bytes() for p in (folder / "spool").iterdir()}
    damage(folder / "spool")
    again, ended = read(recipe, gpt, folder)
    assert digests(again) == digests(chunks)
    assert (ended.digest, ended.dropped) == (end.digest, end.dropped)
    assert {p.name: p.read_bytes() for p in (folder / "spool").iterdir()} == before


def test_only_what_is_damaged_is_made_again(spooled, gpt, monkeypatch):
    recipe, folder, chunks, _ = spooled
    made = []
    inner = making.Maker.make
    monkeypatch.setattr(
        making.Maker,
        "make",
        lambda self, position, number, *rest: made.append(number) or inner(self, position, number, *rest),
    )
    flip(folder / "spool")
    lose(folder / "spool")
    (folder / "spool" / "chunk-000005.sealed").write_bytes(b"x")
    read(recipe, gpt, folder)
    assert made == [1, 2, 5]
    assert len(chunks) > 6


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.data())
def test_any_flipped_bit_or_cut_is_found_or_harmless(tmp_path, data):
    path = tmp_path / "x.sealed"
    arrays = {"a": np.arange(20, dtype=np.int32), "b": np.zeros(0, np.int64)}
    sealed.save(path, arrays.items(), {"key": "k", "word": "wörd\n"})
    whole = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del whole[data.draw(st.integers(0, len(whole) - 1)) :]
    path.write_bytes(whole)
    found = sealed.load(path, key="k")
    if found is not None:  # the header ends in blanks that mean nothing
        assert {name: (a.dtype, a.tolist()) for name, a in found[0].items()} == {
            name: (a.dtype, a.tolist()) for name, a in arrays.items()
        }
        assert {k: v for k, v in found[1].items() if k != sealed.SEAL} == {"key": "k", "word": "wörd\n"}


def test_a_file_of_another_is_not_read(tmp_path):
    path = tmp_path / "x.sealed"
    sealed.save(path, {"a": np.ones(3)}.items(), {"key": "k"})
    assert sealed.load(path, key="k") is not None
    assert sealed.load(path, key="other") is None
    assert sealed.load(path, key="k", chunk="0") is None
    assert sealed.load(tmp_path / "y", key="k") is None


def test_chunks_of_another_text_are_made_again(spooled, gpt):
    recipe, folder, _, end = spooled
    (folder / "verse-07.txt").write_text("the cat that sat elsewhere\n" * 9)
    other, new = read(recipe, gpt, folder / "elsewhere", key="k")
    lose(folder / "spool")
    mixed, ended = read(recipe, gpt, folder)  # a caller whose key forgot the text
    assert new.digest != end.digest
    assert digests(mixed)[0] == end.digests[0]
    assert ended.digests == tuple(digests(mixed))
    assert len(set(windows(mixed))) == ended.windows
    again, kept = read(recipe, gpt, folder)
    assert (digests(again), kept.digest) == (digests(mixed), ended.digest)
    assert len(other) > 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(data=st.data())
def test_windows_are_found_again(spooled, gpt, data):
    recipe, folder, chunks, end = spooled
    whole = windows(chunks)
    wanted = sorted(data.draw(st.sets(st.integers(0, end.windows - 1), max_size=30)))
    with open_corpus(recipe, gpt, folder / "cache", folder / "spool", "k", BATCH) as corpus:
        parts = list(corpus.lookup(np.array(wanted, np.int64)))
    assert [w for found in parts for w in found.windows.tolist()] == wanted
    assert len(parts) == len({place for place, chunk in enumerate(chunks) if set(wanted) & set(chunk.windows)})
    places = ((found, i, d) for found in parts for i, d in enumerate(found.document))
    assert [
        (found.documents[d].id, int(found.start[i]), tuple(found.tokens(i).tolist())) for found, i, d in places
    ] == [whole[w] for w in wanted]
    for found in parts:
        assert len(found) == len(found.document) == len(found.source) == len(found.start)
        assert [found.documents[d].source for d in found.document] == found.source.tolist()
        assert set(found.document.tolist()) == set(range(len(found.documents)))
        assert (found.ids.dtype, found.offsets.dtype, found.document.dtype) == (np.int32, np.int64, np.int32)


def test_a_lookup_reads_each_chunk_once_and_no_other(spooled, gpt, monkeypatch):
    recipe, folder, chunks, _ = spooled
    seen = []
    with open_corpus(recipe, gpt, folder / "cache", folder / "spool", "k", BATCH) as corpus:
        inner = corpus._spool.load
        monkeypatch.setattr(corpus._spool, "load", lambda number: seen.append(number) or inner(number))
        found = corpus.lookup(np.array([chunks[1].first, chunks[1].first + 1, chunks[4].first]))
        assert [(len(part), list(seen)) for part in found] == [(2, [1]), (1, [1, 4])]


def test_a_lookup_mends_what_is_damaged_or_says_that_it_cannot(spooled, gpt):
    recipe, folder, chunks, _ = spooled
    wanted = np.array([chunks[2].first])
    with open_corpus(recipe, gpt, folder / "cache", folder / "spool", "k", BATCH) as corpus:
        flip(folder / "spool")
        assert next(corpus.lookup(wanted)).tokens(0).tolist() == chunks[2].tokens(wanted[0]).tolist()
        assert corpus.end.chunks == len(chunks)
        flip(folder / "spool")
        for path in folder.glob("*.txt"):
            path.write_text("the dog " * 400)
        with pytest.raises(AtlasError, match=r"chunk-000002\.sealed: was damaged, and its text has changed"):
            list(corpus.lookup(wanted))


def test_wrong_lookups_are_refused(spooled, gpt):
    recipe, folder, _, end = spooled
    with open_corpus(recipe, gpt, folder / "cache", folder / "spool", "k", BATCH) as corpus:
        for wrong in ([2, 1], [-1, 0], [0, end.windows]):
            with pytest.raises(ValueError, match=f"ascending and below {end.windows}"):
                corpus.lookup(np.array(wrong))
        assert list(corpus.lookup(np.zeros(0, np.int64))) == []
    with open_corpus(recipe, gpt, folder / "cache", folder / "none", "k", BATCH) as corpus, pytest.raises(RuntimeError):
        corpus.lookup(np.zeros(1, np.int64))


def test_labels_are_the_recipes_not_the_spools(spooled, gpt):
    recipe, folder, _, end = spooled
    part = recipe.corpus.part[0].model_copy(update={"label": "Verse!"})
    named = recipe.model_copy(
        update={"corpus": recipe.corpus.model_copy(update={"part": (part, *recipe.corpus.part[1:])})}
    )
    before = names(folder / "spool")
    with open_corpus(named, gpt, folder / "cache", folder / "spool", "k", BATCH) as again:
        assert [s.label for s in again.end.sources] == ["Verse!", "L"]
        assert again.end.digest == end.digest
    assert names(folder / "spool") == before
