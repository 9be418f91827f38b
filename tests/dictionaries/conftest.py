"""Synthetic dictionaries in the SAELens layout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

D_IN, D_SAE = 6, 10


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Write a dictionary; keywords change `cfg.json` (None removes a key), `tensors` replaces tensors likewise."""

    def write(architecture: str = "standard", tensors: dict[str, Any] | None = None, **changes: Any) -> Path:
        torch.manual_seed(3)
        weights: dict[str, Any] = {
            "W_enc": torch.randn(D_IN, D_SAE),
            "b_enc": torch.randn(D_SAE),
            "W_dec": torch.randn(D_SAE, D_IN),
            "b_dec": torch.randn(D_IN),
        }
        config: dict[str, Any] = {
            "architecture": architecture,
            "d_in": D_IN,
            "d_sae": D_SAE,
            "apply_b_dec_to_input": True,
            "normalize_activations": "none",
            "reshape_activations": "none",
            "metadata": {"hook_name": "blocks.1.hook_resid_post", "prepend_bos": True, "training": {"k": 2}, "x": None},
        }
        if architecture == "jumprelu":
            weights["threshold"] = torch.rand(D_SAE) - 0.2
        if architecture == "topk":
            config["k"] = 3
        weights = {k: v for k, v in {**weights, **(tensors or {})}.items() if v is not None}
        config = {k: v for k, v in {**config, **changes}.items() if v is not None}
        folder = tmp_path / "sae"
        folder.mkdir(exist_ok=True)
        (folder / "cfg.json").write_text(json.dumps(config))
        save_file(weights, folder / "sae_weights.safetensors")
        return folder

    return write
