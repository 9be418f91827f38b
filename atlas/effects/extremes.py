"""The greatest or least entries of each row of a matrix, equal ones by their place."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def extremes(matrix: Tensor, k: int, *, largest: bool) -> tuple[np.ndarray, np.ndarray]:
    """Places and values of the `k` greatest (least) entries of each row, the most extreme first.

    `torch.topk` leaves open which of the entries that equal the k-th it takes, and in what order equal
    ones come; here the lowest places are taken, and come first.

    Args:
        matrix: [rows, n], no NaN.
        k: Entries to take, 1 to n.
        largest: Whether to take the greatest.

    Returns:
        int32 and float32 [rows, k].
    """
    value, place = torch.topk(matrix, min(k + 1, matrix.shape[1]), dim=1, largest=largest)
    last = value[:, k - 1 : k]
    cut = (value[:, k:] == last).any(dim=1)  # entries that equal the k-th were left out
    value, place = value[:, :k], place[:, :k]
    for row in cut.nonzero()[:, 0].tolist():
        sure = int((value[row] != last[row]).sum())
        place[row, sure:] = (matrix[row] == last[row]).nonzero()[: k - sure, 0]
    values, places = value.cpu().numpy(), place.cpu().numpy().astype(np.int32)
    order = np.lexsort((places, -values if largest else values), axis=1)
    return np.take_along_axis(places, order, 1), np.take_along_axis(values, order, 1)
