"""Layouts of Llama Scope and sparsify: see `layouts`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from layouts import Case, D, F, case, f32, jump, plain, relu, top, wide, write_json, write_safetensors

# Llama Scope


def llama(
    folder: Path, chance: np.random.Generator, name: str, hook: str, out: str, norms: tuple[float, float]
) -> Case:
    """Write a folder of Llama Scope; the arithmetic is that of OpenMOSS before inference."""
    t = plain(chance)
    named = {
        "encoder.weight": t["W_enc"].T,
        "encoder.bias": t["b_enc"],
        "decoder.weight": t["W_dec"].T,
        "decoder.bias": t["b_dec"],
    }
    at = folder / name
    write_safetensors(at / "checkpoints" / "final.safetensors", named)
    write_json(
        at / "hyperparams.json",
        {
            "d_model": D,
            "d_sae": F,
            "hook_point_in": hook,
            "hook_point_out": out,
            "use_decoder_bias": True,
            "apply_decoder_bias_to_pre_encoder": False,
            "act_fn": "jumprelu",
            "jump_relu_threshold": 0.2,
            "norm_activation": "dataset-wise",
            "sparsity_include_decoder_norm": True,
            "top_k": 50,
            "dataset_average_activation_norm": {"in": norms[0], "out": norms[1]},
            "use_glu_encoder": False,
        },
    )
    n_in, n_out = (np.sqrt(D) / norm for norm in norms)
    w = wide(t)
    rows = w["W_dec"] * n_in / n_out
    length = np.linalg.norm(rows, axis=1)
    return Case(
        at,
        "llama_scope",
        hook,
        weights="checkpoints/final.safetensors",
        matrix="encoder.weight",
        kind="sae" if hook == out else "transcoder",
        out="" if hook == out else out,
        encode=lambda x: jump((x @ w["W_enc"] + w["b_enc"] / n_in) * length, 0.2),
        decode=lambda _x, acts: (acts / length) @ rows + w["b_dec"] / n_out,
    )


@case
def llama_scope_residual(folder: Path, chance: np.random.Generator) -> Case:
    place = "blocks.1.hook_resid_post"
    return llama(folder, chance, "Llama3_1-8B-Base-L1R-8x", place, place, (6.3125, 6.3125))


@case
def llama_scope_transcoder(folder: Path, chance: np.random.Generator) -> Case:
    return llama(
        folder,
        chance,
        "Llama3_1-8B-Base-L1TC-8x",
        "blocks.1.ln2.hook_normalized",
        "blocks.1.hook_mlp_out",
        (64.0, 3.390625),
    )


@case
def llama_scope_r1_distill(folder: Path, chance: np.random.Generator) -> Case:
    place = "blocks.1.hook_resid_post"
    t = plain(chance) | {"log": f32(chance, F, scale=0.5) - 1}
    at = folder / "L1R"
    write_safetensors(
        at / "sae_weights.safetensors",
        {
            "encoder.weight": t["W_enc"].T,
            "encoder.bias": t["b_enc"],
            "decoder.weight": t["W_dec"].T,
            "decoder.bias": t["b_dec"],
            "log_jumprelu_threshold": t["log"],
            f"dataset_average_activation_norm.{place}": np.array(5.0, np.float32),
        },
    )
    write_json(
        at / "config.json",
        {
            "sae_type": "sae",
            "d_model": D,
            "expansion_factor": 8,
            "hook_point_in": place,
            "hook_point_out": place,
            "act_fn": "jumprelu",
            "norm_activation": "dataset-wise",
            "sparsity_include_decoder_norm": False,
            "use_decoder_bias": True,
        },
    )
    n, w = np.sqrt(D) / 5.0, wide(t)
    return Case(
        at,
        "llama_scope",
        place,
        weights="sae_weights.safetensors",
        matrix="encoder.weight",
        encode=lambda x: jump(x * n @ w["W_enc"] + w["b_enc"], np.exp(w["log"])) / n,
        decode=lambda _x, acts: (acts * n @ w["W_dec"] + w["b_dec"]) / n,
    )


# sparsify


def sparse(
    folder: Path, chance: np.random.Generator, name: str, hook: str, config: dict[str, Any], **more: Any
) -> Case:
    """Write a folder of sparsify."""
    t = plain(chance)
    named = {"encoder.weight": t["W_enc"].T, "encoder.bias": t["b_enc"], "W_dec": t["W_dec"], "b_dec": t["b_dec"]}
    transcodes = bool(config.get("transcode"))
    skip = f32(chance, D, D) if config.get("skip_connection") else np.zeros((D, D), np.float32)
    if config.get("skip_connection"):
        named["W_skip"] = skip
    at = folder / "sae-tiny-32x" / name
    write_safetensors(at / "sae.safetensors", named)
    write_json(at / "cfg.json", {"k": 6, "normalize_decoder": True, "multi_topk": False, "d_in": D} | config)
    w, s = wide(t), skip.astype(np.float64)
    return Case(
        at,
        "sparsify",
        hook,
        weights="sae.safetensors",
        matrix="encoder.weight",
        encode=lambda x: top(relu((x if transcodes else x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]), 6),
        decode=lambda x, acts: acts @ w["W_dec"] + w["b_dec"] + x @ s.T,
        **more,
    )


@case
def sparsify_residual(folder: Path, chance: np.random.Generator) -> Case:
    return sparse(folder, chance, "layers.1", "blocks.1.hook_resid_post", {"num_latents": F, "expansion_factor": 32})


@case
def sparsify_mlp(folder: Path, chance: np.random.Generator) -> Case:
    return sparse(
        folder, chance, "layers.1.mlp", "blocks.1.hook_mlp_out", {"num_latents": F, "normalize_decoder": False}
    )


@case
def sparsify_skip_transcoder(folder: Path, chance: np.random.Generator) -> Case:
    config = {"num_latents": F, "transcode": True, "skip_connection": True, "activation": "topk"}
    return sparse(
        folder, chance, "layers.1.mlp", "blocks.1.mlp.hook_in", config, kind="transcoder", out="blocks.1.hook_mlp_out"
    )
