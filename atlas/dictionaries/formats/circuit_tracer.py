"""circuit-tracer's transcoders: one file a layer; of a cross-layer transcoder two files a layer.

    layer_N.safetensors      W_enc[d_sae, d]  b_enc[d_sae]  W_dec[d_sae, d]  b_dec[d]
                             optional activation_function.threshold[d_sae], k (a number), W_skip[d, d]
    W_enc_N.safetensors      W_enc_N[d_sae, d]  b_enc_N[d_sae]  b_dec_N[d], optional threshold_N[d_sae]
    W_dec_N.safetensors      W_dec_N[d_sae, layers from N on, d]

`config.yaml` in the same folder or above: model_name, feature_input_hook (such as mlp.hook_in or hook_resid_mid),
feature_output_hook, and for some k.

ReLU, or JumpReLU where there are thresholds, or the k highest; b_dec is not subtracted; a skip transcoder adds
x @ W_skip.T. Of a cross-layer transcoder one layer is read as a transcoder whose decoder is the sum over the layers
that it writes to: good for activations and for logit effects, not for rebuilding.

Some repositories say wandb-config.yaml (or, by mistake, wanb-config.yaml) beside it; nothing there is needed.

Source: safety-research/circuit-tracer, `transcoder/{single,cross}_layer_transcoder.py`; sae_lens 6.54.12
(`mwhanna_transcoder_*`, `mntss_clt_layer_*`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor

from atlas.dictionaries.base import Dictionary
from atlas.dictionaries.formats.common import Wanted, finished, which_layer
from atlas.dictionaries.settings import Settings
from atlas.dictionaries.tensors import read_tensors
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from atlas.dictionaries.files import Files

NAME = "circuit_tracer"
SINGLE, CROSS = r"layer_(\d+)\.safetensors", r"W_enc_(\d+)\.safetensors"
CONFIG = "config.yaml"
LAYOUT = "layer_N.safetensors, or W_enc_N.safetensors and W_dec_N.safetensors; config.yaml"
DEFAULT_INPUT, DEFAULT_OUTPUT = "hook_resid_mid", "hook_mlp_out"
"""circuit-tracer's own, where no configuration says otherwise."""


def claims(files: Files) -> bool:
    """Whether files of these names are in this format."""
    return bool(files.matching(SINGLE) or files.matching(CROSS))


def read(files: Files, wanted: Wanted) -> Dictionary:
    """Read one; see `common.Format`. Of a folder the recipe's `layer`."""
    config = _config(files)
    crosses = not files.matching(SINGLE)
    _, layer = which_layer(files, wanted, CROSS if crosses else SINGLE)
    made = _cross(files, config, layer) if crosses else _single(files, config, layer)
    place = wanted.place(f"blocks.{layer}.{config.text('feature_input_hook', DEFAULT_INPUT)}", files)
    out = f"blocks.{layer}.{config.text('feature_output_hook', DEFAULT_OUTPUT)}"
    k = wanted.k or made.k
    if k is not None and k > made.width:
        raise AtlasError(files.source, f"k is {k}, more than the {made.width} features there are")

    return finished(replace(made, id=wanted.id, hook_point=place, hook_out=out, k=k or None), files)


def _single(files: Files, config: Settings, layer: int) -> Dictionary:
    tensors = read_tensors(files.path(f"layer_{layer}.safetensors"))
    d_sae, d = tensors.sizes("W_enc")
    name = "activation_function.threshold"
    threshold = tensors.take(name, d_sae) if name in tensors else None
    k = int(tensors.scalar("k")) if "k" in tensors else config.count("k") if config.has("k") else None
    if k is not None and k < 1:
        raise AtlasError(tensors.path, f"k is {k}")
    skip = tensors.take("W_skip", d, d).T.contiguous() if "W_skip" in tensors else None
    return _made(
        tensors.take("W_enc", d_sae, d), tensors.take("b_enc", d_sae), tensors.take("W_dec", d_sae, d),
        tensors.take("b_dec", d), threshold, k, skip, config,
    )  # fmt: skip


def _cross(files: Files, config: Settings, layer: int) -> Dictionary:
    encoder = read_tensors(files.path(f"W_enc_{layer}.safetensors"))
    decoder = read_tensors(files.path(f"W_dec_{layer}.safetensors"))
    d_sae, d = encoder.sizes(f"W_enc_{layer}")
    shape = decoder.shape(f"W_dec_{layer}")
    if len(shape) != 3 or shape[0] != d_sae or shape[2] != d or not shape[1]:  # noqa: PLR2004
        raise AtlasError(decoder.path, f"W_dec_{layer} is {list(shape)}, but should be [{d_sae}, layers, {d}]")
    threshold = f"threshold_{layer}"
    return _made(
        encoder.take(f"W_enc_{layer}", d_sae, d), encoder.take(f"b_enc_{layer}", d_sae),
        decoder.take(f"W_dec_{layer}", *shape).sum(dim=1), encoder.take(f"b_dec_{layer}", d),
        encoder.take(threshold, d_sae) if threshold in encoder else None, None, None, config,
    )  # fmt: skip


def _made(
    W_enc: Tensor, b_enc: Tensor, W_dec: Tensor, b_dec: Tensor, threshold: Tensor | None, k: int | None,
    skip: Tensor | None, config: Settings,
) -> Dictionary:  # fmt: skip
    lead = "jumprelu_" if threshold is not None else "topk_" if k else ""
    return Dictionary(
        id="",
        architecture=f"{lead}{'skip_' if skip is not None else ''}transcoder",
        hook_point="",
        W_enc=W_enc.T.contiguous(),
        b_enc=b_enc,
        W_dec=W_dec,
        b_dec=b_dec,
        threshold=threshold,
        k=k,
        kind="transcoder",
        W_skip=skip,
        format=NAME,
        metadata=config.flat(),
    )


def _config(files: Files) -> Settings:
    path = files.path(CONFIG) if CONFIG in files.names else files.beside(CONFIG)
    return Settings.read(path) if path else Settings("(no config.yaml)", {})
