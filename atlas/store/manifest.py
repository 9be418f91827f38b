"""`manifest.json`: what the store was made from, what is done, and a digest of every file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from atlas.errors import AtlasError
from atlas.records import DictionaryRecord, SourceRecord
from atlas.store.atomic import file_digest, write_bytes

FORMAT = 3
NAME = "manifest.json"


class ModelEntry(BaseModel):
    """The model that was run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    name: str
    source: str
    fell_back: bool
    digest: str
    tokenizer_digest: str
    dtype: str
    layers: int
    d_model: int
    vocabulary: int
    final_norm: str
    softcap: float | None
    revision: str = ""  # the commit of the Hub's repository, if it came from there


class CorpusEntry(BaseModel):
    """The text that was read. `dropped` counts what was left out, by reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    digest: str
    tokens: int
    windows: int
    documents: int
    dropped: dict[str, int]
    window: int
    bos: bool
    bos_id: int | None
    seed: int
    sources: list[SourceRecord]


class Manifest(BaseModel):
    """A whole manifest. `stages` maps a stage that is done to the digest of its inputs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    version: str
    model: ModelEntry
    corpus: CorpusEntry
    dictionaries: list[DictionaryRecord]
    settings: dict[str, bool | int | str]
    run: dict[str, str]
    stages: dict[str, str]
    files: dict[str, str]

    def write(self, folder: Path) -> None:
        """Write it into a store, atomically."""
        data = orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
        write_bytes(folder / NAME, data)

    def done(self, stage: str, inputs: str, **files: str) -> Manifest:
        """A copy in which `stage` is done with these inputs and wrote these files (path: digest)."""
        return self.model_copy(
            update={"stages": {**self.stages, stage: inputs}, "files": {**self.files, **files}},
        )


def read_manifest(folder: Path) -> Manifest:
    """Read and validate the manifest of a store.

    Raises:
        AtlasError: If there is no store, it is damaged, or a newer version wrote it.
    """
    path = folder / NAME
    try:
        data: dict[str, Any] = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise AtlasError(folder, "no store here", "`atlas collect RECIPE` makes one") from None
    except (OSError, orjson.JSONDecodeError) as error:
        raise AtlasError(path, f"cannot be read ({error})", "run `atlas collect` again") from None
    if isinstance(data, dict) and data.get("format") != FORMAT:
        raise AtlasError(path, f"store format {data.get('format')!r}, this version reads {FORMAT}", "collect again")
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise AtlasError(f"{path}: {key}", str(first["msg"]), "run `atlas collect` again") from None


def verify_files(folder: Path, manifest: Manifest) -> list[str]:
    """Names of files that are missing or whose bytes are not those that were written."""
    return [
        name
        for name, digest in sorted(manifest.files.items())
        if not (folder / name).is_file() or file_digest(folder / name) != digest
    ]
