"""Padding, and which positions count."""

from __future__ import annotations

import numpy as np
import pytest

from atlas.model.inputs import pad


def windows(*rows: list[int]) -> list[np.ndarray]:
    return [np.array(row, dtype=np.int32) for row in rows]


def test_pads_on_the_right_and_counts_text_alone() -> None:
    ids, mask, counted = pad(windows([2, 5, 6, 1, 7], [2, 0]), 2, 0, 6, special_ids={0, 1, 2})
    assert ids.tolist() == [[2, 5, 6, 1, 7, 0], [2, 0, 0, 0, 0, 0]]
    assert mask.tolist() == [[True] * 5 + [False], [True] * 2 + [False] * 4]
    assert counted.tolist() == [[False, True, True, False, True, False], [False] * 6]
    assert str(ids.dtype) == "torch.int64"


def test_without_special_tokens_every_token_counts() -> None:
    ids, mask, counted = pad(windows([0, 5]), None, 0, 3)
    assert ids.tolist() == [[0, 5, 0]]
    assert counted.tolist() == mask.tolist() == [[True, True, False]]


@pytest.mark.parametrize("row", [[], [1, 2, 3, 4]])
def test_a_window_that_does_not_fit_is_a_bug(row: list[int]) -> None:
    with pytest.raises(ValueError, match="not 1 to 3"):
        pad(windows(row), None, 0, 3)
