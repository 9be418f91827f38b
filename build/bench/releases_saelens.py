"""What `saelens:` addresses give beside SAELens itself. Runs where SAELens is, with this checkout on the path.

    HF_HOME=SCRATCH/hub HF_HUB_OFFLINE=1 ATLAS_OUT=SCRATCH/out PYTHONPATH=. python releases_saelens.py SCRATCH

1. Tiny weights are written into the Hub's cache, at the repositories and paths of SAELens's own directory. Releases
   whose loaders know the sizes by heart are entered a second time, under `tiny-...`, with other sizes (`resized`).
2. Each is loaded by its address. Address, format, version, activations and reconstruction must be what SAELens's own
   object of that name says; a second time it must come from our cache, without SAELens.
3. What must be refused is: names that are not there, missing files, an architecture that is not read.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from sae_lens import SAE, __version__
from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory
from safetensors.torch import save_file

from atlas.config import DictionarySection
from atlas.dictionaries.base import Dictionary
from atlas.dictionaries.load import load_dictionary
from atlas.errors import AtlasError
from atlas.pipeline.inspect import inspect

COMMIT = "0123456789abcdef0123456789abcdef01234567"
D, N, HEADS = 6, 40, 3
SAME = 1e-5
RECIPE: Any = SimpleNamespace(resolve=Path)


def weights(seed: int, **more: torch.Tensor) -> dict[str, torch.Tensor]:
    """W_enc [D, N], W_dec [N, D] and biases, float32."""
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw)

    return {"W_enc": normal(D, N), "b_enc": normal(N), "W_dec": normal(N, D), "b_dec": normal(D), **more}


def before_6(folder: Path, normalise: str = "none") -> None:
    """SAELens's layout of 2024, as gpt2-small-res-jb has it."""
    folder.mkdir(parents=True)
    save_file(weights(1), folder / "sae_weights.safetensors")
    save_file({"sparsity": torch.zeros(N)}, folder / "sparsity.safetensors")
    config = {"d_in": D, "d_sae": N, "dtype": "torch.float32", "model_name": "gpt2-small", "hook_point": folder.name}
    config |= {"prepend_bos": True, "context_size": 128, "normalize_activations": normalise}
    (folder / "cfg.json").write_text(json.dumps(config), "utf-8")


def scaled_while_trained(folder: Path) -> None:
    """The same, trained on scaled input, where SAELens knows no factor: it warns."""
    before_6(folder, "expected_average_only_in")


def heads(path: Path) -> None:
    """A pickle of tensors and a JSON file beside it: a form that only SAELens reads."""
    torch.save(weights(2), path)
    config = {"act_size": D, "dict_size": N, "act_name": "blocks.5.attn.hook_z"}
    Path(str(path).removesuffix(".pt") + "_cfg.json").write_text(json.dumps(config), "utf-8")


def two_maps(path: Path, encoder: str = "encoder_linear", decoder: str = "decoder_linear") -> None:
    """Two linear maps in a pickle, as Goodfire has them: SAELens gives transposed views."""
    w = weights(3)
    state = {f"{encoder}.weight": w["W_enc"].T.contiguous(), f"{decoder}.weight": w["W_dec"].T.contiguous()}
    torch.save(state | {f"{encoder}.bias": w["b_enc"], f"{decoder}.bias": w["b_dec"]}, path)


def plain_maps(path: Path) -> None:
    """The same under other names, as the SAE of DeepSeek R1 has them."""
    two_maps(path, "encoder", "decoder")


def gemma(folder: Path) -> None:
    """Gemma Scope."""
    folder.mkdir(parents=True)
    named = {name.lower(): value.numpy() for name, value in weights(4).items()}
    np.savez(folder / "params.npz", **named, threshold=np.full(N, 0.5, np.float32))


def trainer(folder: Path) -> None:
    """dictionary_learning, TopK."""
    folder.mkdir(parents=True)
    w = weights(5)
    state = {"encoder.weight": w["W_enc"].T.contiguous(), "encoder.bias": w["b_enc"], "b_dec": w["b_dec"]}
    torch.save(state | {"decoder.weight": w["W_dec"].T.contiguous(), "k": torch.tensor(4)}, folder / "ae.pt")
    about = {"dict_class": "AutoEncoderTopK", "activation_dim": D, "dict_size": N, "k": 4, "layer": 3}
    config = {"trainer": about | {"lm_name": "EleutherAI/pythia-70m-deduped"}, "buffer": {"ctx_len": 128}}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")


def temporal(folder: Path) -> None:
    """A temporal SAE, which SAELens loads and we do not read; tied weights."""
    folder.mkdir(parents=True)
    (folder / "conf.yaml").write_text(
        f"llm: {{dimin: {D}}}\nsae: {{exp_factor: 2, n_heads: 1, n_attn_layers: 1, bottleneck_factor: 1, "
        "sae_diff_type: topk, kval_topk: 2, tied_weights: false, scaling_factor: 1.0}\ndata: {dtype: float32}\n"
    )
    n = 2 * D
    draw = torch.Generator().manual_seed(6)
    tensors = {"D": torch.randn(n, D, generator=draw), "E": torch.randn(D, n, generator=draw), "b": torch.zeros(D)}
    for name in ("k_ctx", "q_target", "v_ctx", "c_proj"):
        tensors |= {f"attn_layers.0.{name}.weight": torch.zeros(n, n), f"attn_layers.0.{name}.bias": torch.zeros(n)}
    save_file(tensors, folder / "latest_ckpt.safetensors")


READ: dict[str, Callable[[Path], None]] = {
    "gpt2-small-res-jb/blocks.8.hook_resid_pre": before_6,
    "gpt2-small-res-jb/blocks.9.hook_resid_pre": scaled_while_trained,
    "gpt2-small-hook-z-kk/blocks.5.hook_z": heads,
    "sae_bench_pythia70m_sweep_topk_ctx128_0730/blocks.3.hook_resid_post__trainer_0": trainer,
    "tiny-goodfire-llama-3.1-8b-instruct/layer_19": two_maps,
    "tiny-deepseek-r1-distill-llama-8b-qresearch/blocks.19.hook_resid_post": plain_maps,
    "tiny-gemma-scope-2b-pt-res-canonical/layer_20/width_16k/canonical": gemma,
}
REFUSED: dict[str, tuple[Callable[[Path], None] | None, str]] = {
    "temporal-sae-gemma-2-2b/blocks.12.hook_resid_post": (temporal, "its activations depend on the tokens before"),
    "gpt2-small-res-jb/blocks.7.hook_resid_pre": (None, "cannot load it (LocalEntryNotFoundError"),
    "gpt2-small-res-jp/blocks.8.hook_resid_pre": (None, "knows no release gpt2-small-res-jp; near are gpt2-small-res"),
    "gpt2-small-res-jb/blocks.8.hook_resid_per": (None, "in the release gpt2-small-res-jb; near are blocks.8.hook_r"),
    "gpt2-small-res-jb": (None, "write saelens:RELEASE/SAE_ID"),
}
"""Addresses that are refused, without files or with, and part of what is said."""


def place(address: str, make: Callable[[Path], None], hub: Path) -> None:
    """Write weights where SAELens will look for those of this name."""
    known = get_pretrained_saes_directory()
    release, sae_id = address.split("/", 1)
    if release.startswith("tiny-"):
        real = known[release.removeprefix("tiny-")]
        known[release] = dataclasses.replace(real, release=release, config_overrides={"d_in": D, "d_sae": N})
    repository = hub / "hub" / f"models--{known[release].repo_id.replace('/', '--')}"
    path = repository / "snapshots" / COMMIT / known[release].saes_map[sae_id]
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / "main").write_text(COMMIT)


def load(address: str, cache: Path) -> Dictionary:
    """As a recipe would."""
    given = {"id": "own", "hook_point": "", "layer": None, "k": 0, "format": "", "floor": 0.0}
    section: Any = SimpleNamespace(source=f"saelens:{address}", **given)
    return load_dictionary(section, RECIPE, cache)


def faults(address: str, cache: Path) -> list[str]:
    """What is not as it should be."""
    found = load(address, cache)
    sae = SAE.from_pretrained(*address.split("/", 1))
    x = torch.randn(64, D, generator=torch.Generator().manual_seed(9)) * 2
    given = x.view(len(x), HEADS, -1) if sae.cfg.reshape_activations == "hook_z" else x
    with torch.no_grad():
        acts = sae.encode(given)
        out = sae.decode(acts).reshape(len(x), -1)
        mine = found.encode(x)
        rebuilt = found.decode(x, mine)
    wrong = []
    if not torch.allclose(mine, acts, rtol=SAME, atol=SAME) or not bool((acts > 0).any()):
        wrong.append("other activations")
    if not torch.allclose(rebuilt, out, rtol=SAME, atol=SAME):
        wrong.append("another reconstruction")
    if (found.source, found.format) != (f"saelens:{address}", "saelens"):
        wrong.append(f"source {found.source}, format {found.format}")
    if found.metadata.get("loaded_by") != f"sae_lens {__version__}":
        wrong.append(f"loaded by {found.metadata.get('loaded_by')}")
    if found.hook_point != sae.cfg.metadata.hook_name:
        wrong.append(f"hook point {found.hook_point}")
    if ("norm_scaling_factor not found" in found.metadata.get("loading_warnings", "")) != ("blocks.9" in address):
        wrong.append(f"warnings: {found.metadata.get('loading_warnings')}")
    with mock.patch.object(SAE, "from_pretrained", side_effect=RuntimeError("asked again")):
        if load(address, cache).digest != found.digest:
            wrong.append("another digest from the cache")
    return wrong


def main() -> int:
    """Write, load, compare, refuse, inspect."""
    warnings.simplefilter("ignore")
    scratch = Path(sys.argv[1])
    hub, cache = scratch / "hub", scratch / "out" / "cache"
    for address, make in READ.items():
        place(address, make, hub)
    same, refused, failed = 0, 0, 0
    for address in READ:
        wrong = faults(address, cache)
        print(f"{address}: {', '.join(wrong) or 'the same'}")
        same, failed = same + (not wrong), failed + bool(wrong)
    for address, (make, expected) in REFUSED.items():
        if make:
            place(address, make, hub)
        try:
            load(address, cache)
            said = "was read"
        except AtlasError as error:
            said = str(error)
        print(f"{address}: {said[:230]}")
        well = expected in said and "\n" not in said
        refused, failed = refused + well, failed + (not well)
    section = DictionarySection(id="it", source=f"saelens:{next(iter(READ))}")
    told = dict(inspect(section.source, section))
    print("\n".join(f"{what + ':':<14}{finding}" for what, finding in told.items()))
    failed += told["Loaded by"] != f"sae_lens {__version__}"
    print(f"releases={len(READ)} same={same} refused={refused} failed={failed}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
