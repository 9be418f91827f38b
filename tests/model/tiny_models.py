"""Tiny random models of the families that the atlas knows, made from configurations in code.

Attention windows are shorter than what tests read, and Gemma 3 has blocks of both kinds: what a window hides shows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

VOCAB = 50
_ROTARY: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 64,
}
_WINDOWED: dict[str, Any] = {**_ROTARY, "sliding_window": 4}
CONFIGS: dict[str, dict[str, Any]] = {
    "gemma": _ROTARY,
    "gemma2": _WINDOWED,
    "gemma3_text": {**_WINDOWED, "layer_types": ["sliding_attention", "full_attention"] * 2},
    "gpt2": {"vocab_size": VOCAB, "n_embd": 16, "n_layer": 4, "n_head": 2, "n_positions": 64},
    "gpt_neox": {
        "vocab_size": VOCAB,
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "max_position_embeddings": 64,
    },
    "llama": _ROTARY,
    "mistral": _WINDOWED,
    "qwen2": _ROTARY,
    "qwen3": _ROTARY,
}
"""By `config.model_type`."""


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One word a token; 0 to 2 are padding, EOS and BOS, as in Gemma."""
    words = {"<pad>": 0, "<eos>": 1, "<bos>": 2, **{f"w{i}": i for i in range(3, VOCAB)}}
    inner = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>")


def make_transformer(family: str) -> Any:
    """A random model whose norms are random too: at their initial ones, mistakes would not show."""
    torch.manual_seed(7)
    made = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **CONFIGS[family]))
    with torch.no_grad():
        for weight in made.parameters():
            weight.copy_(torch.randn_like(weight) * 0.3)
    return made


def make_folder(family: str, folder: Path) -> Path:
    """What `save_pretrained()` writes for such a model and its tokenizer."""
    make_transformer(family).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder
