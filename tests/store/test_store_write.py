"""Tables are written whole, the same each time, and cut where they are told to be."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from store_support import manifest, write_store

from atlas.errors import AtlasError
from atlas.store.manifest import verify_files
from atlas.store.schema import BINS_PER_OCTAVE, DOCUMENTS, OCTAVES, edge
from atlas.store.write import ragged, rectangular, write_table

COLUMNS = {"id": [f"d{i}" for i in range(10)], "source": list(range(10)), "url": [""] * 10, "licence": [""] * 10}


def test_the_same_bytes_each_time(tmp_path: Path) -> None:
    first, second = write_store(tmp_path / "a"), write_store(tmp_path / "b")
    assert first.files == second.files
    assert len(first.files) == 8
    assert verify_files(tmp_path / "b", first) == []


@pytest.mark.parametrize(("cuts", "groups"), [(None, [10]), ([], [10]), ([4, 4, 9], [4, 0, 5, 1]), ([10], [10, 0])])
def test_row_groups_begin_at_the_cuts(tmp_path: Path, cuts: list[int] | None, groups: list[int]) -> None:
    write_table(tmp_path / "t.parquet", COLUMNS, DOCUMENTS, cuts)
    found = pq.ParquetFile(tmp_path / "t.parquet").metadata
    assert [found.row_group(i).num_rows for i in range(found.num_row_groups)] == groups
    assert pq.read_table(tmp_path / "t.parquet").to_pydict() == COLUMNS


def test_a_missing_column_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        write_table(tmp_path / "t.parquet", {"id": []}, DOCUMENTS)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    digest = write_table(path, COLUMNS, DOCUMENTS)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(AtlasError, match=r"t\.parquet: cannot be written \(No space left on device\)"):
        write_table(path, {"id": ["new"], "source": [0], "url": [""], "licence": [""]}, DOCUMENTS)
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]
    assert verify_files(tmp_path, manifest(**{"t.parquet": digest})) == []


def test_list_columns_hold_the_rows_that_went_in() -> None:
    found = ragged(np.array([1, 2, 3], np.int64), np.array([2, 0, 1]), pa.int16())
    assert found.to_pylist() == [[1, 2], [], [3]]
    assert found.type == pa.list_(pa.int16())
    assert rectangular(np.array([[1, 2], [3, 4]]), pa.int32()).to_pylist() == [[1, 2], [3, 4]]
    assert rectangular(np.zeros((2, 0)), pa.float32()).to_pylist() == [[], []]


def test_edges_of_the_histogram_step_evenly_inside_an_octave_and_double_outside() -> None:
    bins = (OCTAVES[1] - OCTAVES[0]) * BINS_PER_OCTAVE
    edges = [edge(b) for b in range(bins + 1)]
    assert (edges[0], edges[-1]) == (2.0 ** OCTAVES[0], 2.0 ** OCTAVES[1])
    assert all(edges[i + BINS_PER_OCTAVE] == 2 * edges[i] for i in range(bins + 1 - BINS_PER_OCTAVE))
    steps = np.diff(edges).reshape(-1, BINS_PER_OCTAVE)
    assert (steps == steps[:, :1]).all()
