"""Arrays in a file that says whose it is and whether it is whole, written and read one array at a time.

Layout, all numbers little-endian:

    the bytes of each array, one after the other
    footer      JSON: {"header": words, "arrays": {name: [dtype, shape, first byte, SHA-256 of its bytes]}}
    32 bytes    SHA-256 of the footer, which in hexadecimal is the file's seal
    8 bytes     length of the footer

So every bit of the file is under a digest, and an array is checked when it is read, without the others. Why no
library's format: a checkpoint is as large as the statistics that it is made of, and is made a block of features at a
time. safetensors has its header in front and wants all arrays at once, as `numpy.savez` does.
"""

from __future__ import annotations

import hashlib
from math import prod
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import orjson

from atlas.store.atomic import atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Found = tuple[dict[str, NDArray[Any]], dict[str, str]]

SEAL = "digest"
"""The word of a header that is the file's seal."""

_DIGEST, _LENGTH = 32, 8


def save(path: Path, arrays: Iterable[tuple[str, NDArray[Any]]], header: Mapping[str, str]) -> str:
    """Write the file atomically.

    Args:
        path: Where.
        arrays: Names and arrays; each array is let go of when it is written.
        header: Words to keep with them.

    Returns:
        The seal: SHA-256 over arrays and header, in hexadecimal.

    Raises:
        AtlasError: If the file cannot be written.
    """
    entries: dict[str, tuple[str, tuple[int, ...], int, str]] = {}
    with atomic(path) as partial, partial.open("wb") as file:
        for name, array in arrays:
            data = np.ascontiguousarray(array)
            data = data.astype(data.dtype.newbyteorder("<"), copy=False)
            entries[name] = (data.dtype.str, data.shape, file.tell(), hashlib.sha256(data.data).hexdigest())
            file.write(data.data)
        footer = orjson.dumps({"arrays": entries, "header": dict(header)}, option=orjson.OPT_SORT_KEYS)
        seal = hashlib.sha256(footer)
        file.write(footer + seal.digest() + len(footer).to_bytes(_LENGTH, "little"))
    return seal.hexdigest()


def load(path: Path, **expected: str) -> Found | None:
    """Read the file.

    Args:
        path: Where.
        **expected: Words that the header has to hold.

    Returns:
        Arrays and header, the seal among its words; None if the file is not there, not whole or another's.
    """
    return peek(path, lambda _name: True, **expected)


def peek(path: Path, wanted: Callable[[str], bool], **expected: str) -> Found | None:
    """Some arrays, by name, and the header; as `load`, but the other arrays are not read, and may be damaged."""
    try:
        with path.open("rb") as file:
            entries, header = _footer(file)
            if any(header.get(word) != value for word, value in expected.items()):
                return None
            return {name: _array(file, entry) for name, entry in entries.items() if wanted(name)}, header
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def is_whole(path: Path, **expected: str) -> bool:
    """Whether `load` would read the file, with no more than one array in memory."""
    try:
        with path.open("rb") as file:
            entries, header = _footer(file)
            for entry in entries.values():
                _array(file, entry)
            return all(header.get(word) == value for word, value in expected.items())
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return False


def _footer(file: BinaryIO) -> tuple[dict[str, Any], dict[str, str]]:
    end = file.seek(0, 2)
    file.seek(max(0, end - _DIGEST - _LENGTH))
    tail = file.read()
    start = end - _DIGEST - _LENGTH - int.from_bytes(tail[_DIGEST:], "little")
    file.seek(start)  # ValueError if that is before the file
    footer = file.read(end - start)[: -_DIGEST - _LENGTH]
    seal = hashlib.sha256(footer)
    if seal.digest() != tail[:_DIGEST]:
        msg = "the footer has another digest"
        raise ValueError(msg)
    read = orjson.loads(footer)
    return read["arrays"], {**read["header"], SEAL: seal.hexdigest()}


def _array(file: BinaryIO, entry: tuple[str, list[int], int, str]) -> NDArray[Any]:
    kind, shape, start, digest = entry
    file.seek(start)
    found = np.fromfile(file, np.dtype(kind), prod(shape))
    if hashlib.sha256(found.data).hexdigest() != digest:
        msg = "an array has another digest"
        raise ValueError(msg)
    return found.reshape(shape)
