"""Names of hook points, good and bad."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from atlas.errors import AtlasError
from atlas.model.hooks import HookPoint, blocks_path, find_hook, layer_of


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("blocks.9.hook_resid_post", 9),
        ("model.layers.12", 12),
        ("model.layers.12.mlp", 12),
        ("layers.3", 3),
        ("transformer.h.11", 11),
        ("model.embed_tokens", None),
        ("", None),
    ],
)
def test_layer_of(name: str, layer: int | None) -> None:
    assert layer_of(name) == layer


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("blocks.4.hook_resid_post", "the model has 4 blocks; the last is blocks.3"),
        (
            "blocks.0.hook_z",
            r"known: hook_embed, blocks.N.hook_\{resid_pre,resid_mid,resid_post,attn_out,mlp_out,mlp_in\}",
        ),
        ("model.layers.99", "such as model.layers.N"),
        ("blocks.x.hook_resid_post", "no such hook point"),
        ("../secrets", "no such hook point"),
        ("", "no such hook point"),
        ("lm_head", "no such hook point"),
    ],
)
def test_bad_names_say_what_is_known(name: str, says: str, tiny: SimpleNamespace) -> None:
    base = tiny.transformer("llama").base_model
    with pytest.raises(AtlasError, match=says):
        find_hook(base, "model", SimpleNamespace(model_type="llama"), name)


def test_only_verified_families_have_what_is_added(tiny: SimpleNamespace) -> None:
    base = tiny.transformer("llama").base_model
    with pytest.raises(
        AtlasError, match="not known for the family strange; known for gemma, gemma2, gemma3_text, gpt2"
    ):
        find_hook(base, "model", SimpleNamespace(model_type="strange"), "blocks.0.hook_mlp_out")
    assert find_hook(base, "model", SimpleNamespace(model_type="strange"), "blocks.0.hook_resid_pre") == HookPoint(
        "blocks.0.hook_resid_pre", "layers.0", 0, "input"
    )


def test_a_model_without_blocks(tiny: SimpleNamespace) -> None:
    with pytest.raises(AtlasError, match="known places: layers, h"):
        blocks_path(tiny.transformer("gpt2"))
