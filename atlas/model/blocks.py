"""A model's blocks: which are kept, and which run compiled.

Both spare work without changing what a hook point sees:

- `trim` drops the blocks behind the last one that is read; their weights are freed.
- `compile` compiles the `forward` of each block, not the whole model. Hooks on a block stay outside the graph and run
  as always; blocks of the same kind share one compilation, which is why it takes seconds and not minutes. A hook
  point *inside* a block would be lost in its graph, so such a block runs uncompiled while someone listens there.

Sizes are symbolic from the first compilation on. Were they not, the graph that a shape meets would depend on the
shapes before it, and so would the last digits of its result: a build that was interrupted would not end as one that
was not.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from atlas.errors import AtlasError
from atlas.model.hooks import blocks_path, layer_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from atlas.model.hooks import HookPoint

Backend = str | Callable[..., Any]


class Blocks:
    """The list of blocks of a model without its head.

    Attributes:
        count: How many the model has, dropped ones included.
    """

    def __init__(self, base: nn.Module) -> None:
        """Find the blocks.

        Raises:
            AtlasError: If the model keeps them in none of the known places.
        """
        self._path = blocks_path(base)
        self._list = cast("nn.ModuleList", base.get_submodule(self._path))
        self._compiled: dict[int, Callable[..., Any]] = {}
        self.count = len(self._list)

    @property
    def is_whole(self) -> bool:
        """Whether no block was dropped."""
        return len(self._list) == self.count

    def check(self, name: str) -> None:
        """Refuse the name of a hook point in a block that was dropped.

        Raises:
            AtlasError: If it is in such a block.
        """
        layer = layer_of(name)
        if layer is not None and len(self._list) <= layer < self.count:
            last = f"blocks.{len(self._list) - 1}"
            raise AtlasError(name, f"blocks after {last} were dropped, since nothing read them", "load the model again")

    def trim(self, hooks: Sequence[HookPoint]) -> None:
        """Drop the blocks behind the last that one of these hook points reads.

        Nothing is dropped if there are none, or one lies outside the blocks.
        """
        places = [self._place(point) for point in hooks]
        last = max((place for place in places if place is not None), default=None)
        if last is not None and None not in places:
            del self._list[last + 1 :]
            self._compiled = {place: run for place, run in self._compiled.items() if place <= last}

    def compile(self, backend: Backend, device: torch.device) -> None:
        """Compile every block when it runs next.

        Args:
            backend: As `torch.compile` takes it.
            device: Where the blocks are.

        Raises:
            AtlasError: If this machine cannot compile (no C++ compiler, no Triton, ...).
        """
        try:  # on something small, so that it is found out here and not in the middle of a pass
            torch.compile(torch.sin, backend=backend)(torch.zeros(8, device=device))
        except Exception as error:
            # Dynamo and Inductor raise dozens of kinds; all mean that the toolchain is not there or broken.
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise AtlasError("model.compile", f"this machine cannot compile ({reason})", "set it to false") from error
        for place, block in enumerate(self._list):
            self._compiled[place] = torch.compile(block.forward, backend=backend, dynamic=True)

    @contextmanager
    def running(self, hooks: Sequence[HookPoint]) -> Iterator[None]:
        """While this lasts, compiled blocks run compiled, except those inside which a hook point lies."""
        listened = {self._place(point) for point in hooks if point.path != f"{self._path}.{self._place(point)}"}
        chosen = {place: run for place, run in self._compiled.items() if place not in listened}
        for place, run in chosen.items():
            vars(self._list[place])["forward"] = run
        try:
            yield
        finally:
            for place in chosen:
                del vars(self._list[place])["forward"]

    def _place(self, point: HookPoint) -> int | None:
        """The block that a hook point reads or lies in; None if it lies outside."""
        path = point.path.removeprefix(f"{self._path}.")
        number = path.partition(".")[0]
        return int(number) if path != point.path and number.isdecimal() else None
