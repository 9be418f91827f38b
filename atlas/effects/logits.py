"""Logit effects: where a feature's decoder direction points in the vocabulary, on the direct path.

For a feature with decoder row w the effect on token t is (fold(w) . U[t]), where U is the unembedding
and fold applies the final norm's weight (and its centring, where the norm is a LayerNorm) but not its
division by the activation's norm, which depends on the text: effects are per unit of activation and of
that norm, and can be compared within a model. Later layers, attention and soft-capping are left out, as
in the logit lens (nostalgebraist 2020) and in SAE dashboards, which mostly leave out the fold too.

Algorithm, for chunks of features, so that [d_sae, vocabulary] never exists:

1. Fold the final norm into the decoder rows; multiply with the unembedding: [chunk, vocabulary], on the device.
2. On the processor, rows among threads, in two readings (`effects.kernels`): keep the greatest and least `k` (ties by
   token id), the range, an equal-width histogram, and the moments about the mean: mean, standard deviation
   (population), skewness, excess kurtosis.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from atlas.effects.kernels import describe

BINS = 40
_CELLS = 64 * 1024 * 1024  # float32 cells a chunk may hold (256 MB)


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
    f, k, threads = len(decoder), min(k, matrix.shape[1]), torch.get_num_threads()
    ends = [np.zeros((f, k), dtype) for dtype in (np.int32, np.float32, np.int32, np.float32)]
    counts, moments = np.zeros((f, BINS), np.int32), np.zeros((f, 4), np.float32)
    rows = max(1, _CELLS // matrix.shape[1])
    with torch.inference_mode(), ThreadPoolExecutor(threads) as pool:
        for low in range(0, f, rows):
            direction = decoder[low : low + rows].to(device).float()
            if centred:
                direction = direction - direction.mean(dim=1, keepdim=True)
            effects = ((direction * scale.to(device).float()) @ matrix).cpu().numpy()
            share = -(-len(effects) // threads)
            parts = [slice(at, min(at + share, len(effects))) for at in range(0, len(effects), share)]
            targets = [[a[low:][part] for a in (*ends, counts, moments)] for part in parts]
            list(pool.map(lambda part, target: describe(effects[part], *target), parts, targets))  # noqa: B023 (done here)
            tick(len(effects))
    top, top_value, bottom, bottom_value = ends
    return LogitTable(top, top_value, bottom, bottom_value, bottom_value[:, 0], top_value[:, 0], counts, moments)
