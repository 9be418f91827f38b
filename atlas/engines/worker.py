"""A worker: a model and its dictionaries on one device, and the state of what it has read.

1. A micro-batch is padded to a rectangle; the model runs up to the last hook point that any dictionary reads.
2. At each hook point the positions that count are gathered once, [n, d], for all dictionaries there. Positions whose
   activations are not finite are taken out and noted.
3. Each dictionary encodes them (`encode`), and threads add what fires to the state, a block of features each.

While a GPU runs one micro-batch, the host adds up the last one, and maybe the one before: `AHEAD` micro-batches of
firings lie on the host at most. A lock for each block keeps two threads from one accumulator; which of two
micro-batches comes first does not matter (`atlas.stats`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Lock
from types import TracebackType
from typing import Self

import numpy as np
import torch
from torch import Tensor

from atlas.corpus import Chunk
from atlas.dictionaries.base import Dictionary
from atlas.engines.encode import Buffers, Encoder
from atlas.engines.line import Line
from atlas.engines.state import Shape, State
from atlas.errors import AtlasError
from atlas.model.inputs import pad
from atlas.model.lm import LanguageModel
from atlas.stats import Batch, Firings

AHEAD = 2
"""Micro-batches whose firings may wait to be added up."""


class Worker:
    """Reads micro-batches on one device.

    Args:
        model: The model, on its device.
        dictionaries: On the same device, in the recipe's order.
        shape: What to count.
        bos: Whether windows begin with BOS.
        state: What to go on with; an empty one if None.
    """

    def __init__(
        self,
        model: LanguageModel,
        dictionaries: Sequence[Dictionary],
        shape: Shape,
        *,
        bos: bool,
        state: State | None = None,
    ) -> None:
        self.model, self.dictionaries = model, dictionaries
        self._lead = model.bos_id if bos else None
        self._pin = model.device.type == "cuda"
        self.state = State(shape) if state is None else state
        self._pool = ThreadPoolExecutor(torch.get_num_threads())
        buffers, self._line = Buffers.on(model.device), Line(model.device)
        wanted = [place for place, blocks in enumerate(shape.blocks) if blocks]
        self._encoders = {
            p: Encoder(dictionaries[p], buffers, self._pool, list(shape.blocks[p]), self._line) for p in wanted
        }
        names = dict.fromkeys(dictionaries[p].hook_point for p in wanted)
        self._hooks = {name: model.hook(name) for name in names}
        self._pending: deque[list[Future[None]]] = deque([[]])
        self._locks = {where: Lock() for where in shape.places()}

    def __enter__(self) -> Self:
        """Use it in a `with` block, which ends its threads."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """End the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def read(self, chunk: Chunk, number: int) -> int:
        """Read one micro-batch of a chunk; returns its number of tokens, BOS not counted.

        Args:
            chunk: A run of windows.
            number: Which of its micro-batches, from 0.

        Raises:
            AtlasError: If the device's memory does not suffice.
        """
        low, high = chunk.batches[number : number + 2].tolist()
        offsets = chunk.offsets[low : high + 1]
        with _within_memory(f"micro-batch of {high - low} windows on {self.model.device}"):
            ids, mask, counted = pad(
                chunk.ids, offsets, self._lead, self.model.pad_id, self.model.special_ids, pin=self._pin
            )
            activations = self.model.run(ids, mask, list(self._hooks.values()))
            lead = 0 if self._lead is None else 1
            tokens = np.where(mask.numpy(), ids.numpy(), -1).astype(np.int32)[:, lead:]
            windows = np.arange(chunk.first + low, chunk.first + high)
            batch = Batch.of(windows, chunk.source[low:high].astype(np.int64), tokens, counted.numpy()[:, lead:])
            self._wait(AHEAD - 1)
            chosen = counted.reshape(-1).nonzero().squeeze(1).to(self.model.device, non_blocking=True)
            found = {name: partial(_gather, activations, name, chosen) for name in self._hooks}
            ranges = self._ranges(found) if len(chosen) else {}
            for name, gather in found.items():
                x = gather()
                del activations[name]
                self._encode(name, x, ranges[name] if ranges else _range(x), batch)
        self.state.covered.add(chunk.first_batch + number)
        if chunk.number not in self.state.chunks:
            self.state.chunks[chunk.number] = chunk.digest()
        return int(offsets[-1] - offsets[0])

    def finish(self) -> None:
        """Wait until the state has all that was read.

        Raises:
            AtlasError: If memory does not suffice.
        """
        with _within_memory(f"statistics of a micro-batch on {self.model.device}"):
            self._wait(0)

    def _wait(self, most: int) -> None:
        """Fetch what waits in the line, and wait until no more than so many micro-batches are being added up."""
        self._pending[-1] += self._line.drain()
        while len(self._pending) > most:
            for done in self._pending[0]:
                done.result()
            self._pending.popleft()
        self._pending.append([])

    @torch.inference_mode()
    def _ranges(self, found: Mapping[str, Callable[[], Tensor]]) -> dict[str, tuple[float, float]]:
        """Lowest and highest activation at each hook point, for all in one wait; not on a CPU, where nothing waits."""
        if self.model.device.type == "cpu" or not found:
            return {}
        ends = torch.stack([torch.stack(torch.aminmax(x)).float() for x in (gather() for gather in found.values())])
        return {name: (low, high) for name, (low, high) in zip(found, ends.tolist(), strict=True)}

    @torch.inference_mode()
    def _encode(self, hook: str, x: Tensor, ends: tuple[float, float], batch: Batch) -> None:
        here = {p: e for p, e in self._encoders.items() if self.dictionaries[p].hook_point == hook}
        low, high = ends  # both NaN if any value is
        noted: list[int] = []
        if not np.isfinite([low, high]).all():
            x, batch, noted = self._leave_out(here, x, batch, torch.isfinite(x).all(1), [])
            low, high = _range(x)
        for place, encoder in here.items():
            fits = encoder.fit(x, max(-low, high))
            mine, of = (x, batch) if fits is None else self._leave_out([place], x, batch, fits, noted)[:2]
            self._pending[-1] += encoder.run(mine, of, partial(self._take, place))

    def _take(self, place: int, block: int, firings: Firings, batch: Batch) -> None:
        with self._locks[place, block]:
            self.state.accumulators[place, block].update(firings, batch)

    def _leave_out(
        self, places: Iterable[int], x: Tensor, batch: Batch, fits: Tensor, noted: list[int]
    ) -> tuple[Tensor, Batch, list[int]]:
        """Take out the tokens that do not fit, and note them and their windows for these dictionaries.

        `noted` are windows of this micro-batch that are noted already. The windows that were found are the last result.
        """
        bad = ~fits.cpu().numpy()
        if not bad.any():
            return x, batch, []
        windows: list[int] = np.unique(batch.windows[batch.row[bad]]).tolist()
        for place in places:
            self.state.unfit[place].add(windows, int(bad.sum()), len(set(windows).difference(noted)))
        return x[fits], batch.without(bad), windows


def _gather(activations: dict[str, Tensor], name: str, chosen: Tensor) -> Tensor:
    """Positions that count, [n, d]: float32 on a CPU; elsewhere as they are, since `product` makes use of that."""
    value = activations[name]
    x = value.reshape(-1, value.shape[-1]).index_select(0, chosen)
    return x.float() if x.device.type == "cpu" else x


def _range(x: Tensor) -> tuple[float, float]:
    if not x.numel():
        return 0.0, 0.0
    low, high = torch.aminmax(x)
    return float(low), float(high)


@contextmanager
def _within_memory(where: str) -> Iterator[None]:
    """Tell in one line that memory does not suffice; torch's allocator for the CPU says so in words alone."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        known = isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)
        if not known:
            raise
        raise AtlasError(where, "out of memory", "lower collect.batch, or set collect.memory") from error
