"""From directions at a hook point to directions in the residual stream, by the direct path.

Attention's heads go through the output projection, neurons through the down projection; then both through the gain of
the norm that some families have before adding, not through its division. Biases do not turn a direction. What is read
elsewhere is in the stream already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from atlas.model.norm import fold

if TYPE_CHECKING:
    from atlas.model.hooks import HookPoint


def width_at(base: nn.Module, point: HookPoint, d_model: int) -> int:
    """Width of what passes a hook point; that of the residual stream unless it is read before a linear map."""
    if not point.linear:
        return d_model
    weight = cast("Tensor", base.get_submodule(point.linear).weight)
    return int(weight.numel()) // d_model


def into_stream(base: nn.Module, point: HookPoint, rows: Tensor | None, d_model: int, device: torch.device) -> Tensor:
    """Directions in the residual stream.

    Args:
        base: The model without its head.
        point: Where the rows are directions.
        rows: float32 [n, width there]; None for the directions of single numbers there, neuron after neuron.
        d_model: Width of the stream.
        device: Where to compute.

    Returns:
        float32 [n, d_model], on the device.
    """
    if not point.linear:
        return torch.eye(d_model, device=device) if rows is None else rows.to(device)
    linear = base.get_submodule(point.linear)
    weight = cast("Tensor", linear.weight).detach().float().to(device)
    # GPT-2's Conv1D keeps [in, out], a linear layer [out, in]
    each = weight.T if isinstance(linear, nn.Linear) else weight
    out = each if rows is None else rows.to(device) @ each
    if point.after:
        out = out * fold(base.get_submodule(point.after), d_model, device).scale.to(device)
    return out
