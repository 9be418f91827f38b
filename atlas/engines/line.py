"""Sifting on a device: what it has encoded waits in line until the host fetches what fires.

The device has two buffers. While it fills one, the host fetches from the other:

1. Cells above the threshold are found on a stream of their own, which waits for the product and for nothing else. How
   many there are has to be known before there is room for them, so the host waits for this stream; the other one has
   the next product to do meanwhile.
2. The device numbers the cells within their blocks of features, as int32, and rounds the values. What crosses is what
   the statistics take, 8 bytes a firing, into pinned memory.

So no thread of the host does anything for each firing but the one that adds it up.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from atlas.stats import Firings
from atlas.stats.batch import Int64

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

Pending = list[Future[None]]


class Found(NamedTuple):
    """Firings of a run of features, on the host.

    Attributes:
        firings: Of all its blocks, one after the other; cells are counted within each block.
        cuts: int64 [blocks + 1], where each block's begin.
    """

    firings: Firings
    cuts: Int64


class Line:
    """At most one run of features waits in it.

    Args:
        device: Where products are computed.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._waiting: Callable[[], Pending] | None = None
        self._turn = 0

    def buffer(self) -> str:
        """Name of the buffer for the next run: the one that nothing waits in."""
        return f"pre-{self._turn}"

    def put(self, fetch: Callable[[], Pending]) -> Pending:
        """Let a run wait whose product was started in `buffer()`; what `fetch` of the one before it gives."""
        done = self.drain()
        self._waiting = fetch
        self._turn = 1 - self._turn
        return done

    def drain(self) -> Pending:
        """Fetch what waits."""
        fetch, self._waiting = self._waiting, None
        return fetch() if fetch else []

    def begun(self) -> torch.cuda.Event | None:
        """A mark behind what the device has been told to do so far."""
        return torch.cuda.current_stream(self._device).record_event() if self._stream else None

    def fetch(self, pre: Tensor, bars: Tensor, block: int, begun: torch.cuda.Event | None) -> Found:
        """Wait for a product, and find what is above the bars.

        Args:
            pre: float32 [rows, n].
            bars: float32 [rows].
            block: Features in a block; the first row begins one.
            begun: Mark behind the product.
        """
        within: AbstractContextManager[object] = nullcontext()
        if self._stream is not None and begun is not None:
            self._stream.wait_event(begun)
            within = torch.cuda.stream(self._stream)
        with within:
            return _sift(pre, bars, block)


def _sift(pre: Tensor, bars: Tensor, block: int) -> Found:
    rows, n = pre.shape
    cells = torch.nonzero((pre > bars[:, None]).reshape(-1)).squeeze(1)
    edges = torch.arange(0, rows + block, block, device=pre.device).clamp_(max=rows) * n
    cuts = torch.searchsorted(cells, edges)
    values = _rounded(pre.reshape(-1)[cells])
    here = to_host((cells % (block * n)).to(torch.int32), values, cuts)
    return Found(Firings(here[0].numpy(), here[1].numpy()), here[2].numpy())


def _rounded(values: Tensor) -> Tensor:
    """`stats.firings.round_significant` on the device, bit for bit; values are positive and below `encode.MOST`."""
    bits = values.view(torch.int32)
    last = (bits >> 12) & 1
    return ((bits + 0x7FF + last) & -0x1000).view(torch.float32)


def to_host(*there: Tensor) -> list[Tensor]:
    """Tensors on the host; from a GPU through pinned memory, all at once."""
    if there[0].device.type != "cuda":
        return [tensor.cpu() for tensor in there]
    here = [torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True) for tensor in there]
    for one, other in zip(there, here, strict=True):
        other.copy_(one, non_blocking=True)
    torch.cuda.current_stream(there[0].device).synchronize()
    return here
