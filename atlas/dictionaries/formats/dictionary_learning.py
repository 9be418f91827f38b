"""dictionary_learning (Marks, Karvonen, Mueller): a folder with `ae.pt` and `config.json`.

    AutoEncoder            encoder.weight[d_sae, d_in] encoder.bias decoder.weight[d_in, d_sae] bias[d_in]
    AutoEncoderNew         encoder.weight encoder.bias decoder.weight decoder.bias[d_in]; bias is not subtracted
    GatedAutoEncoder       encoder.weight r_mag gate_bias mag_bias [d_sae] decoder.weight decoder_bias[d_in]
    JumpReluAutoEncoder    W_enc[d_in, d_sae] b_enc W_dec[d_sae, d_in] b_dec threshold[d_sae]; b_dec is not subtracted
    AutoEncoderTopK        encoder.weight encoder.bias decoder.weight b_dec k threshold (a number, not used to encode)
    BatchTopKSAE           the same; fires above `threshold`
    MatryoshkaBatchTopKSAE W_enc b_enc W_dec b_dec k group_sizes threshold; fires above `threshold`

`config.json`: trainer {dict_class, activation_dim, dict_size, k, layer, lm_name, submodule_name}, buffer {ctx_len}.

Gated and JumpReLU dictionaries report activations times the length of the decoder's row, and so it is done here;
SAELens leaves the length out. A threshold below 0 was never set (training ended before): refused, since the
publisher's own code then lets everything fire.

Source: saprmarks/dictionary_learning, `dictionary.py`, `trainers/{top_k,batch_top_k,matryoshka_batch_top_k}.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from atlas.dictionaries.base import Dictionary, gated, norms, scaled
from atlas.dictionaries.formats.common import Wanted, finished
from atlas.dictionaries.settings import Settings
from atlas.dictionaries.tensors import Tensors, read_tensors
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from atlas.dictionaries.files import Files

NAME = "dictionary_learning"
CONFIG, WEIGHTS = "config.json", "ae.pt"
LAYOUT = f"{CONFIG}, {WEIGHTS}"
BIAS = {"AutoEncoder": "bias", "AutoEncoderNew": "decoder.bias", "GatedAutoEncoder": "decoder_bias"}
"""What each calls b_dec, where it is not called so."""

ARCHITECTURES = {
    "AutoEncoder": "standard",
    "AutoEncoderNew": "standard",
    "GatedAutoEncoder": "gated",
    "JumpReluAutoEncoder": "jumprelu",
    "AutoEncoderTopK": "topk",
    "BatchTopKSAE": "batchtopk",
    "MatryoshkaBatchTopKSAE": "matryoshka_batchtopk",
}
NOT_SUBTRACTED = frozenset({"AutoEncoderNew", "JumpReluAutoEncoder"})
LENGTHS = frozenset({"GatedAutoEncoder", "JumpReluAutoEncoder"})
"""Whose activations are multiplied by the length of the decoder's row."""


def claims(files: Files) -> bool:
    """Whether files of these names are in this format."""
    return {CONFIG, WEIGHTS} <= files.names


def read(files: Files, wanted: Wanted) -> Dictionary:
    """Read one; see `common.Format`."""
    config = Settings.read(files.path(CONFIG))
    trainer = config.part("trainer")
    kind = trainer.text("dict_class")
    if kind not in ARCHITECTURES:
        raise trainer.wrong("dict_class", kind, f"one of {', '.join(ARCHITECTURES)}")
    d_in, d_sae = trainer.count("activation_dim"), trainer.count("dict_size")
    tensors = read_tensors(files.path(WEIGHTS))
    W_enc = _matrix(tensors, "W_enc", "encoder.weight", d_in, d_sae)
    W_dec = _matrix(tensors, "W_dec", "decoder.weight", d_sae, d_in)
    threshold: Tensor | None = None
    if kind == "GatedAutoEncoder":
        W_enc, b_enc, threshold = gated(
            W_enc, *(tensors.take(name, d_sae) for name in ("gate_bias", "r_mag", "mag_bias"))
        )
    else:
        b_enc = tensors.take("b_enc" if "b_enc" in tensors else "encoder.bias", d_sae)
    if kind == "JumpReluAutoEncoder":
        threshold = tensors.take("threshold", d_sae)
    elif kind in {"BatchTopKSAE", "MatryoshkaBatchTopKSAE"}:
        threshold = torch.full((d_sae,), _learned(tensors))
    k = _k(trainer, tensors, d_sae) if kind == "AutoEncoderTopK" else None
    made = Dictionary(
        id=wanted.id,
        architecture=ARCHITECTURES[kind],
        hook_point=wanted.place(_place(trainer), files),
        W_enc=W_enc,
        b_enc=b_enc,
        W_dec=W_dec,
        b_dec=tensors.take(BIAS.get(kind, "b_dec"), d_in),
        threshold=threshold,
        k=k,
        subtract_b_dec=kind not in NOT_SUBTRACTED,
        format=NAME,
        metadata=config.flat(),
    )
    return finished(scaled(made, norms(W_dec)) if kind in LENGTHS else made, files)


def _matrix(tensors: Tensors, name: str, linear: str, rows: int, columns: int) -> Tensor:
    """A matrix that is a parameter, or the transposed weight of a linear layer."""
    return tensors.take(name, rows, columns) if name in tensors else tensors.take(linear, columns, rows).T.contiguous()


def _learned(tensors: Tensors) -> float:
    threshold = tensors.scalar("threshold")
    if threshold < 0:
        raise AtlasError(tensors.path, f"threshold is {threshold:g}: it was never set, and every feature would fire")
    return threshold


def _k(trainer: Settings, tensors: Tensors, d_sae: int) -> int:
    k = int(tensors.scalar("k")) if "k" in tensors else trainer.count("k")
    if not 1 <= k <= d_sae:
        raise AtlasError(tensors.path, f"k is {k}, but there are {d_sae} features")
    return k


def _place(trainer: Settings) -> str:
    """The hook point by layer and module; "" if they do not tell."""
    layer, module = trainer.get("layer"), str(trainer.get("submodule_name") or "")
    if not isinstance(layer, int) or isinstance(layer, bool) or layer < 0:
        return ""
    site = {"": "hook_resid_post", "resid_post": "hook_resid_post", "mlp": "hook_mlp_out", "attention": "hook_attn_out"}
    short = module.rpartition("_layer_")[0] if "_layer_" in module else module
    return f"blocks.{layer}.{site[short]}" if short in site else ""
