"""The SAELens 6.x layout: a folder with `cfg.json` and `sae_weights.safetensors`.

`cfg.json` holds architecture, d_in, d_sae, apply_b_dec_to_input, normalize_activations, reshape_activations, for
topk also k and rescale_acts_by_decoder_norm, and metadata {model_name, hook_name, ...}. The tensors are
`W_enc[d_in, d_sae]`, `b_enc[d_sae]`, `W_dec[d_sae, d_in]`, `b_dec[d_in]` and, for jumprelu, `threshold[d_sae]`.

Source: `shared/reference/formats.md`, read from the SAELens 6.54.12 loaders and tests. What is not supported is
refused, never guessed: a wrong normalisation gives numbers that look right.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from atlas.dictionaries.base import Dictionary
from atlas.errors import AtlasError
from atlas.sources import sha256_of

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = "cfg.json"
WEIGHTS = "sae_weights.safetensors"
ARCHITECTURES = ("standard", "jumprelu", "topk")
KNOWN_ELSEWHERE = frozenset({
    "abstopk", "gated", "jumprelu_skip_transcoder", "jumprelu_transcoder", "matching_pursuit", "skip_transcoder",
    "temporal", "transcoder",
})  # fmt: skip
"""Architectures of SAELens that are not read yet."""

LATER = "not supported yet"


def read(config_file: Path, weights_file: Path, dictionary_id: str, source: str, hook_point: str = "") -> Dictionary:
    """Read one SAE.

    Args:
        config_file: Its `cfg.json`.
        weights_file: Its `sae_weights.safetensors`; bfloat16 and float16 become float32, exactly.
        dictionary_id: Its id in the recipe.
        source: Its address in the recipe, kept as provenance.
        hook_point: Overrides `metadata.hook_name`, if not empty.

    Raises:
        AtlasError: If a file is missing or damaged, a key is missing or of another type, a tensor is missing, has
            another shape or holds values that are not finite, or the SAE is of a kind that is not supported.
    """
    config = _Config(config_file)
    architecture = config.text("architecture")
    if architecture in KNOWN_ELSEWHERE:
        raise AtlasError(
            config_file, f"architecture {architecture!r} is {LATER}", f"read are {', '.join(ARCHITECTURES)}"
        )
    if architecture not in ARCHITECTURES:
        raise AtlasError(config_file, f"unknown architecture {architecture!r}", f"read are {', '.join(ARCHITECTURES)}")
    _refuse(config)
    d_in, d_sae = config.count("d_in"), config.count("d_sae")
    k = config.count("k") if architecture == "topk" else None
    if k is not None and k > d_sae:
        raise AtlasError(config_file, f"k is {k}, more than the {d_sae} features there are")
    place = hook_point or config.metadata.get("hook_name", "")
    if not place:
        raise AtlasError(config_file, "names no hook point (metadata.hook_name)", "set hook_point in the recipe")
    shapes = {"W_enc": (d_in, d_sae), "b_enc": (d_sae,), "W_dec": (d_sae, d_in), "b_dec": (d_in,)}
    if architecture == "jumprelu":
        shapes["threshold"] = (d_sae,)
    tensors = _tensors(weights_file, shapes)
    return Dictionary(
        id=dictionary_id,
        architecture=architecture,
        hook_point=place,
        W_enc=tensors["W_enc"],
        b_enc=tensors["b_enc"],
        W_dec=tensors["W_dec"],
        b_dec=tensors["b_dec"],
        threshold=tensors.get("threshold"),
        k=k,
        subtract_b_dec=config.flag("apply_b_dec_to_input", default=True),
        metadata=config.metadata,
        digest=_digest(config_file, weights_file),
        source=source,
    )


class _Config:
    """A `cfg.json`: every value is checked where it is asked for, and an error names the key."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            data = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            raise AtlasError(
                path, "no such file", "a SAELens folder has cfg.json and sae_weights.safetensors"
            ) from None
        except (OSError, ValueError, RecursionError) as error:
            raise AtlasError(path, f"not JSON ({error})") from error
        if not isinstance(data, dict):
            raise AtlasError(path, "not a JSON object")
        self._data: dict[str, Any] = data

    def get(self, key: str) -> Any:
        return self._data.get(key)

    def text(self, key: str) -> str:
        value = self._need(key)
        if not isinstance(value, str):
            raise AtlasError(self.path, f"{key} is {value!r}, not a text")
        return value

    def count(self, key: str) -> int:
        value = self._need(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise AtlasError(self.path, f"{key} is {value!r}, not a positive number")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        value = self._data.get(key, default)
        if not isinstance(value, bool):
            raise AtlasError(self.path, f"{key} is {value!r}, not true or false")
        return value

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata, nested objects flattened to `outer.inner`, values as text, nothing that is null."""
        found = self._data.get("metadata") or {}
        if not isinstance(found, dict):
            raise AtlasError(self.path, "metadata is not a JSON object")
        return dict(sorted(_flatten(found)))

    def _need(self, key: str) -> Any:
        if key not in self._data:
            raise AtlasError(self.path, f"key {key!r} is missing", "this reads the layout of SAELens 6")
        return self._data[key]


def _refuse(config: _Config) -> None:
    """Refuse what would change the numbers."""
    # SAELens writes "none" as text; null is what hand-made files have.
    for key in ("normalize_activations", "reshape_activations"):
        value = config.get(key)
        if value not in (None, "none"):
            raise AtlasError(config.path, f"{key} = {value!r} is {LATER}", "only 'none' is")
    if config.flag("rescale_acts_by_decoder_norm", default=False):
        raise AtlasError(config.path, f"rescale_acts_by_decoder_norm = true is {LATER}")


def _tensors(path: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The tensors of these names as contiguous float32, each checked against its shape."""
    if not path.is_file():
        raise AtlasError(path, "no such file", "a SAELens folder has cfg.json and sae_weights.safetensors")
    try:
        found = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise AtlasError(path, f"not a whole safetensors file ({error})"[:300], "fetch it again") from error
    tensors = {}
    for name, shape in shapes.items():
        if name not in found:
            raise AtlasError(
                path, f"tensor {name} is missing", f"it holds {', '.join(sorted(found)) or 'nothing'}"[:300]
            )
        tensor = found[name]
        if tuple(tensor.shape) != shape:
            raise AtlasError(
                path, f"{name} is {list(tensor.shape)}, but d_in and d_sae of cfg.json ask for {list(shape)}"
            )
        if not tensor.is_floating_point():
            raise AtlasError(path, f"{name} holds {tensor.dtype}, not floating point")
        tensors[name] = tensor.to(torch.float32).contiguous()
        if not bool(torch.isfinite(tensors[name]).all()):
            raise AtlasError(path, f"{name} holds values that are not finite")
    return tensors


def _flatten(data: dict[str, Any], lead: str = "") -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    for key, value in data.items():
        name = f"{lead}{key}"
        if isinstance(value, dict):
            out += _flatten(value, f"{name}.")
        elif value is not None:
            out.append((name, value if isinstance(value, str) else json.dumps(value)))
    return out


def _digest(*paths: Path) -> str:
    lines = [f"{name} {sha256_of(path)}" for name, path in zip((CONFIG, WEIGHTS), paths, strict=True)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
