"""Gemma Scope 2 (Gemma 3): a folder with `params.safetensors` and mostly `config.json`.

Of a cross-layer transcoder there is one file a layer.

    google/gemma-scope-2-{270m,1b,4b,12b,27b}-{pt,it}/
        {resid_post,attn_out,mlp_out,transcoder}[_all]/layer_N_width_W_l0_{small,medium,big}[_affine]/
        clt/width_W_l0_L[_affine]/params_layer_N.safetensors

    w_enc[d_in, d_sae]  b_enc[d_sae]  w_dec[d_sae, d_out]  b_dec[d_out]  threshold[d_sae]
    affine:  affine_skip_connection[d_in, d_out]
    clt:     w_dec[d_sae, layers, d_out]: what it writes to each layer from its own on

All are JumpReLU and do not subtract b_dec. `config.json` {architecture "jump_relu", model_name, hf_hook_point_in,
hf_hook_point_out, affine_connection} may be missing; the folder's name tells as much.

    resid_post  blocks.N.hook_resid_post
    attn_out    blocks.N.attn.hook_z, heads joined
    mlp_out     blocks.N.hook_mlp_out, after the norm that follows the MLP
    transcoder  reads what the norm before the MLP gives (pre_feedforward_layernorm.output), blocks.N.mlp.hook_in;
                writes blocks.N.hook_mlp_out

SAELens calls the transcoders' input `hook_mlp_in`, which in TransformerLens is the stream before that norm; the
publisher's `hf_hook_point_in` decides. Of a cross-layer transcoder one layer is read as a transcoder whose decoder is
the sum over the layers that it writes to (as SAELens does): good for activations and for logit effects, not for
rebuilding.

Source: sae_lens 6.54.12 (`gemma_3_*` loaders), circuit-tracer (`load_gemma_scope_2_transcoder`, `..._clt`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from atlas.dictionaries.base import Dictionary
from atlas.dictionaries.formats.common import Wanted, finished, which_layer
from atlas.dictionaries.settings import Settings
from atlas.dictionaries.tensors import read_tensors
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from atlas.dictionaries.files import Files

NAME = "gemma_scope_2"
CONFIG, WEIGHTS = "config.json", "params.safetensors"
CROSS = r"params_layer_(\d+)\.safetensors"
LAYOUT = f"{WEIGHTS}, {CONFIG} (may be missing); of a cross-layer transcoder params_layer_N.safetensors"
SITES = {
    "resid_post": "hook_resid_post",
    "attn_out": "attn.hook_z",
    "mlp_out": "hook_mlp_out",
    "transcoder": "mlp.hook_in",
    "clt": "mlp.hook_in",
}


def claims(files: Files) -> bool:
    """Whether files of these names are in this format."""
    return WEIGHTS in files.names or bool(files.matching(CROSS))


def read(files: Files, wanted: Wanted) -> Dictionary:
    """Read one; see `common.Format`. Of a cross-layer transcoder the recipe's `layer`, if its address is a folder."""
    crosses = WEIGHTS not in files.names
    name = which_layer(files, wanted, CROSS)[0] if crosses else WEIGHTS
    config = Settings.read(files.path(CONFIG)) if CONFIG in files.names else Settings("(no config.json)", {})
    if config.text("architecture", "jump_relu") != "jump_relu":
        raise config.wrong("architecture", config.get("architecture"), "jump_relu")
    tensors = read_tensors(files.path(name))
    d_in, d_sae = tensors.sizes("w_enc")
    shape = tensors.shape("w_dec")
    if len(shape) != (3 if crosses else 2) or shape[0] != d_sae:
        raise AtlasError(tensors.path, f"w_dec is {list(shape)}, which does not fit w_enc's [{d_in}, {d_sae}]")
    d_out = shape[-1]
    W_dec = tensors.take("w_dec", *shape)
    site, layer = _place(files, name)
    transcodes = site in {"transcoder", "clt"} or crosses or config.has("hf_hook_point_out")
    if not transcodes and d_in != d_out:
        raise AtlasError(tensors.path, f"writes {d_out} dimensions but reads {d_in}, as only a transcoder does")
    skip = tensors.take("affine_skip_connection", d_in, d_out) if "affine_skip_connection" in tensors else None
    made = Dictionary(
        id=wanted.id,
        architecture="jumprelu_skip_transcoder"
        if skip is not None
        else "jumprelu_transcoder"
        if transcodes
        else "jumprelu",
        hook_point=wanted.place(
            f"blocks.{layer}.{SITES[site]}" if site and layer else config.text("hf_hook_point_in", ""), files
        ),
        W_enc=tensors.take("w_enc", d_in, d_sae),
        b_enc=tensors.take("b_enc", d_sae),
        W_dec=W_dec.sum(dim=1) if crosses else W_dec,
        b_dec=tensors.take("b_dec", d_out),
        threshold=tensors.take("threshold", d_sae),
        kind="transcoder" if transcodes else "sae",
        hook_out=f"blocks.{layer}.hook_mlp_out"
        if transcodes and layer
        else config.text("hf_hook_point_out", "")
        if transcodes
        else "",
        W_skip=skip,
        format=NAME,
        metadata=_metadata(files, config),
    )
    return finished(made, files)


def _place(files: Files, name: str) -> tuple[str, str]:
    """Site and layer by the names of folders and file; "" for what they do not tell."""
    site = files.in_trail(r"^(resid_post|attn_out|mlp_out|transcoder|clt)(?:_all)?$")
    layer = files.in_trail(r"(?:^|_)layer_(\d+)") or files.in_trail(r"layer_(\d+)")

    own = re.fullmatch(CROSS, name)
    return site[1] if site else "", own[1] if own else layer[1] if layer else ""


def _metadata(files: Files, config: Settings) -> dict[str, str]:
    found = config.flat()
    repo = files.in_trail(r"gemma-scope-2-(.+)")
    if "model_name" not in found and repo:
        found["model_name"] = f"google/gemma-3-{repo[1]}"
    if "270m" in found.get("model_name", ""):  # the model's own id has no -pt
        found["model_name"] = found["model_name"].replace("-pt", "")
    return found
