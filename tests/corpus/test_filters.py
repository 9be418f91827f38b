"""What filters leave out, and how it is counted; the held-out share."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pytest
from corpus_support import read, windows

from atlas.corpus import load_documents, read_all
from atlas.corpus.fingerprint import fingerprint
from atlas.errors import AtlasError

WORDS = ("the", "cat", "sat", "on", "mat", "and", "dog", "of", "that", "theme", "said", "to", "it", "was", "a", "good")
ENGLISH = "It was the best of times, it was the worst of times, it was the age of wisdom and of foolishness."
GERMAN = "Es war die beste und die schlimmste Zeit, ein Jahrhundert der Weisheit und eines des Unsinns."


def lines(path: Any, texts: list[str]) -> None:
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts), "utf-8")


def kept(recipe: Any, folder: Any, **keys: Any) -> tuple[list[str], dict[str, int]]:
    """Texts that stay, in the order of the file, and what was left out."""
    made = recipe({"id": "p", "source": "file:x.jsonl"} | keys)
    (part,) = load_documents(made, folder).values()
    documents = sorted((part.document(i) for i in range(len(part))), key=lambda d: int(d.id.rpartition(":")[2]))
    part.close()
    return [str(d.content) for d in documents], {k: v for k, v in part.dropped.items() if v}


def test_by_length(recipe, tmp_path):
    lines(tmp_path / "x.jsonl", ["x" * n for n in range(1, 8)])
    assert kept(recipe, tmp_path, shortest=3, longest=5) == (["xxx", "xxxx", "xxxxx"], {"length": 4})
    assert kept(recipe, tmp_path, shortest=6) == (["x" * 6, "x" * 7], {"length": 5})


def test_by_language(recipe, tmp_path):
    lines(tmp_path / "x.jsonl", [ENGLISH, GERMAN, ENGLISH])
    assert kept(recipe, tmp_path, languages=["de"]) == ([GERMAN], {"language": 2})
    assert kept(recipe, tmp_path, languages=["de", "en"]) == ([ENGLISH, GERMAN, ENGLISH], {})
    with pytest.raises(AtlasError, match=r"corpus\.part p: no language 'english' is known; known: \w+ .* en "):
        kept(recipe, tmp_path, languages=["english"])


def test_by_likeness(recipe, tmp_path):
    chance = np.random.default_rng(0)
    base = [f"{chance.choice(WORDS)}{chance.integers(50)}" for _ in range(300)]
    near = [*base[:150], "changed", *base[151:]]  # 5 of some 300 runs of five words differ on either side
    other = [f"{chance.choice(WORDS)}{chance.integers(50)}" for _ in range(300)]
    texts = [" ".join(words) for words in (base, other, near, [w.upper() for w in base])]
    lines(tmp_path / "x.jsonl", [*texts, "short", "Short!"])
    assert kept(recipe, tmp_path, near_duplicates=0.8) == ([*texts[:2], "short"], {"near-duplicate": 3})
    lines(tmp_path / "x.jsonl", [" ".join(words) for words in (base, [*base[:80], *other[:20], *base[100:]], base)])
    assert kept(recipe, tmp_path, near_duplicates=0.95)[1] == {"near-duplicate": 1}
    assert kept(recipe, tmp_path, near_duplicates=0.7)[1] == {"near-duplicate": 2}


def test_one_reason_each_and_all_are_in_the_corpus_end(recipe, tmp_path, gpt):
    lines(tmp_path / "x.jsonl", [ENGLISH, GERMAN, ENGLISH, "x", " " * 30])
    part = {"id": "p", "source": "file:x.jsonl", "shortest": 20, "languages": ["en"], "near_duplicates": 0.8}
    end = read(recipe(part, window=128), gpt, tmp_path)[1]
    found = {reason: count for reason, count in end.dropped.items() if count}
    assert sum(found.values()) == 4
    assert found["length"] == found["near-duplicate"] == 1
    assert end.documents == 1


def test_a_part_that_is_left_with_nothing_says_why(recipe, tmp_path):
    lines(tmp_path / "x.jsonl", ["a", "b"])
    with pytest.raises(AtlasError, match=r"corpus\.part p: file:x\.jsonl holds no text; left out: 2 length; mend"):
        kept(recipe, tmp_path, shortest=10)


@pytest.mark.parametrize(
    ("key", "value", "package"), [("languages", ["en"], "py3langid"), ("near_duplicates", 0.5, "datasketch")]
)
def test_a_missing_library_is_named(recipe, tmp_path, monkeypatch, key, value, package):
    lines(tmp_path / "x.jsonl", ["a"])
    for module in (package, f"{package}.langid"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(AtlasError, match=rf"part p: {key}: the package `{package}` is not installed; `pip install"):
        kept(recipe, tmp_path, **{key: value})


def test_the_library_is_part_of_what_a_corpus_is_made_from(recipe, tmp_path, monkeypatch):
    lines(tmp_path / "x.jsonl", ["a"])
    plain, filtered = (recipe({"id": "p", "source": "file:x.jsonl", "near_duplicates": least}) for least in (0, 0.5))
    before = fingerprint(plain), fingerprint(filtered)
    monkeypatch.setattr("atlas.corpus.fingerprint.metadata.version", lambda _package: "0.0.0")
    assert fingerprint(plain) == before[0]
    assert fingerprint(filtered) != before[1]


@pytest.mark.usefixtures("small")
def test_every_document_is_read_or_held_out(corpus, tmp_path, gpt):
    def documents(*, held_out: bool, share: float, seed: int = 0) -> set[str]:
        recipe = corpus(tokens=10**6, held_out=share, seed=seed)
        chunks = read_all(recipe, gpt, tmp_path, tmp_path / f"{held_out}-{share}-{seed}", 4, held_out=held_out)
        return {document for document, _, _ in windows(chunks)}

    whole = documents(held_out=False, share=0)
    some, rest = documents(held_out=True, share=0.3), documents(held_out=False, share=0.3)
    assert some | rest == whole
    assert not some & rest
    assert 3 <= len(some) <= 18
    assert some < documents(held_out=True, share=0.6), "a larger share holds the smaller one"
    assert some != documents(held_out=True, share=0.3, seed=1)


def test_what_is_held_out_is_counted_and_sections_stay_together(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("atlas.corpus.cutting.SECTION", 100)
    for n in range(20):
        (tmp_path / f"{n}.txt").write_text("the cat sat on the mat\n" * 20)
    lines(tmp_path / "x.jsonl", ["the dog and the cat " * 25 for _ in range(20)])
    for source in ("file:*.txt", "file:x.jsonl"):
        sides = []
        for held_out in (False, True):
            made = recipe(("p", source), held_out=0.5)
            (part,) = load_documents(made, tmp_path, held_out=held_out).values()
            names = {part.document(i).id for i in range(len(part))}
            sides.append({name.partition("#")[0] for name in names})
            assert any("#" in name for name in names)
            assert part.dropped["held out"] + len(part) == 100
            part.close()
        assert len(sides[0] | sides[1]) == 20
        assert not sides[0] & sides[1]
