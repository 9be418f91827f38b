"""The SAELens layout: what is read, what is computed, what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from atlas.config import DictionarySection, Recipe
from atlas.dictionaries import files
from atlas.dictionaries.base import Dictionary, check_fits
from atlas.dictionaries.load import load_dictionary
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Callable

DEMO = Path(__file__).parents[2] / "build" / "demo" / "layer_9_width_1024"


def read(folder: Path, hook_point: str = "") -> Dictionary:
    recipe = Recipe.model_construct(folder=folder.parent)
    section = DictionarySection(id="1-res", source=folder.name, hook_point=hook_point)
    return load_dictionary(section, recipe)


def by_hand(folder: Path, x: np.ndarray) -> np.ndarray:
    """The formulas again, one token and one feature at a time, in float64."""
    config = json.loads((folder / "cfg.json").read_text())
    w = {k: v.float().numpy().astype(np.float64) for k, v in load_file(folder / "sae_weights.safetensors").items()}
    out = np.zeros((len(x), config["d_sae"]))
    for n, row in enumerate(x.astype(np.float64)):
        centred = row - w["b_dec"] if config.get("apply_b_dec_to_input", True) else row
        pre = np.array([centred @ w["W_enc"][:, j] + w["b_enc"][j] for j in range(config["d_sae"])])
        kept = np.argsort(pre)[-config["k"] :] if config["architecture"] == "topk" else range(config["d_sae"])
        for j in kept:
            low = w["threshold"][j] if config["architecture"] == "jumprelu" else 0.0
            out[n, j] = pre[j] if pre[j] > max(low, 0.0) else 0.0
    return out


@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "topk"])
@pytest.mark.parametrize("subtract", [True, False, None])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_encode_equals_the_formula(
    make: Callable[..., Path], architecture: str, subtract: bool | None, dtype: torch.dtype
) -> None:
    folder = make(architecture, apply_b_dec_to_input=subtract)
    if dtype is torch.bfloat16:
        weights = {k: v.bfloat16() for k, v in load_file(folder / "sae_weights.safetensors").items()}
        folder = make(architecture, weights, apply_b_dec_to_input=subtract)
    dictionary = read(folder)
    x = torch.randn(40, 6)
    before = x.clone()
    got = dictionary.encode(x)
    assert got.dtype == torch.float32
    assert (got >= 0).all()
    assert (got > 0).any()
    np.testing.assert_allclose(got.numpy(), by_hand(folder, x.numpy()), rtol=1e-4, atol=1e-5)
    assert torch.equal(x, before), "the input is left alone"
    half = dictionary.encode(x.bfloat16())
    assert torch.equal(half, dictionary.encode(x.bfloat16().float()))


def test_what_is_read(make: Callable[..., Path]) -> None:
    folder = make("jumprelu")
    dictionary = read(folder)
    assert (dictionary.id, dictionary.architecture, dictionary.source) == ("1-res", "jumprelu", "sae")
    assert (dictionary.width, dictionary.d_in, dictionary.k) == (10, 6, None)
    assert dictionary.hook_point == "blocks.1.hook_resid_post"
    assert dictionary.metadata == {
        "hook_name": "blocks.1.hook_resid_post",
        "prepend_bos": "true",
        "training.k": "2",
    }
    assert all(tensor.dtype == torch.float32 and tensor.is_contiguous() for tensor in dictionary.tensors().values())
    assert set(dictionary.tensors()) == {"W_enc", "b_enc", "W_dec", "b_dec", "threshold"}
    lines = [
        f"{name} {hashlib.sha256((folder / name).read_bytes()).hexdigest()}"
        for name in ("cfg.json", "sae_weights.safetensors")
    ]
    assert dictionary.digest == hashlib.sha256("\n".join(lines).encode()).hexdigest()
    assert read(folder, "model.layers.7").hook_point == "model.layers.7"


def test_to_moves_every_tensor(make: Callable[..., Path]) -> None:
    moved = read(make("jumprelu")).to("meta")
    assert {str(tensor.device) for tensor in moved.tensors().values()} == {"meta"}
    assert moved.id == "1-res"


def test_check_fits(make: Callable[..., Path]) -> None:
    dictionary = read(make())
    check_fits(dictionary, 6, 6)
    with pytest.raises(AtlasError, match=r"sae: reads vectors of width 6, but blocks.1.hook_resid_post .* gives 8"):
        check_fits(dictionary, 8, 8)
    with pytest.raises(AtlasError, match=r"sae: writes vectors of width 6, but blocks.1.hook_resid_post .* has 8"):
        check_fits(dictionary, 6, 8)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"architecture": "gated"}, "tensor b_gate is missing"),
        ({"architecture": "abstopk"}, "architecture 'abstopk' is not read: its features fire in both directions"),
        ({"architecture": "magic"}, "unknown architecture 'magic'"),
        ({"architecture": None}, "key 'architecture' is missing"),
        ({"architecture": 3}, "architecture is '3', not a text"),
        ({"d_in": None}, "key 'd_in' is missing"),
        ({"d_sae": "many"}, "d_sae is 'many', not a positive number"),
        ({"d_sae": True}, "d_sae is 'True', not a positive number"),
        ({"d_sae": 0}, "d_sae is '0', not a positive number"),
        ({"normalize_activations": "by_magic"}, "normalize_activations is 'by_magic', not one of"),
        ({"reshape_activations": "hook_q"}, "reshape_activations is 'hook_q', not none or hook_z"),
        ({"rescale_acts_by_decoder_norm": True}, "rescale_acts_by_decoder_norm is not known of standard"),
        ({"apply_b_dec_to_input": "yes"}, "apply_b_dec_to_input is 'yes', not true or false"),
        ({"metadata": {}}, "names no hook point"),
        ({"metadata": []}, "metadata is not a mapping of names to values"),
        ({"metadata": ["a"]}, "metadata is not a mapping of names to values"),
        ({"architecture": "topk"}, "key 'k' is missing"),
        ({"architecture": "topk", "k": 11}, "k is 11, more than the 10 features"),
        ({"d_in": 7}, r"sae_weights.safetensors: W_enc is \[6, 10\], but should be \[7, 10\]"),
        ({"architecture": "jumprelu"}, "tensor threshold is missing; it holds W_dec, W_enc, b_dec, b_enc"),
    ],
)
def test_refused_configurations(make: Callable[..., Path], changes: dict[str, Any], says: str) -> None:
    with pytest.raises(AtlasError, match=says):
        read(
            make(**{"architecture": "standard", **changes})
            if changes.get("architecture") not in ("topk", "jumprelu")
            else _bare(make, changes)
        )


def _bare(make: Callable[..., Path], changes: dict[str, Any]) -> Path:
    """A standard SAE's files that claim another architecture."""
    folder = make()
    config = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps({**config, **changes}))
    return folder


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"W_dec": None}, "tensor W_dec is missing"),
        ({"W_dec": torch.zeros(6, 10)}, r"W_dec is \[6, 10\], but should be \[10, 6\]; it looks transposed"),
        ({"b_enc": torch.zeros(10, 1)}, r"b_enc is \[10, 1\], but should be \[10\]"),
        ({"b_dec": torch.full((6,), float("nan"))}, "b_dec holds values that are not finite"),
        ({"W_enc": torch.full((6, 10), float("inf"))}, "W_enc holds values that are not finite"),
        ({"b_dec": torch.zeros(6, dtype=torch.int64)}, "b_dec holds torch.int64, not floating point"),
    ],
)
def test_refused_tensors(make: Callable[..., Path], tensors: dict[str, Any], says: str) -> None:
    with pytest.raises(AtlasError, match=f"sae_weights.safetensors: {says}"):
        read(make(tensors=tensors))


@pytest.mark.parametrize("text", ["{", "[1]", "\xff", "[" * 100_000])
def test_a_config_that_is_none(make: Callable[..., Path], text: str) -> None:
    folder = make()
    (folder / "cfg.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(AtlasError, match=r"cfg.json: not (JSON|a mapping of names to values)"):
        read(folder)


@pytest.mark.parametrize("size", [0, 7, 200, -1])
def test_damaged_weights(make: Callable[..., Path], size: int) -> None:
    folder = make()
    weights = folder / "sae_weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:size])
    with pytest.raises(AtlasError, match=r"sae_weights.safetensors: cannot be read as weights .*; fetch it again"):
        read(folder)


def test_missing_files(make: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(AtlasError, match="no such folder"):
        read(tmp_path / "nowhere")
    folder = make()
    (folder / "sae_weights.safetensors").unlink()
    with pytest.raises(AtlasError, match=r"sae: in no format that is known; it holds cfg\.json; saelens has"):
        read(folder)
    (folder / "cfg.json").unlink()
    with pytest.raises(AtlasError, match=r"sae: in no format that is known; it holds nothing"):
        read(folder)


def test_from_the_hub(make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make()
    asked: list[tuple[str, str]] = []

    def hub_file(address: str, name: str) -> Path:
        asked.append((address, name))
        return folder / name

    monkeypatch.setattr(files, "hub_file", hub_file)
    monkeypatch.setattr(
        files, "hub_files", lambda _address, _depth: ["cfg.json", "sae_weights.safetensors", "README.md"]
    )
    section = DictionarySection(id="hub", source="hf://org/saes/layer_1@v2")
    dictionary = load_dictionary(section, Recipe.model_construct(folder=Path()))
    assert dictionary.source == "hf://org/saes/layer_1@v2"
    assert asked == [(section.source, "cfg.json"), (section.source, "sae_weights.safetensors")]


@pytest.mark.skipif(not DEMO.is_dir(), reason="the demo's dictionaries are not in this checkout")
def test_the_demo_dictionary() -> None:
    dictionary = read(DEMO)
    assert (dictionary.width, dictionary.d_in, dictionary.architecture) == (1024, 640, "jumprelu")
    assert dictionary.hook_point == "blocks.9.hook_resid_post"
    assert dictionary.subtract_b_dec
    torch.testing.assert_close(dictionary.W_dec.norm(dim=1), torch.ones(1024), rtol=0, atol=5e-3)
    x = torch.randn(3, 640) * 200
    np.testing.assert_allclose(dictionary.encode(x).numpy(), by_hand(DEMO, x.numpy()), rtol=1e-3, atol=1e-2)
