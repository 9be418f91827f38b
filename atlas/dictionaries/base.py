"""The one type that every published weight format is read into, and how it encodes.

Formats differ in names, in what they transpose, and in what they leave to be multiplied later. All of that is worked
into the weights once, when they are read (`formats/`), so that four things are left to know of a dictionary: what its
input is divided by, whether `b_dec` is taken off, and whether a feature fires above a bar or among the k highest.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from atlas.errors import AtlasError

Kind = Literal["sae", "transcoder", "neurons"]
Normalise = Literal["none", "layer_norm", "constant_norm"]
EPSILON = 1e-5
"""Added to a standard deviation in `layer_norm`, as OpenAI's and SAELens's loaders do."""


@dataclass(frozen=True)
class Dictionary:
    """A sparse autoencoder, a transcoder, or the neurons of an MLP; weights in float32.

    Attributes:
        id: Its id in the recipe, such as `9-res-4k`.
        architecture: What its publisher calls it, such as `gated`; for pages.
        hook_point: Where it reads, by the field's name.
        W_enc: Encoder, [d_in, d_sae].
        b_enc: Encoder bias, [d_sae].
        W_dec: Decoder, one row a feature, [d_sae, d_out].
        b_dec: Decoder bias, [d_out].
        threshold: A feature fires only above it, in units of activation, [d_sae]; None for no threshold.
        k: How many features fire on a token at most; None for no limit.
        subtract_b_dec: Whether `b_dec` is taken from the input first; only where d_out is d_in.
        normalise: What is done to each input vector before anything else.
        kind: Whether it rebuilds its input (`sae`), predicts what is elsewhere (`transcoder`), or is no dictionary
            that anyone trained but what passes a hook point, number by number (`neurons`, see that module): then
            `W_enc` is [d, 0] and `W_dec` [0, d], since nothing is multiplied.
        hook_out: Where it writes; "" for where it reads.
        W_skip: What a skip transcoder adds, [d_in, d_out]; None for others.
        format: The format that it was read from.
        metadata: What the weights say of themselves, as text for pages. Hostile: escape it.
        digest: SHA-256 over the files.
        source: The address it came from, as in the recipe.
        revision: The commit of the Hub's repository, if it came from there.
    """

    id: str
    architecture: str
    hook_point: str
    W_enc: Tensor
    b_enc: Tensor
    W_dec: Tensor
    b_dec: Tensor
    threshold: Tensor | None = None
    k: int | None = None
    subtract_b_dec: bool = False
    normalise: Normalise = "none"
    kind: Kind = "sae"
    hook_out: str = ""
    W_skip: Tensor | None = None
    format: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    digest: str = ""
    source: str = ""
    revision: str = ""

    @property
    def width(self) -> int:
        """Number of features, `d_sae`; of neurons twice their number, one for each side of zero."""
        return 2 * self.d_in if self.kind == "neurons" else int(self.W_enc.shape[1])

    @property
    def d_in(self) -> int:
        """Width of what it reads."""
        return int(self.W_enc.shape[0])

    @property
    def d_out(self) -> int:
        """Width of what it writes."""
        return int(self.W_dec.shape[1])

    @cached_property
    def bar(self) -> Tensor:
        """float32 [d_sae]: a feature can fire where its pre-activation is above this."""
        zero = torch.zeros_like(self.b_enc)
        # Negative thresholds exist in the wild, and relu comes after the threshold.
        return zero if self.threshold is None else torch.maximum(self.threshold, zero)

    def prepare(self, x: Tensor) -> Tensor:
        """What the encoder's product is taken of: x as float32, normalised.

            layer_norm      (x - mean) / (std + 1e-5), std with n - 1 (OpenAI's sparse_autoencoder; SAELens 6)
            constant_norm   x sqrt(d_in) / |x| (SAELens 6, `constant_norm_rescale`)

        Args:
            x: [n, d_in], any floating dtype.
        """
        x = x.float()
        if self.normalise == "layer_norm":
            x = x - x.mean(dim=-1, keepdim=True)
            x = x / (x.std(dim=-1, keepdim=True) + EPSILON)
        if self.normalise == "constant_norm":
            x = x * (self.d_in**0.5 / x.norm(dim=-1, keepdim=True))
        return x

    def encode(self, x: Tensor) -> Tensor:
        """Activations of all features.

            pre = (prepare(x) - b_dec if subtract_b_dec else prepare(x)) @ W_enc + b_enc
            act = pre where pre > max(threshold, 0) and pre is among the token's k highest, else 0

        Of neurons pre is [x, -x].

        Args:
            x: Activations at the hook point, any floating dtype, [n, d_in].

        Returns:
            float32 [n, d_sae], non-negative, in units of the normalised input.
        """
        x = self.prepare(x)
        if self.subtract_b_dec:
            x = x - self.b_dec
        pre = torch.cat([x, -x], 1) if self.kind == "neurons" else torch.addmm(self.b_enc, x, self.W_enc)  # [n, d_sae]
        if self.k is not None:
            values, indices = pre.topk(self.k, dim=-1, sorted=False)  # [n, k]
            pre = torch.zeros_like(pre).scatter_(-1, indices, values)
        return pre.masked_fill_(pre <= self.bar, 0.0)

    def decode(self, x: Tensor, activations: Tensor) -> Tensor:
        """What the dictionary says is at `hook_out`.

        Args:
            x: What was encoded, [n, d_in]: normalisation is undone with it, and a skip connection reads it.
            activations: [n, d_sae].

        Returns:
            float32 [n, d_out].
        """
        x = x.float()
        if self.kind == "neurons":
            return activations[:, : self.d_in] - activations[:, self.d_in :]
        out = activations @ self.W_dec + self.b_dec
        if self.normalise == "layer_norm":
            out = out * (x - x.mean(dim=-1, keepdim=True)).std(dim=-1, keepdim=True) + x.mean(dim=-1, keepdim=True)
        elif self.normalise == "constant_norm":
            out = out * (x.norm(dim=-1, keepdim=True) / self.d_in**0.5)
        return out if self.W_skip is None else out + x @ self.W_skip

    def to(self, device: torch.device | str) -> Dictionary:
        """The same dictionary with its weights on another device."""
        moved = {name: value.to(device) for name, value in self.tensors().items()}
        return replace(self, **moved)  # type: ignore[arg-type]  # mypy checks ** against every field at once

    def tensors(self) -> dict[str, Tensor]:
        """The weights that it has, by name."""
        names = ("W_enc", "b_enc", "W_dec", "b_dec", "threshold", "W_skip")
        found = {name: getattr(self, name) for name in names}
        return {name: value for name, value in found.items() if value is not None}


def scaled(dictionary: Dictionary, factor: Tensor) -> Dictionary:
    """The same dictionary with activations `factor` times as large: what it decodes to does not change.

    Some publishers report activations times the length of the decoder's row.

    Args:
        dictionary: One whose features fire above a bar, or whose k highest are meant after scaling.
        factor: [d_sae], positive.
    """
    wide = factor.double()
    threshold = None if dictionary.threshold is None else (dictionary.threshold.double() * wide).float()
    return replace(
        dictionary,
        W_enc=(dictionary.W_enc.double() * wide).float(),
        b_enc=(dictionary.b_enc.double() * wide).float(),
        W_dec=(dictionary.W_dec.double() / wide[:, None]).float(),
        threshold=threshold,
    )


def with_floor(dictionary: Dictionary, floor: float) -> Dictionary:
    """The same dictionary, whose features are silent up to this activation."""
    bar = torch.full_like(dictionary.b_enc, floor)
    return replace(
        dictionary, threshold=bar if dictionary.threshold is None else torch.maximum(dictionary.threshold, bar)
    )


def centred(dictionary: Dictionary) -> Dictionary:
    """The same dictionary for vectors that still have their mean, which it takes off before anything else.

    TransformerLens takes the mean of everything that is written into the stream of a model with LayerNorm
    (`center_writing_weights`), which changes no output of the model; transformers does not. With P = I - 11'/d

        (x P - b_dec) @ W_enc + b_enc = (x - b_dec) @ (P W_enc) + b_enc - sum(b_dec) mean(W_enc)

    Args:
        dictionary: One that reads the stream as TransformerLens has it; what it decodes to has no mean either.

    Raises:
        AtlasError: If the input is divided by its length, which the mean is a part of.
    """
    if dictionary.normalise == "layer_norm":  # does it anyway
        return dictionary
    if dictionary.normalise != "none":
        raise AtlasError(dictionary.source or dictionary.id, "centre does not go with constant_norm_rescale")
    mean = dictionary.W_enc.double().mean(dim=0)  # [d_sae]
    shift = dictionary.b_dec.double().sum() * mean if dictionary.subtract_b_dec else torch.zeros_like(mean)
    skip = dictionary.W_skip
    return replace(
        dictionary,
        W_enc=(dictionary.W_enc.double() - mean).float(),
        b_enc=(dictionary.b_enc.double() - shift).float(),
        W_skip=None if skip is None else (skip.double() - skip.double().mean(dim=0)).float(),
        metadata={**dictionary.metadata, "centre": "true"},
    )


def norms(rows: Tensor) -> Tensor:
    """Lengths of decoder rows, [d_sae]; 1 for a row of zeros, which no scaling can help."""
    length = rows.norm(dim=1)
    return torch.where(length > 0, length, torch.ones_like(length))


def gated(x_to_gate: Tensor, b_gate: Tensor, r_mag: Tensor, b_mag: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A gated encoder (Rajamanoharan et al. 2024) as one with a threshold, exactly.

    With z = x @ W the gate is open where z + b_gate > 0, and the magnitude is pre = exp(r) z + b_mag. Since exp(r) is
    positive, the gate is open where pre > b_mag - exp(r) b_gate: a JumpReLU's threshold.

    Args:
        x_to_gate: W, [d_in, d_sae].
        b_gate: [d_sae].
        r_mag: [d_sae].
        b_mag: [d_sae].

    Returns:
        W_enc, b_enc and threshold.
    """
    scale = r_mag.double().exp()
    threshold = b_mag.double() - scale * b_gate.double()
    return (x_to_gate.double() * scale).float(), b_mag, threshold.float()


def check_fits(dictionary: Dictionary, d_in: int, d_out: int) -> None:
    """Make sure that a dictionary reads and writes vectors of the widths that its hook points have.

    Raises:
        AtlasError: If the widths differ: the weights belong to another model or hook point.
    """
    if dictionary.d_in != d_in:
        raise AtlasError(
            dictionary.source or dictionary.id,
            f"reads vectors of width {dictionary.d_in}, but {dictionary.hook_point} of this model gives {d_in}",
            "check the recipe's model and hook_point",
        )
    if dictionary.d_out != d_out:
        place = dictionary.hook_out or dictionary.hook_point
        raise AtlasError(
            dictionary.source or dictionary.id,
            f"writes vectors of width {dictionary.d_out}, but {place} of this model has {d_out}",
            "check the recipe's model and hook_point",
        )
