"""Layouts of dictionary_learning and OpenAI: see `layouts`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from layouts import Array, Case, D, F, case, f32, jump, layer_norm, linear, plain, relu, top, wide, write_json, write_pt

# dictionary_learning


def learned(
    folder: Path,
    kind: str,
    tensors: dict[str, Any],
    encode: Any,
    decode: Any,
    *,
    matrix: str = "encoder.weight",
    module: str = "resid_post_layer_1",
    hook: str = "blocks.1.hook_resid_post",
) -> Case:
    """Write a folder of dictionary_learning."""
    at = folder / "trainer_0"
    write_pt(at / "ae.pt", tensors)
    write_json(
        at / "config.json",
        {
            "trainer": {
                "trainer_class": "Trainer",
                "dict_class": kind,
                "activation_dim": D,
                "dict_size": F,
                "k": 6,
                "layer": 1,
                "lm_name": "EleutherAI/pythia-70m-deduped",
                "submodule_name": module,
                "seed": 0,
            },
            "buffer": {"d_submodule": D, "ctx_len": 128, "io": "out"},
        },
    )
    return Case(at, "dictionary_learning", hook, encode, decode, weights="ae.pt", matrix=matrix)


@case
def dictionary_learning_autoencoder(folder: Path, chance: np.random.Generator) -> Case:
    t = plain(chance)
    w = wide(t)
    named = {
        "encoder.weight": t["W_enc"].T,
        "encoder.bias": t["b_enc"],
        "decoder.weight": t["W_dec"].T,
        "bias": t["b_dec"],
    }
    return learned(
        folder,
        "AutoEncoder",
        named,
        lambda x: relu((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]),
        linear(w),
        module="mlp_layer_1",
        hook="blocks.1.hook_mlp_out",
    )


@case
def dictionary_learning_new(folder: Path, chance: np.random.Generator) -> Case:
    t = plain(chance)
    w = wide(t)
    named = {
        "encoder.weight": t["W_enc"].T,
        "encoder.bias": t["b_enc"],
        "decoder.weight": t["W_dec"].T,
        "decoder.bias": t["b_dec"],
    }
    return learned(
        folder,
        "AutoEncoderNew",
        named,
        lambda x: relu(x @ w["W_enc"] + w["b_enc"]),
        linear(w),
        module="attention_layer_1",
        hook="blocks.1.hook_attn_out",
    )


@case
def dictionary_learning_gated(folder: Path, chance: np.random.Generator) -> Case:
    t = plain(chance) | {"r": f32(chance, F, scale=0.5), "gate": f32(chance, F), "mag": f32(chance, F)}
    w = wide(t)
    length = np.linalg.norm(w["W_dec"], axis=1)
    named = {
        "encoder.weight": t["W_enc"].T,
        "r_mag": t["r"],
        "gate_bias": t["gate"],
        "mag_bias": t["mag"],
        "decoder.weight": t["W_dec"].T,
        "decoder_bias": t["b_dec"],
    }

    def encode(x: Array) -> Array:
        z = (x - w["b_dec"]) @ w["W_enc"]
        return (z + w["gate"] > 0) * relu(np.exp(w["r"]) * z + w["mag"]) * length

    return learned(folder, "GatedAutoEncoder", named, encode, lambda _x, acts: acts / length @ w["W_dec"] + w["b_dec"])


@case
def dictionary_learning_jumprelu(folder: Path, chance: np.random.Generator) -> Case:
    t = plain(chance) | {"threshold": np.abs(f32(chance, F, scale=0.3))}
    w = wide(t)
    length = np.linalg.norm(w["W_dec"], axis=1)
    return learned(
        folder,
        "JumpReluAutoEncoder",
        dict(t),
        lambda x: jump(x @ w["W_enc"] + w["b_enc"], w["threshold"]) * length,
        lambda _x, acts: acts / length @ w["W_dec"] + w["b_dec"],
        matrix="W_enc",
    )


@case
def dictionary_learning_topk(folder: Path, chance: np.random.Generator) -> Case:
    t = plain(chance)
    w = wide(t)
    named = {
        "encoder.weight": t["W_enc"].T,
        "encoder.bias": t["b_enc"],
        "decoder.weight": t["W_dec"].T,
        "b_dec": t["b_dec"],
        "k": np.int32(6),
        "threshold": np.float32(-1),
    }
    return learned(
        folder, "AutoEncoderTopK", named, lambda x: top(relu((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]), 6), linear(w)
    )


@case
def dictionary_learning_batchtopk(folder: Path, chance: np.random.Generator) -> Case:
    t = plain(chance)
    w = wide(t)
    named = {
        "encoder.weight": t["W_enc"].T,
        "encoder.bias": t["b_enc"],
        "decoder.weight": t["W_dec"].T,
        "b_dec": t["b_dec"],
        "k": np.int32(6),
        "threshold": np.float32(0.75),
    }
    return learned(
        folder, "BatchTopKSAE", named, lambda x: jump((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"], 0.75), linear(w)
    )


@case
def dictionary_learning_matryoshka(folder: Path, chance: np.random.Generator) -> Case:
    t = plain(chance)
    w = wide(t)
    named = dict(t) | {"k": np.int32(6), "threshold": np.float32(0.5), "group_sizes": np.array([8, F - 8])}
    return learned(
        folder,
        "MatryoshkaBatchTopKSAE",
        named,
        lambda x: jump((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"], 0.5),
        linear(w),
        matrix="W_enc",
    )


# OpenAI


@case
def openai_topk(folder: Path, chance: np.random.Generator) -> Case:
    t = plain(chance)
    w = wide(t)
    at = folder / "resid_post_mlp_v5_32k" / "autoencoders" / "1.pt"
    write_pt(
        at,
        {
            "encoder.weight": t["W_enc"].T,
            "latent_bias": t["b_enc"],
            "decoder.weight": t["W_dec"].T,
            "pre_bias": t["b_dec"],
            "stats_last_nonzero": np.zeros(F, np.int64),
            "latents_activation_frequency": np.ones(F, np.float32),
            "latents_mean_square": np.zeros(F, np.float32),
            "activation": "TopK",
            "activation_state_dict": {"k": 5, "postact_fn": "ReLU"},
        },
    )

    def decode(x: Array, acts: Array) -> Array:
        _, mean, std = layer_norm(x)
        return (acts @ w["W_dec"] + w["b_dec"]) * std + mean

    return Case(
        at,
        "openai",
        "blocks.1.hook_resid_post",
        lambda x: top((layer_norm(x)[0] - w["b_dec"]) @ w["W_enc"] + w["b_enc"], 5),
        decode,
        weights="",
        matrix="encoder.weight",
    )


@case
def openai_relu(folder: Path, chance: np.random.Generator) -> Case:
    t = plain(chance)
    w = wide(t)
    at = folder / "mlp_post_act" / "autoencoders" / "1.pt"
    write_pt(
        at,
        {
            "encoder.weight": t["W_enc"].T,
            "latent_bias": t["b_enc"],
            "decoder.weight": t["W_dec"].T,
            "pre_bias": t["b_dec"],
            "activation": "ReLU",
        },
    )
    return Case(
        at,
        "openai",
        "blocks.1.mlp.hook_post",
        lambda x: relu((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]),
        linear(w),
        weights="",
        matrix="encoder.weight",
    )
