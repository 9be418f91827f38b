"""Datasets of the Hugging Face Hub: `hf://datasets/org/name[@revision]`, streamed."""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any

from atlas.corpus.rows import read_row
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atlas.config import PartSection
    from atlas.corpus.rows import Given

SOURCE = re.compile(r"hf://datasets/(?P<name>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>[\w./-]+))?")


def read(section: PartSection) -> Iterator[Given]:
    """Rows of a dataset, from its beginning, for as long as they are wanted.

    A dataset may be endless, so it is read in its own order and not as a whole; sampling then picks
    among what was read. Ids are row numbers, of eight digits, unless the part names a column.

    Args:
        section: A part whose `source` is `hf://datasets/org/name[@revision]`.

    Raises:
        AtlasError: If the address is malformed, `datasets` is not installed, or the dataset, the
            split or the column is missing.
    """
    source = section.source
    match = SOURCE.fullmatch(source)
    if match is None:
        raise AtlasError(source, "not an address of a dataset", "write hf://datasets/org/name[@revision]")
    for number, row in enumerate(_rows(section, match["name"], match["revision"])):
        yield read_row(section, f"{source}, row {number}", f"{number:08d}", row)


def _rows(section: PartSection, name: str, revision: str | None) -> Iterator[dict[str, Any]]:
    """Rows of the dataset, whatever goes wrong on the way turned into an AtlasError."""
    try:
        datasets = importlib.import_module("datasets")
    except ImportError:
        raise AtlasError(section.source, "the package `datasets` is not installed", "`pip install datasets`") from None
    try:
        # trust_remote_code is never passed: a dataset that needs code of its own is refused.
        found = datasets.load_dataset(
            name, section.subset or None, split=section.split, streaming=True, revision=revision
        )
        yield from found
    except Exception as error:  # the hub, the network and every file format have errors of their own
        what = f"split {section.split!r}" + (f" of {section.subset!r}" if section.subset else "")
        raise AtlasError(section.source, f"{what} cannot be read ({type(error).__name__}: {error})") from error
