"""What a recipe asks of the Hub, small and random: models of the right family and depth, and dictionaries in their
publishers' layouts at the recipe's own addresses.

Whose layout a repository has is a table by the beginning of its name (`WRITERS`), as the family of a model is
(`MODELS`). Only widths are smaller than the published ones; `atlas.dictionaries.formats` cites where layouts come from.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from recipe_hub import Hub
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from atlas.config import Recipe
from atlas.dictionaries.neurons import is_neurons
from atlas.sources import parse_hub

D, F = 16, 8
TEXTS = [
    f"{subject} {verb} {thing} on day {day}, and {other} said nothing of it; the report was {day + 3} pages long.\n"
    for day, subject in enumerate(("The judge", "A fox", "My neighbour", "The committee", "Nobody"))
    for verb in ("found", "lost", "wrote about", "painted")
    for thing, other in (("the bridge", "the press"), ("an old map", "the owner"), ("three towers", "we"))
]

ROTARY = {"hidden_size": D, "intermediate_size": 24, "num_attention_heads": 2, "max_position_embeddings": 256}
GROUPED = {**ROTARY, "num_key_value_heads": 1, "head_dim": 8}
MODELS: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "openai-community/gpt2": (
        "gpt2",
        {"n_embd": D, "n_head": 2, "n_layer": 12, "n_positions": 256},
        {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"},
    ),
    "EleutherAI/pythia-70m-deduped": (
        "gpt_neox",
        {**ROTARY, "num_hidden_layers": 6},
        {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"},
    ),
    "google/gemma-2-2b": ("gemma2", {**GROUPED, "num_hidden_layers": 26}, {"bos_token": "<bos>", "eos_token": "<eos>"}),
    "google/gemma-3-270m": (
        "gemma3_text",
        {**GROUPED, "num_hidden_layers": 18, "sliding_window": 64},
        {"bos_token": "<bos>", "eos_token": "<eos>"},
    ),
    "google/gemma-3-1b-pt": (
        "gemma3_text",
        {**GROUPED, "num_hidden_layers": 26, "sliding_window": 64},
        {"bos_token": "<bos>", "eos_token": "<eos>"},
    ),
    "meta-llama/Llama-3.1-8B": (
        "llama",
        {**GROUPED, "num_hidden_layers": 32},
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"},
    ),
    "Qwen/Qwen3-1.7B-Base": ("qwen3", {**GROUPED, "num_hidden_layers": 28}, {"eos_token": "<|endoftext|>"}),
}
"""Family, what is small or decides which hook points there are, and special tokens (Qwen's has no BOS)."""


def furnish(hub: Hub, recipe: Recipe) -> None:
    """Put everything that a recipe names on the stand-in, under its names."""
    place = parse_hub(recipe.model.source)
    write_model(hub.repository(place.repo, revision=place.revision).folder, *MODELS[place.repo])
    for part in recipe.corpus.part:
        name, _, revision = part.source.removeprefix("hf://datasets/").partition("@")
        folder = hub.repository(name, kind="datasets", revision=revision or None).folder
        write_texts(folder / ("default/partial-train" if revision else "data"), part.column)
    for number, section in enumerate(recipe.dictionary):
        if is_neurons(section):
            continue
        place = parse_hub(section.source)
        folder = hub.repository(place.repo, revision=place.revision).folder
        write = next(write for begin, write in WRITERS.items() if place.repo.startswith(begin))
        write(folder, place.path, np.random.default_rng(number))


def write_model(folder: Path, family: str, shape: dict[str, Any], special: dict[str, str]) -> None:
    """A random model and its tokenizer, as `save_pretrained()` writes them."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet, tokens = pre_tokenizers.ByteLevel.alphabet(), sorted(set(special.values()))
    inner.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(vocab_size=320, special_tokens=tokens, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, **special)
    ids = {f"{which}_token_id": getattr(tokenizer, f"{which}_token_id") for which in ("bos", "eos", "pad")}
    torch.manual_seed(0)
    made = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, vocab_size=len(tokenizer), **shape, **ids))
    with torch.no_grad():  # a stream of variance 1 at all depths, so that about one position in 20 fires
        made.get_input_embeddings().weight.normal_(std=D**-0.5 if family.startswith("gemma") else 1)
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_texts(folder: Path, column: str) -> None:
    """The only shard of a dataset."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = ["".join(TEXTS[n:] + TEXTS[:n]) for n in range(0, len(TEXTS), 3)]
    name = "0000.parquet" if folder.name == "partial-train" else "train-00000-of-00001.parquet"
    pq.write_table(pa.table({column: texts}), folder / name)


def plain(chance: np.random.Generator, width: int = F) -> dict[str, np.ndarray]:
    """Weights by the names of most publishers, float32: encoder columns of length 1, decoder rows too."""
    rows = chance.standard_normal((width, D))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    zeros = {"b_enc": np.full(width, -1.5), "b_dec": np.zeros(D)}
    found = {"W_enc": rows.T, "W_dec": rows, "threshold": np.full(width, 0.1), **zeros}
    return {name: np.ascontiguousarray(value, np.float32) for name, value in found.items()}


def linear(t: dict[str, np.ndarray], dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """The same as two linear layers have it."""
    named = {"encoder.weight": t["W_enc"].T, "encoder.bias": t["b_enc"], "decoder.weight": t["W_dec"].T}
    return {name: torch.from_numpy(value).to(dtype).contiguous() for name, value in named.items()}


def write_saelens(folder: Path, path: str, chance: np.random.Generator) -> None:
    """SAELens before version 6: a flat `cfg.json`."""
    at = folder / path
    at.mkdir(parents=True, exist_ok=True)
    t = plain(chance)
    save_file(
        {name: torch.from_numpy(t[name]) for name in ("W_enc", "b_enc", "W_dec", "b_dec")},
        at / "sae_weights.safetensors",
    )
    save_file({"sparsity": torch.zeros(F)}, at / "sparsity.safetensors")
    first = path.split("-", maxsplit=1)[0]  # of 3-res-sm
    hook = path if path.startswith("blocks.") else f"blocks.{first}.hook_resid_post"
    config = {"d_in": D, "d_sae": F, "dtype": "torch.float32", "device": "cpu", "context_size": 128}
    config |= {"hook_point": "blocks.0.hook_resid_pre" if first == "e" else hook, "hook_point_head_index": None}
    (at / "cfg.json").write_text(json.dumps({**config, "model_name": "tiny", "dataset_path": "some/text"}))


def write_learned(folder: Path, path: str, chance: np.random.Generator) -> None:
    """dictionary_learning of 2024, TopK."""
    at = folder / path
    at.mkdir(parents=True, exist_ok=True)
    t = plain(chance)
    torch.save({**linear(t), "b_dec": torch.from_numpy(t["b_dec"])}, at / "ae.pt")
    layer = int(path.split("/")[-2].rpartition("_")[2])
    trainer = {"trainer_class": "TrainerTopK", "dict_class": "AutoEncoderTopK", "activation_dim": D, "dict_size": F}
    trainer |= {"k": 5, "layer": layer, "lm_name": "tiny", "submodule_name": f"resid_post_layer_{layer}"}
    (at / "config.json").write_text(json.dumps({"trainer": trainer, "buffer": {"d_submodule": D, "ctx_len": 128}}))


def write_gemma_scope(folder: Path, path: str, chance: np.random.Generator) -> None:
    """Gemma Scope."""
    (folder / path).mkdir(parents=True, exist_ok=True)
    np.savez(folder / path / "params.npz", **plain(chance))


def write_gemma_scope_2(folder: Path, path: str, chance: np.random.Generator) -> None:
    """Gemma Scope 2."""
    at = folder / path
    at.mkdir(parents=True, exist_ok=True)
    named = {name.replace("W_", "w_"): torch.from_numpy(value) for name, value in plain(chance).items()}
    save_file(named, at / "params.safetensors")
    layer = path.rpartition("/layer_")[2].partition("_")[0]
    config = {"architecture": "jump_relu", "model_name": "tiny", "hf_hook_point_in": f"model.layers.{layer}.output"}
    (at / "config.json").write_text(json.dumps(config))


def write_llama_scope(folder: Path, path: str, chance: np.random.Generator) -> None:
    """Llama Scope, in bfloat16 as published."""
    at = folder / path
    (at / "checkpoints").mkdir(parents=True, exist_ok=True)
    t = plain(chance)
    bias = {"decoder.bias": torch.from_numpy(t["b_dec"]).bfloat16()}
    save_file(linear(t, torch.bfloat16) | bias, at / "checkpoints/final.safetensors")
    place = f"blocks.{path.rpartition('-L')[2].partition('R')[0]}.hook_resid_post"
    config = {"d_model": D, "d_sae": F, "hook_point_in": place, "hook_point_out": place, "act_fn": "jumprelu"}
    config |= {"jump_relu_threshold": 0.1, "norm_activation": "dataset-wise", "top_k": 50, "use_decoder_bias": True}
    config |= {"apply_decoder_bias_to_pre_encoder": False, "sparsity_include_decoder_norm": True}
    norm = {"dataset_average_activation_norm": {"in": 4.0, "out": 4.0}}
    (at / "hyperparams.json").write_text(json.dumps(config | norm))
    (at / "lm_config.json").write_text("{}")


def write_qwen_scope(folder: Path, path: str, chance: np.random.Generator) -> None:
    """Qwen Scope: as wide as the repository's name says, and silent but for the first features."""
    width = 1024 * int(folder.name.rpartition("-W")[2].partition("K")[0])
    t = plain(chance, width)
    t["b_enc"][F:] = -1e6
    named = {"W_enc": t["W_enc"].T, "W_dec": t["W_dec"].T, "b_enc": t["b_enc"], "b_dec": t["b_dec"]}
    torch.save({name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in named.items()}, folder / path)


WRITERS: dict[str, Callable[[Path, str, np.random.Generator], None]] = {
    "jbloom/GPT2-Small-SAEs-Reformatted": write_saelens,
    "ctigges/pythia-70m-deduped__": write_saelens,
    "canrager/lm_sae": write_learned,
    "google/gemma-scope-2b-": write_gemma_scope,
    "google/gemma-scope-2-": write_gemma_scope_2,
    "OpenMOSS-Team/Llama3_1-8B-Base-L": write_llama_scope,
    "Qwen/SAE-Res-": write_qwen_scope,
}
