"""Gemma Scope (Gemma 2): a folder with `params.npz`, or that file itself.

    google/gemma-scope-{2b,9b,27b}-{pt,it}-{res,mlp,att,transcoders}/layer_N/width_W/average_l0_L/params.npz
    google/gemma-scope-{2b,9b,27b}-pt-res/embedding/width_W/average_l0_L/params.npz

    W_enc[d_in, d_sae]  b_enc[d_sae]  W_dec[d_sae, d_out]  b_dec[d_out]  threshold[d_sae]     float32

Names are in lower case (`w_enc`) in some of the files. All are JumpReLU and do not subtract b_dec. The hook point is in
the names of repository and folder:

    -res          blocks.N.hook_resid_post; of embedding/ hook_embed
    -mlp          blocks.N.hook_mlp_out
    -att          blocks.N.attn.hook_z, heads joined
    -transcoders  reads blocks.N.ln2.hook_normalized, writes blocks.N.hook_mlp_out

Embedding SAEs were trained on embeddings before Gemma multiplies them by sqrt(d): W_enc is divided by it here and W_dec
and b_dec are multiplied, so that they read what `hook_embed` gives.

Source: sae_lens 6.54.12 (`gemma_2_*` loaders; they leave an embedding SAE's b_dec as it is), circuit-tracer
(`load_gemma_scope_transcoder`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from atlas.dictionaries.base import Dictionary
from atlas.dictionaries.formats.common import Wanted, finished
from atlas.dictionaries.tensors import read_tensors
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from atlas.dictionaries.files import Files
    from atlas.dictionaries.tensors import Tensors

NAME = "gemma_scope"
WEIGHTS = "params.npz"
LAYOUT = WEIGHTS
SITES = {"res": "hook_resid_post", "mlp": "hook_mlp_out", "att": "attn.hook_z", "transcoders": "ln2.hook_normalized"}


def claims(files: Files) -> bool:
    """Whether files of these names are in this format."""
    return WEIGHTS in files.names


def read(files: Files, wanted: Wanted) -> Dictionary:
    """Read one; see `common.Format`."""
    tensors = read_tensors(files.path(WEIGHTS))
    lower = "w_enc" in tensors
    d_in, d_sae = tensors.sizes("w_enc" if lower else "W_enc")
    _, d_out = tensors.sizes("w_dec" if lower else "W_dec")
    place, transcodes, embeds = _place(files)
    W_enc = tensors.take("w_enc" if lower else "W_enc", d_in, d_sae)
    W_dec = tensors.take("w_dec" if lower else "W_dec", d_sae, d_out)
    b_dec = tensors.take("b_dec", d_out)
    if not transcodes and d_out != d_in:
        raise AtlasError(tensors.path, f"writes {d_out} dimensions but reads {d_in}, as only a transcoder does")
    if embeds:
        root = math.sqrt(d_in)
        W_enc, W_dec, b_dec = W_enc / root, W_dec * root, b_dec * root
    _check_factor(tensors)
    made = Dictionary(
        id=wanted.id,
        architecture="jumprelu",
        hook_point=wanted.place(place, files),
        W_enc=W_enc,
        b_enc=tensors.take("b_enc", d_sae),
        W_dec=W_dec,
        b_dec=b_dec,
        threshold=tensors.take("threshold", d_sae),
        kind="transcoder" if transcodes else "sae",
        hook_out=_out(place) if transcodes else "",
        format=NAME,
        metadata=_metadata(files),
    )
    return finished(made, files)


def _place(files: Files) -> tuple[str, bool, bool]:
    """Hook point ("" if the names do not tell), whether it is a transcoder, whether it reads embeddings."""
    kind = files.in_trail(r"gemma-scope-.*-(res|mlp|att|transcoders)\b")
    site = kind[1] if kind else ""
    embeds = "embedding" in files.trail
    layer = files.in_trail(r"^layer_(\d+)")
    if embeds:
        return "hook_embed", False, True
    place = f"blocks.{layer[1]}.{SITES[site]}" if layer and site else ""
    return place, site == "transcoders", False


def _out(place: str) -> str:
    return place.replace("ln2.hook_normalized", "hook_mlp_out")


def _check_factor(tensors: Tensors) -> None:
    if "scaling_factor" in tensors:
        factor = tensors.take("scaling_factor", *tensors.shape("scaling_factor"))
        if not bool((factor == 1).all()):
            raise AtlasError(tensors.path, "scaling_factor is not 1 everywhere, which no published file has")


def _metadata(files: Files) -> dict[str, str]:
    size = files.in_trail(r"gemma-scope-(\d+b)-(pt|it)")
    l0 = files.in_trail(r"^average_l0_(\d+)")
    found = {"model_name": f"google/gemma-2-{size[1]}{'-it' if size[2] == 'it' else ''}" if size else ""}
    found["average_l0"] = l0[1] if l0 else ""
    return {key: value for key, value in found.items() if value}
