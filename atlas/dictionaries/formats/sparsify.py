"""EleutherAI's sparsify: a folder a hook point, with `cfg.json` and `sae.safetensors`.

    EleutherAI/sae-llama-3-8b-32x/layers.24/, EleutherAI/skip-transcoder-Llama-3.2-1B-131k/layers.3.mlp/, ...
    encoder.weight[n, d]  encoder.bias[n]  W_dec[n, d]  b_dec[d]  and for skip transcoders W_skip[d, d]

`cfg.json`: d_in, k, num_latents (0: expansion_factor d_in), transcode, skip_connection, activation (topk or groupmax),
normalize_decoder, signed (of older releases).

    encode:  the k highest of relu((x - b_dec, or x where transcode) @ W.T + b)
    decode:  activations @ W_dec + b_dec, and x @ W_skip.T

The folder is named after a module of the transformers model: `layers.N` is the output of a block, `layers.N.mlp` an
SAE on the MLP's output, or a transcoder that reads the MLP's input and writes its output, `layers.N.attention` or
`.self_attn` attention's output, `embed_tokens` the embedding.

SAELens's loader transposes W_dec, which is stored [n, d]; takes num_latents 0 for a width of 0; subtracts b_dec where
`normalize_decoder` is false instead of where `transcode` is false; and takes every folder for a residual stream. None
of that is done here.

Source: EleutherAI/sparsify, `sparse_coder.py`, `fused_encoder.py`, `config.py`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from atlas.dictionaries.base import Dictionary
from atlas.dictionaries.formats.common import Wanted, finished
from atlas.dictionaries.settings import Settings
from atlas.dictionaries.tensors import read_tensors
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from atlas.dictionaries.files import Files

NAME = "sparsify"
CONFIG, WEIGHTS = "cfg.json", "sae.safetensors"
LAYOUT = f"{CONFIG}, {WEIGHTS}"
NOT_READ = ("signed", "embed_skip", "gram_lookup")
"""Settings that change what is computed, and that no released dictionary has."""


def claims(files: Files) -> bool:
    """Whether files of these names are in this format."""
    return {CONFIG, WEIGHTS} <= files.names


def read(files: Files, wanted: Wanted) -> Dictionary:
    """Read one; see `common.Format`."""
    config = Settings.read(files.path(CONFIG))
    for key in NOT_READ:
        if config.flag(key, default=False):
            raise AtlasError(config.path, f"{key} = true is not read")
    if config.text("activation", "topk") != "topk":
        raise config.wrong("activation", config.get("activation"), "topk, the only one that is read")
    tensors = read_tensors(files.path(WEIGHTS))
    d_in, k = config.count("d_in"), config.count("k")
    latents = config.get("num_latents") or d_in * config.count("expansion_factor", 32)
    n, d = tensors.sizes("encoder.weight")
    if (n, d) != (latents, d_in):
        raise AtlasError(tensors.path, f"encoder.weight is {[n, d]}, but {CONFIG} asks for {[latents, d_in]}")
    if k > n:
        raise AtlasError(config.path, f"k is {k}, more than the {n} features there are")
    transcodes = config.flag("transcode", default=False)
    skips = config.flag("skip_connection", default=False)
    place, out = _places(files, transcodes=transcodes)
    made = Dictionary(
        id=wanted.id,
        architecture="topk" if not transcodes else "skip_transcoder" if skips else "transcoder",
        hook_point=wanted.place(place, files),
        W_enc=tensors.take("encoder.weight", n, d).T.contiguous(),
        b_enc=tensors.take("encoder.bias", n),
        W_dec=tensors.take("W_dec", n, d),
        b_dec=tensors.take("b_dec", d),
        k=k,
        subtract_b_dec=not transcodes,
        kind="transcoder" if transcodes else "sae",
        hook_out=out,
        W_skip=tensors.take("W_skip", d, d).T.contiguous() if skips else None,
        format=NAME,
        metadata=config.flat(),
    )
    return finished(made, files)


def _places(files: Files, *, transcodes: bool) -> tuple[str, str]:
    """Where it reads and, for a transcoder, where it writes, by the folder's name; "" if that does not tell."""
    name = files.trail[-1] if files.trail else ""
    found = re.fullmatch(r"(?:model\.)?(?:gpt_neox\.)?(?:layers|h)[._](\d+)(?:\.(mlp|attention|self_attn|attn))?", name)
    if name == "embed_tokens":
        return "hook_embed", ""
    if not found:
        return "", ""
    block, part = f"blocks.{found[1]}", found[2]
    if transcodes:
        return (f"{block}.mlp.hook_in", f"{block}.hook_mlp_out") if part == "mlp" else ("", "")
    site = {None: "hook_resid_post", "mlp": "hook_mlp_out"}.get(part, "hook_attn_out")
    return f"{block}.{site}", ""
