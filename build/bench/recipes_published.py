"""Shapes of published models and dictionaries, for `recipes.py`: there is no Hub where its test runs.

A model's numbers are those of `config.json` in its repository; what a value takes on disk is what its safetensors
files have. A release's widths are in the names of its folders, or said in its card or by sae_lens 6.54.12
(`pretrained_saes.yaml`); what a value takes on disk follows from the size of a file on the Hub where `seen` says so,
and is float32's 4 where nobody looked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from atlas.model.lm import DTYPES, Dtype, LanguageModel

K = {"16k": 2**14, "32k": 2**15, "65k": 2**16, "131k": 2**17, "262k": 2**18, "524k": 2**19, "1m": 2**20}
"""Widths by the names that Gemma Scope gives them."""


@dataclass(frozen=True)
class Published:
    """A model: its family, the numbers that decide its shape, bytes of a value on disk, parameters by its card."""

    family: str
    numbers: dict[str, Any]
    itemsize: int
    parameters: int


def _rotary(d: int, mlp: int, layers: int, heads: tuple[int, int, int], vocabulary: int, **more: Any) -> dict[str, Any]:
    names = ("num_attention_heads", "num_key_value_heads", "head_dim")
    shape = {"hidden_size": d, "intermediate_size": mlp, "num_hidden_layers": layers, "vocab_size": vocabulary}
    return {**shape, **dict(zip(names, heads, strict=True)), **more}


MODELS = {
    "openai-community/gpt2": Published(
        "gpt2", {"n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 50_257}, 4, 124_439_808
    ),
    "EleutherAI/pythia-70m-deduped": Published(
        "gpt_neox",
        {
            "hidden_size": 512,
            "intermediate_size": 2048,
            "num_hidden_layers": 6,
            "num_attention_heads": 8,
            "vocab_size": 50_304,
            "tie_word_embeddings": False,
        },
        2,
        70_426_624,
    ),
    "google/gemma-2-2b": Published("gemma2", _rotary(2304, 9216, 26, (8, 4, 256), 256_000), 4, 2_614_341_888),
    "google/gemma-3-270m": Published("gemma3_text", _rotary(640, 2048, 18, (4, 1, 256), 262_144), 2, 268_098_176),
    "google/gemma-3-1b-pt": Published("gemma3_text", _rotary(1152, 6912, 26, (4, 1, 256), 262_144), 2, 999_885_952),
    "meta-llama/Llama-3.1-8B": Published(
        "llama", _rotary(4096, 14_336, 32, (32, 8, 128), 128_256, tie_word_embeddings=False), 2, 8_030_261_248
    ),
    "Qwen/Qwen3-1.7B-Base": Published(
        "qwen3", _rotary(2048, 6144, 28, (16, 8, 128), 151_936, tie_word_embeddings=True), 2, 1_720_574_976
    ),
}


def shaped(published: Published, dtype: Dtype) -> LanguageModel:
    """A model of this shape without weights: on torch's meta device."""
    config = AutoConfig.for_model(published.family, **published.numbers)
    with torch.device("meta"):
        lm = AutoModelForCausalLM.from_config(config, dtype=DTYPES[dtype])
    return LanguageModel(lm, None)


@dataclass(frozen=True)
class Release:
    """Dictionaries of one repository.

    Attributes:
        width: Features of the dictionary at a path.
        hook: Its hook point.
        itemsize: Bytes of a value on disk.
        seen: What the size of a file on the Hub says of that; "" where nobody looked.
    """

    width: Callable[[str], int]
    hook: Callable[[str], str]
    itemsize: int = 4
    seen: str = ""


def _layer(pattern: str) -> Callable[[str], str]:
    """The residual stream after the block whose number the pattern finds in a path."""

    def after(path: str) -> str:
        found = re.search(pattern, path)
        return f"blocks.{found[1]}.hook_resid_post" if found else "blocks.0.hook_resid_pre"  # e-res-sm: the embedding

    return after


def _named(path: str) -> int:
    found = re.search(r"width_([0-9]+[km])", path)
    assert found, path
    return K[found[1]]


RELEASES = {
    "jbloom/GPT2-Small-SAEs-Reformatted": Release(lambda _: 24_576, lambda path: path, seen="151 MB a layer"),
    "ctigges/pythia-70m-deduped__res-sm_processed": Release(
        lambda _: 32_768, _layer(r"^(\d+)-"), seen="134 MB a layer"
    ),
    "canrager/lm_sae": Release(lambda _: 16_384, _layer(r"layer_(\d+)")),
    "google/gemma-scope-2b-pt-res": Release(
        _named, _layer(r"^layer_(\d+)/"), seen="1.21 GB at 65k; some files are compressed and smaller"
    ),
    "google/gemma-scope-2-270m-pt": Release(_named, _layer(r"/layer_(\d+)_")),
    "google/gemma-scope-2-1b-pt": Release(_named, _layer(r"/layer_(\d+)_")),
    "OpenMOSS-Team/Llama3_1-8B-Base-LXR-8x": Release(
        lambda _: 32_768, _layer(r"-L(\d+)R-"), itemsize=2, seen="537 MB a layer"
    ),
    "Qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_50": Release(lambda _: 32_768, _layer(r"^layer(\d+)\.")),
}
"""By repository. The two of `canrager/lm_sae` that are used are 16k wide, by their names on Neuronpedia."""
