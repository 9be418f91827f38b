"""Arrays in a file that says whose it is and whether it is whole.

A safetensors file whose header names what it belongs to and holds a digest of everything in it, names
and types included. A file that is truncated, damaged, of another format or of another owner is not read.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as as_bytes

from atlas.store.atomic import write_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

HEADER, SEAL = "header", "digest"


def save(path: Path, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, str]) -> str:
    """Write the file atomically.

    Args:
        path: Where.
        arrays: Arrays by name.
        header: Words to keep with them.

    Returns:
        SHA-256 of arrays and header, in hexadecimal.

    Raises:
        AtlasError: If the file cannot be written.
    """
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    seal = _seal(whole, header)
    # as bytes, not by save_file: its error for a full disk is not an OSError
    # as one word, since safetensors writes several in an order that changes from run to run
    words = orjson.dumps({**header, SEAL: seal}, option=orjson.OPT_SORT_KEYS).decode()
    write_bytes(path, as_bytes(whole, {HEADER: words}))
    return seal


def load(path: Path, **expected: str) -> tuple[dict[str, NDArray[Any]], dict[str, str]] | None:
    """Read the file.

    Args:
        path: Where.
        **expected: Words that the header has to hold.

    Returns:
        Arrays and header, the digest among its words; None if the file is not there, not whole or another's.
    """
    found = peek(path, lambda _name: True)
    if found is None or any(found[1].get(word) != value for word, value in expected.items()):
        return None
    arrays, header = found
    words = {word: value for word, value in header.items() if word != SEAL}
    return found if _seal(arrays, words) == header.get(SEAL) else None


def peek(path: Path, wanted: Callable[[str], bool]) -> tuple[dict[str, NDArray[Any]], dict[str, str]] | None:
    """Some arrays, by name, and the header, as they are there: the digest is not looked at.

    Returns:
        None if the file is not there or not of the format.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            header: dict[str, str] = orjson.loads((file.metadata() or {}).get(HEADER, "{}"))
            return {name: file.get_tensor(name) for name in file.keys() if wanted(name)}, header  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError, TypeError):
        return None


def _seal(arrays: Mapping[str, NDArray[Any]], header: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for word in sorted(header):
        digest.update(f"{word} {len(header[word])} {header[word]}\n".encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
