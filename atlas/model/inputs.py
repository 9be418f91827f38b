"""Token windows of different lengths -> one rectangle for the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy.typing as npt
    from torch import Tensor


def pad(
    windows: Sequence[npt.NDArray[np.int32]],
    bos_id: int | None,
    pad_id: int,
    length: int,
    special_ids: Collection[int] = (),
) -> tuple[Tensor, Tensor, Tensor]:
    """Pad windows on the right, and say which positions count.

    Args:
        windows: Token ids of each window, int32 [t] with 1 <= t <= length, BOS included where the recipe has one.
        bos_id: The tokenizer's BOS token, or None.
        pad_id: Token to fill with; any id of the vocabulary will do, for the mask hides it.
        length: Width of the rectangle, tokens.
        special_ids: Further tokens that never count, such as EOS (`LanguageModel.special_ids`).

    Returns:
        ids, int64 [B, length]; mask, bool [B, length], true where a token of a window is; counted, bool [B, length],
        true where a position counts in statistics: not padding, not BOS, not another special token.

    Raises:
        ValueError: If a window is empty or longer than `length`; windows are cut before they come here.
    """
    ids = np.full((len(windows), length), pad_id, dtype=np.int64)
    mask = np.zeros((len(windows), length), dtype=np.bool_)
    for row, window in enumerate(windows):
        if not 1 <= len(window) <= length:
            msg = f"window {row} has {len(window)} tokens, not 1 to {length}"
            raise ValueError(msg)
        ids[row, : len(window)] = window
        mask[row, : len(window)] = True
    never = sorted({*special_ids, *(() if bos_id is None else (bos_id,))})
    counted = mask & ~np.isin(ids, never)
    return torch.from_numpy(ids), torch.from_numpy(mask), torch.from_numpy(counted)
