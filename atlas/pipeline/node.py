"""What an engine needs to make a worker on another machine: this much travels there, and no weights.

The node fetches the model and reads the dictionaries as the recipe says, from the Hub, from a pip package or from
folders, which have to be at the same path there. What it finds must be what this machine has, to the digest.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

import torch

from atlas.config import Recipe
from atlas.engines import Shape, Worker
from atlas.errors import AtlasError
from atlas.model.heap import keep_freed_memory
from atlas.paths import Places
from atlas.pipeline.prepare import Inputs, Prepared, load_model, read_weights
from atlas.version import __version__


@dataclass(frozen=True)
class MakeWorker:
    """Makes a worker where it is called.

    Attributes:
        recipe: The recipe.
        cache: Folder for converted models.
        shape: What to count.
        kind: Kind of device.
        threads: Threads of a worker.
        has: Digests and versions of what decides the result, by name.
    """

    recipe: Recipe
    cache: Path
    shape: Shape
    kind: str
    threads: int
    has: tuple[tuple[str, str], ...]

    def __call__(self) -> Worker:
        """A worker on this machine's first device that Ray lets this process see.

        Raises:
            AtlasError: If something is missing here, or is not what it is elsewhere.
        """
        keep_freed_memory()
        torch.set_num_threads(self.threads)
        dictionaries, fetched = read_weights(self.recipe, self.cache, lambda _line: None)
        inputs = Inputs(dictionaries, fetched, "")
        for (name, there), (_, here) in zip(self.has, _has(inputs), strict=True):
            if here != there:
                wrong = f"{name} is {here[:16]} here and {there[:16]} where the pass was started"
                raise AtlasError(f"node {socket.gethostname()}", wrong, "bring the nodes to the same state")
        device = torch.device("cuda", 0) if self.kind == "cuda" else torch.device(self.kind)
        model = load_model(self.recipe, inputs, device)
        return Worker(model, [d.to(device) for d in dictionaries], self.shape, bos=self.recipe.corpus.bos)


def make_worker(recipe: Recipe, places: Places, job: Prepared, shape: Shape) -> MakeWorker:
    """What makes workers for a pass of this job."""
    kind, threads = job.devices[0].type, torch.get_num_threads()
    return MakeWorker(recipe, places.cache.resolve(), shape, kind, threads, tuple(_has(job.inputs)))


def _has(inputs: Inputs) -> list[tuple[str, str]]:
    own = [(f"dictionary {d.id}", d.digest) for d in inputs.dictionaries]
    return [("sae-atlas", __version__), ("torch", str(torch.__version__)), ("the model", inputs.fetched.digest), *own]
