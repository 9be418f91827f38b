"""The one type that every published weight format is read into, and how it encodes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Dictionary:
    """A sparse autoencoder or transcoder, weights in float32.

    Attributes:
        id: Its id in the recipe, such as `9-res-4k`.
        architecture: `standard`, `jumprelu` or `topk`: which formula encodes.
        hook_point: Where it reads, by the field's name.
        W_enc: Encoder, [d_in, d_sae].
        b_enc: Encoder bias, [d_sae].
        W_dec: Decoder, one row a feature, [d_sae, d_in].
        b_dec: Decoder bias, [d_in].
        threshold: JumpReLU's threshold, in units of activation, [d_sae]; None for others.
        k: How many features TopK keeps; None for others.
        subtract_b_dec: Whether `b_dec` is taken from the input first.
        metadata: What the weights say of themselves, as text for pages. Hostile: escape it.
        digest: SHA-256 over the files.
        source: The address it came from, as in the recipe.
    """

    id: str
    architecture: str
    hook_point: str
    W_enc: Tensor
    b_enc: Tensor
    W_dec: Tensor
    b_dec: Tensor
    threshold: Tensor | None
    k: int | None
    subtract_b_dec: bool
    metadata: dict[str, str] = field(default_factory=dict)
    digest: str = ""
    source: str = ""

    @property
    def width(self) -> int:
        """Number of features, `d_sae`."""
        return int(self.W_enc.shape[1])

    @property
    def d_model(self) -> int:
        """Width of what it reads, `d_in`."""
        return int(self.W_enc.shape[0])

    @cached_property
    def bar(self) -> Tensor:
        """float32 [d_sae]: a feature fires where its pre-activation is above this. Says nothing of TopK."""
        zero = torch.zeros_like(self.b_enc)
        # Negative thresholds exist in the wild, and relu comes after the threshold.
        return zero if self.threshold is None else torch.maximum(self.threshold, zero)

    def encode(self, x: Tensor) -> Tensor:
        """Activations of all features.

            pre      = (x - b_dec if subtract_b_dec else x) @ W_enc + b_enc
            standard = relu(pre)
            jumprelu = relu(pre) where pre > threshold, else 0
            topk     = relu(pre) at the k largest pre, else 0

        (`shared/reference/formats.md`, after SAELens 6.54.)

        Args:
            x: Activations at the hook point, any floating dtype, [n, d_in].

        Returns:
            float32 [n, d_sae], non-negative.
        """
        x = x.float()  # [n, d_in]
        if self.subtract_b_dec:
            x = x - self.b_dec
        pre = torch.addmm(self.b_enc, x, self.W_enc)  # [n, d_sae]
        return ENCODERS[self.architecture](self, pre)

    def to(self, device: torch.device | str) -> Dictionary:
        """The same dictionary with its weights on another device."""
        moved = {name: value.to(device) for name, value in self.tensors().items()}
        return replace(self, **moved)  # type: ignore[arg-type]  # mypy checks ** against every field at once

    def tensors(self) -> dict[str, Tensor]:
        """The weights that it has, by name."""
        named = {"W_enc": self.W_enc, "b_enc": self.b_enc, "W_dec": self.W_dec, "b_dec": self.b_dec}
        return named if self.threshold is None else {**named, "threshold": self.threshold}


def check_fits(dictionary: Dictionary, d_model: int) -> None:
    """Make sure that a dictionary reads vectors of the width that its hook point gives.

    Raises:
        AtlasError: If the widths differ: the weights belong to another model or hook point.
    """
    if dictionary.d_model != d_model:
        raise AtlasError(
            dictionary.source or dictionary.id,
            f"reads vectors of width {dictionary.d_model}, but {dictionary.hook_point} of this model gives {d_model}",
            "check the recipe's model and hook_point",
        )


# The formulas work in place on `pre`, which is theirs: at 16k features it is the largest tensor of the pass.


def _standard(_: Dictionary, pre: Tensor) -> Tensor:
    return pre.relu_()


def _jumprelu(dictionary: Dictionary, pre: Tensor) -> Tensor:
    if dictionary.threshold is None:
        raise AtlasError(dictionary.id, "a jumprelu dictionary without a threshold")
    # Negative thresholds exist in the wild, so relu has to come as well.
    return pre.masked_fill_(pre <= dictionary.threshold, 0.0).relu_()


def _topk(dictionary: Dictionary, pre: Tensor) -> Tensor:
    if dictionary.k is None:
        raise AtlasError(dictionary.id, "a topk dictionary without k")
    values, indices = pre.topk(dictionary.k, dim=-1, sorted=False)  # [n, k]
    return torch.zeros_like(pre).scatter_(-1, indices, values.relu_())


ENCODERS: dict[str, Callable[[Dictionary, Tensor], Tensor]] = {
    "standard": _standard,
    "jumprelu": _jumprelu,
    "topk": _topk,
}
"""Architecture -> what makes activations of pre-activations, [n, d_sae] -> [n, d_sae]."""
