"""A tiny atlas that every test may use: a random Gemma 3, two random SAEs, a few texts, two hostile ones.

It is built once a session, through the same stages as a real one, and takes a few seconds.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

# Nothing here is timed: the first call of a compiled function takes seconds on a fresh clone.
settings.register_profile("atlas", deadline=None)
settings.load_profile("atlas")

TEXTS = {
    "prose": [
        "In the beginning God created the heaven and the earth. And the earth was without form, and void.\n" * 6,
        "The judge ruled on Wednesday that the board may not order the owners to pay for the nine towers.\n" * 6,
        "It was the best of times, it was the worst of times; it was the age of wisdom, of foolishness too.\n" * 6,
    ],
    "code": [
        'def read(path):\n    """Read a file."""\n    with open(path) as file:\n        return file.read()\n\n\n' * 8,
        "for i in range(10):\n    if i % 2 == 0:\n        print(i, end=', ')\n    else:\n        continue\n" * 8,
    ],
    "other": [
        "敏捷的棕色狐狸跳过了懒狗。 Быстрая лиса прыгает через собаку. الثعلب البني السريع 👩‍👩‍👧‍👦 🏳️‍🌈 नमस्ते दुनिया\n"
        * 5,
        '<script>alert(1)</script> {{ view.title }} "><img src=x onerror=alert(2)> </p></body> <eos> <bos>\n' * 6,
    ],
}

RECIPE = """
[atlas]
id = "tiny"
title = "A tiny <b>atlas</b>"
description = "Random features of a random model."
authors = ["A. Author", "B. {Brace} & Co"]
url = "https://example.org/tiny"
year = 2026

[model]
id = "tiny-gemma"
name = "Tiny Gemma"
source = "model"

[corpus]
tokens = 6000
window = 32
per_document = 6

[[corpus.part]]
id = "prose"
label = "Prose"
licence = "public domain"
source = "file:texts/prose/*.txt"

[[corpus.part]]
id = "code"
label = "Code"
licence = "public domain"
source = "file:texts/code/*.txt"

[[corpus.part]]
id = "other"
label = "Other <scripts>"
licence = "public domain"
source = "file:texts/other/*.txt"

[[dictionary]]
id = "1-res-600"
label = "After block 1"
source = "wide"

[[dictionary]]
id = "0-res-24"
source = "narrow"

[collect]
batch = 2
sample = 40
device = "cpu"
threads = 1

[names]
files = ["names.toml"]

[site]
concepts = "concepts.toml"
"""

NAMES = """
author = "The tests"

[[name]]
feature = "1-res-600/12"
name = "A name with <script>alert(3)</script> & “quotes”"
note = "A note with {{ braces }}."

[[name]]
feature = "0-res-24/3"
name = "Golden bridges"
"""

CONCEPTS = """
[[concept]]
id = "bridges"
title = "Bridges"
summary = "What has to do with <b>bridges</b>."
page = "bridges.md"

[[concept.feature]]
feature = "0-res-24/3"
note = "The one that is named so, & no other."

[[concept.feature]]
feature = "1-res-600/12"

[[concept.feature]]
feature = "1-res-600/599"
note = "A dead one."

[[concept]]
id = "hostile.one"
title = "A title with <script>alert(4)</script>"
summary = "A summary with <img src=x onerror=alert(5)> and {{ braces }}."
features = ["1-res-600/12"]
essay = '''
# A heading

Read [the other](../bridges/), [a feature](1-res-600/12), or
[nothing](javascript:document.title='ran').

<script>document.title = "ran"</script>
<p onclick="document.title = 'ran'" id=mine>HTML of the <i>author</i>.</p>
'''

[[concept]]
id = "none"
title = "Nothing found"
summary = "A concept that no feature belongs to."
"""

ESSAY = """
## What a bridge is

A table:

| One | Other |
|---|---|
| 1 | 2 |
"""


@dataclass(frozen=True)
class Tiny:
    """Where the tiny atlas lies."""

    folder: Path
    recipe: Path
    out: Path

    @property
    def store(self) -> Path:
        return self.out / "tiny" / "store"

    @property
    def site(self) -> Path:
        return self.out / "tiny" / "site"


def write_inputs(folder: Path, recipe: str = RECIPE) -> Path:
    """Model, dictionaries, texts, names and recipe in a folder; returns the recipe."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_model(folder / "model")
    _write_dictionary(folder / "wide", "jumprelu", 1, 600)
    _write_dictionary(folder / "narrow", "standard", 0, 24)
    for part, texts in TEXTS.items():
        for i, text in enumerate(texts):
            path = folder / "texts" / part / f"{i}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    (folder / "names.toml").write_text(NAMES, "utf-8")
    (folder / "concepts.toml").write_text(CONCEPTS, "utf-8")
    (folder / "bridges.md").write_text(ESSAY, "utf-8")
    (folder / "recipe.toml").write_text(recipe, "utf-8")
    return folder / "recipe.toml"


def _write_model(folder: Path) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<pad>", "<eos>", "<bos>"]
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([t for texts in TEXTS.values() for t in texts], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>")
    torch.manual_seed(0)
    config = Gemma3TextConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=64,
        sliding_window=32,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
        initializer_range=0.3,
    )
    model = Gemma3ForCausalLM(config)
    with torch.no_grad():
        model.model.norm.weight.normal_(std=0.5)  # so that folding it in matters
    model.save_pretrained(folder)
    fast.save_pretrained(folder)


def _write_dictionary(folder: Path, architecture: str, layer: int, width: int, d_in: int = 32) -> None:
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    random = torch.Generator().manual_seed(width)
    decoder = torch.nn.functional.normalize(torch.randn(width, d_in, generator=random), dim=1)
    weights = {
        "W_enc": decoder.T.contiguous(),
        "b_enc": torch.full((width,), -4.0),
        "W_dec": decoder,
        "b_dec": torch.zeros(d_in),
    }
    weights["b_enc"][-2:] = -1e6  # two dead features
    if architecture == "jumprelu":
        weights["threshold"] = torch.full((width,), 1.5)
    save_file(weights, folder / "sae_weights.safetensors")
    config = {
        "architecture": architecture,
        "d_in": d_in,
        "d_sae": width,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {"model_name": "tiny", "hook_name": f"blocks.{layer}.hook_resid_post", "prepend_bos": True},
    }
    (folder / "cfg.json").write_text(json.dumps(config), "utf-8")


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The inputs of the tiny atlas, not built: its recipe in their folder."""
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The tiny atlas, built."""
    from atlas.config import load
    from atlas.paths import places
    from atlas.pipeline.collect import collect
    from atlas.pipeline.map import draw_map
    from atlas.pipeline.name import name
    from atlas.pipeline.report import Silent
    from atlas.pipeline.site import site

    os.environ["NO_MKDOCS_2_WARNING"] = "1"
    folder = tmp_path_factory.mktemp("tiny")
    path = write_inputs(folder)
    out = folder / "out"
    recipe = load(path)
    where = places(recipe.atlas.id, out)
    assert collect(recipe, where, Silent())
    assert name(recipe, where, Silent())
    assert draw_map(recipe, where, Silent())
    assert site(recipe, where, Silent())
    return Tiny(folder, path, out)
