"""Finished parts of a pass on disk, so that a killed build continues.

A part is a state (`state.State`) in one sealed file (`store.sealed`), written and read a block of features at a time:
no second copy of the statistics is ever in memory. Its header names the pass it belongs to (a digest of everything
that decides the result) and the file's own name. So a part that is truncated, damaged, of another pass or under
another's name is told apart and not read.

Each worker writes its whole state over its last one. Which micro-batches a file covers is written in it:
where two files cover the same one (a kill between writing the sum of several files and removing them), the
file that covers more is read and the other one removed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from atlas.engines.state import Arrays, Shape, State, Unfit, is_head
from atlas.errors import AtlasError
from atlas.stats import Accumulator
from atlas.store import sealed


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
        return self.folder / f"part-{worker:04d}.sealed"

    def write(self, worker: int, state: State) -> None:
        """Write a worker's state in place of its last one.

        Raises:
            AtlasError: If it cannot be written; the last one is still there.
        """
        path = self.path(worker)
        sealed.save(path, state.items(), self._header(path))

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
            elif not sealed.is_whole(path, **self._header(path)):
                self._refuse(path, "is damaged, or another part under this name")
            elif self._lacks(path):
                self._refuse(path, "lacks features of this pass")  # it was written under another collect.memory
            elif self._add(path, total):
                used.append(path)
            else:
                self._refuse(path, "read different text")
        self.replace(total, used)
        return total

    def unfit(self, place: int) -> Unfit:
        """What the finished pass could not count of one dictionary.

        Raises:
            AtlasError: If the part is gone or damaged.
        """
        return State.restored(self.shape.none(), self._arrays(self.path(0), is_head)).unfit[place]

    def accumulator(self, place: int, block: int) -> Accumulator:
        """What the finished pass counted of one block of features; nothing else is read.

        Raises:
            AtlasError: If the part is gone or damaged.
        """
        return self._accumulator(self.path(0), place, block)

    def signature(self, place: int, block: int) -> np.ndarray:
        """The signatures of one block of features, uint32 [f, BUCKETS]; nothing else is read.

        Raises:
            AtlasError: If the part is gone or damaged.
        """
        name = f"{place}/{block}/signature"
        return self._arrays(self.path(0), name.__eq__)[name]

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
        found = sealed.peek(path, lambda name: name == "covered")
        if found is None or "covered" not in found[0]:
            self._refuse(path, "is damaged or was not finished")
            return None
        if found[1].get("run") != self.run:
            self._refuse(path, "belongs to another pass")
            return None
        return set(found[0]["covered"].tolist())

    def _lacks(self, path: Path) -> bool:
        there = self._arrays(path, lambda name: name.endswith("/tokens"))
        return any(f"{place}/{block}/tokens" not in there for place, block in self.shape.places())

    def _add(self, path: Path, total: State) -> bool:
        """Add a part to a state, a block at a time; whether that can be done."""
        head = State.restored(self.shape.none(), self._arrays(path, is_head))
        try:
            total.merge_head(head)
        except ValueError:
            return False
        for where, accumulator in total.accumulators.items():
            accumulator.merge(self._accumulator(path, *where))
        return True

    def _accumulator(self, path: Path, place: int, block: int) -> Accumulator:
        prefix = f"{place}/{block}/"
        found = self._arrays(path, lambda name: name.startswith(prefix))
        accumulator = self.shape.accumulator(place, block)
        accumulator.restore({name.removeprefix(prefix): array for name, array in found.items()})
        return accumulator

    def _arrays(self, path: Path, wanted: Callable[[str], bool]) -> Arrays:
        found = sealed.peek(path, wanted, **self._header(path))
        if found is None or not found[0]:
            raise AtlasError(path, "is gone or damaged", "run `atlas collect` again")
        return found[0]

    def _header(self, path: Path) -> dict[str, str]:
        return {"run": self.run, "name": path.name}

    def _refuse(self, path: Path, reason: str) -> None:
        self.refused.append(f"{path.name} {reason}")
        path.unlink()
