"""The stream: the same corpus whatever happens, errors where they are seen, and nothing left behind."""

import threading
import weakref
from itertools import islice

import pytest
from corpus_support import BATCH, digests, names, read, threads
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atlas.corpus import corpus_key, making, open_corpus, stream
from atlas.corpus.background import Background, Stopped
from atlas.corpus.documents import load_documents
from atlas.errors import AtlasError

pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture
def opened(corpus, gpt, tmp_path):
    """Open one and the same corpus, as often as wanted."""
    recipe = corpus(tokens=3000)

    def make(**changes):
        settings = {"folder": tmp_path / "spool", "key": "k", "batch": BATCH} | changes
        return open_corpus(recipe, gpt, tmp_path / "cache", **settings)

    return make


@pytest.fixture
def no_text(monkeypatch):
    """From when it is called, text may not be touched."""

    def refuse(*_):
        raise AssertionError

    return lambda: monkeypatch.setattr(making, "load_documents", refuse)


def test_a_whole_spool_is_read_without_text(opened, no_text):
    with opened() as corpus:
        with pytest.raises(RuntimeError, match="not read to its end yet"):
            _ = corpus.end
        first = digests(corpus)
        end = corpus.end
        assert corpus.progress == end.tokens
    no_text()
    with opened() as again:
        assert again.end.digest == end.digest
        assert (again.end.counts == end.counts).all()
        assert again.end.sources == end.sources
        assert digests(again) == digests(again) == first
        assert again.progress == end.tokens


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 12), max_size=4), st.integers(1, 4), st.integers(100, 10_000))
def test_the_corpus_is_the_same_however_often_it_was_stopped(corpus, gpt, tmp_path_factory, stops, ahead, characters):
    made = corpus(tokens=3000, per_document=5)
    folder = tmp_path_factory.mktemp("stopped")
    whole, end = read(made, gpt, folder / "whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "AHEAD", ahead)
        patch.setattr("atlas.corpus.encoding.BATCH_CHARACTERS", characters)
        for stop in stops:
            begun, _ = read(made, gpt, folder / "parts", stop=stop)
            assert digests(begun) == list(end.digests[:stop])
        chunks, again = read(made, gpt, folder / "parts")
    assert digests(chunks) == digests(whole) == list(end.digests)
    assert (again.digest, again.dropped, again.sources) == (end.digest, end.dropped, end.sources)


def test_a_restart_takes_up_the_text_where_it_was_left(opened, monkeypatch):
    with opened() as corpus:
        next(iter(corpus))
    made = []
    inner = making.Maker.make

    def make(self, position, number, *rest):
        made.append(number)
        return inner(self, position, number, *rest)

    monkeypatch.setattr(making.Maker, "make", make)
    with opened() as corpus:
        chunks = list(corpus)
    assert made[0] > 0
    assert made == list(range(made[0], len(chunks) + 1))


def test_the_thread_goes_only_a_few_chunks_ahead(opened, monkeypatch):
    written = threading.Semaphore(0)
    inner = stream.Spool.save

    def save(self, chunk, *rest, **words):
        done = inner(self, chunk, *rest, **words)
        written.release()
        return done

    monkeypatch.setattr(stream.Spool, "save", save)
    with opened() as corpus:
        chunks = iter(corpus)
        next(chunks)
        for _ in range(1 + stream.AHEAD):
            assert written.acquire(timeout=60)
        next(chunks)
        assert len(names(corpus._spool.folder)) <= 2 + stream.AHEAD + 1


def test_leaving_early_ends_the_thread_and_leaves_a_valid_part(opened, corpus, gpt, tmp_path):
    with opened() as partial:
        for chunk in partial:
            if chunk.number == 2:
                break
    assert threads() == []
    found = names(tmp_path / "spool")
    assert found == [f"chunk-{n:06d}.sealed" for n in range(len(found))]
    assert len(found) >= 3
    with opened() as rest:
        assert digests(rest) == list(read(corpus(tokens=3000), gpt, tmp_path / "whole")[1].digests)
    assert threads() == []


def test_an_error_in_the_block_ends_the_thread(opened):
    def fail():
        with opened() as corpus:
            chunks = iter(corpus)
            next(chunks)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert threads() == []


def test_a_closed_corpus_says_so_and_a_new_reading_ends_the_old(opened):
    with opened() as corpus:
        old = iter(corpus)
        next(old)
        new = iter(corpus)
        first = next(new)
        assert first.number == 0
        with pytest.raises(RuntimeError, match="its reading began anew"):
            next(old)
        assert next(new).number == 1
    with pytest.raises(RuntimeError, match="the corpus was closed"):
        next(new)


def test_an_error_in_the_text_is_seen_by_the_consumer(opened, tmp_path):
    (tmp_path / "code-1.py").write_bytes(b"\xff")
    with opened() as corpus, pytest.raises(AtlasError, match=r"code-1\.py: not UTF-8 at byte 0"):
        list(corpus)
    assert threads() == []


def test_an_error_on_the_way_comes_after_the_chunks_before_it(opened, monkeypatch):
    inner = making.Maker.make

    def make(self, position, number, *rest):
        if number == 2:
            raise AtlasError("x", "y")
        return inner(self, position, number, *rest)

    monkeypatch.setattr(making.Maker, "make", make)
    seen = []

    def consume(corpus):
        for chunk in corpus:
            seen.append(chunk.number)  # noqa: PERF401 (an error ends it half-way)

    with opened() as corpus, pytest.raises(AtlasError, match="x: y"):
        consume(corpus)
    assert seen == [0, 1]


def test_a_disk_that_is_full_is_said(opened, tmp_path):
    (tmp_path / "spool").write_text("no folder")
    with opened() as corpus, pytest.raises(AtlasError, match="cannot be written"):
        list(corpus)


def test_a_stop_is_heard_while_files_are_indexed(recipe, tmp_path):
    (tmp_path / "x.txt").write_text("one")

    def check():
        raise Stopped

    for source in ("file:x.txt", "demo:pydoc"):
        with pytest.raises(Stopped):
            load_documents(recipe(("p", source)), tmp_path, check)


def test_another_key_batch_or_budget_is_another_corpus(opened, corpus, gpt, tmp_path):
    with opened() as first:
        end = (list(first), first.end)[1]
    for changes in ({"key": "other"}, {"batch": BATCH + 1}):
        with opened(**changes) as other, pytest.raises(RuntimeError):
            _ = other.end
    with open_corpus(corpus(tokens=400), gpt, tmp_path, tmp_path / "spool", "k", BATCH) as shorter:
        chunks = list(shorter)
        assert shorter.end.digest != end.digest
    expected = [*(f"chunk-{c.number:06d}.sealed" for c in chunks), "end.sealed"]
    assert names(tmp_path / "spool") == expected  # the longer corpus's other chunks went


def test_chunks_that_were_taken_are_let_go(opened, monkeypatch):
    monkeypatch.setattr("atlas.corpus.chunks.CHUNK", 50)
    alive, most = weakref.WeakSet(), 0
    inner = stream.Spool.save

    def save(self, chunk, *rest, **words):
        alive.add(chunk)
        return inner(self, chunk, *rest, **words)

    monkeypatch.setattr(stream.Spool, "save", save)
    with opened() as corpus:
        for chunk in corpus:
            most = max(most, len(alive))
            number = chunk.number
            del chunk
    assert number > 30
    assert most <= stream.AHEAD + 4  # waiting, taken, being handed over, being made


def test_the_key_names_text_and_tokenizer(corpus, gpt, gemma, tmp_path):
    made = corpus()
    key = corpus_key(made, gpt)
    assert corpus_key(made, gpt) == key
    assert corpus_key(made, gemma) != key
    (tmp_path / "code-0.py").write_text("other")
    assert corpus_key(made, gpt) != key


def test_background_items_come_in_order_and_its_end_is_the_end():
    made = Background(lambda _check: (n for n in range(20)), 2, "test")
    assert list(made) == list(range(20))
    assert list(islice(made, 1)) == []
    made.stop()


def test_background_stops_while_it_makes():
    running = threading.Event()

    def make(check):
        yield 0
        running.set()
        while True:
            check()

    made = Background(make, 1, "test-stop")
    assert next(made) == 0
    assert running.wait(60)
    made.stop()
    made.stop()
    assert not made._thread.is_alive()
