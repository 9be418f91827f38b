"""Hook points: the field's names for places in a transformer -> modules of a transformers model.

    hook_embed                   token embeddings, before positions are added
    blocks.N.hook_resid_pre      residual stream before block N          input of the block
    blocks.N.hook_resid_mid      between attention and MLP               input of the norm before the MLP
    blocks.N.hook_resid_post     residual stream after block N           output of the block
    blocks.N.hook_attn_out       what attention adds to it               output of attention, or of the norm after it
    blocks.N.hook_mlp_out        what the MLP adds to it                 output of the MLP, or of the norm after it
    blocks.N.hook_mlp_in         what the MLP's norm reads               as hook_resid_mid; where both run in parallel
                                                                         hook_resid_pre
    blocks.N.ln1.hook_normalized, blocks.N.ln2.hook_normalized
                                 a norm's result before its gain         input of the norm, divided by its length
    blocks.N.attn.hook_z         attention's heads, joined               input of its output projection
    blocks.N.mlp.hook_in         what the MLP's first map reads          input of the MLP
    blocks.N.mlp.hook_post       the MLP's neurons                       input of its down projection
    model.layers.9, ...          any module by its path                  output of the module

All but the last are TransformerLens's names and have its meaning: where a model normalises once more before it adds
to the stream (Gemma 2 and 3), `attn_out` and `mlp_out` are taken after that norm. `mlp.hook_in` is called so in
TransformerLens 3, and `hook_normalized` of a LayerNorm is as there: version 2 has gain and bias in it unless they are
folded. Names other than those of the residual stream are offered for the families of `families.FAMILIES`, for which
tests check each against arithmetic of its own, and `build/bench/hooks.py` against TransformerLens; a module path works
for every family.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from atlas.errors import AtlasError
from atlas.model.families import FAMILIES, Family

Side = Literal["input", "output", "normalized"]

CONTAINERS = ("layers", "h", "language_model.layers", "decoder.layers")
"""Where families keep their blocks, relative to the base model."""

SITES = (
    "hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out", "hook_mlp_out", "hook_mlp_in",
    "ln1.hook_normalized", "ln2.hook_normalized", "attn.hook_z", "mlp.hook_in", "mlp.hook_post",
)  # fmt: skip
"""What may follow `blocks.N.`."""

_NAMED = re.compile(rf"blocks\.(\d+)\.({'|'.join(map(re.escape, SITES))})")
_PATH = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
_LAYER = re.compile(r"(?:^|\.)(?:blocks|layers|h)\.(\d+)(?:\.|$)")
KNOWN = (
    "hook_embed, blocks.N.hook_{resid_pre,resid_mid,resid_post,attn_out,mlp_out,mlp_in}, "
    "blocks.N.{ln1,ln2}.hook_normalized, blocks.N.attn.hook_z, blocks.N.mlp.hook_{in,post}, or the path of a module "
    "such as model.layers.N"
)


@dataclass(frozen=True, slots=True)
class HookPoint:
    """A place in a model.

    Attributes:
        name: What it goes by.
        path: The module there, relative to the base model.
        layer: The block that the name speaks of, or None.
        side: What of the module is meant: its output, its input, or its input normalised without a gain.
        linear: The linear map that takes what is there into the residual stream, relative to the base model, and the
            norm after it; "" for none. Logit effects go through both.
    """

    name: str
    path: str
    layer: int | None
    side: Side = "output"
    linear: str = ""
    after: str = ""

    @property
    def in_stream(self) -> bool:
        """Whether what is there is of the residual stream, or is added to it as it is."""
        return not self.linear and self.side != "normalized"


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


def find_hook(base: nn.Module, prefix: str, config: Any, name: str) -> HookPoint:
    """The hook point of this name in this model.

    Args:
        base: The model without its head (`lm.base_model`).
        prefix: What the head's model calls the base, such as `model`; stripped from module paths.
        config: The text model's configuration; its `model_type` is the family.
        name: One of the names in this module's docstring.

    Raises:
        AtlasError: If the name has another form, or names a block or module that the model does not have.
    """
    container = blocks_path(base)
    if name == "hook_embed":
        family = FAMILIES.get(config.model_type)
        if family is not None and family.embedding:
            return HookPoint(name, family.embedding, None)
        return HookPoint(name, f"{container}.0", 0, "input")
    named = _NAMED.fullmatch(name)
    if named is None:
        return _find_module(base, prefix, name)
    layer, site = int(named[1]), named[2]
    count = len(list(base.get_submodule(container).children()))
    if layer >= count:
        raise AtlasError(name, f"the model has {count} blocks", f"the last is blocks.{count - 1}")
    block = f"{container}.{layer}"
    if site in {"hook_resid_pre", "hook_resid_post"}:
        return HookPoint(name, block, layer, "input" if site == "hook_resid_pre" else "output")
    family = FAMILIES.get(config.model_type)
    if family is None:
        known = ", ".join(sorted(FAMILIES))
        raise AtlasError(
            name, f"not known for the family {config.model_type}", f"known for {known}; or give a module path"
        )
    parallel = bool(getattr(config, "use_parallel_residual", False)) if family.parallel == "config" else family.parallel
    return _inside(HookPoint(name, block, layer), site, family, parallel=bool(parallel))


def _inside(at: HookPoint, site: str, family: Family, *, parallel: bool) -> HookPoint:
    """A place inside a block; `at` is the block."""

    def path(module: str) -> str:
        return f"{at.path}.{module}"

    attention, mlp = family.added
    after = {
        "out": "" if attention == family.attention else path(attention),
        "down": "" if mlp == family.mlp else path(mlp),
    }
    if site == "hook_mlp_in" and parallel:
        return replace(at, side="input")
    if site == "hook_resid_mid" and parallel:
        raise AtlasError(at.name, "attention and MLP run in parallel in this model: there is nothing between them")
    found: dict[str, HookPoint] = {
        "hook_attn_out": replace(at, path=path(attention)),
        "hook_mlp_out": replace(at, path=path(mlp)),
        "hook_resid_mid": replace(at, path=path(family.norms[1]), side="input"),
        "hook_mlp_in": replace(at, path=path(family.norms[1]), side="input"),
        "ln1.hook_normalized": replace(at, path=path(family.norms[0]), side="normalized"),
        "ln2.hook_normalized": replace(at, path=path(family.norms[1]), side="normalized"),
        "attn.hook_z": replace(at, path=path(family.out), side="input", linear=path(family.out), after=after["out"]),
        "mlp.hook_in": replace(at, path=path(family.mlp), side="input"),
        "mlp.hook_post": replace(
            at, path=path(family.down), side="input", linear=path(family.down), after=after["down"]
        ),
    }
    return found[site]


def normalized(norm: nn.Module, x: Tensor) -> Tensor:
    """What a norm makes of its input before gain and bias, in float32: centred for a LayerNorm, divided by its length.

    Raises:
        AtlasError: If the norm says no epsilon.
    """
    epsilon = next((getattr(norm, name) for name in ("variance_epsilon", "eps") if hasattr(norm, name)), None)
    if epsilon is None:
        raise AtlasError(type(norm).__name__, "a norm whose epsilon is not found")
    x = x.float()
    if isinstance(norm, nn.LayerNorm):
        x = x - x.mean(dim=-1, keepdim=True)
    return x * torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True) + float(epsilon))


def _find_module(base: nn.Module, prefix: str, name: str) -> HookPoint:
    # `model.layers.9` is how people write it, `layers.9` how some weight formats do; some add which side they mean.
    bare, side = name, "output"
    for suffix in ("input", "output"):
        if name.endswith(f".{suffix}") and _find(base, name.removeprefix(f"{prefix}.")) is None:
            bare, side = name.removesuffix(f".{suffix}"), suffix
    for path in (bare.removeprefix(f"{prefix}.") if prefix else bare, bare):
        if _PATH.fullmatch(path) and _find(base, path) is not None:
            return HookPoint(name, path, layer_of(name), "input" if side == "input" else "output")
    container = blocks_path(base)
    lead = f"{prefix}.{container}" if prefix else container
    raise AtlasError(name, "no such hook point in this model", f"known: {KNOWN.replace('model.layers', lead)}")


def _find(module: nn.Module, path: str) -> nn.Module | None:
    try:
        return module.get_submodule(path)
    except AttributeError:
        return None
