"""A real GGUF file, written with the gguf package, against the model that it was written from."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from atlas.config import ModelSection
from atlas.errors import AtlasError
from atlas.model import fetch
from atlas.model.fetch import fetch_model
from atlas.model.lm import LanguageModel

VOCABULARY = ["<|endoftext|>", *"abcdefgh", "Ġ", "ab", "Ġab"]
NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output", "model.layers": "blk",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


@pytest.fixture(scope="module")
def model() -> Qwen2ForCausalLM:
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(VOCABULARY), hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=False,
    )  # fmt: skip
    made = Qwen2ForCausalLM(config).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made


@pytest.fixture(scope="module")
def path(model: Qwen2ForCausalLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("gguf") / "Tiny Qwen (F32).gguf"
    writer = gguf.GGUFWriter(at, "qwen2")
    writer.add_block_count(2)
    writer.add_context_length(64)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(96)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(model.config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(VOCABULARY))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(VOCABULARY)
    writer.add_token_types([3] + [1] * (len(VOCABULARY) - 1))
    writer.add_token_merges(["a b", "Ġ ab"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    for name, tensor in model.state_dict().items():
        key = name
        for ours, theirs in NAMES.items():
            key = key.replace(ours, theirs)
        writer.add_tensor(key, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return at


def section(source: str) -> ModelSection:
    return ModelSection(id="m", name="M", source=source)


def test_a_file_gives_the_model_that_it_was_written_from(
    model: Qwen2ForCausalLM, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    found = fetch_model(section("weights.gguf"), tmp_path, said.append, lambda _: path)
    assert found.folder.name.startswith("tiny-qwen-f32-")
    assert [line for line in said if "converting" in line]
    lm = LanguageModel.load(found.folder)
    ids = torch.arange(len(VOCABULARY))[None]
    hook = lm.hook("blocks.1.hook_resid_post")
    ours = lm.run(ids, torch.ones_like(ids, dtype=torch.bool), [hook])[hook.name]
    with torch.no_grad():
        theirs = model(ids, output_hidden_states=True).hidden_states
    rows = model.model.norm(ours).detach()  # transformers gives the last state behind the norm
    assert torch.equal(rows, theirs[-1])
    assert lm.tokenizer("ab cab")["input_ids"] == [10, 9, 3, 10]
    said.clear()
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(fetch, "hub_file", lambda *address: asked.append(address) or path)
    for source in ("hf://org/repo/weights.gguf", "hf://org/repo/q8/weights.gguf@v1"):
        again = fetch_model(section(source), tmp_path, said.append, Path)
        assert (again.folder, again.digest) == (found.folder, found.digest)
    assert asked == [("hf://org/repo", "weights.gguf"), ("hf://org/repo/q8@v1", "weights.gguf")]
    assert not [line for line in said if "converting" in line], "the same bytes are converted once"


def test_a_tensor_that_is_missing_is_not_made_up(path: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "x.gguf"
    data = path.read_bytes()
    assert data.count(b"blk.1.ffn_up.weight") == 1
    wrong.write_bytes(data.replace(b"blk.1.ffn_up.weight", b"blk.1.ffn_xx.weight"))
    with pytest.raises(AtlasError, match=r"^x\.gguf: (the weights lack|transformers cannot read).*ffn|mlp\.up_proj"):
        fetch_model(section("x.gguf"), tmp_path / "cache", lambda _line: None, lambda _: wrong)


def test_damaged_files_are_refused_in_one_line(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    chance = np.random.default_rng(0)
    damaged = [b"", b"GGUF", data[:200], data[: len(data) // 2], b"PK\x03\x04" + data[4:]]
    places = chance.integers(0, 600, 12).tolist()  # the header and its keys
    damaged += [data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :] for at in places]
    refused: list[str] = []
    for number, content in enumerate(damaged):
        wrong = tmp_path / f"x{number}.gguf"
        wrong.write_bytes(content)
        try:
            fetch_model(section("x.gguf"), tmp_path / "cache", lambda _line: None, lambda _, at=wrong: at)  # type: ignore[misc]
        except AtlasError as error:
            refused.append(str(error))
    assert len(refused) >= 5
    assert not [line for line in refused if "\n" in line or "x.gguf" not in line]
    left = list((tmp_path / "cache/models").iterdir())
    assert len(left) == len(damaged) - len(refused)
    assert not [folder for folder in left if folder.name.startswith(".")], "nothing half-written stays"
