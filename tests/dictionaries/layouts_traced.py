"""Layouts of Qwen Scope and circuit-tracer: see `layouts`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from layouts import Array, Case, D, F, case, f32, jump, linear, plain, top, wide, write_pt, write_safetensors

# Qwen Scope


@case
def qwen_scope(folder: Path, chance: np.random.Generator) -> Case:
    t = plain(chance)
    w = wide(t)
    at = folder / "SAE-Res-Qwen3-1.7B-Base" / "layer1.sae.pt"
    write_pt(at, {"W_enc": t["W_enc"].T, "W_dec": t["W_dec"].T, "b_enc": t["b_enc"], "b_dec": t["b_dec"]})
    return Case(
        at,
        "qwen_scope",
        "blocks.1.hook_resid_post",
        lambda x: top(x @ w["W_enc"] + w["b_enc"], 7),
        linear(w),
        weights="",
        matrix="W_enc",
        section={"k": 7},
    )


# circuit-tracer


def traced(
    folder: Path, chance: np.random.Generator, *, threshold: bool = False, k: int = 0, skips: bool = False
) -> Case:
    """Write a single-layer transcoder."""
    t = plain(chance) | {"threshold": np.abs(f32(chance, F, scale=0.3)), "skip": f32(chance, D, D)}
    w = wide(t)
    named = {"W_enc": t["W_enc"].T, "b_enc": t["b_enc"], "W_dec": t["W_dec"], "b_dec": t["b_dec"]}
    named |= {"activation_function.threshold": t["threshold"]} if threshold else {}
    named |= {"k": np.array(k)} if k else {}
    named |= {"W_skip": t["skip"]} if skips else {}
    at = folder / "transcoders"
    write_safetensors(at / "layer_1.safetensors", named)
    (at / "config.yaml").write_text(
        "model_name: tiny/model\nfeature_input_hook: mlp.hook_in\nfeature_output_hook: hook_mlp_out\n"
    )

    def encode(x: Array) -> Array:
        pre = x @ w["W_enc"] + w["b_enc"]
        return top(pre, k) if k else jump(pre, w["threshold"] if threshold else 0)

    return Case(
        at / "layer_1.safetensors",
        "circuit_tracer",
        "blocks.1.mlp.hook_in",
        encode,
        lambda x, acts: acts @ w["W_dec"] + w["b_dec"] + (x @ w["skip"].T if skips else 0),
        weights="",
        matrix="W_enc",
        kind="transcoder",
        out="blocks.1.hook_mlp_out",
    )


@case
def circuit_tracer_relu(folder: Path, chance: np.random.Generator) -> Case:
    return traced(folder, chance)


@case
def circuit_tracer_jumprelu(folder: Path, chance: np.random.Generator) -> Case:
    return traced(folder, chance, threshold=True)


@case
def circuit_tracer_topk(folder: Path, chance: np.random.Generator) -> Case:
    return traced(folder, chance, k=5)


@case
def circuit_tracer_skip(folder: Path, chance: np.random.Generator) -> Case:
    return traced(folder, chance, skips=True)


def crossed(folder: Path, chance: np.random.Generator, *, threshold: bool) -> Case:
    """Write a cross-layer transcoder of three layers."""
    at = folder / "clt"
    made = []
    for layer in range(3):
        t = plain(chance) | {"threshold": np.abs(f32(chance, F, scale=0.3))}
        t["W_dec"] = f32(chance, F, 3 - layer, D)
        named = {f"W_enc_{layer}": t["W_enc"].T, f"b_enc_{layer}": t["b_enc"], f"b_dec_{layer}": t["b_dec"]}
        named |= {f"threshold_{layer}": t["threshold"]} if threshold else {}
        write_safetensors(at / f"W_enc_{layer}.safetensors", named)
        write_safetensors(at / f"W_dec_{layer}.safetensors", {f"W_dec_{layer}": t["W_dec"]})
        made.append(wide(t))
    (at / "config.yaml").write_text(
        "model_name: tiny/model\nfeature_input_hook: hook_resid_mid\nfeature_output_hook: hook_mlp_out\n"
    )
    w = made[1]
    return Case(
        at,
        "circuit_tracer",
        "blocks.1.hook_resid_mid",
        lambda x: jump(x @ w["W_enc"] + w["b_enc"], w["threshold"] if threshold else 0),
        lambda _x, acts: acts @ w["W_dec"].sum(1) + w["b_dec"],
        weights="W_enc_1.safetensors",
        matrix="W_enc_1",
        kind="transcoder",
        out="blocks.1.hook_mlp_out",
        section={"layer": 1},
    )


@case
def circuit_tracer_cross_layer(folder: Path, chance: np.random.Generator) -> Case:
    return crossed(folder, chance, threshold=False)


@case
def circuit_tracer_cross_layer_jumprelu(folder: Path, chance: np.random.Generator) -> Case:
    return crossed(folder, chance, threshold=True)
