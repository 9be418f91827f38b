"""Hook points: the field's names for places in a transformer -> modules of a transformers model.

    blocks.N.hook_resid_pre     residual stream before block N     input of the block
    blocks.N.hook_resid_post    residual stream after block N      output of the block
    blocks.N.hook_attn_out      what attention adds to it          output of the attention, or of the norm after it
    blocks.N.hook_mlp_out       what the MLP adds to it            output of the MLP, or of the norm after it
    model.layers.9, ...         any module by its path             output of the module

The first four are TransformerLens's names and have its meaning: where a model normalises once more before it adds
to the stream (Gemma 2 and 3), `attn_out` and `mlp_out` are taken after that norm. They are offered for the families
of `ADDS` alone, for which a test checks that `resid_pre + attn_out + mlp_out` is `resid_post`; a module path works
for every family.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from torch import nn

from atlas.errors import AtlasError

Site = Literal["resid_pre", "resid_post", "attn_out", "mlp_out", "module"]

CONTAINERS = ("layers", "h", "language_model.layers", "decoder.layers")
"""Where families keep their blocks, relative to the base model."""

ADDS: dict[str, tuple[str, str]] = {
    "gemma2": ("post_attention_layernorm", "post_feedforward_layernorm"),
    "gemma3_text": ("post_attention_layernorm", "post_feedforward_layernorm"),
    "gpt2": ("attn", "mlp"),
    "gpt_neox": ("attention", "mlp"),
    "llama": ("self_attn", "mlp"),
    "mistral": ("self_attn", "mlp"),
    "qwen2": ("self_attn", "mlp"),
    "qwen3": ("self_attn", "mlp"),
}
"""Family (`config.model_type`) -> the modules of a block whose outputs are added to the residual stream."""

_NAMED = re.compile(r"blocks\.(\d+)\.hook_(resid_pre|resid_post|attn_out|mlp_out)")
_PATH = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
_LAYER = re.compile(r"(?:^|\.)(?:blocks|layers|h)\.(\d+)(?:\.|$)")
KNOWN = "blocks.N.hook_{resid_pre,resid_post,attn_out,mlp_out} or the path of a module such as model.layers.N"


@dataclass(frozen=True, slots=True)
class HookPoint:
    """A place in a model: the name it goes by, the module there, and which side of the module is meant."""

    name: str
    site: Site
    path: str
    layer: int | None

    @property
    def reads_input(self) -> bool:
        """Whether the module's input is meant, not its output."""
        return self.site == "resid_pre"


def layer_of(hook_point: str) -> int | None:
    """The block that a hook point's name speaks of; None when it names none."""
    found = _LAYER.search(hook_point)
    return int(found[1]) if found else None


def blocks_path(base: nn.Module) -> str:
    """Path of the list of blocks, relative to the base model.

    Raises:
        AtlasError: If the model keeps its blocks in none of the known places.
    """
    for path in CONTAINERS:
        if isinstance(_find(base, path), nn.ModuleList):
            return path
    known = ", ".join(CONTAINERS)
    raise AtlasError(type(base).__name__, "a family whose blocks are not found", f"known places: {known}")


def find_hook(base: nn.Module, prefix: str, family: str, name: str) -> HookPoint:
    """The hook point of this name in this model.

    Args:
        base: The model without its head (`lm.base_model`).
        prefix: What the head's model calls the base, such as `model`; stripped from module paths.
        family: `config.model_type` of the text model.
        name: One of the names in this module's docstring.

    Raises:
        AtlasError: If the name has another form, or names a block or module that the model does not have.
    """
    named = _NAMED.fullmatch(name)
    if named is None:
        return _find_module(base, prefix, name)
    container = blocks_path(base)
    blocks = base.get_submodule(container)
    layer, site = int(named[1]), named[2]
    count = len(list(blocks.children()))
    if layer >= count:
        raise AtlasError(name, f"the model has {count} blocks", f"the last is blocks.{count - 1}")
    path = f"{container}.{layer}"
    if site == "resid_pre":
        return HookPoint(name, "resid_pre", path, layer)
    if site == "resid_post":
        return HookPoint(name, "resid_post", path, layer)
    if family not in ADDS:
        known = ", ".join(sorted(ADDS))
        raise AtlasError(name, f"not known for the family {family}", f"known for {known}; or give a module path")
    attention, mlp = ADDS[family]
    if site == "attn_out":
        return HookPoint(name, "attn_out", f"{path}.{attention}", layer)
    return HookPoint(name, "mlp_out", f"{path}.{mlp}", layer)


def _find_module(base: nn.Module, prefix: str, name: str) -> HookPoint:
    # `model.layers.9` is how people write it, `layers.9` how some weight formats do.
    for path in (name.removeprefix(f"{prefix}.") if prefix else name, name):
        if _PATH.fullmatch(path) and _find(base, path) is not None:
            return HookPoint(name, "module", path, layer_of(name))
    container = blocks_path(base)
    lead = f"{prefix}.{container}" if prefix else container
    raise AtlasError(name, "no such hook point in this model", f"known: {KNOWN.replace('model.layers', lead)}")


def _find(module: nn.Module, path: str) -> nn.Module | None:
    try:
        return module.get_submodule(path)
    except AttributeError:
        return None
