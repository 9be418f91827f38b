"""Tensors out of files that others wrote, without executing anything of them.

- `.safetensors`: the library checks that offsets and sizes fit the file.
- `.pt`, `.pth`: the zip form alone, read with `weights_only=True`, which builds tensors and nothing else.
- `.npz`: read with `allow_pickle=False`.

Each tensor is checked for what was promised: it is there, has the shape, holds finite floating-point numbers, and no
more of them than the file has bytes for (a header can claim any size, and a compressed file can unpack to any).
"""

from __future__ import annotations

import math
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from atlas.errors import AtlasError

SQUEEZE = 4
"""How many times smaller than its content a compressed file of weights may be; zeros shrink a thousandfold."""

ROOM = 2**20
"""Bytes that content may exceed that by."""


class Tensors:
    """What a file holds, by name; float32 comes out.

    Args:
        path: The file, for messages.
        found: Its content; what is not a tensor is kept for `other`.
    """

    def __init__(self, path: Path, found: Mapping[str, Any]) -> None:
        self.path = path
        self._found = dict(found)

    def __contains__(self, name: str) -> bool:
        """Whether a tensor has this name."""
        return isinstance(self._found.get(name), Tensor)

    @property
    def names(self) -> list[str]:
        """Names of all tensors, sorted."""
        return sorted(name for name, value in self._found.items() if isinstance(value, Tensor))

    def other(self, name: str) -> Any:
        """What has this name and is not a tensor, or None."""
        value = self._found.get(name)
        return None if isinstance(value, Tensor) else value

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor.

        Raises:
            AtlasError: If there is no such tensor.
        """
        return tuple(self._tensor(name).shape)

    def sizes(self, name: str) -> tuple[int, int]:
        """The shape of a matrix.

        Raises:
            AtlasError: If it is missing or no matrix, or empty.
        """
        shape = self.shape(name)
        if len(shape) != 2 or not all(shape):  # noqa: PLR2004
            raise AtlasError(self.path, f"{name} is {list(shape)}, not a matrix")
        return shape[0], shape[1]

    def take(self, name: str, *shape: int) -> Tensor:
        """A tensor as contiguous float32.

        Args:
            name: Its name.
            shape: What it has to be; none for a single number.

        Raises:
            AtlasError: If it is missing, of another shape, not floating point, or holds what is not finite.
        """
        tensor = self._tensor(name)
        if tuple(tensor.shape) != shape:
            hint = "it looks transposed" if tuple(tensor.shape) == shape[::-1] and len(shape) > 1 else ""
            raise AtlasError(self.path, f"{name} is {list(tensor.shape)}, but should be {list(shape)}", hint)
        if not tensor.is_floating_point():
            raise AtlasError(self.path, f"{name} holds {tensor.dtype}, not floating point")
        tensor = tensor.detach().to(torch.float32).contiguous()
        if not bool(torch.isfinite(tensor).all()):
            raise AtlasError(self.path, f"{name} holds values that are not finite")
        return tensor

    def scalar(self, name: str) -> float:
        """A finite number that is kept as a tensor of one element, whole or not.

        Raises:
            AtlasError: If it is missing, or something else.
        """
        tensor = self._tensor(name)
        value = float(tensor) if tensor.numel() == 1 and not tensor.is_complex() else math.nan
        if not math.isfinite(value):
            raise AtlasError(self.path, f"{name} is not a single finite number")
        return value

    def _tensor(self, name: str) -> Tensor:
        if name not in self:
            raise AtlasError(
                self.path, f"tensor {name} is missing", f"it holds {', '.join(self.names) or 'none'}"[:300]
            )
        tensor: Tensor = self._found[name]
        return tensor


def read_tensors(path: Path) -> Tensors:
    """Read a file of weights, by its suffix.

    Raises:
        AtlasError: If it is missing or damaged, of a kind that is not read, or claims more than it holds.
    """
    readers = {".safetensors": _safetensors, ".pt": _pt, ".pth": _pt, ".npz": _npz}
    if path.suffix not in readers:
        raise AtlasError(path, "not a kind of file that weights are read from", f"read are {', '.join(readers)}")
    try:
        size = path.stat().st_size
        found = readers[path.suffix](path)
    except FileNotFoundError:
        raise AtlasError(path, "no such file") from None
    except MemoryError:
        raise AtlasError(path, "does not fit into memory") from None
    except (
        SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError, EOFError,
        OverflowError, NotImplementedError, zipfile.BadZipFile, pickle.UnpicklingError, RecursionError, AssertionError,
    ) as error:  # fmt: skip
        # What these libraries raise for a damaged file is nowhere said; all of it means the file.
        raise AtlasError(
            path, f"cannot be read as weights ({' '.join(str(error).split())[:200]})", "fetch it again"
        ) from error
    _check_sizes(path, size, found)
    return Tensors(path, found)


def _safetensors(path: Path) -> dict[str, Any]:
    return dict(load_file(path))


def _pt(path: Path) -> dict[str, Any]:
    _check_zip(path, stored=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd pickles: they are read or refused, in our words
        found = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise AtlasError(path, "does not hold tensors by name")
    return dict(found)


def _npz(path: Path) -> dict[str, Any]:
    _check_zip(path, stored=False)
    with np.load(path, allow_pickle=False) as data:
        arrays = {name: data[name] for name in data.files}
    wrong = [name for name, array in arrays.items() if array.dtype.kind not in "fiub"]
    if wrong:
        raise AtlasError(path, f"{wrong[0]} holds {arrays[wrong[0]].dtype}, not numbers")
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}


def _check_zip(path: Path, *, stored: bool) -> None:
    """Refuse what would unpack to far more than the file, before any of it is unpacked."""
    if not zipfile.is_zipfile(path):
        hint = "load it and save it again with torch.save" if path.suffix != ".npz" else "fetch it again"
        raise AtlasError(path, "not a zip file, as torch.save and numpy.savez write them", hint)
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if stored and any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise AtlasError(path, "is compressed, which torch.save does not do")
    if sum(entry.file_size for entry in entries) > SQUEEZE * path.stat().st_size + ROOM:
        raise AtlasError(path, "would unpack to far more than it holds")


def _check_sizes(path: Path, size: int, found: Mapping[str, Any]) -> None:
    """Refuse views that claim more numbers than there are (a stride of zero repeats one)."""
    for name, value in found.items():
        if isinstance(value, Tensor) and (
            value.layout != torch.strided or value.numel() * value.element_size() > SQUEEZE * size + ROOM
        ):
            raise AtlasError(path, f"{name} claims {list(value.shape)}, more than the file holds")
