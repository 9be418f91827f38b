"""Datasets of the Hugging Face Hub: `hf://datasets/org/name[@revision]`, streamed."""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any

from atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = re.compile(r"hf://datasets/(?P<name>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>[\w./-]+))?")


def read(source: str, split: str, column: str, characters: int) -> Iterator[tuple[str, str]]:
    """Rows of a dataset, from its beginning, until so many characters were read.

    A dataset may be endless, so it is read in its own order and not as a whole; sampling then picks
    among what was read. Ids are row numbers, of eight digits.

    Args:
        source: `hf://datasets/org/name[@revision]`.
        split: Name of the split.
        column: Column that holds the text.
        characters: Where to stop.

    Raises:
        AtlasError: If the address is malformed, `datasets` is not installed, or the dataset, the
            split or the column is missing.
    """
    match = SOURCE.fullmatch(source)
    if match is None:
        raise AtlasError(source, "not an address of a dataset", "write hf://datasets/org/name[@revision]")
    for number, row in enumerate(_rows(source, match["name"], match["revision"], split)):
        text = row.get(column)
        if not isinstance(text, str):
            has = ", ".join(sorted(row))
            raise AtlasError(source, f"row {number} has no text in column {column!r}", f"its columns are {has}")
        yield f"{number:08d}", text
        characters -= len(text)
        if characters <= 0:
            return


def _rows(source: str, name: str, revision: str | None, split: str) -> Iterator[dict[str, Any]]:
    """Rows of the dataset, whatever goes wrong on the way turned into an AtlasError."""
    try:
        datasets = importlib.import_module("datasets")
    except ImportError:
        raise AtlasError(source, "the package `datasets` is not installed", "`pip install datasets`") from None
    try:
        # trust_remote_code is never passed: a dataset that needs code of its own is refused.
        yield from datasets.load_dataset(name, split=split, streaming=True, revision=revision)
    except Exception as error:  # the hub, the network and every file format have errors of their own
        raise AtlasError(source, f"split {split!r} cannot be read ({type(error).__name__}: {error})") from error
