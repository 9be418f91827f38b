"""What runs on the nodes of a Ray cluster: actors that read, and actors that merge what was found.

What they return is a function of what they are given: a task reads some micro-batches into an empty state. A reader
keeps nothing from one task to the next but the model and the dictionaries, so that any task can be run again anywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from atlas.corpus import Chunk
from atlas.engines.state import Arrays, Shape, State
from atlas.engines.worker import Worker
from atlas.errors import AtlasError

Make = Callable[[], Worker]
"""Makes a worker on the node where it is called; has to be picklable. Of the worker's state only the shape is used."""


@dataclass(frozen=True)
class Report:
    """What a task says of itself. It is small and goes to the driver at once; the state stays on the node.

    Attributes:
        tokens: Tokens that were read.
        reading: Seconds that it took.
        packing: Seconds that it took to make arrays of the state.
        device: What they were read on.
        error: Where, what and how to mend it, if it was a foreseeable failure.
    """

    tokens: int = 0
    reading: float = 0.0
    packing: float = 0.0
    device: str = ""
    error: tuple[str, str, str] | None = None


class Reader:
    """An actor: a worker that is made when the first task comes.

    Args:
        make: Makes the worker.
    """

    def __init__(self, make: Make) -> None:
        self._make = make
        self._worker: Worker | None = None

    def here(self) -> bool:
        """Answers when the actor has its place in the cluster."""
        return True

    def read(self, numbers: Sequence[Sequence[int]], *chunks: Chunk) -> tuple[Report, Arrays]:
        """Read some micro-batches.

        Args:
            numbers: Which micro-batches of each chunk.
            chunks: The chunks.

        Returns:
            The report, and the state as arrays; none after a foreseeable failure.
        """
        try:
            if self._worker is None:
                self._worker = self._make()
            worker = self._worker
            worker.state = State(worker.state.shape)
            begun = time.monotonic()
            some = zip(chunks, numbers, strict=True)
            tokens = sum(worker.read(chunk, number) for chunk, those in some for number in those)
            worker.finish()
            read = time.monotonic()
            arrays = worker.state.arrays()
        except AtlasError as error:
            return Report(error=(error.where, error.wrong, error.mend)), {}
        return Report(tokens, read - begun, time.monotonic() - read, device_name(worker.model.device)), arrays


class Merger:
    """An actor that merges states.

    Args:
        shape: Their shape.
    """

    def __init__(self, shape: Shape) -> None:
        self._shape = shape

    def merge(self, one: Arrays, other: Arrays) -> Arrays:
        """The sum of two states."""
        total = State.restored(self._shape, one)
        total.merge(State.restored(self._shape, other))
        return total.arrays()


def device_name(device: torch.device) -> str:
    """The kind of GPU, or of device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
