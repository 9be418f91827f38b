"""Models, text and dictionaries of published shapes with random numbers in them; part of `gpu.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models
from torch import Tensor
from transformers import Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig, PreTrainedTokenizerFast

from atlas.corpus import Chunk, DocumentRef
from atlas.dictionaries.base import Dictionary
from atlas.model.lm import LanguageModel

WINDOW = 128


@dataclass(frozen=True)
class Published:
    """A model's shape as its config.json has it."""

    kind: type
    config: type
    numbers: dict[str, Any]


SHAPES = {
    "gemma-2-2b": Published(
        Gemma2ForCausalLM,
        Gemma2Config,
        {
            "hidden_size": 2304,
            "intermediate_size": 9216,
            "num_hidden_layers": 26,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "vocab_size": 256_000,
        },
    ),
    "gemma-3-270m": Published(
        Gemma3ForCausalLM,
        Gemma3TextConfig,
        {
            "hidden_size": 640,
            "intermediate_size": 2048,
            "num_hidden_layers": 18,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "head_dim": 256,
            "vocab_size": 262_144,
        },
    ),
    "tiny": Published(
        Gemma2ForCausalLM,
        Gemma2Config,
        {
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 32,
            "vocab_size": 1000,
        },
    ),
}


def random_model(shape: Published, device: torch.device, dtype: torch.dtype) -> LanguageModel:
    """A model of this shape with the weights that it begins its training with."""
    tokenizer = Tokenizer(models.WordLevel({"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3}, unk_token="<unk>"))  # noqa: S106 (no password)
    names = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>"}
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            lm = shape.kind(shape.config(**shape.numbers))
    finally:
        torch.set_default_dtype(before)
    return LanguageModel(lm.to(device), PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names))


def chunk_of(number: int, windows: int, batch: int, vocabulary: int) -> Chunk:
    """The chunk of this number: random full windows, `batch` to a micro-batch."""
    ids = np.random.default_rng(number).integers(4, vocabulary, windows * (WINDOW - 1)).astype(np.int32)
    none = np.zeros(windows, np.int32)
    return Chunk(
        number=number,
        first=number * windows,
        first_batch=number * (windows // batch),
        ids=ids,
        offsets=np.arange(windows + 1, dtype=np.int64) * (WINDOW - 1),
        document=none,
        source=none.astype(np.int16),
        start=np.arange(windows, dtype=np.int32) * (WINDOW - 1),
        batches=np.arange(0, windows + 1, batch, dtype=np.int64),
        documents=[DocumentRef("random", 0, len(ids))],
    )


def random_dictionary(name: str, hook_point: str, x: Tensor, width: int, fires: int) -> Dictionary:
    """One of which `fires` features fire on a token of `x`, float32 [n, d]; without a decoder of its own."""
    d, device = x.shape[1], x.device
    encoder = torch.randn(d, width, device=device) / (x.std(0)[:, None] * d**0.5)
    rank = max(1, round(len(x) * (1 - fires / width)))
    parts = [(x @ encoder[:, i : i + 1024]).kthvalue(rank, dim=0).values for i in range(0, width, 1024)]
    zero = torch.zeros(width, device=device)
    threshold, decoder = torch.cat(parts).clamp_min(1e-6), torch.zeros(1, d, device=device).expand(width, d)
    centre = torch.zeros(d, device=device)
    return Dictionary(name, "jumprelu", hook_point, encoder, zero, decoder, centre, threshold, None, False)
