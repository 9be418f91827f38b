"""Where to run."""

from __future__ import annotations

import torch

from atlas.errors import AtlasError


def pick_device(wanted: str) -> torch.device:
    """The device that a recipe's `collect.device` means: `auto` takes a GPU if there is one.

    Raises:
        AtlasError: If the recipe insists on a device that this machine lacks.
    """
    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if has[name]))
    if not has.get(wanted, False):
        where = "collect.device"
        raise AtlasError(where, f"this machine has no {wanted}", 'use "auto" or "cpu"')
    return torch.device(wanted)
