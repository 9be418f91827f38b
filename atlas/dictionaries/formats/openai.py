"""OpenAI's sparse autoencoders, version 5: one `.pt` file.

    az://openaipublic/sparse-autoencoder/gpt2-small/{location}_v5_{32k,128k}/autoencoders/{layer}.pt
    encoder.weight[n, d]  latent_bias[n]  decoder.weight[d, n]  pre_bias[d]
    activation "TopK" with activation_state_dict {k, postact_fn}, or "ReLU"

    encode:  x' = LayerNorm(x) without weights (TopK only), then the k highest of (x' - pre_bias) @ W.T + latent_bias,
             through ReLU
    decode:  (activations @ W_dec + pre_bias) * std + mean

`location` is resid_post_attn (the stream between attention and MLP: hook_resid_mid), resid_post_mlp, mlp_post_act,
resid_delta_attn or resid_delta_mlp. Three more entries hold statistics of training and are not read.

Source: openai/sparse_autoencoder, `model.py` and `paths.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas.dictionaries.base import Dictionary
from atlas.dictionaries.formats.common import Wanted, finished
from atlas.dictionaries.tensors import Tensors, read_tensors
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from atlas.dictionaries.files import Files

NAME = "openai"
FILE = r"\d+\.pt"
LAYOUT = "one file LAYER.pt"
SITES = {
    "resid_post_attn": "hook_resid_mid",
    "resid_post_mlp": "hook_resid_post",
    "mlp_post_act": "mlp.hook_post",
    "resid_delta_attn": "hook_attn_out",
    "resid_delta_mlp": "hook_mlp_out",
}


def claims(files: Files) -> bool:
    """Whether files of these names are in this format."""
    return files.single and bool(files.matching(FILE))


def read(files: Files, wanted: Wanted) -> Dictionary:
    """Read one; see `common.Format`."""
    (name,) = files.names
    tensors = read_tensors(files.path(name))
    n, d = tensors.sizes("encoder.weight")
    activation = tensors.other("activation") or "ReLU"
    k = _k(tensors, n) if activation == "TopK" else None
    if activation not in {"TopK", "ReLU"}:
        raise AtlasError(tensors.path, f"activation {str(activation)[:40]!r} is not read", "read are TopK and ReLU")
    location = files.in_trail(r"^(" + "|".join(SITES) + ")")
    layer = name.partition(".")[0]
    made = Dictionary(
        id=wanted.id,
        architecture="topk" if k else "standard",
        hook_point=wanted.place(f"blocks.{int(layer)}.{SITES[location[1]]}" if location else "", files),
        W_enc=tensors.take("encoder.weight", n, d).T.contiguous(),
        b_enc=tensors.take("latent_bias", n),
        W_dec=tensors.take("decoder.weight", d, n).T.contiguous(),
        b_dec=tensors.take("pre_bias", d),
        k=k,
        subtract_b_dec=True,
        normalise="layer_norm" if k else "none",
        format=NAME,
        metadata={"location": location[1], "layer": layer} if location else {"layer": layer},
    )
    return finished(made, files)


def _k(tensors: Tensors, n: int) -> int:
    state = tensors.other("activation_state_dict")
    k = state.get("k") if isinstance(state, dict) else None
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= n:
        raise AtlasError(tensors.path, f"activation_state_dict.k is {str(k)[:40]!r}, but there are {n} features")
    if state.get("postact_fn", "ReLU") != "ReLU":
        raise AtlasError(tensors.path, "postact_fn is not ReLU: features would fire in both directions")
    return k
