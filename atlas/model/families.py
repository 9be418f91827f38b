"""Where the model families of transformers keep what hook points are made of: a table, a line a family.

Every line is checked in tests against arithmetic of its own on a small random model of the family.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Family:
    """Modules of a block, by their paths in it.

    Attributes:
        attention, mlp: The sublayers.
        out, down: The last linear map of each.
        norms: The norms before attention and before the MLP.
        added: The modules whose outputs are added to the residual stream, of attention and MLP.
        parallel: Whether attention and MLP read the same stream, so that there is none between them; or "config" where
            the model's `use_parallel_residual` decides.
        embedding: What gives the stream's beginning before positions are added; "" where nothing is added.
    """

    attention: str
    mlp: str
    out: str
    down: str
    norms: tuple[str, str]
    added: tuple[str, str]
    parallel: bool | str = False
    embedding: str = ""


_LLAMA = Family(
    "self_attn", "mlp", "self_attn.o_proj", "mlp.down_proj", ("input_layernorm", "post_attention_layernorm"),
    ("self_attn", "mlp"),
)  # fmt: skip
_GEMMA = Family(
    "self_attn", "mlp", "self_attn.o_proj", "mlp.down_proj", ("input_layernorm", "pre_feedforward_layernorm"),
    ("post_attention_layernorm", "post_feedforward_layernorm"),
)  # fmt: skip

FAMILIES: dict[str, Family] = {
    "gemma": _LLAMA,
    "gemma2": _GEMMA,
    "gemma3_text": _GEMMA,
    "gpt2": Family(
        "attn", "mlp", "attn.c_proj", "mlp.c_proj", ("ln_1", "ln_2"), ("attn", "mlp"), embedding="wte",
    ),
    "gpt_neox": Family(
        "attention", "mlp", "attention.dense", "mlp.dense_4h_to_h", ("input_layernorm", "post_attention_layernorm"),
        ("attention", "mlp"), parallel="config",
    ),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
}  # fmt: skip
"""By `config.model_type` of the text model."""
