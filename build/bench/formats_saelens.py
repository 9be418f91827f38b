"""What SAELens makes of dictionaries on disk. Runs in the peers' own environment, never in ours.

    python formats_saelens.py JOB.json RESULT.npz

The job lists cases: {name, format, root, repo, folder, d_in, d_sae, x}. Whatever SAELens would fetch from the Hub is
taken from `root`. The result holds `name/acts` and `name/out` of what it reads, and `name/error` of what it does not.
"""

from __future__ import annotations

import json
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub.utils import EntryNotFoundError
from sae_lens import SAE
from sae_lens.loading import pretrained_sae_loaders as loaders
from safetensors import safe_open

HEADS = 3
"""Attention heads that `hook_z` of the layouts is cut into; SAELens joins them again."""

LOADERS = {
    "gemma_scope": loaders.gemma_2_sae_huggingface_loader,
    "gemma_scope_transcoder": loaders.gemma_2_transcoder_huggingface_loader,
    "gemma_scope_2": loaders.gemma_3_sae_huggingface_loader,
    "llama_scope": loaders.llama_scope_sae_huggingface_loader,
    "llama_scope_r1": loaders.llama_scope_r1_distill_sae_huggingface_loader,
    "sparsify": loaders.sparsify_huggingface_loader,
    "dictionary_learning": loaders.dictionary_learning_sae_huggingface_loader_1,
    "qwen_scope": loaders.qwen_scope_sae_huggingface_loader,
    "circuit_tracer": loaders.mwhanna_transcoder_huggingface_loader,
    "circuit_tracer_clt": loaders.mntss_clt_layer_huggingface_loader,
}


def local(root: Path, repo_id: str, filename: str, subfolder: str | None = None, **_: Any) -> str:
    """Stands for `hf_hub_download`."""
    path = root / (subfolder or "") / filename
    if not path.is_file():
        raise EntryNotFoundError(f"{repo_id}: {path}")
    return str(path)


def shapes(root: Path, _repo: str, filename: str) -> dict[str, list[int]]:
    """Stands for reading a header over HTTP."""
    with safe_open(root / filename, framework="np") as file:
        return {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (no mapping)


def load(case: dict[str, Any]) -> Any:
    """Load one with SAELens's own loader."""
    if case["format"] == "saelens":
        return SAE.load_from_disk(case["folder"], dtype="float32")
    root = Path(case["root"])
    loaders.hf_hub_download = partial(local, root)
    loaders.get_safetensors_tensor_shapes = partial(shapes, root)
    mine = {"d_in": case["d_in"], "d_sae": case["d_sae"]} | case.get("overrides", {})

    def converter(**given: Any) -> Any:
        given["cfg_overrides"] = {**(given.get("cfg_overrides") or {}), **mine}
        return LOADERS[case["format"]](**given)

    return SAE.from_pretrained(case["repo"], case["folder"], converter=converter)


def main() -> None:
    """Load all, encode and decode, write."""
    warnings.simplefilter("ignore")
    found: dict[str, np.ndarray] = {}
    for case in json.loads(Path(sys.argv[1]).read_text("utf-8")):
        name = case["name"]
        try:
            sae = load(case)
            x = torch.tensor(case["x"], dtype=torch.float32)
            if getattr(sae.cfg, "reshape_activations", "none") == "hook_z":
                x = x.view(len(x), HEADS, -1)
            with torch.no_grad():
                acts = sae.encode(x)
                out = (sae(x) if hasattr(sae, "W_skip") else sae.decode(acts)).reshape(len(x), -1)
            found |= {f"{name}/acts": acts.numpy(), f"{name}/out": out.numpy()}
        except Exception as error:  # noqa: BLE001 (what it cannot read is a result, too)
            found[f"{name}/error"] = np.array(f"{type(error).__name__}: {error}"[:300])
    np.savez(sys.argv[2], **found)


if __name__ == "__main__":
    main()
