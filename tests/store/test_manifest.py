"""The manifest: reads back as it was written, and damage to it or to the files it names is noticed."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from store_support import manifest

from atlas.errors import AtlasError
from atlas.store.atomic import file_digest
from atlas.store.manifest import FORMAT, NAME, read_manifest, verify_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    manifest().write(tmp_path)
    return tmp_path


def edit(folder: Path, **changes: object) -> None:
    data = orjson.loads((folder / NAME).read_bytes())
    (folder / NAME).write_bytes(orjson.dumps(data | changes))


def test_it_reads_back_as_it_was_written(tmp_path: Path) -> None:
    made = manifest(**{"a.parquet": "12"}).done("collect", "inputs", b="34")
    made.write(tmp_path)
    assert read_manifest(tmp_path) == made
    first = (tmp_path / NAME).read_bytes()
    read_manifest(tmp_path).write(tmp_path)
    assert (tmp_path / NAME).read_bytes() == first


def test_a_stage_that_is_done_adds_to_a_copy() -> None:
    before = manifest(**{"a.parquet": "12"}).done("collect", "one")
    after = before.done("name", "two", **{"names.parquet": "34"})
    assert (before.stages, before.files) == ({"collect": "one"}, {"a.parquet": "12"})
    assert after.stages == {"collect": "one", "name": "two"}
    assert after.files == {"a.parquet": "12", "names.parquet": "34"}
    assert after.done("collect", "three").stages == {"collect": "three", "name": "two"}


def test_where_there_is_none_the_line_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(AtlasError) as caught:
        read_manifest(tmp_path)
    assert str(caught.value) == f"{tmp_path}: no store here; `atlas collect RECIPE` makes one"


@pytest.mark.parametrize("format_", [FORMAT + 1, 0, None, "1"])
def test_another_format_is_refused_by_its_number(folder: Path, format_: object) -> None:
    edit(folder, format=format_)
    with pytest.raises(AtlasError, match=rf"manifest\.json: store format {format_!r}, this version reads {FORMAT}"):
        read_manifest(folder)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'"a manifest"', b"{}"])
def test_damage_is_one_line(folder: Path, data: bytes) -> None:
    (folder / NAME).write_bytes(data)
    with pytest.raises(AtlasError, match=r"manifest\.json") as caught:
        read_manifest(folder)
    assert "\n" not in str(caught.value)
    assert "collect" in str(caught.value)


def test_a_manifest_cut_anywhere_is_refused(folder: Path) -> None:
    data = (folder / NAME).read_bytes()
    for length in range(0, len(data), 97):
        (folder / NAME).write_bytes(data[:length])
        with pytest.raises(AtlasError):
            read_manifest(folder)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"stages": None}, "stages"),
        ({"surprise": 1}, "surprise"),
        ({"corpus": {}}, r"corpus\.digest"),
        ({"dictionaries": [{"id": "x"}]}, r"dictionaries\.0\.model"),
    ],
)
def test_a_wrong_key_is_named(folder: Path, changes: dict[str, object], key: str) -> None:
    edit(folder, **changes)
    with pytest.raises(AtlasError, match=rf"manifest\.json: {key}: .*; run `atlas collect` again"):
        read_manifest(folder)


@pytest.mark.parametrize("place", [0, 500, 999])
@pytest.mark.parametrize("bit", [1, 128])
def test_a_flipped_bit_is_found(tmp_path: Path, place: int, bit: int) -> None:
    files = {}
    for name in ("a.parquet", "d/b.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(1000))
        files[name] = file_digest(tmp_path / name)
    made = manifest(**files)
    assert verify_files(tmp_path, made) == []
    data = bytearray(1000)
    data[place] ^= bit
    (tmp_path / "d/b.parquet").write_bytes(data)
    assert verify_files(tmp_path, made) == ["d/b.parquet"]


def test_missing_cut_and_replaced_files_are_found(tmp_path: Path) -> None:
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    for name, data in {"cut": b"ab", "longer": b"abcd", "well": b"abc"}.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder").mkdir()
    made = manifest(**dict.fromkeys(["missing", "cut", "longer", "well", "folder"], digest))
    assert verify_files(tmp_path, made) == ["cut", "folder", "longer", "missing"]
