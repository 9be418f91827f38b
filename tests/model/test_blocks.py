"""Dropping and compiling blocks, and autocast: less work, the same activations."""

from __future__ import annotations

import gc
import shutil
import weakref
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch._inductor.config

from atlas.errors import AtlasError
from atlas.model.blocks import Blocks
from atlas.model.lm import LanguageModel

if TYPE_CHECKING:
    from pathlib import Path
    from types import SimpleNamespace

IDS = torch.tensor([[2, 5, 9, 13, 21, 6, 8, 30], [2, 7, 7, 40, 3, 0, 0, 0]])
MASK = torch.tensor([[True] * 8, [True] * 5 + [False] * 3])
SITES = [f"blocks.{i}.hook_{site}" for i in (0, 1) for site in ("resid_pre", "attn_out", "mlp_out", "resid_post")]


def fresh(tiny: SimpleNamespace, family: str, **options: Any) -> LanguageModel:
    return LanguageModel(tiny.transformer(family), tiny.tokenizer(), **options)


def values(lm: LanguageModel, *names: str, width: int = 8) -> dict[str, torch.Tensor]:
    return lm.run(IDS[:, :width], MASK[:, :width], [lm.hook(name) for name in names])


def size(lm: LanguageModel) -> int:
    return sum(weight.numel() for weight in lm.lm.parameters())


@pytest.fixture(autouse=True)
def forget() -> Any:
    """What Dynamo compiled for one test is no business of the next."""
    yield
    torch._dynamo.reset()


def test_trimming_keeps_every_bit(tiny: SimpleNamespace, family: str) -> None:
    lm = fresh(tiny, family)
    before, fold, head = values(lm, *SITES), lm.final_norm_fold(), lm.unembedding().clone()
    blocks = lm._base.get_submodule(lm._blocks._path)
    a_block, whole = sum(weight.numel() for weight in blocks[3].parameters()), size(lm)
    dropped = [weakref.ref(weight) for block in blocks[2:] for weight in block.parameters()]
    lm.trim([lm.hook("blocks.0.hook_mlp_out"), lm.hook("blocks.1.hook_resid_post")])
    gc.collect()
    assert size(lm) == whole - 2 * a_block
    assert all(weight() is None for weight in dropped)
    after = values(lm, *SITES)
    assert all(torch.equal(before[name], after[name]) for name in SITES)
    assert (lm.n_layers, lm.d_model, lm.vocab) == (4, 16, tiny.vocab)
    assert torch.equal(lm.unembedding(), head)
    assert torch.equal(lm.final_norm_fold().scale, fold.scale)


@pytest.mark.parametrize("name", ["blocks.2.hook_attn_out", "blocks.2.hook_resid_pre", "model.layers.2.mlp"])
def test_the_block_that_is_read_stays(tiny: SimpleNamespace, name: str) -> None:
    lm = fresh(tiny, "gemma3_text")
    before = values(lm, name)[name]
    lm.trim([lm.hook(name)])
    assert len(lm._base.layers) == 3
    assert torch.equal(before, values(lm, name)[name])


@pytest.mark.parametrize("names", [[], ["model.norm"], ["model.layers.0", "model.embed_tokens"]])
def test_nothing_is_dropped_for_a_place_outside_the_blocks(tiny: SimpleNamespace, names: list[str]) -> None:
    lm = fresh(tiny, "llama")
    before = size(lm)
    lm.trim([lm.hook(name) for name in names])
    assert size(lm) == before
    values(lm, "blocks.3.hook_resid_post")


def test_hook_points_in_dropped_blocks_are_refused(tiny: SimpleNamespace) -> None:
    lm = fresh(tiny, "llama")
    early = lm.hook("model.layers.2")
    lm.trim([lm.hook("blocks.1.hook_resid_post")])
    for name in ("blocks.2.hook_resid_pre", "blocks.3.hook_mlp_out", "model.layers.2.mlp"):
        with pytest.raises(AtlasError, match=r"blocks after blocks\.1 were dropped"):
            lm.hook(name)
    with pytest.raises(AtlasError, match="were dropped"):
        lm.run(IDS, MASK, [early])
    with pytest.raises(AtlasError, match="the model has 4 blocks"):
        fresh(tiny, "llama").hook("blocks.4.hook_resid_post")


def test_compiled_blocks_are_shared_and_close(tiny: SimpleNamespace, family: str) -> None:
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, _inputs: Any) -> Any:
        graphs.append(graph)
        return graph

    lm = fresh(tiny, family)
    names = [f"blocks.{i}.hook_resid_{side}" for i in range(4) for side in ("pre", "post")]
    wanted = {width: values(lm, *names, width=width) for width in (7, 5, 6, 8)}
    lm.compile(backend)
    graphs.clear()
    for width, plain in wanted.items():
        got = values(lm, *names, width=width)
        for name in names:
            torch.testing.assert_close(got[name], plain[name])
    lm.run(IDS[[0, 1, 0]], MASK[[0, 1, 0]], [lm.hook(names[0]), lm.hook(names[-1])])
    # Gemma and newer Qwen have two kinds of blocks; none is compiled for itself, nor for a length.
    assert 1 <= len(graphs) <= 2


def test_inside_a_compiled_block_one_still_hears(tiny: SimpleNamespace, family: str) -> None:
    lm = fresh(tiny, family)
    wanted = values(lm, *SITES)
    lm.compile("eager")
    outside = "blocks.3.hook_resid_post"
    values(lm, outside)
    got = values(lm, *SITES, outside)
    for name in SITES:
        torch.testing.assert_close(got[name], wanted[name])
    assert all("forward" not in vars(block) for block in lm._blocks._list)
    lm.trim([lm.hook("blocks.1.hook_resid_post")])
    torch.testing.assert_close(values(lm, SITES[-1])[SITES[-1]], wanted[SITES[-1]])


def test_a_machine_that_cannot_compile_says_so_at_once(tiny: SimpleNamespace) -> None:
    def broken(_graph: Any, _inputs: Any) -> Any:
        raise RuntimeError("no compiler here\nand much more")

    with pytest.raises(AtlasError, match=r"model\.compile: this machine cannot compile \(.*no compiler here.*false"):
        fresh(tiny, "llama").compile(broken)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # Inductor's own imports
@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++", "c++"))), reason="no C++ compiler")
def test_inductor(tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    lm = fresh(tiny, "llama")
    name = "blocks.0.hook_resid_post"
    wanted = values(lm, name)[name]
    lm.trim([lm.hook(name)])
    with torch._inductor.config.patch({"cpp.vec_isa_ok": False}):  # trying them out takes a minute
        lm.compile()
        torch.testing.assert_close(values(lm, name)[name], wanted, rtol=1e-4, atol=1e-4)


def test_autocast_is_near_and_not_the_same(tiny: SimpleNamespace, family: str) -> None:
    name = "blocks.3.hook_resid_post"
    exact = values(fresh(tiny, family), name)[name][MASK]
    lm = fresh(tiny, family, autocast="bfloat16")
    near = values(lm, name)[name][MASK]
    assert near.dtype == torch.float32
    assert {weight.dtype for weight in lm.lm.parameters()} == {torch.float32}
    off = (near - exact).norm() / exact.norm()
    assert 0 < off < 0.05
    assert not torch.is_autocast_enabled("cpu"), "it ends with the pass"


def test_autocast_is_told_when_loading(tmp_path: Path, tiny: SimpleNamespace) -> None:
    folder, name = tiny.folder("gemma3_text", tmp_path), "blocks.2.hook_mlp_out"
    exact, near = (values(LanguageModel.load(folder, autocast=how), name)[name] for how in (None, "bfloat16"))
    assert not torch.equal(exact, near.float())


def test_a_family_without_blocks(tiny: SimpleNamespace) -> None:
    with pytest.raises(AtlasError, match="blocks are not found"):
        Blocks(tiny.transformer("gpt2"))
