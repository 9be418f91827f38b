"""Dictionaries in every format that is read, as their publishers lay them out, with random weights.

Each case writes its files and says what the publisher's own code computes with them, in numpy and float64, without
anything of the package. The names of files, keys and quirks are those of the loaders that `atlas.dictionaries.formats`
cites. `build/bench/formats.py` hands the same files to SAELens.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

D, F, OUT = 12, 40, 10
Array = np.ndarray


@dataclass
class Case:
    """One dictionary.

    Attributes:
        path: Its address, a folder or a file.
        format, kind, hook, out: What has to be found.
        encode: The publisher's activations of x [n, d_in].
        decode: The publisher's reconstruction, of x and activations.
        section: What the recipe has to say beside the address.
        width, d_in: Its shape.
        weights: The file that holds the encoder, relative to `path` ("" if `path` is that file).
        matrix: The encoder's name there.
    """

    path: Path
    format: str
    hook: str
    encode: Callable[[Array], Array]
    decode: Callable[[Array, Array], Array]
    weights: str
    matrix: str
    kind: str = "sae"
    out: str = ""
    section: dict[str, Any] = field(default_factory=dict)
    width: int = F
    d_in: int = D


CASES: dict[str, Callable[[Path], Case]] = {}


def case(make: Callable[[Path, np.random.Generator], Case]) -> Callable[[Path, np.random.Generator], Case]:
    """Register a case under its function's name."""
    seed = len(CASES)
    CASES[make.__name__] = lambda folder: make(folder, np.random.default_rng(seed))
    return make


# Arithmetic that publishers share.


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def jump(pre: Array, threshold: Array | float) -> Array:
    return relu(pre) * (pre > threshold)


def top(pre: Array, k: int) -> Array:
    kept = np.zeros_like(pre)
    best = np.argsort(-pre, axis=-1)[:, :k]
    np.put_along_axis(kept, best, np.take_along_axis(pre, best, -1), -1)
    return relu(kept)


def layer_norm(x: Array) -> tuple[Array, Array, Array]:
    mean = x.mean(-1, keepdims=True)
    std = (x - mean).std(-1, ddof=1, keepdims=True)
    return (x - mean) / (std + 1e-5), mean, std


def f32(chance: np.random.Generator, *shape: int, scale: float = 1.0) -> Array:
    return (chance.standard_normal(shape) * scale).astype(np.float32)


def wide(tensors: dict[str, Array]) -> dict[str, Array]:
    return {name: value.astype(np.float64) for name, value in tensors.items()}


def write_json(path: Path, data: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))


def write_safetensors(path: Path, tensors: dict[str, Array]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, path)


def write_pt(path: Path, data: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        {k: torch.from_numpy(np.array(v)) if isinstance(v, (np.ndarray, np.generic)) else v for k, v in data.items()},
        path,
    )


def plain(chance: np.random.Generator, d_in: int = D, d_out: int = D) -> dict[str, Array]:
    """Encoder and decoder; b_enc such that some features fire."""
    return {
        "W_enc": f32(chance, d_in, F, scale=0.4),
        "b_enc": f32(chance, F, scale=0.5),
        "W_dec": f32(chance, F, d_out, scale=0.6),
        "b_dec": f32(chance, d_out),
    }


def linear(w: dict[str, Array]) -> Callable[[Array, Array], Array]:
    return lambda _x, acts: acts @ w["W_dec"] + w["b_dec"]
