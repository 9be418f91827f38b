"""A small stand-in model and dictionaries with random weights, for benches that need many tokens and no meaning.

What is shown with them depends on shapes and on how often features fire, not on what they mean: thresholds are set so
that `L0` features fire on a token, each about as often as the others.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, PreTrainedTokenizerFast

D_MODEL, LAYERS = 64, 2
L0 = 32
WORDS = 20_000


def text(tokens: int, seed: int = 0) -> list[str]:
    """Documents of made-up words, about this many tokens in all, a few hundred words each."""
    chance = random.Random(seed)  # noqa: S311 (no secret)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(WORDS)]
    made, documents = 0, []
    while made < tokens:
        length = chance.randint(100, 600)
        documents.append(" ".join(chance.choices(words, k=length)))
        made += 3 * length  # such words are cut into three tokens or more
    return documents


def write_model(folder: Path, documents: list[str]) -> Gemma3ForCausalLM:
    """A random model of `LAYERS` blocks and its tokenizer, as `save_pretrained` writes them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<pad>", "<eos>", "<bos>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=2000, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(documents[:200], trainer)
    names = dict(zip(("pad_token", "eos_token", "bos_token"), special, strict=True))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    torch.manual_seed(0)
    config = Gemma3TextConfig(
        vocab_size=len(fast),
        hidden_size=D_MODEL,
        intermediate_size=2 * D_MODEL,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=256,
        sliding_window=128,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
        initializer_range=0.3,
    )
    model = Gemma3ForCausalLM(config).eval()
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return model


def write_dictionary(folder: Path, x: torch.Tensor, width: int, hook_point: str, seed: int = 0) -> None:
    """A random JumpReLU dictionary in SAELens's layout.

    Args:
        folder: Where to.
        x: Activations that it will read, float32 [n, d]: thresholds are quantiles of what it makes of them.
        width: Features.
        hook_point: Where it reads.
        seed: Of its weights.
    """
    random_numbers = torch.Generator().manual_seed(seed)
    unit = torch.nn.functional.normalize(torch.randn(width, x.shape[1], generator=random_numbers), dim=1)
    centre, scale = x.mean(0), x.std(0).clamp_min(1e-6)
    encoder = (unit / scale).T.contiguous()  # every direction of the data counts alike
    bias = torch.zeros(width)
    pre = (x - centre) @ encoder
    threshold = pre.kthvalue(max(1, round(len(x) * (1 - L0 / width))), dim=0).values.clamp_min(1e-3)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {"W_enc": encoder, "b_enc": bias, "W_dec": unit, "b_dec": centre.clone(), "threshold": threshold}
    save_file(weights, folder / "sae_weights.safetensors")
    config = {
        "architecture": "jumprelu",
        "d_in": x.shape[1],
        "d_sae": width,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {"hook_name": hook_point, "prepend_bos": True},
    }
    (folder / "cfg.json").write_text(json.dumps(config), "utf-8")
