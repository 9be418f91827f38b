"""Padding, and which positions count."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from atlas.model.inputs import pad


def flat(*windows: list[int]) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.cumsum([0, *map(len, windows)])
    return np.array([token for window in windows for token in window], dtype=np.int32), offsets.astype(np.int64)


def test_pads_on_the_right_and_counts_text_alone() -> None:
    ids, mask, counted = pad(*flat([5, 6, 1, 7, 2], [0]), 2, 0, special_ids={0, 1, 2})
    assert ids.tolist() == [[2, 5, 6, 1, 7, 2], [2, 0, 0, 0, 0, 0]]
    assert mask.tolist() == [[True] * 6, [True] * 2 + [False] * 4]
    assert counted.tolist() == [[False, True, True, False, True, False], [False] * 6]
    assert (ids.dtype, mask.dtype, counted.dtype) == (torch.int64, torch.bool, torch.bool)


def test_without_special_tokens_every_token_counts() -> None:
    ids, mask, counted = pad(*flat([0, 5], [7]), None, 9)
    assert ids.tolist() == [[0, 5], [7, 9]]
    assert counted.tolist() == mask.tolist() == [[True, True], [True, False]]


def test_the_leading_token_never_counts_wherever_it_stands() -> None:
    assert pad(*flat([4, 2, 4]), 2, 0)[2].tolist() == [[False, True, False, True]]


def test_offsets_may_be_a_part_of_a_larger_table() -> None:
    ids, offsets = flat([3, 4], [5, 6, 7], [8])
    assert pad(ids, offsets[1:], 2, 0)[0].tolist() == [[2, 5, 6, 7], [2, 8, 0, 0]]
    assert pad(ids, offsets[:2], 2, 0)[0].tolist() == [[2, 3, 4]]


@given(
    st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), min_size=1, max_size=5),
    st.none() | st.integers(0, 9),
    st.integers(0, 9),
    st.sets(st.integers(0, 9), max_size=3),
)
def test_equals_the_plain_way(windows: list[list[int]], lead: int | None, pad_id: int, special: set[int]) -> None:
    ids, mask, counted = pad(*flat(*windows), lead, pad_id, special)
    front = [] if lead is None else [lead]
    width = len(front) + max(map(len, windows))
    for row, window in enumerate(windows):
        whole = front + window
        assert ids[row].tolist() == whole + [pad_id] * (width - len(whole))
        assert mask[row].tolist() == [place < len(whole) for place in range(width)]
        wanted = [len(front) <= place < len(whole) and whole[place] not in {*special, *front} for place in range(width)]
        assert counted[row].tolist() == wanted


def test_a_window_without_tokens_is_a_bug() -> None:
    with pytest.raises(ValueError, match="window 1 has no tokens"):
        pad(*flat([3], [], [4]), 2, 0)
    with pytest.raises(ValueError, match="no window"):
        pad(*flat(), 2, 0)


def test_pinned_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[torch.Tensor] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(self) or self)
    pad(*flat([3]), 2, 0)
    assert pinned == []
    made = pad(*flat([3]), 2, 0, pin=True)
    assert len(pinned) == 3
    assert all(one is other for one, other in zip(made, pinned, strict=True))
