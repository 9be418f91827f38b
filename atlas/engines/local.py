"""One pass over the corpus for every dictionary at once, on this machine.

1. Windows are cut into micro-batches of `batch` windows, and these into shards of `shard` micro-batches:
   both are part of the recipe, so the work and its floating point are the same however it is run.
2. For a micro-batch the model runs up to the last hook point that any dictionary reads.
3. Each dictionary encodes the tokens that count; what is not zero becomes firings (`stats.Firings`), and
   the dense activations are dropped before the next dictionary runs.
4. A shard's accumulators are written when it ends. A shard that is already there is not computed again.
5. In the end all shards are merged; since merging is exact in any order, the result is that of one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from atlas.corpus import Windows
from atlas.dictionaries.base import Dictionary
from atlas.engines.shards import ShardStore, State
from atlas.errors import AtlasError
from atlas.model.hooks import HookPoint
from atlas.model.inputs import pad
from atlas.model.lm import LanguageModel
from atlas.stats import Accumulator, Batch, Firings

SEPARATOR = "/"


@dataclass(frozen=True)
class Job:
    """All that a pass needs.

    Attributes:
        model: The model, on its device.
        dictionaries: In the recipe's order, on the same device.
        windows: What to read.
        bos: Whether windows begin with BOS.
        batch: Windows in a micro-batch.
        shard: Micro-batches in a shard.
        top: Top snippets to keep.
        sample: Sampled firings to keep.
    """

    model: LanguageModel
    dictionaries: Sequence[Dictionary]
    windows: Windows
    bos: bool
    batch: int
    shard: int
    top: int
    sample: int

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-len(self.windows) // (self.batch * self.shard))

    def tokens_in(self, rows: range) -> int:
        """Tokens of a run of windows, BOS not counted."""
        return int(self.windows.offsets[rows.stop] - self.windows.offsets[rows.start])

    def accumulators(self) -> list[Accumulator]:
        """An empty accumulator for each dictionary."""
        sources = len(self.windows.sources)
        return [Accumulator(d.width, sources, self.top, self.sample) for d in self.dictionaries]


def run_local(job: Job, shards: ShardStore, tick: Callable[[int, bool], None]) -> list[Accumulator]:
    """Run the pass, or what is left of it, and merge.

    Args:
        job: What to run.
        shards: Where shards are kept.
        tick: Called with a number of tokens done, and whether they were found done already.

    Returns:
        The merged accumulators, in the order of the dictionaries.

    Raises:
        AtlasError: If an activation is not finite, or a shard cannot be written.
    """
    hooks = {d.hook_point: job.model.hook(d.hook_point) for d in job.dictionaries}
    total = job.accumulators()
    for number in range(job.shards):
        state = shards.load(number)
        if state is None:
            part = job.accumulators()
            for rows in _batches(job, number):
                _run_batch(job, hooks, rows, part)
                tick(job.tokens_in(rows), False)
            shards.save(number, _pack(part))
        else:
            part = _unpack(job, state)
            for rows in _batches(job, number):
                tick(job.tokens_in(rows), True)
        for whole, piece in zip(total, part, strict=True):
            whole.merge(piece)
    return total


def _batches(job: Job, shard: int) -> Iterator[range]:
    """Window ids of each micro-batch of a shard."""
    step = job.batch
    first = shard * job.shard * step
    last = min(first + job.shard * step, len(job.windows))
    for low in range(first, last, step):
        yield range(low, min(low + step, last))


def _run_batch(job: Job, hooks: dict[str, HookPoint], rows: range, part: list[Accumulator]) -> None:
    model, windows = job.model, job.windows
    bos = model.bos_id if job.bos else None
    lead = [] if bos is None else [bos]
    tokens = [np.array([*lead, *windows.tokens(w)], np.int32) for w in rows]
    length = max(map(len, tokens))
    ids, mask, counted = pad(tokens, bos, model.pad_id, length, model.special_ids)
    activations = model.run(ids, mask, list(hooks.values()))

    text = np.where(mask.numpy(), ids.numpy(), -1).astype(np.int32)[:, len(lead) :]
    batch = Batch(np.array(rows, np.int64), windows.source[rows.start : rows.stop].astype(np.int64), text)
    row, column = np.nonzero(counted.numpy())
    position = (column - len(lead)).astype(np.int32)
    chosen = counted.to(model.device)
    at_hook = {name: value[chosen].float() for name, value in activations.items()}  # [tokens, d_model]
    del activations
    for dictionary, accumulator in zip(job.dictionaries, part, strict=True):
        firings = _encode(dictionary, at_hook[dictionary.hook_point], row, position, rows)
        accumulator.update(firings, batch, len(row))


def _encode(dictionary: Dictionary, x: torch.Tensor, row: np.ndarray, position: np.ndarray, rows: range) -> Firings:
    with torch.inference_mode():
        dense = dictionary.encode(x).reshape(-1)  # [tokens * width]
        cells = torch.nonzero(dense).squeeze(1)
        values = dense[cells]
        finite = bool(torch.isfinite(values).all())
    if not finite:
        where = f"{dictionary.id}, windows {rows.start} to {rows.stop - 1}"
        raise AtlasError(where, "activations are not finite", 'try model.dtype = "float32", or look at the weights')
    return Firings.from_cells(cells.cpu().numpy(), values.cpu().numpy(), row, position, dictionary.width)


def _pack(part: list[Accumulator]) -> State:
    return {
        f"{place}{SEPARATOR}{name}": value
        for place, accumulator in enumerate(part)
        for name, value in accumulator.arrays().items()
    }


def _unpack(job: Job, state: State) -> list[Accumulator]:
    part = job.accumulators()
    for place, accumulator in enumerate(part):
        prefix = f"{place}{SEPARATOR}"
        accumulator.restore({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    return part
