"""Finished parts of a collect pass on disk, so that a killed build continues.

A shard is the state of every dictionary's accumulator over a fixed run of micro-batches, in one
safetensors file. Its header names the pass it belongs to (a digest of everything that decides the
result) and holds a digest of its bytes: a shard that is truncated, damaged or of another pass is not
read but computed again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from atlas.store.atomic import write_bytes

State = dict[str, np.ndarray]


class ShardStore:
    """The shards of one pass.

    Args:
        folder: Where they lie.
        run: Digest of the pass.
    """

    def __init__(self, folder: Path, run: str) -> None:
        self.folder, self.run = folder, run

    def path(self, number: int) -> Path:
        """File of a shard."""
        return self.folder / f"shard-{number:06d}.safetensors"

    def save(self, number: int, state: State) -> None:
        """Write a shard atomically."""
        arrays = {name: np.ascontiguousarray(value) for name, value in state.items()}
        header = {"run": self.run, "shard": str(number), "digest": _digest(arrays)}
        # as bytes, not by save_file: its error for a full disk is not an OSError
        write_bytes(self.path(number), save(arrays, header))

    def load(self, number: int) -> State | None:
        """A shard's state; None if it is not there, is damaged, or belongs to another pass."""
        path = self.path(number)
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                header = file.metadata() or {}
                if (header.get("run"), header.get("shard")) != (self.run, str(number)):
                    return None
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except (SafetensorError, OSError, ValueError):
            return None
        return state if _digest(state) == header.get("digest") else None


def _digest(arrays: State) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        value = arrays[name]
        digest.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
        digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()
