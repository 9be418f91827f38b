"""Logit effects: where a feature's decoder direction points in the vocabulary, on the direct path.

For a feature with decoder row w the effect on token t is (fold(w) . U[t]), where U is the unembedding
and fold applies the final norm's weight (and its centring, where the norm is a LayerNorm) but not its
division by the activation's norm, which depends on the text: effects are per unit of activation and of
that norm, and can be compared within a model. Later layers, attention and soft-capping are left out, as
in the logit lens (nostalgebraist 2020) and in SAE dashboards, which mostly leave out the fold too.

Algorithm, for chunks of features, so that [d_sae, vocabulary] never exists:

1. Fold the final norm into the decoder rows; multiply with the unembedding: [chunk, vocabulary].
2. Keep the greatest and least `k` (ties by token id), the range and an equal-width histogram.
3. Moments about the mean: mean, standard deviation (population), skewness, excess kurtosis.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from atlas.effects.extremes import extremes

BINS = 40
_CELLS = 64 * 1024 * 1024  # float32 cells a chunk may hold (256 MB), and about as much again at work


@dataclass(frozen=True)
class LogitTable:
    """Logit effects of all features of a dictionary.

    Attributes:
        top, bottom: int32 [f, k], token ids, greatest (least) effect first.
        top_value, bottom_value: float32 [f, k].
        low, high: float32 [f], range of the histogram.
        counts: int32 [f, BINS], tokens by equal-width bin.
        moments: float32 [f, 4], mean, standard deviation, skewness, excess kurtosis.
    """

    top: np.ndarray
    top_value: np.ndarray
    bottom: np.ndarray
    bottom_value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    counts: np.ndarray
    moments: np.ndarray


def logit_effects(
    decoder: Tensor,
    unembedding: Tensor,
    scale: Tensor,
    *,
    centred: bool,
    k: int,
    tick: Callable[[int], None] = lambda _: None,
) -> LogitTable:
    """Compute the effects of all rows of a decoder.

    Args:
        decoder: float32 [f, d].
        unembedding: [vocabulary, d], any float dtype, on the device to run on.
        scale: [d], the final norm's weight.
        centred: Whether the final norm subtracts the mean (LayerNorm).
        k: Tokens to keep at either end; at most the vocabulary.
        tick: Called with the number of features done since the last call.
    """
    device = unembedding.device
    matrix = unembedding.float().T  # [d, vocabulary]
    k = min(k, matrix.shape[1])
    rows = max(1, _CELLS // matrix.shape[1])
    parts: list[tuple[np.ndarray, ...]] = []
    with torch.inference_mode():
        for low in range(0, len(decoder), rows):
            direction = decoder[low : low + rows].to(device).float()
            if centred:
                direction = direction - direction.mean(dim=1, keepdim=True)
            parts.append(_chunk((direction * scale.to(device).float()) @ matrix, k))
            tick(len(direction))
    return LogitTable(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _chunk(effects: Tensor, k: int) -> tuple[np.ndarray, ...]:
    top, top_value = extremes(effects, k, largest=True)
    bottom, bottom_value = extremes(effects, k, largest=False)
    low, high = bottom_value[:, 0], top_value[:, 0]
    counts = _histogram(effects, torch.from_numpy(low), torch.from_numpy(high))
    return top, top_value, bottom, bottom_value, low, high, counts, _moments(effects)


def _histogram(effects: Tensor, low: Tensor, high: Tensor) -> np.ndarray:
    low, high = low.to(effects.device)[:, None], high.to(effects.device)[:, None]
    per_unit = BINS / (high - low).clamp_min(1e-30)  # finite where all effects are equal
    place = (effects - low).mul_(per_unit).to(torch.int32).clamp_(0, BINS - 1)
    place += (torch.arange(len(effects), device=effects.device, dtype=torch.int32) * BINS)[:, None]
    counts = torch.bincount(place.view(-1), minlength=len(effects) * BINS)
    return counts.view(len(effects), BINS).cpu().numpy().astype(np.int32)


def _moments(effects: Tensor) -> np.ndarray:
    # torch sums float32 in a cascade, which keeps a sum over a vocabulary exact to about 1e-6
    mean = effects.mean(dim=1, keepdim=True)
    off = effects - mean
    square = off * off
    n = effects.shape[1]
    variance = square.mean(dim=1).double()
    third = torch.linalg.vecdot(square, off).double() / n
    fourth = torch.linalg.vecdot(square, square).double() / n
    safe = variance.clamp_min(1e-100)  # a direction of zero has no shape: its cube and square must not vanish
    columns = (mean[:, 0].double(), variance.sqrt(), third / safe**1.5, fourth / safe**2 - 3)
    return torch.stack(columns, dim=1).cpu().numpy().astype(np.float32)
