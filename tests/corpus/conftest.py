"""Small tokenizers, and recipes that hold a corpus only."""

import pytest
from small_tokenizers import byte_level, fast, sentencepiece

from atlas.config import Recipe


@pytest.fixture(scope="session")
def gpt():
    return fast(byte_level())


@pytest.fixture(scope="session")
def gemma():
    return fast(sentencepiece())


@pytest.fixture(scope="session")
def llama():
    return fast(sentencepiece(dummy_prefix=True))


@pytest.fixture
def recipe(tmp_path):
    """Make a recipe in the test's folder: `recipe(("id", "file:x.txt"), tokens=100)`."""

    def make(*parts: tuple[str, str] | dict[str, object], **corpus: object) -> Recipe:
        described = [
            {"label": "L", "licence": "CC0", **(p if isinstance(p, dict) else {"id": p[0], "source": p[1]})}
            for p in parts
        ]
        return Recipe.model_validate(
            {
                "atlas": {"id": "a", "title": "A"},
                "model": {"id": "m", "name": "M", "source": "x"},
                "corpus": {"tokens": 1000, "window": 16, **corpus, "part": described},
                "dictionary": [{"id": "d", "source": "x"}],
                "folder": tmp_path,
            }
        )

    return make


@pytest.fixture
def corpus(recipe, tmp_path):
    """A recipe of two parts: thirty documents of verse, three of code."""

    def make(**settings: object) -> Recipe:
        for n in range(30):
            (tmp_path / f"verse-{n:02}.txt").write_text(f"the cat {n} sat on the mat\n" * (n + 1))
        for n in range(3):
            (tmp_path / f"code-{n}.py").write_text("def cat(self):\n    return 猫\n" * (n + 3), "utf-8")
        return recipe(("verse", "file:verse-*.txt"), ("code", "file:code-*.py"), **settings)

    return make


@pytest.fixture
def small(monkeypatch):
    """Chunks of a few windows, so that a small corpus has many."""
    monkeypatch.setattr("atlas.corpus.chunks.CHUNK", 200)
