"""What TransformerLens has at its hook points. Runs in the peers' own environment, never in ours.

    python hooks_transformerlens.py JOB.json RESULT.npz        in the folder that holds the models

The job is {"ids": [[...]], "models": {family: folder}, "hooks": {family: [name, ...]}}. A model becomes a
HookedTransformer through TransformerLens's own two steps, its reading of `config.json` and its conversion of the
weights, and nothing is folded or centred. For Gemmas it reads no `config.json`: it knows the published ones by name, so
that the sizes of one of those are replaced (`sized`) and all else of it stays.

The result holds TransformerLens's `version`, `family/name` of every hook point that it has, heads joined, and
`family/error` of a model that it does not load.
"""

from __future__ import annotations

import json
import math
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig
from transformer_lens import loading_from_pretrained as loading
from transformers import AutoModelForCausalLM

PUBLISHED = {"gemma": "google/gemma-2b", "gemma2": "google/gemma-2-2b", "gemma3_text": "google/gemma-3-270m"}
"""A model of each family whose settings TransformerLens keeps in code."""

HEADS = 4
"""Dimensions of what is kept of heads: batch, position, head, d_head."""


def sized(settings: dict[str, Any], config: Any) -> dict[str, Any]:
    """Settings of a published Gemma, with the sizes, activation, attention's scale and windows of a configuration."""
    settings = settings | {
        "d_model": config.hidden_size,
        "d_head": config.head_dim,
        "n_heads": config.num_attention_heads,
        "n_key_value_heads": config.num_key_value_heads,
        "d_mlp": config.intermediate_size,
        "n_layers": config.num_hidden_layers,
        "n_ctx": config.max_position_embeddings,
        "d_vocab": config.vocab_size,
        "rotary_dim": config.head_dim,
        "act_fn": getattr(config, "hidden_activation", None) or config.hidden_act,
    }
    if settings.get("use_local_attn"):
        kinds = {"sliding_attention": "local", "full_attention": "global"}
        settings["attn_types"] = [kinds[kind] for kind in config.layer_types]
        settings["window_size"] = config.sliding_window
    if hasattr(config, "query_pre_attn_scalar"):
        settings["attn_scale"] = math.sqrt(config.query_pre_attn_scalar)
    return settings


def load(folder: str) -> HookedTransformer:
    """A model on disk as a HookedTransformer, its weights as they are."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    name = PUBLISHED.get(model.config.model_type, folder)
    settings = loading.convert_hf_model_config(name)
    if name != folder:
        settings = sized(settings, model.config)
    settings |= {"device": "cpu", "init_weights": False, "tokenizer_name": None, "use_hook_mlp_in": True}
    config = HookedTransformerConfig.from_dict(settings)
    weights = loading.get_pretrained_state_dict(name, config, model)
    hooked = HookedTransformer(config, move_to_device=False)
    hooked.load_and_process_state_dict(
        weights, fold_ln=False, center_writing_weights=False, center_unembed=False, fold_value_biases=False
    )
    return hooked


def kept(model: HookedTransformer, ids: torch.Tensor, names: list[str]) -> dict[str, torch.Tensor]:
    """What passes the hook points of these names; what an MLP reads has none before TransformerLens 3."""
    found: dict[str, torch.Tensor] = {}
    for i, block in enumerate(model.blocks):
        name = f"blocks.{i}.mlp.hook_in"
        block.mlp.register_forward_pre_hook(lambda _, given, name=name: found.__setitem__(name, given[0]))
    with torch.no_grad():
        _, cache = model.run_with_cache(ids, return_type=None, names_filter=lambda name: name in names)
    return found | dict(cache)


def main() -> None:
    """Load all, run them, write."""
    warnings.simplefilter("ignore")
    job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    ids = torch.tensor(job["ids"])
    result: dict[str, np.ndarray] = {"version": np.array(version("transformer-lens"))}
    for family, folder in job["models"].items():
        names = job["hooks"][family]
        try:
            found = kept(load(folder), ids, names)
        except Exception as error:  # noqa: BLE001 (what it cannot load is a result, too)
            result[f"{family}/error"] = np.array(f"{type(error).__name__}: {error}"[:300])
            continue
        for name in names:
            if name in found:
                value = found[name]
                result[f"{family}/{name}"] = (value.flatten(2) if value.dim() == HEADS else value).numpy()
    np.savez(sys.argv[2], **result)


if __name__ == "__main__":
    main()
