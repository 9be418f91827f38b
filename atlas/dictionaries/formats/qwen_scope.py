"""Qwen Scope: one file `layer{N}.sae.pt` a layer.

    Qwen/SAE-Res-{model}-W{thousands}K-L0_{k}/layer{N}.sae.pt
    W_enc[d_sae, d_in]  b_enc[d_sae]  W_dec[d_in, d_sae]  b_dec[d_in]

TopK on the residual stream after block N, without subtracting b_dec. k is in the repository's name and nowhere else;
of a copy under another name the recipe's `k` says it.

Source: sae_lens 6.54.12 (`qwen_scope_*` loaders).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas.dictionaries.base import Dictionary
from atlas.dictionaries.formats.common import Wanted, finished, which_layer
from atlas.dictionaries.tensors import read_tensors
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from atlas.dictionaries.files import Files

NAME = "qwen_scope"
FILE = r"layer(\d+)\.sae\.pt"
LAYOUT = "one file layerN.sae.pt"
REPOSITORY = r"SAE-Res-(.+)-W(\d+)K-L0_(\d+)"


def claims(files: Files) -> bool:
    """Whether files of these names are in this format."""
    return bool(files.matching(FILE))


def read(files: Files, wanted: Wanted) -> Dictionary:
    """Read one; see `common.Format`. Of a whole repository the recipe's `layer`."""
    name, layer = which_layer(files, wanted, FILE)
    repository = files.in_trail(REPOSITORY)
    k = wanted.k or (int(repository[3]) if repository else 0)
    if not k:
        raise AtlasError(files.source, "k is in the repository's name (...-L0_50), and this name has none", "set k")
    tensors = read_tensors(files.path(name))
    d_sae, d_in = tensors.sizes("W_enc")
    if k > d_sae:
        raise AtlasError(tensors.path, f"k is {k}, more than the {d_sae} features there are")
    if repository and int(repository[2]) * 1024 != d_sae:
        raise AtlasError(tensors.path, f"has {d_sae} features, but the repository's name says {repository[2]}K")
    made = Dictionary(
        id=wanted.id,
        architecture="topk",
        hook_point=wanted.place(f"blocks.{layer}.hook_resid_post", files),
        W_enc=tensors.take("W_enc", d_sae, d_in).T.contiguous(),
        b_enc=tensors.take("b_enc", d_sae),
        W_dec=tensors.take("W_dec", d_in, d_sae).T.contiguous(),
        b_dec=tensors.take("b_dec", d_in),
        k=k,
        format=NAME,
        metadata={"model_name": f"Qwen/{repository[1]}"} if repository else {},
    )
    return finished(made, files)
