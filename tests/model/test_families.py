"""Every hook point of every family against arithmetic of its own: weights read by their own names, numpy, float64.

The chain has no gap: embeddings begin the stream, each sublayer's input, neurons and heads are computed or pinned down
by the linear map behind them, what is added adds up, and the stream's end gives the model's own logits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from atlas.errors import AtlasError
from atlas.model.families import FAMILIES
from atlas.model.lm import LanguageModel

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

IDS = torch.tensor([[2, 7, 9, 11, 30, 8], [2, 3, 4, 5, 6, 49]])
LAYER = 1
SITES = (
    "hook_resid_pre",
    "hook_resid_mid",
    "hook_resid_post",
    "hook_attn_out",
    "hook_mlp_out",
    "hook_mlp_in",
    "ln1.hook_normalized",
    "ln2.hook_normalized",
    "attn.hook_z",
    "mlp.hook_in",
    "mlp.hook_post",
)
Array = np.ndarray


def run(lm: LanguageModel, name: str) -> Array:
    point = lm.hook(name)
    found = lm.run(IDS, torch.ones_like(IDS, dtype=torch.bool), [point])[name]
    return found.double().numpy()


def at(lm: LanguageModel, site: str, layer: int = LAYER) -> Array:
    return run(lm, f"blocks.{layer}.{site}")


def weight(lm: LanguageModel, name: str) -> Array:
    return lm.lm.state_dict()[name].double().numpy()


def parallel(lm: LanguageModel) -> bool:
    return bool(getattr(lm.lm.config, "use_parallel_residual", False))


def erf_gelu(x: Array) -> Array:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def tanh_gelu(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))


def rms(x: Array) -> Array:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)


def rms_5(x: Array) -> Array:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)


def centred(x: Array) -> Array:
    off = x - x.mean(-1, keepdims=True)
    return off / np.sqrt((off**2).mean(-1, keepdims=True) + 1e-5)


def gated(act: Callable[[Array], Array]) -> Callable[[LanguageModel, str, Array], Array]:
    return lambda lm, block, x: (
        act(x @ weight(lm, f"{block}.mlp.gate_proj.weight").T) * (x @ weight(lm, f"{block}.mlp.up_proj.weight").T)
    )


def gpt2_neurons(lm: LanguageModel, block: str, x: Array) -> Array:
    return tanh_gelu(x @ weight(lm, f"{block}.mlp.c_fc.weight") + weight(lm, f"{block}.mlp.c_fc.bias"))


def neox_neurons(lm: LanguageModel, block: str, x: Array) -> Array:
    up = weight(lm, f"{block}.mlp.dense_h_to_4h.weight")
    return erf_gelu(x @ up.T + weight(lm, f"{block}.mlp.dense_h_to_4h.bias"))


BLOCK = {"gpt2": "transformer.h.{}", "gpt_neox": "gpt_neox.layers.{}"}
NORM = {"gpt2": centred, "gpt_neox": centred, "gemma": rms, "gemma2": rms, "gemma3_text": rms}
NEURONS: dict[str, Callable[[LanguageModel, str, Array], Array]] = {
    "gpt2": gpt2_neurons,
    "gpt_neox": neox_neurons,
    "gemma": gated(tanh_gelu),
    "gemma2": gated(tanh_gelu),
    "gemma3_text": gated(tanh_gelu),
}
LN2 = {
    "gpt2": "ln_2",
    "gpt_neox": "post_attention_layernorm",
    "gemma2": "pre_feedforward_layernorm",
    "gemma3_text": "pre_feedforward_layernorm",
}
OUT = {"gpt2": "attn.c_proj", "gpt_neox": "attention.dense"}
DOWN = {"gpt2": "mlp.c_proj", "gpt_neox": "mlp.dense_4h_to_h"}
GAIN_IS_OFFSET = ("gemma", "gemma2", "gemma3_text")
POST = {
    "gemma2": ("post_attention_layernorm", "post_feedforward_layernorm"),
    "gemma3_text": ("post_attention_layernorm", "post_feedforward_layernorm"),
}


def block_of(family: str) -> str:
    return BLOCK.get(family, "model.layers.{}").format(LAYER)


def norm(lm: LanguageModel, family: str, name: str, x: Array) -> Array:
    """A whole norm of the block."""
    normalise = NORM.get(family, rms if eps(lm) == 1e-6 else rms_5)
    gain = weight(lm, f"{block_of(family)}.{name}.weight")
    made = normalise(x) * (1 + gain if family in GAIN_IS_OFFSET else gain)
    bias = f"{block_of(family)}.{name}.bias"
    return made + weight(lm, bias) if bias in lm.lm.state_dict() else made


def eps(lm: LanguageModel) -> float:
    return float(getattr(lm.lm.config, "rms_norm_eps", 1e-5))


def linear(lm: LanguageModel, family: str, name: str, x: Array) -> Array:
    path = f"{block_of(family)}.{name}"
    matrix = weight(lm, f"{path}.weight")
    out = x @ (matrix if family == "gpt2" else matrix.T)
    return out + weight(lm, f"{path}.bias") if f"{path}.bias" in lm.lm.state_dict() else out


def close(found: Array, expected: Array) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_every_family_of_the_table_is_tested(family: str) -> None:
    assert family in FAMILIES


def test_embeddings_begin_the_stream(lm: LanguageModel, family: str) -> None:
    name = {"gpt2": "transformer.wte.weight", "gpt_neox": "gpt_neox.embed_in.weight"}.get(
        family, "model.embed_tokens.weight"
    )
    scale = math.sqrt(lm.d_model) if family in GAIN_IS_OFFSET else 1.0
    expected = weight(lm, name)[IDS.numpy()] * scale
    close(run(lm, "hook_embed"), expected)
    if family != "gpt2":
        close(run(lm, "blocks.0.hook_resid_pre"), expected)


def test_the_stream_goes_from_block_to_block(lm: LanguageModel) -> None:
    close(at(lm, "hook_resid_post"), at(lm, "hook_resid_pre", LAYER + 1))


def test_what_is_added_adds_up_by_way_of_the_middle(lm: LanguageModel) -> None:
    pre, post = at(lm, "hook_resid_pre"), at(lm, "hook_resid_post")
    attention, mlp = at(lm, "hook_attn_out"), at(lm, "hook_mlp_out")
    close(pre + attention + mlp, post)
    if parallel(lm):
        close(at(lm, "hook_mlp_in"), pre)
        with pytest.raises(AtlasError, match="in parallel"):
            lm.hook(f"blocks.{LAYER}.hook_resid_mid")
    else:
        close(at(lm, "hook_resid_mid"), pre + attention)
        close(at(lm, "hook_mlp_in"), pre + attention)


def test_norms_before_their_gain(lm: LanguageModel, family: str) -> None:
    normalise = NORM.get(family, rms if eps(lm) == 1e-6 else rms_5)
    close(at(lm, "ln1.hook_normalized"), normalise(at(lm, "hook_resid_pre")))
    close(at(lm, "ln2.hook_normalized"), normalise(at(lm, "hook_mlp_in")))


def test_what_the_mlp_reads_its_neurons_and_what_they_add(lm: LanguageModel, family: str) -> None:
    reads = at(lm, "mlp.hook_in")
    close(reads, norm(lm, family, LN2.get(family, "post_attention_layernorm"), at(lm, "hook_mlp_in")))
    neurons = at(lm, "mlp.hook_post")
    close(neurons, NEURONS.get(family, gated(silu))(lm, block_of(family), reads))
    added = linear(lm, family, DOWN.get(family, "mlp.down_proj"), neurons)
    close(at(lm, "hook_mlp_out"), norm(lm, family, POST[family][1], added) if family in POST else added)


def test_heads_give_what_attention_adds_and_nothing_else_would(lm: LanguageModel, family: str) -> None:
    heads = at(lm, "attn.hook_z")
    name = OUT.get(family, "self_attn.o_proj")
    assert np.linalg.matrix_rank(weight(lm, f"{block_of(family)}.{name}.weight")) == heads.shape[-1], (
        "else not pinned down"
    )
    added = linear(lm, family, name, heads)
    close(at(lm, "hook_attn_out"), norm(lm, family, POST[family][0], added) if family in POST else added)


def test_widths_are_those_of_what_passes(lm: LanguageModel) -> None:
    for site in SITES:
        if not (parallel(lm) and site == "hook_resid_mid"):
            point = lm.hook(f"blocks.{LAYER}.{site}")
            assert lm.width(point) == at(lm, site).shape[-1], site


def test_directions_of_heads_and_neurons_go_into_the_stream(lm: LanguageModel, family: str) -> None:
    for site, name, post in (
        ("attn.hook_z", OUT.get(family, "self_attn.o_proj"), 0),
        ("mlp.hook_post", DOWN.get(family, "mlp.down_proj"), 1),
    ):
        point = lm.hook(f"blocks.{LAYER}.{site}")
        rows = torch.randn(5, lm.width(point), generator=torch.Generator().manual_seed(1))
        matrix = weight(lm, f"{block_of(family)}.{name}.weight")
        expected = rows.double().numpy() @ (matrix if family == "gpt2" else matrix.T)
        if family in POST:
            expected = expected * (1 + weight(lm, f"{block_of(family)}.{POST[family][post]}.weight"))
        close(lm.into_stream(point, rows).double().numpy(), expected)
        close((rows @ lm.into_stream(point, None)).double().numpy(), expected)
    rows = torch.randn(5, lm.d_model)
    stream = lm.hook(f"blocks.{LAYER}.hook_resid_post")
    assert torch.equal(lm.into_stream(stream, rows), rows)
    assert torch.equal(lm.into_stream(stream, None), torch.eye(lm.d_model))


def test_a_model_that_adds_one_after_the_other_has_a_middle(tiny: SimpleNamespace) -> None:
    made: Any = tiny.transformer("gpt_neox")
    made.config.use_parallel_residual = False
    for layer in made.gpt_neox.layers:
        layer.use_parallel_residual = False
    lm = LanguageModel(made, tiny.tokenizer())
    close(at(lm, "hook_resid_mid"), at(lm, "hook_resid_pre") + at(lm, "hook_attn_out"))
    close(at(lm, "hook_resid_post"), at(lm, "hook_resid_mid") + at(lm, "hook_mlp_out"))


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("model.layers.1.output", "blocks.1.hook_resid_post"),
        ("model.layers.1.mlp.input", "blocks.1.mlp.hook_in"),
        ("model.layers.1.self_attn.o_proj.input", "blocks.1.attn.hook_z"),
        ("layers.1", "blocks.1.hook_resid_post"),
        ("model.layers.1.post_feedforward_layernorm.output", "blocks.1.hook_mlp_out"),
    ],
)
def test_module_paths_may_say_which_side_they_mean(tiny: SimpleNamespace, name: str, same: str) -> None:
    lm = LanguageModel(tiny.transformer("gemma3_text"), tiny.tokenizer())
    close(run(lm, name), run(lm, same))
