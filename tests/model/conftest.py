"""The tiny models of `tiny_models`, as fixtures."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from tiny_models import CONFIGS, VOCAB, make_folder, make_tokenizer, make_transformer

from atlas.model.lm import LanguageModel


@pytest.fixture(scope="session")
def tiny() -> SimpleNamespace:
    """The makers; a fixture, because tests do not import one another."""
    return SimpleNamespace(tokenizer=make_tokenizer, transformer=make_transformer, folder=make_folder, vocab=VOCAB)


@pytest.fixture(scope="session", params=sorted(CONFIGS))
def family(request: pytest.FixtureRequest) -> str:
    """Each family in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def lm(family: str) -> LanguageModel:
    """A tiny model of the family."""
    return LanguageModel(make_transformer(family), make_tokenizer())
