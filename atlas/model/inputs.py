"""Token windows of different lengths -> one rectangle for the model, BOS put in front."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy.typing as npt
    from torch import Tensor


def pad(
    ids: npt.NDArray[np.int32],
    offsets: npt.NDArray[np.int64],
    lead: int | None,
    pad_id: int,
    special_ids: Collection[int] = (),
    *,
    pin: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Put BOS in front of windows, pad them on the right, and say which positions count.

    Args:
        ids: Token ids of all windows, one after another, without BOS, int32 [tokens].
        offsets: Where each window begins in `ids`, and where the last ends, int64 [B + 1].
        lead: The token that every window begins with (BOS), or None for none.
        pad_id: Token to fill with; any id of the vocabulary will do, for no real position sees it.
        special_ids: Further tokens that never count, such as EOS (`LanguageModel.special_ids`).
        pin: Whether the tensors lie in pinned memory, which a GPU copies from while the CPU goes on.

    Returns:
        ids, int64 [B, T], where T is the longest window, BOS included; mask, bool [B, T], true where BOS or a token
        of a window is; counted, bool [B, T], true where a position counts in statistics: not padding, not BOS, not
        another special token.

    Raises:
        ValueError: If there is no window, or one without tokens: such are not cut.
    """
    lengths = np.diff(offsets)
    if len(lengths) == 0 or lengths.min() < 1:
        msg = "there is no window" if len(lengths) == 0 else f"window {int(lengths.argmin())} has no tokens"
        raise ValueError(msg)
    first = 0 if lead is None else 1
    column = np.arange(first + int(lengths.max()))
    mask = column < (first + lengths)[:, None]  # [B, T]
    text = mask & (column >= first)
    rectangle = np.full(mask.shape, pad_id, np.int64)
    # True cells, read row by row, are in the order of the flat ids.
    rectangle[text] = ids[offsets[0] : offsets[-1]]
    if lead is not None:
        rectangle[:, 0] = lead
    never = sorted({*special_ids, *(() if lead is None else (lead,))})
    counted = text & ~np.isin(rectangle, never)
    made = torch.from_numpy(rectangle), torch.from_numpy(mask), torch.from_numpy(counted)
    return (made[0].pin_memory(), made[1].pin_memory(), made[2].pin_memory()) if pin else made
