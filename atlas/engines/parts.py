"""Finished parts of a pass on disk, so that a killed build continues.

A part is a state (`state.State`) in one safetensors file, written atomically. Its header names the pass it
belongs to (a digest of everything that decides the result) and the file's own name, and holds a digest
of both and of every array. So a part that is truncated, damaged, of another pass or under another's name is told
apart and not read.

Each worker writes its whole state over its last one. Which micro-batches a file covers is written in it:
where two files cover the same one (a kill between writing the sum of several files and removing them), the
file that covers more is read and the other one removed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from atlas.engines.state import Arrays, Shape, State
from atlas.errors import AtlasError
from atlas.store.atomic import write_bytes


class Parts:
    """The parts of one pass.

    Args:
        folder: Where they lie; nothing else does.
        run: Digest of the pass.
        shape: Shape of its states.
    """

    def __init__(self, folder: Path, run: str, shape: Shape) -> None:
        self.folder, self.run, self.shape = folder, run, shape
        self.refused: list[str] = []

    def path(self, worker: int) -> Path:
        """File of a worker's part."""
        return self.folder / f"part-{worker:04d}.safetensors"

    def write(self, worker: int, state: State) -> None:
        """Write a worker's state in place of its last one.

        Raises:
            AtlasError: If it cannot be written; the last one is still there.
        """
        path = self.path(worker)
        arrays = {name: np.ascontiguousarray(value) for name, value in state.arrays().items()}
        # as bytes, not by save_file: its error for a full disk is not an OSError
        write_bytes(path, save(arrays, self._header(path, arrays)))

    def load(self) -> State:
        """The sum of all valid parts, which is then the only part there is.

        `refused` names the files that were not read, each with the reason; they are removed.
        """
        there = [(path, self._covers(path)) for path in sorted(self.folder.glob("*"))]
        found = [(path, covered) for path, covered in there if covered is not None]
        found.sort(key=lambda part: (-len(part[1]), part[0].name))
        total = State(self.shape)
        used: list[Path] = []
        for path, covered in found:
            if not total.covered.isdisjoint(covered):
                self._refuse(path, "covers what another part covers as well")
            elif (arrays := self._read(path)) is not None:
                try:
                    total.merge(State.restored(self.shape, arrays))
                except ValueError:
                    self._refuse(path, "read different text")
                else:
                    used.append(path)
        self.replace(total, used)
        return total

    def of_dictionary(self, place: int) -> State:
        """What the finished pass knows of one dictionary; nothing else is read.

        Raises:
            AtlasError: If the part is gone or damaged.
        """
        path, prefix = self.path(0), f"{place}/"
        try:
            with safe_open(path, framework="numpy") as file:
                names = [n for n in file.keys() if n.startswith(prefix) or "/" not in n]  # noqa: SIM118 (not a dict)
                arrays = {name: file.get_tensor(name) for name in names}
        except (SafetensorError, OSError, ValueError) as error:
            raise AtlasError(path, f"cannot be read ({error})", "run `atlas collect` again") from error
        return State.restored(self.shape.only(place), arrays)

    def replace(self, total: State, parts: list[Path]) -> None:
        """Write a state as the first worker's part, in place of the parts that it is the sum of."""
        first = self.path(0)
        if parts and parts != [first]:
            self.write(0, total)
            for path in parts:
                if path != first:
                    path.unlink(missing_ok=True)

    def _covers(self, path: Path) -> set[int] | None:
        """Which micro-batches a file says that it covers; None, with the file gone, if it is none of this pass's."""
        try:
            with safe_open(path, framework="numpy") as file:
                header = file.metadata() or {}
                covered = set(file.get_tensor("covered").tolist())
        except (SafetensorError, OSError, ValueError):
            self._refuse(path, "is damaged or was not finished")
            return None
        if header.get("run") != self.run:
            self._refuse(path, "belongs to another pass")
            return None
        return covered

    def _read(self, path: Path) -> Arrays | None:
        """All arrays of a file; None, with the file gone, if its digest is another one."""
        try:
            with safe_open(path, framework="numpy") as file:
                header = file.metadata() or {}
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except (SafetensorError, OSError, ValueError):
            header, arrays = {}, {}
        if header != self._header(path, arrays):
            self._refuse(path, "is damaged, or another part under this name")
            return None
        if any(f"{place}/{block}/tokens" not in arrays for place, block in self.shape.places()):
            self._refuse(path, "lacks features of this pass")  # it was written under another collect.memory
            return None
        return arrays

    def _header(self, path: Path, arrays: Arrays) -> dict[str, str]:
        return {"run": self.run, "name": path.name, "digest": _digest(self.run, path.name, arrays)}

    def _refuse(self, path: Path, reason: str) -> None:
        self.refused.append(f"{path.name} {reason}")
        path.unlink()


def _digest(run: str, name: str, arrays: Arrays) -> str:
    digest = hashlib.sha256(f"{run}\n{name}\n".encode())
    for key in sorted(arrays):
        value = arrays[key]
        digest.update(f"{key} {value.dtype.str} {value.shape}\n".encode())
        digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()
