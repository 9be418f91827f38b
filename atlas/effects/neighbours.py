"""Decoder neighbours: the features whose decoder directions have the greatest cosine with a feature's.

Exact, by brute force in chunks of features, between all pairs of dictionaries that write to the same
width of residual stream; a feature is not its own neighbour. Directions in different layers live in
different bases only in so far as layers change the stream's basis: a high cosine across layers is
evidence of the same direction, a low one is no evidence of its absence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from atlas.effects.extremes import extremes

_CHUNK = 1024


@dataclass(frozen=True)
class Nearest:
    """Neighbours of all features of a dictionary in one dictionary.

    Attributes:
        index: int32 [f, k], nearest first.
        cosine: float32 [f, k].
    """

    index: np.ndarray
    cosine: np.ndarray


def nearest(decoder: Tensor, other: Tensor, k: int, *, same: bool) -> Nearest:
    """The `k` rows of `other` nearest to each row of `decoder`.

    Args:
        decoder: float32 [f, d].
        other: float32 [g, d]; `decoder` itself when `same`.
        k: Neighbours to keep; fewer when `other` has fewer.
        same: Whether to leave out a row's own place.
    """
    unit, target = _unit(decoder), _unit(other).T
    k = min(k, target.shape[1] - same)
    index = np.zeros((len(unit), k), np.int32)
    cosine = np.zeros((len(unit), k), np.float32)
    with torch.inference_mode():
        for low in range(0, len(unit) if k else 0, _CHUNK):
            product = unit[low : low + _CHUNK] @ target
            if same:
                own = torch.arange(len(product))
                product[own, own + low] = -torch.inf
            rows = slice(low, low + _CHUNK)
            index[rows], cosine[rows] = extremes(product, k, largest=True)
    return Nearest(index, cosine)


def cosines(decoder: Tensor, other: Tensor, index: np.ndarray) -> np.ndarray:
    """Cosines of given pairs, float32 [f, k]; 0 where the index is below 0.

    Args:
        decoder: float32 [f, d].
        other: float32 [g, d].
        index: int32 [f, k], rows of `other`.
    """
    unit, target = _unit(decoder), _unit(other)
    found = np.zeros(index.shape, np.float32)
    with torch.inference_mode():
        for low in range(0, len(unit), _CHUNK):
            rows = torch.from_numpy(index[low : low + _CHUNK].astype(np.int64)).to(unit.device)
            product = (target[rows.clamp_min(0)] * unit[low : low + _CHUNK, None]).sum(-1)
            found[low : low + _CHUNK] = product.masked_fill(rows < 0, 0.0).cpu().numpy()
    return found


def _unit(rows: Tensor) -> Tensor:
    return torch.nn.functional.normalize(rows.float(), dim=1)
