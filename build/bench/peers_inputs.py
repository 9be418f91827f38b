"""What every tool of the comparison gets: an environment, the same windows, the same slice of the dictionary."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

import atlas

CONSTRAINTS = Path(__file__).with_name("constraints-peers.txt")
WINDOW = 128  # tokens, BOS included
WIDE = ("W_enc", 1), ("W_dec", 0), ("b_enc", 0), ("threshold", 0)  # where a tensor has one entry a feature
RECIPE = """\
[atlas]
id = "peers"
title = "The same work as the peers"

[model]
id = "gemma-3-270m"
name = "Gemma 3 270M"
source = {model}

[corpus]
tokens = {tokens}
window = {window}
bos = true

[[corpus.part]]
id = "windows"
label = "Windows of the demo"
licence = "as the demo's"
source = {documents}

[[dictionary]]
id = {dictionary}
source = {sae}
"""


def environment(folder: Path) -> Path:
    """The peers' interpreter; makes their virtual environment first if it is not there or not of these versions."""
    python, mark = folder / "bin" / "python", folder / "constraints.sha256"
    digest = hashlib.sha256(CONSTRAINTS.read_bytes()).hexdigest()
    if mark.is_file() and mark.read_text() == digest:
        return python
    print(f"making {folder}, once (2 GB, some minutes)", flush=True)
    venv.create(folder, clear=True, with_pip=True)
    pins = (line for line in CONSTRAINTS.read_text("utf-8").splitlines() if line.startswith("torch=="))
    # torch first and with what it needs; the rest is a closed list, which pip alone would resolve otherwise
    for what in ([next(pins)], ["--no-deps", "-r", str(CONSTRAINTS)]):
        command = [str(python), "-m", "pip", "install", "--quiet", "--compile", *what]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 (ours)
        if done.returncode:
            sys.exit(f"{done.stdout}{done.stderr}the peers cannot be installed")
    mark.write_text(digest)
    return python


def offline() -> dict[str, str]:
    """The environment that every tool runs in: no network, byte code kept, none of our paths."""
    ours = {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV"}
    kept = {key: value for key, value in os.environ.items() if key not in ours}
    return kept | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def take_windows(store: Path, model: Path, count: int) -> tuple[list[str], list[list[int]]]:
    """Texts of the first full windows of a store, and their token ids, BOS in front.

    A text is what the ids say, and the ids are what the tokenizer makes of that text again: the first goes to us,
    who read text, the second to the peers, who read ids. Windows that do not survive the round trip are left out.
    """
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.backend_tokenizer.encode_special_tokens = True
    texts, windows = [], {}
    for ids in atlas.open_store(store).to_arrow("windows")["ids"].to_pylist():
        text = tokenizer.decode(ids)
        again = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        if len(ids) == WINDOW - 1 and again == ids and tuple(ids) not in windows:
            windows[tuple(ids)] = len(texts)
            texts.append(text)
        if len(texts) == count:
            return texts, [[tokenizer.bos_token_id, *ids] for ids in windows]
    sys.exit(f"{store} holds only {len(texts)} full windows: ask for fewer with --windows")


def slice_sae(source: Path, target: Path, features: int) -> dict[str, Any]:
    """Write the first features of a dictionary as a dictionary of its own, in float32; returns its configuration.

    float32, because SAELens would else compute in the bfloat16 that the file is kept in, and we would not.
    """
    tensors = {name: tensor.float() for name, tensor in load_file(source / "sae_weights.safetensors").items()}
    config = json.loads((source / "cfg.json").read_text("utf-8"))
    if features > config["d_sae"]:
        sys.exit(f"{source} has only {config['d_sae']} features")
    for name, axis in WIDE:
        tensors[name] = tensors[name].narrow(axis, 0, features).contiguous()
    target.mkdir(parents=True)
    save_file(tensors, target / "sae_weights.safetensors")
    config |= {"d_sae": features, "dtype": "float32"}
    (target / "cfg.json").write_text(json.dumps(config), "utf-8")
    return config


def prepare(
    work: Path, model: Path, sae: Path, features: int, texts: list[str], windows: list[list[int]]
) -> dict[str, Any]:
    """Write what one comparison reads into a new folder: dictionary, documents, recipe. Returns the peers' job."""
    shutil.rmtree(work, ignore_errors=True)
    config = slice_sae(sae, work / "sae", features)
    documents = work / "documents.jsonl"
    lines = (json.dumps({"id": f"{row:04}", "text": text}) for row, text in enumerate(texts))
    documents.write_text("\n".join(lines) + "\n", "utf-8")
    values = {"model": model.resolve(), "documents": f"file:{documents.name}", "sae": "sae", "dictionary": "sae"}
    quoted = {key: json.dumps(str(value)) for key, value in values.items()}
    recipe = RECIPE.format(tokens=len(windows) * (WINDOW - 1), window=WINDOW, **quoted)
    (work / "recipe.toml").write_text(recipe, "utf-8")
    special = json.loads((model / "config.json").read_text("utf-8"))
    ignore = sorted(special[f"{name}_token_id"] for name in ("pad", "eos", "bos"))
    return {
        "model": str(model.resolve()),
        "name": config["metadata"]["model_name"].rpartition("/")[2],
        "hook_point": config["metadata"]["hook_name"],
        "sae": str(work / "sae"),
        "windows": windows,
        "features": features,
        "ignore": ignore,
    }


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of a dictionary, float32."""
    return {name: tensor.float() for name, tensor in load_file(folder / "sae_weights.safetensors").items()}
