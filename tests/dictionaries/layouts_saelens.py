"""Layouts of SAELens 6 and before: see `layouts`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from layouts import (
    OUT,
    Array,
    Case,
    D,
    F,
    case,
    f32,
    jump,
    layer_norm,
    linear,
    plain,
    relu,
    top,
    wide,
    write_json,
    write_safetensors,
)

# SAELens


def sae_config(architecture: str, hook: str = "blocks.1.hook_resid_post", **more: Any) -> dict[str, Any]:
    """A `cfg.json` of version 6."""
    metadata = {
        "sae_lens_version": "6.54.12",
        "model_name": "tiny",
        "hook_name": hook,
        "hook_head_index": None,
        "prepend_bos": True,
    } | more.pop("metadata", {})
    return {
        "architecture": architecture,
        "d_in": D,
        "d_sae": F,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": metadata,
    } | more


def sae(folder: Path, config: dict[str, Any], tensors: dict[str, Array], **more: Any) -> Case:
    """Write a folder of SAELens."""
    write_json(folder / "cfg.json", config)
    write_safetensors(folder / "sae_weights.safetensors", tensors)
    hook = config.get("metadata", config).get("hook_name", config.get("hook_point", ""))
    given: dict[str, Any] = {"weights": "sae_weights.safetensors", "matrix": "W_enc"} | more
    return Case(folder, "saelens", hook, **given)


@case
def saelens_standard(folder: Path, chance: np.random.Generator) -> Case:
    t = plain(chance)
    w = wide(t)
    return sae(
        folder,
        sae_config("standard"),
        t,
        decode=linear(w),
        encode=lambda x: relu((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]),
    )


@case
def saelens_standard_without_b_dec(folder: Path, chance: np.random.Generator) -> Case:
    t = plain(chance)
    w = wide(t)
    return sae(
        folder,
        sae_config("standard", apply_b_dec_to_input=False),
        t,
        decode=linear(w),
        encode=lambda x: relu(x @ w["W_enc"] + w["b_enc"]),
    )


@case
def saelens_gated(folder: Path, chance: np.random.Generator) -> Case:
    t = plain(chance)
    del t["b_enc"]
    t |= {"b_gate": f32(chance, F), "b_mag": f32(chance, F), "r_mag": f32(chance, F, scale=0.5)}
    w = wide(t)

    def encode(x: Array) -> Array:
        z = (x - w["b_dec"]) @ w["W_enc"]
        return (z + w["b_gate"] > 0) * relu((x - w["b_dec"]) @ (w["W_enc"] * np.exp(w["r_mag"])) + w["b_mag"])

    return sae(folder, sae_config("gated"), t, encode=encode, decode=linear(w))


@case
def saelens_jumprelu(folder: Path, chance: np.random.Generator) -> Case:
    t = plain(chance) | {"threshold": f32(chance, F, scale=0.5)}  # some below zero
    w = wide(t)
    return sae(
        folder,
        sae_config("jumprelu", apply_b_dec_to_input=False),
        t,
        decode=linear(w),
        encode=lambda x: jump(x @ w["W_enc"] + w["b_enc"], w["threshold"]),
    )


@case
def saelens_hook_z(folder: Path, chance: np.random.Generator) -> Case:
    t = plain(chance) | {"threshold": np.abs(f32(chance, F, scale=0.3))}
    w = wide(t)
    config = sae_config("jumprelu", "blocks.1.attn.hook_z", reshape_activations="hook_z")
    return sae(
        folder,
        config,
        t,
        decode=linear(w),
        encode=lambda x: jump((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"], w["threshold"]),
    )


@case
def saelens_topk(folder: Path, chance: np.random.Generator) -> Case:
    t = plain(chance)
    w = wide(t)
    return sae(
        folder,
        sae_config("topk", k=5),
        t,
        decode=linear(w),
        encode=lambda x: top((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"], 5),
    )


@case
def saelens_topk_rescaled(folder: Path, chance: np.random.Generator) -> Case:
    t = plain(chance)
    w = wide(t)
    length = np.linalg.norm(w["W_dec"], axis=1)
    return sae(
        folder,
        sae_config("topk", k=5, rescale_acts_by_decoder_norm=True),
        t,
        encode=lambda x: top(((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]) * length, 5),
        decode=lambda _x, acts: (acts / length) @ w["W_dec"] + w["b_dec"],
    )


@case
def saelens_layer_norm(folder: Path, chance: np.random.Generator) -> Case:
    t = plain(chance)
    w = wide(t)

    def decode(x: Array, acts: Array) -> Array:
        _, mean, std = layer_norm(x)
        return (acts @ w["W_dec"] + w["b_dec"]) * std + mean

    return sae(
        folder,
        sae_config("topk", k=5, normalize_activations="layer_norm"),
        t,
        decode=decode,
        encode=lambda x: top((layer_norm(x)[0] - w["b_dec"]) @ w["W_enc"] + w["b_enc"], 5),
    )


@case
def saelens_constant_norm(folder: Path, chance: np.random.Generator) -> Case:
    t = plain(chance)
    w = wide(t)

    def factor(x: Array) -> Array:
        return np.sqrt(D) / np.linalg.norm(x, axis=-1, keepdims=True)

    return sae(
        folder,
        sae_config("standard", normalize_activations="constant_norm_rescale"),
        t,
        encode=lambda x: relu((x * factor(x) - w["b_dec"]) @ w["W_enc"] + w["b_enc"]),
        decode=lambda x, acts: (acts @ w["W_dec"] + w["b_dec"]) / factor(x),
    )


@case
def saelens_expected_average(folder: Path, chance: np.random.Generator) -> Case:
    t = plain(chance)
    w = wide(t)
    return sae(
        folder,
        sae_config("standard", normalize_activations="expected_average_only_in"),
        t,
        decode=linear(w),
        encode=lambda x: relu((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]),
    )


def saelens_coder(folder: Path, chance: np.random.Generator, architecture: str, *, jumps: bool, skips: bool) -> Case:
    """A transcoder of SAELens, from d_in to another width."""
    t = plain(chance, d_out=OUT)
    t |= {"threshold": np.abs(f32(chance, F, scale=0.3))} if jumps else {}
    t |= {"W_skip": f32(chance, OUT, D)} if skips else {}
    w = wide(t)
    metadata = {"hook_name_out": "blocks.1.hook_mlp_out"}
    config = sae_config(architecture, "blocks.1.hook_mlp_in", d_out=OUT, apply_b_dec_to_input=False, metadata=metadata)
    return sae(
        folder,
        config,
        t,
        kind="transcoder",
        out="blocks.1.hook_mlp_out",
        encode=lambda x: jump(x @ w["W_enc"] + w["b_enc"], w["threshold"] if jumps else 0),
        decode=lambda x, acts: acts @ w["W_dec"] + w["b_dec"] + (x @ w["W_skip"].T if skips else 0),
    )


@case
def saelens_transcoder(folder: Path, chance: np.random.Generator) -> Case:
    return saelens_coder(folder, chance, "transcoder", jumps=False, skips=False)


@case
def saelens_skip_transcoder(folder: Path, chance: np.random.Generator) -> Case:
    return saelens_coder(folder, chance, "skip_transcoder", jumps=False, skips=True)


@case
def saelens_jumprelu_transcoder(folder: Path, chance: np.random.Generator) -> Case:
    return saelens_coder(folder, chance, "jumprelu_transcoder", jumps=True, skips=False)


@case
def saelens_jumprelu_skip_transcoder(folder: Path, chance: np.random.Generator) -> Case:
    return saelens_coder(folder, chance, "jumprelu_skip_transcoder", jumps=True, skips=True)


def old_config(**more: Any) -> dict[str, Any]:
    """A flat `cfg.json`, as GPT-2's residual SAEs of 2024 have it."""
    return {
        "model_name": "gpt2-small",
        "hook_point": "blocks.1.hook_resid_pre",
        "hook_point_layer": 1,
        "hook_point_head_index": None,
        "dataset_path": "Skylion007/openwebtext",
        "context_size": 128,
        "d_in": D,
        "d_sae": F,
        "dtype": "torch.float32",
        "device": "cpu",
        "l1_coefficient": 8e-05,
    } | more


@case
def saelens_before_6(folder: Path, chance: np.random.Generator) -> Case:
    t = plain(chance)
    w = wide(t)
    made = sae(
        folder,
        old_config(dtype="float32", normalize_activations=False),
        t | {"scaling_factor": np.ones(F, np.float32)},
        decode=linear(w),
        encode=lambda x: relu((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]),
    )
    made.hook = "blocks.1.hook_resid_pre"
    return made


@case
def saelens_before_6_topk(folder: Path, chance: np.random.Generator) -> Case:
    t = plain(chance)
    w = wide(t)
    config = old_config(
        dtype="float32",
        activation_fn_str="topk",
        activation_fn_kwargs={"k": 4},
        architecture="standard",
        normalize_activations="none",
        apply_b_dec_to_input=True,
    )
    made = sae(folder, config, t, decode=linear(w), encode=lambda x: top((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"], 4))
    made.hook = "blocks.1.hook_resid_pre"
    return made
