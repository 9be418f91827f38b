"""The compiled loops give what numpy gives, to the last bit, and are compiled where nothing can be cached too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.stats import kernels
from atlas.stats.compiled import forget_stale

VALUES = np.array([-1.0, -0.0, 0.0, 1e-45, 0.1, 1.0, 1.5, 3e38, np.inf, np.nan], np.float32)


def sifted(pre: np.ndarray, bars: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    words = -(-pre.shape[1] // 8)
    cells, values = np.full(pre.size, -1, np.int32), np.zeros(pre.size, np.float32)
    found = kernels.sift(pre, bars, np.zeros(8 * words, np.uint8), np.empty(words, np.int32), cells, values)
    return cells[:found], values[:found]


@settings(deadline=None)
@given(st.integers(0, 5), st.integers(0, 40), st.floats(0, 1), st.integers(0, 10**6))
def test_sifting_finds_what_numpy_finds(rows: int, n: int, dense: float, seed: int) -> None:
    chance = np.random.default_rng(seed)
    pre = np.where(chance.random((rows, n)) < dense, chance.choice(VALUES, (rows, n)), np.float32(-1))
    bars = chance.choice(np.array([0.0, 0.1, 1.0], np.float32), rows)
    cells, values = sifted(pre, bars)
    expected = np.flatnonzero(pre > bars[:, None])
    assert cells.tolist() == expected.tolist()
    assert values.tobytes() == pre.reshape(-1)[expected].tobytes()


def test_marks_of_one_row_do_not_reach_into_the_next() -> None:
    pre = np.zeros((2, 9), np.float32)
    pre[0, 8] = 1.0
    assert sifted(pre, np.zeros(2, np.float32))[0].tolist() == [8]


@settings(deadline=None)
@given(st.integers(1, 4), st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 10**6))
def test_a_group_is_all_firings_of_a_feature_in_a_window(features: int, windows: list[int], seed: int) -> None:
    chance = np.random.default_rng(seed)
    row = np.repeat(np.arange(len(windows)), windows).astype(np.int32)
    cells = np.flatnonzero(chance.random(features * len(row)) < 0.5).astype(np.int32)
    key = [(cell // len(row), row[cell % len(row)]) for cell in cells.tolist()]
    for i, mine in enumerate(key):
        same = [j for j, other in enumerate(key) if other == mine]
        assert kernels.group(cells, row, i) == (same[0], same[-1] + 1)


def test_code_is_compiled_where_no_cache_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: bool) -> object:
        if options.get("cache"):
            msg = "cannot cache function 'add': no locator available for file 'x.py'"
            raise RuntimeError(msg)
        return made(**options)

    made = numba.njit
    monkeypatch.setattr(numba, "njit", refuse)

    def add(a: int, b: int) -> int:
        return a + b

    assert kernels.compiled(add)(2, 3) == 5


def test_machine_code_older_than_any_source_is_forgotten(tmp_path: Path) -> None:
    for name, time in (("old.nbi", 10), ("new.nbi", 30), ("one.py", 5), ("other.py", 20)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time, time))
    forget_stale(tmp_path, tmp_path.glob("*.py"))
    assert sorted(path.name for path in tmp_path.glob("*.nbi")) == ["new.nbi"]


SCRIPT = "import os; from atlas.spin import wait_briefly; wait_briefly(); print(os.environ.get('GOMP_SPINCOUNT'))"


@pytest.mark.parametrize(
    ("given_by_the_user", "expected"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "passive"}, "None")],
)
def test_threads_wait_briefly_unless_the_user_says_otherwise(given_by_the_user: dict[str, str], expected: str) -> None:
    ours = {name: value for name, value in os.environ.items() if name not in {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}}
    said = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=ours | given_by_the_user,
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert said.stdout.strip() == expected
