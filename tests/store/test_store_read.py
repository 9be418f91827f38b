"""Reading a store gives the records that were written: by index, in a stream, and as tables."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from store_support import NAMES, NARROW, PIECES, WIDE, WIDTHS, fires, record, write_store

from atlas.errors import AtlasError
from atlas.records import Name
from atlas.store import Store, open_store, schema


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("read") / "store"
    write_store(made)
    return made


@pytest.fixture(scope="module")
def store(folder: Path) -> Store:
    return open_store(folder)


@pytest.mark.parametrize(
    "index", [0, 1, 2, schema.ROWS - 1, schema.ROWS, 2 * schema.ROWS - 1, 2 * schema.ROWS, 1025, 1029]
)
def test_a_feature_by_its_index(store: Store, index: int) -> None:
    assert store.feature(WIDE, index) == record(WIDE, index)


def test_all_features_in_a_stream(store: Store) -> None:
    for name, width in WIDTHS.items():
        assert list(store.features(name)) == [record(name, i) for i in range(width)]


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 3), (500, 520), (512, 1024), (511, 1025), (1020, 9999), (7, 7), (20, 10), (1030, None)]
)
def test_a_part_of_the_stream(store: Store, start: int, stop: int | None) -> None:
    expected = list(range(WIDTHS[WIDE]))[start:stop]
    assert [f.index for f in store.features(WIDE, start, stop)] == expected


def test_row_groups_hold_whole_features_even_where_none_fires(folder: Path) -> None:
    features = pq.ParquetFile(folder / WIDE / "features.parquet").metadata
    snippets = pq.ParquetFile(folder / WIDE / "snippets.parquet")
    assert [features.row_group(i).num_rows for i in range(features.num_row_groups)] == [512, 512, 6]
    groups = [set(snippets.read_row_group(i)["feature"].to_pylist()) for i in range(snippets.num_row_groups)]
    assert [{f // schema.ROWS for f in group} for group in groups] == [{0}, set(), {2}]


def test_alive_features_are_those_that_fired(store: Store) -> None:
    for name, width in WIDTHS.items():
        assert store.alive(name) == [i for i in range(width) if fires(name, i)]


def test_names_pieces_and_counts(store: Store, tmp_path: Path) -> None:
    assert store.names == NAMES
    assert store.pieces == PIECES
    assert store.token_counts == {i: 100 * i for i in PIECES}
    write_store(tmp_path / "unnamed", names=False)
    unnamed = open_store(tmp_path / "unnamed")
    assert unnamed.names == {}
    assert unnamed.feature(WIDE, 1).name == Name("", "none")


def test_tables_are_those_of_the_schema(store: Store) -> None:
    for name, width in WIDTHS.items():
        assert store.to_arrow("features", name).schema.equals(schema.FEATURES)
        assert store.to_arrow("features", name)["index"].to_pylist() == list(range(width))
        assert store.to_arrow("snippets", name).schema.equals(schema.SNIPPETS)
    for name in ("windows", "documents", "tokens", "names"):
        assert store.to_arrow(name).schema.equals(getattr(schema, name.upper()))
        assert len(store.to_arrow(name))


@pytest.mark.parametrize(
    ("ask", "line"),
    [
        (
            lambda s: s.feature("9-res-missing", 0),
            f"9-res-missing: no such dictionary in .*; there are {WIDE}, {NARROW}",
        ),
        (lambda s: s.feature(NARROW, 5), f"{NARROW}/5: no such feature; indices run from 0 to 4"),
        (lambda s: s.feature(NARROW, -1), f"{NARROW}/-1: no such feature"),
        (lambda s: list(s.features("x")), "x: no such dictionary"),
        (lambda s: s.alive("x"), "x: no such dictionary"),
        (lambda s: s.to_arrow("features"), "no such dictionary"),
        (lambda s: s.to_arrow("feature", WIDE), "feature: no such table; there are features, snippets, documents"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(store: Store, ask, line: str) -> None:
    with pytest.raises(AtlasError, match=line) as caught:
        ask(store)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["cut", "removed", "empty"])
@pytest.mark.parametrize("table", ["features", "snippets"])
def test_a_damaged_table_is_said_in_one_line(folder: Path, tmp_path: Path, damage: str, table: str) -> None:
    shutil.copytree(folder, tmp_path / "store")
    path = tmp_path / "store" / NARROW / f"{table}.parquet"
    data = path.read_bytes()
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(data[: len(data) // 2] if damage == "cut" else b"")
    damaged = open_store(tmp_path / "store")
    for ask in (lambda: damaged.feature(NARROW, 0), lambda: damaged.to_arrow(table, NARROW)):
        with pytest.raises(AtlasError, match=r"cannot be read .*; run `atlas collect` again") as caught:
            ask()
        assert "\n" not in str(caught.value)


def test_there_is_no_store_without_a_manifest(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "store")
    (tmp_path / "store" / "manifest.json").unlink()
    with pytest.raises(AtlasError, match="no store here; `atlas collect RECIPE` makes one"):
        open_store(tmp_path / "store")


def test_opening_puts_back_a_store_that_a_killed_build_had_moved_aside(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "store.old")
    (tmp_path / "store.partial").mkdir()
    assert open_store(tmp_path / "store").feature(NARROW, 3) == record(NARROW, 3)
