"""The norm before the unembedding, as logit effects need it: what it does to a direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from atlas.errors import AtlasError

if TYPE_CHECKING:
    from torch import Tensor

NORMS = ("norm", "ln_f", "final_layer_norm", "language_model.norm", "decoder.final_layer_norm")
"""Where families keep the norm before the unembedding, relative to the base model."""

PROBE, SILENT = 1e4, 1e-6
"""Size of the vector that probes a norm, so large that the norm's epsilon is beneath float32's precision; and the gain
below which the norm let nothing through, as one that subtracts the mean does."""


@dataclass(frozen=True, slots=True)
class FoldedNorm:
    """The final norm as far as directions go: `direction * scale`, after removing its mean where `centred`.

    Attributes:
        scale: Gain of each dimension, float32 [d_model].
        centred: Whether the norm subtracts the mean first (LayerNorm does, RMSNorm does not).
    """

    scale: Tensor
    centred: bool


def final_norm(base: nn.Module) -> nn.Module:
    """The final norm of a model without its head.

    Raises:
        AtlasError: If the model keeps it in none of the known places.
    """
    for path in NORMS:
        try:
            return base.get_submodule(path)
        except AttributeError:
            continue
    known = ", ".join(NORMS)
    raise AtlasError(type(base).__name__, "a family whose final norm is not found", f"known: {known}")


def fold(norm: nn.Module, d_model: int, device: torch.device) -> FoldedNorm:
    """A norm's effect on a direction, apart from its data-dependent length.

    `nn.LayerNorm` says so itself. Others are probed in float32 with a large constant vector, which RMS normalisation
    turns into ones: what comes out is the gain, whether the family writes `w` or `1 + w`.

    Args:
        norm: The norm, on `device`.
        d_model: Its width.
        device: Where it is.

    Raises:
        AtlasError: If it is neither LayerNorm nor an RMS norm.
    """
    if isinstance(norm, nn.LayerNorm):
        gain = torch.ones(d_model) if norm.weight is None else norm.weight.detach()
        return FoldedNorm(gain.float(), centred=True)
    with torch.inference_mode():
        up = norm(torch.full((1, 1, d_model), PROBE, device=device)).float()[0, 0]
        twice = norm(torch.full((1, 1, d_model), 2 * PROBE, device=device)).float()[0, 0]
    steady = bool(torch.isfinite(up).all()) and torch.allclose(up, twice, rtol=1e-3)
    if not steady or float(up.abs().max()) < SILENT:
        raise AtlasError(type(norm).__name__, "a final norm that is neither LayerNorm nor RMSNorm")
    return FoldedNorm(up.clone(), centred=False)
