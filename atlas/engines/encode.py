"""From activations at a hook point to sparse firings: the only place where a dictionary is dense.

For a dictionary of f features on n tokens:

1. Where the dictionary subtracts `b_dec` from its input, the encoder's bias takes that over, once and in float64:
   W (x - b_dec) + b_enc = W x + (b_enc - W b_dec). Sums then cancel later: of the demo's activations above the
   threshold the worst is off by 6e-6 instead of 4e-6, and they are kept with 2e-4.
2. `ROWS` features at a time are encoded into one reused matrix with a row a feature, [ROWS, n]: its
   cells above the threshold come out sorted by (feature, token), as the statistics want them.
3. On a CPU the rows are sifted in blocks of `BLOCK` features, one a thread: compare, find, copy out,
   accumulate, while the block is in the core's cache. Elsewhere the device sifts all rows while it encodes the next
   ones, and only what fires crosses to the host (`line`).
4. Where the input is normalised, each vector is divided by its own length first.
5. TopK needs all features of a token at once: tokens are encoded a slice at a time, [n', f], and the k
   largest of each are sorted into the same form.

Cost: the encoder's product, 2 n d f operations, which nobody can avoid; then one reading of the n f
activations and some 20 ns a firing. `ROWS`, `BLOCK` and the slice are constants, since the shape of a matrix product
decides its rounding, and the result must not depend on the machine's memory.

What cannot be encoded, because a sum leaves float32's range, is told apart by `fit`; the worker counts it.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from atlas.dictionaries.base import Dictionary
from atlas.engines.line import Line, Pending
from atlas.engines.product import Mirror, Product
from atlas.stats import Batch, Firings, kernels
from atlas.stats.batch import Float32, Int32

ROWS = 4096
"""Features encoded at a time."""

BLOCK = 512
"""Features a block of statistics: the unit that threads share out, and that a plan moves to another pass."""

SLICE = 2**24
"""Activations of a slice of tokens, for TopK."""

MOST = (2 - 2.0**-12) * 2.0**127
"""Activations from here on are infinite when they are rounded."""

Take = Callable[[int, Firings, Batch], None]
"""What is to be done with the firings of a block, given its number; called from several threads, a block at a time."""


@dataclass
class Buffers:
    """Memory that is used again for every micro-batch and dictionary, on one device."""

    device: torch.device
    _kept: dict[str, Tensor]
    _local: threading.local

    @staticmethod
    def on(device: torch.device) -> Buffers:
        """Empty buffers on a device."""
        return Buffers(device, {}, threading.local())

    def get(self, name: str, *shape: int) -> Tensor:
        """float32 of this shape, with whatever is in it; one tensor a name."""
        size = math.prod(shape)
        if name not in self._kept or self._kept[name].numel() < size:
            self._kept[name] = torch.empty(size, device=self.device)
        return self._kept[name][:size].view(*shape)

    def found(self, size: int) -> tuple[Int32, Float32]:
        """Cells and values of the calling thread, [size] or longer."""
        kept: tuple[Int32, Float32] | None = getattr(self._local, "found", None)
        if kept is None or len(kept[0]) < size:
            kept = self._local.found = np.empty(size, np.int32), np.empty(size, np.float32)
        return kept


class Encoder:
    """One dictionary on a device.

    Args:
        dictionary: Its weights, on the device (the decoder is not used).
        buffers: The device's buffers, shared by its dictionaries.
        pool: Threads that sift and accumulate.
        blocks: Which blocks of features are wanted, ascending; the others are neither encoded nor counted.
        line: The device's line, shared by its dictionaries; not used on a CPU.
    """

    def __init__(
        self, dictionary: Dictionary, buffers: Buffers, pool: Executor, blocks: list[int], line: Line | None = None
    ) -> None:
        self.dictionary, self._buffers, self._pool = dictionary, buffers, pool
        self._line = line or Line(buffers.device)
        self._blocks = frozenset(blocks)
        self._here = buffers.device.type == "cpu"
        weights = dictionary.W_enc
        self._bias = dictionary.b_enc
        if dictionary.subtract_b_dec:
            b_enc, b_dec = dictionary.b_enc.cpu().double(), dictionary.b_dec.cpu().double()  # not all devices have it
            self._bias = (b_enc - b_dec @ weights.cpu().double()).float().to(weights.device)
        plain = dictionary.kind == "neurons"
        self._product = Mirror() if plain else Product(weights, self._bias)
        self._bars = dictionary.bar
        self._reach = 1.0 if plain else float(weights.abs().sum(0).max())
        self._highest = float(self._bias.abs().max())

    def fit(self, x: Tensor, largest: float) -> Tensor | None:
        """Which tokens can be encoded: bool [n] on the device, or None for all of them.

        Args:
            x: [n, d_in], finite; float32, or bfloat16 off the CPU.
            largest: Greatest magnitude in `x`.
        """
        d = self.dictionary
        if d.normalise == "none" and self._safe(largest):
            return None
        x = d.prepare(x)
        fits = torch.isfinite(x).all(1)  # a vector of zeros has no length to be divided by
        if d.normalise != "none" and bool(fits.all()) and self._safe(d.d_in**0.5):
            return None
        for _, pre in self._rows(x, lambda: "pre", all_of_them=True):  # so that all blocks agree, in whatever pass
            fits &= (pre.abs() < MOST).all(0)
        return fits

    def run(self, x: Tensor, batch: Batch, take: Take) -> Pending:
        """Encode one micro-batch and hand every block's firings on.

        Args:
            x: [n, d_in], of tokens that fit; float32, or bfloat16 off the CPU.
            batch: What is known of the n tokens.
            take: Where firings go; blocks without any come as well, since tokens count.

        Returns:
            Calls of `take` that may not have ended yet. Off the CPU, what comes last waits in the line.
        """
        if self.dictionary.normalise != "none":
            x = self.dictionary.prepare(x)
        if self.dictionary.k is not None:
            return self._top_k(x.float(), batch, take)
        pending: Pending = []
        for first, pre in self._rows(x, (lambda: "pre") if self._here else self._line.buffer):
            bars = self._bars[first : first + len(pre)]
            if self._here:
                self._sift_here(first, pre.numpy(), bars.numpy(), batch, take)
            else:
                pending += self._line.put(partial(self._fetch, first, pre, bars, self._line.begun(), batch, take))
        return pending

    def _safe(self, largest: float) -> bool:
        """Whether no sum can leave float32's range, by the triangle inequality."""
        return largest * self._reach + self._highest < torch.finfo(torch.float32).max / 2

    def _rows(self, x: Tensor, buffer: Callable[[], str], *, all_of_them: bool = False) -> Iterator[tuple[int, Tensor]]:
        """First feature and pre-activations [rows, n] of every run of features that is wanted, in a reused buffer."""
        d, operand = self.dictionary, self._product.operand(x)
        for first in range(0, d.width, ROWS):
            last = min(first + ROWS, d.width)
            if not all_of_them and self._blocks.isdisjoint(range(first // BLOCK, -(-last // BLOCK))):
                continue
            out = self._buffers.get(buffer(), last - first, len(x))
            self._product.into(out, first, operand)
            yield first, out

    def _sift_here(self, first: int, pre: np.ndarray, bars: np.ndarray, batch: Batch, take: Take) -> None:
        """Sift the blocks, this thread and the pool's, each taking the next one; all are done when this ends."""
        lows = (low for low in range(0, len(pre), BLOCK) if (first + low) // BLOCK in self._blocks)
        todo = deque(lows)  # taking from it is atomic

        def work() -> None:
            words = -(-batch.tokens // 8)
            room = np.zeros(8 * words, np.uint8), np.empty(words, np.int32), *self._buffers.found(BLOCK * batch.tokens)
            cells, values = room[2:]
            while True:
                try:
                    low = todo.popleft()
                except IndexError:
                    return
                found = kernels.sift(pre[low : low + BLOCK], bars[low : low + BLOCK], *room)
                take((first + low) // BLOCK, Firings.of(cells[:found], values[:found]), batch)

        pending = [self._pool.submit(work) for _ in range(min(torch.get_num_threads(), len(todo)) - 1)]
        try:
            work()
        finally:
            for done in pending:
                done.result()

    def _fetch(
        self, first: int, pre: Tensor, bars: Tensor, begun: torch.cuda.Event | None, batch: Batch, take: Take
    ) -> Pending:
        """Fetch what fires, and hand it out: the threads work while the device goes on."""
        firings, cuts = self._line.fetch(pre, bars, BLOCK, begun)
        return self._hand_out(first // BLOCK, firings, cuts, batch, take)

    def _hand_out(self, first: int, firings: Firings, cuts: np.ndarray, batch: Batch, take: Take) -> Pending:
        """Give each block's firings to a thread; cells are counted within blocks, and the first block is `first`."""
        pending = []
        for block, (low, high) in enumerate(pairwise(cuts.tolist()), first):
            if block in self._blocks:
                part = Firings(firings.cells[low:high], firings.value[low:high])
                pending.append(self._pool.submit(take, block, part, batch))
        return pending

    def _top_k(self, x: Tensor, batch: Batch, take: Take) -> Pending:
        d, step = self.dictionary, max(1, SLICE // self.dictionary.width)
        cells, values = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
        for first in range(0, len(x), step):
            part = x[first : first + step]
            pre = self._buffers.get("pre", len(part), d.width)
            if d.kind == "neurons":
                torch.cat([part, -part], 1, out=pre)
            else:
                torch.addmm(self._bias, part, d.W_enc, out=pre)
            value, feature = pre.topk(d.k or d.width, dim=-1, sorted=False)
            token = torch.arange(first, first + len(part), device=x.device)[:, None]
            fires = value > self._bars[feature]
            cells.append((feature * len(x) + token)[fires].cpu().numpy())
            values.append(value[fires].cpu().numpy())
        cell = np.concatenate(cells)
        order = np.argsort(cell)
        cell, value_of = cell[order], np.concatenate(values)[order]
        cuts = np.searchsorted(cell, np.append(np.arange(0, d.width, BLOCK), d.width) * len(x))
        return self._hand_out(0, Firings.of(cell % (BLOCK * len(x)), value_of), cuts, batch, take)
