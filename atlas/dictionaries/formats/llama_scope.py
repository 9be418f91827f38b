"""Llama Scope (OpenMOSS): a folder with `hyperparams.json` and `checkpoints/final.safetensors`.

Its successors have `config.json` and `sae_weights.safetensors`.

    fnlp/Llama3_1-8B-Base-LX{A,M,R,TC}-{8,32}x/Llama3_1-8B-Base-L{N}{A,M,R,TC}-{8,32}x/
    encoder.weight[d_sae, d_in]  encoder.bias[d_sae]  decoder.weight[d_out, d_sae]  decoder.bias[d_out]
    successors:  log_jumprelu_threshold[d_sae], dataset_average_activation_norm.{hook point}

Settings: d_model, d_sae (or expansion_factor), hook_point_in, hook_point_out, use_decoder_bias,
apply_decoder_bias_to_pre_encoder, sparsity_include_decoder_norm, norm_activation, jump_relu_threshold (a number),
dataset_average_activation_norm {in, out}.

They were trained on x n with n = sqrt(d) / (average norm of the dataset). What the publisher does before inference
(`standardize_parameters_of_dataset_norm`, then `transform_to_unit_decoder_norm`) is done here:

    W_enc = W,  b_enc = b / n_in,  W_dec = W_dec n_in / n_out,  b_dec = b_dec / n_out
    where sparsity includes the decoder's norm: activations times the length of the decoder's row, rows of length 1
    a feature fires where this activation is above jump_relu_threshold

For the successors the threshold is in units of training, exp(log_jumprelu_threshold) / n_in here. SAELens leaves the
decoder's norm out of what is compared with the threshold, so other features fire there, and reports activations n_in
times as large.

Source: OpenMOSS/Language-Model-SAEs, `lm_saes/sae.py` and `lm_saes/initializer.py` of 2025; sae_lens 6.54.12
(`llama_scope*` loaders).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from atlas.dictionaries.base import Dictionary, norms, scaled
from atlas.dictionaries.formats.common import Wanted, finished
from atlas.dictionaries.settings import Settings
from atlas.dictionaries.tensors import Tensors, read_tensors
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from atlas.dictionaries.files import Files

NAME = "llama_scope"
FIRST = ("hyperparams.json", "checkpoints/final.safetensors")
LATER = ("config.json", "sae_weights.safetensors")
LAYOUT = f"{', '.join(FIRST)}; or {', '.join(LATER)}"
NORM = "dataset_average_activation_norm"


def claims(files: Files) -> bool:
    """Whether files of these names are in this format."""
    return set(FIRST) <= files.names or (set(LATER) <= files.names and "cfg.json" not in files.names)


def read(files: Files, wanted: Wanted) -> Dictionary:
    """Read one; see `common.Format`."""
    config_name, weights_name = FIRST if set(FIRST) <= files.names else LATER
    config, tensors = Settings.read(files.path(config_name)), read_tensors(files.path(weights_name))
    if config.text("act_fn", "jumprelu").lower() not in {"jumprelu", "topk"} or config.flag(
        "use_glu_encoder", default=False
    ):
        raise config.wrong("act_fn", config.get("act_fn"), "jumprelu, or topk with a threshold, and no gated encoder")
    d_sae, d_in = tensors.sizes("encoder.weight")
    if config.count("d_model") != d_in:
        raise AtlasError(tensors.path, f"encoder.weight is {[d_sae, d_in]}, but d_model is {config.count('d_model')}")
    reads, writes = config.text("hook_point_in"), config.text("hook_point_out", config.text("hook_point_in"))
    n_in, n_out = _factors(config, tensors, d_in, reads, writes)
    biased = config.flag("use_decoder_bias", default=True)
    if biased and config.flag("apply_decoder_bias_to_pre_encoder", default=False):
        raise AtlasError(config.path, "apply_decoder_bias_to_pre_encoder = true is not read")  # no published one has it
    W_dec = tensors.take("decoder.weight", d_in, d_sae).T.contiguous() * (n_in / n_out)
    b_dec = tensors.take("decoder.bias", d_in) / n_out if biased else torch.zeros(d_in)
    made = Dictionary(
        id=wanted.id,
        architecture="jumprelu",
        hook_point=wanted.place(reads, files),
        W_enc=tensors.take("encoder.weight", d_sae, d_in).T.contiguous(),
        b_enc=tensors.take("encoder.bias", d_sae) / n_in,
        W_dec=W_dec,
        b_dec=b_dec,
        kind="sae" if reads == writes else "transcoder",
        hook_out="" if reads == writes else writes,
        format=NAME,
        metadata=config.flat(),
    )
    if config.flag("sparsity_include_decoder_norm", default=True):
        made = scaled(made, norms(W_dec))
    return finished(replace(made, threshold=_threshold(config, tensors, n_in, d_sae)), files)


def _threshold(config: Settings, tensors: Tensors, n_in: float, d_sae: int) -> torch.Tensor:
    if "log_jumprelu_threshold" in tensors:
        return tensors.take("log_jumprelu_threshold", d_sae).exp() / n_in
    threshold = config.number("jump_relu_threshold")
    if threshold <= 0:
        raise config.wrong("jump_relu_threshold", threshold, "above 0: without it features would fire everywhere")
    return torch.full((d_sae,), threshold)


def _factors(config: Settings, tensors: Tensors, d: int, reads: str, writes: str) -> tuple[float, float]:
    """What inputs and outputs were multiplied by while training."""
    kind = config.text("norm_activation", "dataset-wise")
    if kind == "inference":
        return 1.0, 1.0
    if kind != "dataset-wise":
        raise config.wrong("norm_activation", kind, "dataset-wise or inference")
    if f"{NORM}.{reads}" in tensors:
        found = [tensors.scalar(f"{NORM}.{place}") for place in (reads, writes)]
    else:
        part = config.part(NORM)
        found = [part.number("in"), part.number("out", part.number("in"))]
    if min(found) <= 0:
        raise AtlasError(config.path, f"{NORM} is {found}, not positive")
    return math.sqrt(d) / found[0], math.sqrt(d) / found[1]
