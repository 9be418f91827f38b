"""Neighbours against brute force over all pairs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atlas.effects import Nearest, nearest, neighbours


def decoder(features: int, seed: int = 0, width: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(features, width)).astype(np.float32) * 3


def find(rows: np.ndarray, other: np.ndarray, k: int, *, same: bool) -> Nearest:
    return nearest(torch.from_numpy(rows), torch.from_numpy(other), k, same=same)


def cosines(rows: np.ndarray, other: np.ndarray) -> np.ndarray:
    a, b = (x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True) for x in (rows, other))
    return a @ b.T


@pytest.mark.parametrize("chunk", [1, 7, 1024])
@pytest.mark.parametrize("same", [False, True])
def test_neighbours_are_those_of_brute_force(monkeypatch: pytest.MonkeyPatch, chunk: int, same: bool) -> None:
    monkeypatch.setattr(neighbours, "_CHUNK", chunk)
    rows = decoder(30)
    other = rows if same else decoder(41, seed=1)
    found, expected = find(rows, other, 6, same=same), cosines(rows, other)
    if same:
        np.fill_diagonal(expected, -np.inf)
    assert np.array_equal(found.index, np.argsort(-expected, axis=1, kind="stable")[:, :6])
    assert np.allclose(found.cosine, -np.sort(-expected, axis=1)[:, :6], atol=1e-6)
    assert (found.index.dtype, found.cosine.dtype) == (np.int32, np.float32)


@pytest.mark.parametrize("chunk", [2, 100])
def test_cosines_of_given_pairs(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(neighbours, "_CHUNK", chunk)
    own, other = (torch.randn(n, 6, generator=torch.Generator().manual_seed(n)) for n in (5, 9))
    index = np.array([[0, 8], [3, -1], [-1, -1], [8, 8], [1, 2]], np.int32)
    found = neighbours.cosines(own, other, index)
    for f, g in np.ndindex(index.shape):
        row = other[index[f, g]]
        expected = 0.0 if index[f, g] < 0 else float(own[f] @ row / (own[f].norm() * row.norm()))
        assert found[f, g] == pytest.approx(expected, abs=1e-6)


def test_a_feature_is_not_its_own_neighbour_but_its_twin_is() -> None:
    rows = decoder(10)
    rows[7] = rows[2] * 5
    found = find(rows, rows, 9, same=True)
    assert not (found.index == np.arange(10)[:, None]).any()
    assert (found.index[2, 0], found.index[7, 0]) == (7, 2)
    assert found.cosine[2, 0] == pytest.approx(1)


def test_the_own_place_counts_in_another_dictionary() -> None:
    rows = decoder(10)
    assert find(rows, rows.copy(), 1, same=False).index[:, 0].tolist() == list(range(10))


@pytest.mark.parametrize(("features", "same", "kept"), [(4, True, 3), (4, False, 4), (1, True, 0), (1, False, 1)])
def test_fewer_are_kept_where_there_are_fewer(features: int, same: bool, kept: int) -> None:
    rows = decoder(features)
    found = find(rows, rows, 10, same=same)
    assert found.index.shape == found.cosine.shape == (features, kept)


def test_equal_cosines_are_taken_by_index_even_at_the_cut() -> None:
    rows = np.zeros((40, 8), np.float32)
    rows[::2, 0] = 3
    rows[1::2, 1] = 2
    found = find(rows, rows, 5, same=True)
    assert found.index[6:8].tolist() == [[0, 2, 4, 8, 10], [1, 3, 5, 9, 11]]
    assert found.cosine[6:8].tolist() == [[1] * 5] * 2


def test_a_direction_of_zero_has_finite_cosines() -> None:
    rows = decoder(6)
    rows[1] = 0
    found = find(rows, rows, 5, same=True)
    assert np.isfinite(found.cosine).all()
    assert not found.cosine[1].any()
