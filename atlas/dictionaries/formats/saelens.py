"""SAELens: a folder with `cfg.json` and `sae_weights.safetensors`, of version 6 or before.

    W_enc[d_in, d_sae]  b_enc[d_sae]  W_dec[d_sae, d_out]  b_dec[d_out]
    jumprelu:  threshold[d_sae]
    gated:     b_gate, b_mag, r_mag [d_sae] instead of b_enc
    skip:      W_skip[d_out, d_in]

`cfg.json` of version 6: architecture, d_in, d_sae, apply_b_dec_to_input, normalize_activations, reshape_activations,
k and rescale_acts_by_decoder_norm for topk, d_out for transcoders, metadata {model_name, hook_name, hook_name_out,
...}. Before version 6 it is flat: hook_point or hook_name, activation_fn_str with activation_fn_kwargs {k}, and
normalize_activations true or false; a hook point on `hook_z` is read with its heads joined.

`expected_average_only_in` was a factor while training, which is worked into published weights: nothing is left to do.
`constant_norm_rescale` and `layer_norm` are done to each vector. batchtopk and matryoshka_batchtopk are saved as
jumprelu.

Source: sae_lens 6.54.12, `saes/*.py` and `loading/pretrained_sae_loaders.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from atlas.dictionaries.base import Dictionary, Normalise, gated, norms, scaled
from atlas.dictionaries.formats.common import Wanted, finished
from atlas.dictionaries.settings import Settings
from atlas.dictionaries.tensors import Tensors, read_tensors
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from atlas.dictionaries.files import Files

NAME = "saelens"
CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
LAYOUT = f"{CONFIG}, {WEIGHTS}"
READ = frozenset({
    "gated", "jumprelu", "jumprelu_skip_transcoder", "jumprelu_transcoder", "skip_transcoder", "standard", "topk",
    "transcoder",
})  # fmt: skip
NOT_READ = {
    "abstopk": "its features fire in both directions",
    "matching_pursuit": "its activations are found by iterating",
    "temporal": "its activations depend on the tokens before",
}
NORMALISE: dict[str, Normalise] = {
    "none": "none",
    "expected_average_only_in": "none",
    "constant_norm_rescale": "constant_norm",
    "layer_norm": "layer_norm",
}


def claims(files: Files) -> bool:
    """Whether files of these names are in this format."""
    return {CONFIG, WEIGHTS} <= files.names


def read(files: Files, wanted: Wanted) -> Dictionary:
    """Read one; see `common.Format`."""
    config = Settings.read(files.path(CONFIG))
    old = not config.has("metadata")
    about = config if old else config.part("metadata", default=True)
    architecture = _architecture(config, old=old)
    transcodes = architecture.endswith("transcoder")
    d_in, d_sae = config.count("d_in"), config.count("d_sae")
    d_out = config.count("d_out", d_in) if transcodes else d_in
    tensors = read_tensors(files.path(WEIGHTS))
    W_enc, W_dec, b_dec = (
        tensors.take("W_enc", d_in, d_sae),
        tensors.take("W_dec", d_sae, d_out),
        tensors.take("b_dec", d_out),
    )
    threshold = tensors.take("threshold", d_sae) if architecture.startswith("jumprelu") else None
    if architecture == "gated":
        W_enc, b_enc, threshold = gated(W_enc, *(tensors.take(name, d_sae) for name in ("b_gate", "r_mag", "b_mag")))
    else:
        b_enc = tensors.take("b_enc", d_sae)
    if "scaling_factor" in tensors:  # of 2024: what decodes is multiplied by it
        W_dec = W_dec * tensors.take("scaling_factor", d_sae)[:, None]
    k = _k(config, old=old) if architecture == "topk" else None
    if k is not None and k > d_sae:
        raise AtlasError(config.path, f"k is {k}, more than the {d_sae} features there are")
    hook = about.text("hook_name", "") or about.text("hook_point", "")
    made = Dictionary(
        id=wanted.id,
        architecture=architecture,
        hook_point=wanted.place(hook, files),
        W_enc=W_enc,
        b_enc=b_enc,
        W_dec=W_dec,
        b_dec=b_dec,
        threshold=threshold,
        k=k,
        subtract_b_dec=not transcodes and config.flag("apply_b_dec_to_input", default=True),
        normalise=_normalise(config),
        kind="transcoder" if transcodes else "sae",
        hook_out=about.text("hook_name_out", "") if transcodes else "",
        W_skip=_skip(tensors, d_in, d_out) if "skip" in architecture else None,
        format=NAME,
        metadata=about.flat(frozenset({"architecture", "d_in", "d_sae", "dtype", "device"}) if old else frozenset()),
    )
    _check_head(about, made.hook_point)
    if config.flag("rescale_acts_by_decoder_norm", default=False):
        if architecture != "topk":
            raise AtlasError(config.path, f"rescale_acts_by_decoder_norm is not known of {architecture}")
        made = scaled(made, norms(W_dec))
    return finished(made, files)


def _architecture(config: Settings, *, old: bool) -> str:
    found = config.text("architecture", "standard" if old else None)
    if old and config.text("activation_fn_str", config.text("activation_fn", "relu")) == "topk":
        found = "topk"
    if found in NOT_READ:
        raise AtlasError(config.path, f"architecture {found!r} is not read: {NOT_READ[found]}")
    if found not in READ:
        raise AtlasError(config.path, f"unknown architecture {found!r}", f"read are {', '.join(sorted(READ))}")
    return found


def _k(config: Settings, *, old: bool) -> int:
    if old and config.has("activation_fn_kwargs"):
        return config.part("activation_fn_kwargs").count("k")
    return config.count("k")


def _normalise(config: Settings) -> Normalise:
    found = config.get("normalize_activations")
    if found is None or isinstance(found, bool):  # before 5.0: true stands for what is worked in
        return "none"
    if not isinstance(found, str) or found not in NORMALISE:
        raise config.wrong("normalize_activations", found, f"one of {', '.join(NORMALISE)}")
    reshape = config.get("reshape_activations")
    if reshape not in (None, "none", "hook_z"):
        raise config.wrong("reshape_activations", reshape, "none or hook_z")
    return NORMALISE[found]


def _skip(tensors: Tensors, d_in: int, d_out: int) -> Tensor:
    return tensors.take("W_skip", d_out, d_in).T.contiguous()


def _check_head(about: Settings, hook_point: str) -> None:
    """Refuse a dictionary of a single head: its hook point gives all of them."""
    if about.get("hook_head_index") is not None:
        raise AtlasError(about.path, f"reads one head of {hook_point} alone (hook_head_index), which is not read")
