"""The model gives what transformers gives, sees no padding, and stops where it should."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from atlas.errors import AtlasError
from atlas.model.device import pick_device
from atlas.model.hooks import blocks_path
from atlas.model.lm import LanguageModel
from atlas.model.norm import final_norm

if TYPE_CHECKING:
    from pathlib import Path
    from types import SimpleNamespace

IDS = torch.tensor([[2, 5, 9, 13, 21, 6, 8, 30], [2, 7, 7, 40, 3, 0, 0, 0]])
MASK = torch.tensor([[True] * 8, [True] * 5 + [False] * 3])
WHOLE = torch.ones_like(IDS, dtype=torch.bool)


def test_residual_stream_equals_output_hidden_states(lm: LanguageModel) -> None:
    names = [f"blocks.{i}.hook_resid_{side}" for i in range(4) for side in ("pre", "post")]
    got = lm.run(IDS, WHOLE, [lm.hook(name) for name in names])
    with torch.no_grad():
        wanted = lm.lm(input_ids=IDS, output_hidden_states=True, use_cache=False).hidden_states
    for i in range(4):
        torch.testing.assert_close(got[f"blocks.{i}.hook_resid_pre"], wanted[i])
        if i < 3:
            torch.testing.assert_close(got[f"blocks.{i}.hook_resid_post"], wanted[i + 1])
    # transformers reports the last one after the final norm.
    torch.testing.assert_close(final_norm(lm._base)(got["blocks.3.hook_resid_post"]), wanted[4])


def test_what_is_added_adds_up(lm: LanguageModel) -> None:
    names = {site: f"blocks.2.hook_{site}" for site in ("resid_pre", "attn_out", "mlp_out", "resid_post")}
    got = lm.run(IDS, MASK, [lm.hook(name) for name in names.values()])
    parts = {site: got[name] for site, name in names.items()}
    torch.testing.assert_close(parts["resid_pre"] + parts["attn_out"] + parts["mlp_out"], parts["resid_post"])


def test_module_paths(lm: LanguageModel, family: str) -> None:
    prefix, container = {"gpt2": ("transformer", "h"), "gpt_neox": ("gpt_neox", "layers")}.get(
        family, ("model", "layers")
    )
    points = [lm.hook(name) for name in (f"{prefix}.{container}.1", f"{container}.1", "blocks.1.hook_resid_post")]
    assert [point.layer for point in points] == [1, 1, 1]
    first, second, third = lm.run(IDS, WHOLE, points).values()
    assert torch.equal(first, third)
    assert torch.equal(second, third)


def test_padding_changes_nothing(lm: LanguageModel) -> None:
    point = lm.hook("blocks.3.hook_resid_post")
    padded = lm.run(IDS, MASK, [point])[point.name]
    alone = lm.run(IDS[1:, :5], WHOLE[1:, :5], [point])[point.name]
    other = IDS.clone()
    other[1, 5:] = 17
    torch.testing.assert_close(padded[1:, :5], alone)
    assert torch.equal(padded[1, :5], lm.run(other, MASK, [point])[point.name][1, :5])


def test_with_and_without_a_mask_real_positions_are_alike(lm: LanguageModel) -> None:
    point = lm.hook("blocks.3.hook_resid_post")
    for mask in (WHOLE, MASK):
        unmasked = lm.run(IDS, mask, [point])[point.name]
        lm._sees_padding = True
        padded = lm.run(IDS, mask, [point])[point.name]
        lm._sees_padding = False
        torch.testing.assert_close(unmasked[mask], padded[mask])
        wanted: list[torch.Tensor] = []
        block = lm._base.get_submodule(point.path)
        handle = block.register_forward_hook(lambda _block, _inputs, out, to=wanted: to.append(out))
        with torch.no_grad():
            lm._base(input_ids=IDS, attention_mask=mask.long(), use_cache=False)
        handle.remove()
        given = wanted[0] if isinstance(wanted[0], torch.Tensor) else wanted[0][0]
        torch.testing.assert_close(unmasked[mask], given[mask])


def test_families_that_no_test_knows_are_handed_the_mask(tiny: SimpleNamespace) -> None:
    lm = LanguageModel(tiny.transformer("llama"), tiny.tokenizer())
    given: list[object] = []
    lm._base.register_forward_pre_hook(lambda _base, _inputs, named: given.append(named), with_kwargs=True)
    point = lm.hook("blocks.0.hook_resid_post")
    for sees in (False, True):
        lm._sees_padding = sees
        for mask in (WHOLE, MASK):
            lm.run(IDS, mask, [point])
    masks = [named["attention_mask"] for named in given]
    assert masks[:3] == [None] * 3
    assert masks[3].tolist() == MASK.long().tolist()


def test_a_soft_cap_on_attention_is_not_lost(lm: LanguageModel, family: str) -> None:
    assert lm.lm.config._attn_implementation == ("eager" if family == "gemma2" else "sdpa")


def test_a_row_of_padding_is_harmless(lm: LanguageModel) -> None:
    point = lm.hook("blocks.3.hook_resid_post")
    mask = torch.stack([WHOLE[0], torch.zeros(8, dtype=torch.bool)])
    for sees in (True, False):
        lm._sees_padding = sees
        assert torch.isfinite(lm.run(IDS, mask, [point])[point.name]).all()
    assert not mask[1].any(), "the caller's mask is left alone"


def test_stops_behind_the_last_hook(lm: LanguageModel) -> None:
    ran: list[int] = []
    blocks = list(lm._base.get_submodule(blocks_path(lm._base)).children())
    before = [(len(block._forward_hooks), len(block._forward_pre_hooks)) for block in blocks]
    handles = [block.register_forward_hook(lambda *_, i=i: ran.append(i)) for i, block in enumerate(blocks)]
    lm.run(IDS, WHOLE, [lm.hook("blocks.2.hook_resid_pre"), lm.hook("blocks.1.hook_resid_post")])
    assert ran == [0, 1], "the input of block 2 is known without running it"
    ran.clear()
    lm.run(IDS, WHOLE, [lm.hook("blocks.2.hook_mlp_out"), lm.hook("blocks.0.hook_resid_post")])
    assert ran == [0, 1], "the output of block 2 is not waited for"
    ran.clear()
    assert lm.run(IDS, WHOLE, []) == {}
    assert ran == []
    for handle in handles:
        handle.remove()
    assert before == [(len(block._forward_hooks), len(block._forward_pre_hooks)) for block in blocks]


def test_runs_twice_alike_and_without_gradients(lm: LanguageModel) -> None:
    point = lm.hook("blocks.1.hook_resid_post")
    first = lm.run(IDS, MASK, [point, point])[point.name]
    assert not first.requires_grad
    assert torch.equal(first, lm.run(IDS, MASK, [point])[point.name])


def test_final_norm_fold_equals_the_formula(lm: LanguageModel, family: str) -> None:
    fold = lm.final_norm_fold()
    weight = final_norm(lm._base).weight.detach()
    wanted = 1 + weight if family.startswith("gemma") else weight
    torch.testing.assert_close(fold.scale, wanted)
    assert fold.centred is (family in ("gpt2", "gpt_neox"))
    # The definition: the norm of x is its (centred) direction times the gain, over a length, plus a bias.
    x = torch.randn(5, 16)
    direction = (x - x.mean(-1, keepdim=True) if fold.centred else x) * fold.scale
    bias = getattr(final_norm(lm._base), "bias", None)
    normed = final_norm(lm._base)(x).detach() - (0 if bias is None else bias.detach())
    torch.testing.assert_close(torch.cosine_similarity(normed, direction), torch.ones(5))


def test_a_norm_of_another_kind_is_refused(tiny: SimpleNamespace) -> None:
    lm = LanguageModel(tiny.transformer("llama"), tiny.tokenizer())
    lm.lm.model.norm = nn.Identity()
    with pytest.raises(AtlasError, match="neither LayerNorm nor RMSNorm"):
        lm.final_norm_fold()
    del lm.lm.model.norm
    with pytest.raises(AtlasError, match="final norm is not found"):
        lm.final_norm_fold()


def test_facts(lm: LanguageModel, family: str, tiny: SimpleNamespace) -> None:
    assert (lm.d_model, lm.n_layers, lm.vocab) == (16, 4, tiny.vocab)
    assert (lm.bos_id, lm.eos_id, lm.pad_id, lm.special_ids) == (2, 1, 0, frozenset({0, 1, 2}))
    assert lm.unembedding().shape == (tiny.vocab, 16)
    assert lm.softcap == (30.0 if family == "gemma2" else None)
    assert not lm.eval().lm.training


def test_a_tokenizer_without_special_tokens(tiny: SimpleNamespace) -> None:
    tokenizer = tiny.tokenizer()
    tokenizer.bos_token = tokenizer.eos_token = tokenizer.pad_token = None
    lm = LanguageModel(tiny.transformer("gpt2"), tokenizer)
    assert (lm.bos_id, lm.eos_id, lm.pad_id, lm.special_ids) == (None, None, 0, frozenset())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_load(tmp_path: Path, dtype: str, tiny: SimpleNamespace) -> None:
    lm = LanguageModel.load(tiny.folder("gemma3_text", tmp_path), dtype)  # type: ignore[arg-type]  # a str of the list
    point = lm.hook("model.layers.1")
    assert str(lm.run(IDS, MASK, [point])[point.name].dtype) == f"torch.{dtype}"
    assert lm.final_norm_fold().scale.dtype == torch.float32
    assert lm.tokenizer("w5 w9").input_ids == [5, 9]


def test_load_refuses_what_is_no_model(tmp_path: Path, tiny: SimpleNamespace) -> None:
    with pytest.raises(AtlasError, match="cannot be loaded as a language model"):
        LanguageModel.load(tmp_path)
    folder = tiny.folder("gpt2", tmp_path / "gpt2")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(AtlasError, match="cannot be loaded as a language model"):
        LanguageModel.load(folder)


def test_weights_that_lack_a_tensor_are_refused(tmp_path: Path, tiny: SimpleNamespace) -> None:
    weights = tiny.folder("llama", tmp_path) / "model.safetensors"
    tensors = load_file(weights)
    del tensors["model.layers.2.mlp.up_proj.weight"], tensors["model.norm.weight"]
    save_file(tensors, weights, {"format": "pt"})
    with pytest.raises(AtlasError, match=r"lack model\.layers\.2\.mlp\.up_proj\.weight and 1 more"):
        LanguageModel.load(tmp_path)


def test_a_module_that_gives_no_activations(lm: LanguageModel) -> None:
    rotary = "wpe" if "wpe" in dict(lm._base.named_modules()) else "rotary_emb"
    with pytest.raises(AtlasError, match=r"not \[batch, tokens, width\]"):
        lm.run(IDS[:, :3], WHOLE[:, :3], [lm.hook(rotary)])


def test_pick_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device("auto") == pick_device("cpu") == torch.device("cpu")
    with pytest.raises(AtlasError, match="no cuda"):
        pick_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto") == torch.device("cuda")
