"""The encoder's product, W x + b in float32, as fast as a device does it without losing digits.

On a GPU, float32 matrices are multiplied without tensor cores, and five times slower than the model runs. TF32 would
round both factors to 11 bits. But where the model computes in bfloat16, activations *are* bfloat16, and a float32
weight is the sum of three bfloat16 numbers (24 bits are three times 8):

    W = low + middle + high,    W x = [low middle high] [x; x; x]

The right side is one bfloat16 product, three times as long, whose terms are exact and are summed in float32: W x to
float32's accuracy on tensor cores. `build/bench/gpu.py` measures what it brings, and how far both are from float64.

The method of splitting is Markidis et al., "NVIDIA Tensor Core Programmability, Performance & Precision" (2018), and
Henry, Tang and Heinecke, "Leveraging the bfloat16 Artificial Intelligence Datatype for Higher-Precision Computations"
(2019); that one factor needs no splitting makes it exact and cheap here.
"""

from __future__ import annotations

import torch
from torch import Tensor

PARTS = 3
DEVICES = ("cuda",)
"""Where torch multiplies bfloat16 matrices into float32; elsewhere the parts would only be more work."""


class Product:
    """Rows of W x + b, of one encoder.

    Args:
        weights: float32 [d, f].
        bias: float32 [f].
    """

    def __init__(self, weights: Tensor, bias: Tensor) -> None:
        self._weights, self._bias = weights, bias
        self._parts: Tensor | None = None

    def operand(self, x: Tensor) -> Tensor:
        """What `into` takes for x, [n, d]: bfloat16 on `DEVICES`, three times side by side, else float32."""
        if x.dtype != torch.bfloat16 or x.device.type not in DEVICES:
            return x.float()
        return x.repeat(1, PARTS)

    def into(self, out: Tensor, first: int, operand: Tensor) -> None:
        """Write features `first` and following into `out`, float32 [rows, n]."""
        rows = slice(first, first + len(out))
        if operand.dtype == torch.bfloat16:
            if self._parts is None:
                self._parts = split(self._weights)
            multiply(self._bias[rows, None], self._parts[rows], operand.T, out)
        else:
            torch.addmm(self._bias[rows, None], self._weights[:, rows].T, operand.T, out=out)


class Mirror:
    """The product of neurons, which is none: rows of [x -x]."""

    def operand(self, x: Tensor) -> Tensor:
        """What `into` takes for x, [n, d]: float32."""
        return x.float()

    def into(self, out: Tensor, first: int, operand: Tensor) -> None:
        """Write features `first` and following into `out`, float32 [rows, n]."""
        width = operand.shape[1]
        above = max(0, min(width - first, len(out)))  # features on the positive side
        low, high = max(first, width) - width, first + len(out) - width
        out[:above] = operand[:, first : first + above].T
        torch.neg(operand[:, low : max(low, high)].T, out=out[above:])


def split(weights: Tensor) -> Tensor:
    """bfloat16 [f, 3 d]: low, middle and high parts of float32 [d, f], whose sum is exact unless it underflows."""
    high = weights.bfloat16()
    rest = weights - high.float()
    middle = rest.bfloat16()
    low = (rest - middle.float()).bfloat16()
    return torch.cat([low, middle, high]).T.contiguous()


def multiply(bias: Tensor, left: Tensor, right: Tensor, out: Tensor) -> None:
    """Product of bfloat16 matrices, summed in float32."""
    if left.device.type == "cuda":
        torch.addmm(bias, left, right, out_dtype=torch.float32, out=out)
    else:  # only CUDA has it; a test comes here
        torch.addmm(bias, left.float(), right.float(), out=out)
