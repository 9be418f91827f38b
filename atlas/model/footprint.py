"""What a model costs: read off its weights and its configuration, for plans of a pass."""

from __future__ import annotations

from dataclasses import dataclass

from atlas.model.hooks import layer_of
from atlas.model.lm import LanguageModel

MLP_RATIO = 4
"""Width of the MLP over that of the residual stream, where a configuration does not say (GPT-2)."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Of a model as it is, trimmed blocks gone.

    Attributes:
        parameters: Parameters of the blocks' matrices: each takes part in one multiply-add a token.
        weights: Bytes of all weights.
        blocks: Number of blocks.
        attention: Width of attention, heads x head size.
        hidden: Width of the MLP.
        itemsize: Bytes of a value.
    """

    parameters: int
    weights: int
    blocks: int
    attention: int
    hidden: int
    itemsize: int


def footprint(model: LanguageModel) -> Footprint:
    """What this model costs."""
    text = model.lm.config.get_text_config()
    layers = {name: layer_of(name) for name, _ in model.lm.named_parameters()}
    heads = int(text.num_attention_heads)
    head = getattr(text, "head_dim", None) or model.d_model // heads
    mlp = getattr(text, "intermediate_size", None) or getattr(text, "n_inner", None) or MLP_RATIO * model.d_model
    matrices = [p for name, p in model.lm.named_parameters() if layers[name] is not None and p.dim() > 1]
    return Footprint(
        parameters=sum(p.numel() for p in matrices),
        weights=sum(p.numel() * p.element_size() for p in model.lm.parameters()),
        blocks=len({layer for layer in layers.values() if layer is not None}),
        attention=heads * int(head),
        hidden=int(mlp),
        itemsize=model.unembedding().element_size(),
    )
