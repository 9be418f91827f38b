"""Layouts of Gemma Scope and Gemma Scope 2: see `layouts`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from layouts import Array, Case, D, F, case, f32, jump, linear, plain, wide, write_json, write_safetensors

# Gemma Scope


def gemma(folder: Path, chance: np.random.Generator, repository: str, inner: str, hook: str, **more: Any) -> Case:
    """Write a `params.npz`."""
    d_out = more.pop("d_out", D)
    upper = more.pop("upper", False)
    t = plain(chance, d_out=d_out) | {"threshold": np.abs(f32(chance, F, scale=0.3))}
    at = folder / repository / inner
    at.mkdir(parents=True)
    named = {k if upper else k.replace("W_", "w_"): v for k, v in t.items()}
    np.savez(at / "params.npz", **named)
    w = wide(t)
    given: dict[str, Any] = (
        {
            "encode": lambda x: jump(x @ w["W_enc"] + w["b_enc"], w["threshold"]),
            "decode": linear(w),
        }
        | more.pop("arithmetic", lambda _: {})(w)
        | more
    )
    return Case(at, "gemma_scope", hook, weights="params.npz", matrix="W_enc" if upper else "w_enc", **given)


@case
def gemma_scope_residual(folder: Path, chance: np.random.Generator) -> Case:
    return gemma(folder, chance, "gemma-scope-2b-pt-res", "layer_1/width_16k/average_l0_71", "blocks.1.hook_resid_post")


@case
def gemma_scope_mlp(folder: Path, chance: np.random.Generator) -> Case:
    return gemma(
        folder, chance, "gemma-scope-9b-it-mlp", "layer_1/width_16k/average_l0_71", "blocks.1.hook_mlp_out", upper=True
    )


@case
def gemma_scope_attention(folder: Path, chance: np.random.Generator) -> Case:
    return gemma(folder, chance, "gemma-scope-2b-pt-att", "layer_1/width_16k/average_l0_71", "blocks.1.attn.hook_z")


@case
def gemma_scope_embedding(folder: Path, chance: np.random.Generator) -> Case:
    root = np.sqrt(D)

    def arithmetic(w: dict[str, Array]) -> dict[str, Any]:
        return {
            "encode": lambda x: jump(x / root @ w["W_enc"] + w["b_enc"], w["threshold"]),
            "decode": lambda _x, acts: (acts @ w["W_dec"] + w["b_dec"]) * root,
        }

    return gemma(
        folder, chance, "gemma-scope-2b-pt-res", "embedding/width_4k/average_l0_6", "hook_embed", arithmetic=arithmetic
    )


@case
def gemma_scope_transcoder(folder: Path, chance: np.random.Generator) -> Case:
    return gemma(
        folder,
        chance,
        "gemma-scope-2b-pt-transcoders",
        "layer_1/width_16k/average_l0_115",
        "blocks.1.ln2.hook_normalized",
        upper=True,
        kind="transcoder",
        out="blocks.1.hook_mlp_out",
    )


# Gemma Scope 2


def gemma2(folder: Path, chance: np.random.Generator, inner: str, hook: str, *, config: bool, **more: Any) -> Case:
    """Write a `params.safetensors`, with or without its `config.json`."""
    t = plain(chance) | {"threshold": np.abs(f32(chance, F, scale=0.3))}
    named = {k.replace("W_", "w_"): v for k, v in t.items()}
    affine = "affine" in inner
    if affine:
        named["affine_skip_connection"] = f32(chance, D, D)
    at = folder / "gemma-scope-2-270m-pt" / inner
    write_safetensors(at / "params.safetensors", named)
    if config:
        write_json(
            at / "config.json", {"architecture": "jump_relu", "model_name": "gemma-v3-270m-pt"} | more.pop("says", {})
        )
    w, skip = wide(t), named.get("affine_skip_connection", np.zeros((D, D))).astype(np.float64)
    return Case(
        at,
        "gemma_scope_2",
        hook,
        weights="params.safetensors",
        matrix="w_enc",
        encode=lambda x: jump(x @ w["W_enc"] + w["b_enc"], w["threshold"]),
        decode=lambda x, acts: acts @ w["W_dec"] + w["b_dec"] + x @ skip,
        **more,
    )


@case
def gemma_scope_2_residual(folder: Path, chance: np.random.Generator) -> Case:
    return gemma2(
        folder,
        chance,
        "resid_post/layer_1_width_16k_l0_medium",
        "blocks.1.hook_resid_post",
        config=True,
        says={"hf_hook_point_in": "model.layers.1.output"},
    )


@case
def gemma_scope_2_attention(folder: Path, chance: np.random.Generator) -> Case:
    return gemma2(folder, chance, "attn_out_all/layer_1_width_16k_l0_small", "blocks.1.attn.hook_z", config=False)


@case
def gemma_scope_2_mlp(folder: Path, chance: np.random.Generator) -> Case:
    return gemma2(folder, chance, "mlp_out/layer_1_width_65k_l0_big_seed_1", "blocks.1.hook_mlp_out", config=False)


@case
def gemma_scope_2_transcoder(folder: Path, chance: np.random.Generator) -> Case:
    return gemma2(
        folder,
        chance,
        "transcoder_all/layer_1_width_262k_l0_big",
        "blocks.1.mlp.hook_in",
        config=False,
        kind="transcoder",
        out="blocks.1.hook_mlp_out",
    )


@case
def gemma_scope_2_affine_transcoder(folder: Path, chance: np.random.Generator) -> Case:
    says = {
        "hf_hook_point_in": "model.layers.1.pre_feedforward_layernorm.output",
        "affine_connection": True,
        "hf_hook_point_out": "model.layers.1.post_feedforward_layernorm.output",
    }
    return gemma2(
        folder,
        chance,
        "transcoder/layer_1_width_16k_l0_small_affine",
        "blocks.1.mlp.hook_in",
        config=True,
        says=says,
        kind="transcoder",
        out="blocks.1.hook_mlp_out",
    )


@case
def gemma_scope_2_cross_layer(folder: Path, chance: np.random.Generator) -> Case:
    at = folder / "gemma-scope-2-270m-pt" / "clt" / "width_262k_l0_big"
    made = []
    for layer in range(3):
        t = plain(chance) | {"threshold": np.abs(f32(chance, F, scale=0.3))}
        t["W_dec"] = f32(chance, F, 3, D)
        made.append(wide(t))
        write_safetensors(at / f"params_layer_{layer}.safetensors", {k.replace("W_", "w_"): v for k, v in t.items()})
    w = made[1]
    return Case(
        at,
        "gemma_scope_2",
        "blocks.1.mlp.hook_in",
        weights="params_layer_1.safetensors",
        matrix="w_enc",
        kind="transcoder",
        out="blocks.1.hook_mlp_out",
        section={"layer": 1},
        encode=lambda x: jump(x @ w["W_enc"] + w["b_enc"], w["threshold"]),
        decode=lambda _x, acts: acts @ w["W_dec"].sum(1) + w["b_dec"],
    )
