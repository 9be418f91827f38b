"""What a pass will cost, before it starts: operations, bytes, passes.

Operations (a multiply-add is two), for each token:

    forward     2 x parameters of the blocks that are run + 4 x window x attention width x blocks
    encoders    2 x d_in x width, each dictionary

Bytes, at the peak:

    model       weights that are kept, and the activations of one micro-batch
    dictionary  encoder and decoder in float32; for a GPU the encoder in three parts of bfloat16 too
    encoding    `ROWS` x tokens of a micro-batch, twice
    state       O(features x (top + sample)); one block of features packed while it is written; on a Ray cluster all of
                them, and once more in the object store

The model of the state's size is a bound in all terms but one: how many tokens of a window a feature fires on. It takes
`FIRES` for that; `build/bench/memory.py` measures it.

A dictionary's blocks of features go into the first pass that has room; a pass that has none left is followed by
another one over the same text. Every pass runs the model again, so that it pays to be generous.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from atlas.engines.encode import BLOCK, ROWS
from atlas.engines.state import Shape
from atlas.errors import AtlasError
from atlas.model.footprint import Footprint
from atlas.stats.batch import BUCKETS
from atlas.stats.kernels import BINS
from atlas.stats.rows import FIRES, SPARE
from atlas.stats.sample import GROWTH, SLOT
from atlas.stats.top import PATIENCE, ROW

COLUMNS, ACTIVATION = 38, 6
"""Bytes of a snippet's columns, and of each of its activations."""

REPEATED = 1.5
"""Rows kept of a top snippet: itself, and repeats of its context; `PATIENCE` more may wait."""


@dataclass(frozen=True)
class Size:
    """What decides the cost of a pass.

    Attributes:
        model: What the model costs, with the blocks that are run alone.
        hooks: Hook points that are read.
        encoders: (d_in, width) of each dictionary.
        tokens: Tokens to read.
        window: Tokens in a window.
        batch: Full windows in a micro-batch.
        neurons: Places of those that are neurons, which take neither products nor weights.
    """

    model: Footprint
    hooks: int
    encoders: tuple[tuple[int, int], ...]
    tokens: int
    window: int
    batch: int
    neurons: tuple[int, ...] = ()

    @property
    def weights(self) -> int:
        """Weights of all encoders: each takes part in one multiply-add a token."""
        return sum(d_in * width for place, (d_in, width) in enumerate(self.encoders) if place not in self.neurons)


@dataclass(frozen=True)
class Plan:
    """How a job will run.

    Attributes:
        shapes: What each pass counts.
        forward: Operations of the model for one token.
        encode: Operations of all dictionaries for one token, all passes together.
        operations: Of the whole job.
        fixed: Bytes that every pass needs, apart from its state.
        state: Bytes of the states of each pass.
        disk: Bytes on disk, at most: the corpus, each pass's state, and one state while it is written.
    """

    shapes: tuple[Shape, ...]
    forward: int
    encode: int
    operations: int
    fixed: int
    state: tuple[int, ...]
    disk: int

    @property
    def peak(self) -> int:
        """Bytes of the pass that needs most."""
        return self.fixed + max(self.state)


def make_plan(size: Size, shape: Shape, memory: int, *, shipped: bool = False) -> Plan:
    """Split a job into passes that keep a budget.

    Args:
        size: What decides the cost.
        shape: All that is to be counted.
        memory: Budget in bytes; 0 for none.
        shipped: Whether workers send their states to other processes.

    Raises:
        AtlasError: If not even one block of features fits.
    """
    written = {where: written_bytes(shape, *where) for where in shape.places()}
    cost = {where: block_bytes(shape, *where) + (2 * written[where] if shipped else 0) for where in shape.places()}
    fixed = fixed_bytes(size) + max(written.values())
    room = memory - fixed if memory else sum(cost.values())
    if max(cost.values()) > room:
        need = fixed + max(cost.values())
        raise AtlasError(
            "collect.memory", f"{gigabytes(memory)} is too little", f"this job needs {gigabytes(need)} or more"
        )
    passes: list[list[tuple[int, int]]] = []
    used = room + 1
    for where, needs in cost.items():
        if used + needs > room:
            passes.append([])
            used = 0
        passes[-1].append(where)
        used += needs
    shapes = tuple(_only(shape, set(some)) for some in passes)
    forward = 2 * size.model.parameters + 4 * size.window * size.model.attention * size.model.blocks
    encode = 2 * size.weights
    state = tuple(sum(cost[where] for where in some) for some in passes)
    on_disk = [sum(written[where] for where in some) for some in passes]
    return Plan(
        shapes,
        forward,
        encode,
        size.tokens * (len(shapes) * forward + encode),
        fixed,
        state,
        sum(on_disk) + max(on_disk) + 8 * size.tokens,
    )


def choose_batch(size: Size, memory: int, most: int) -> int:
    """Full windows in a micro-batch: the greatest power of two whose activations take a quarter of the memory.

    Args:
        size: What decides the cost; its `batch` is not looked at.
        memory: Bytes that may be used.
        most: Not more than this.
    """
    batch = 1
    while batch < most and activation_bytes(replace(size, batch=2 * batch)) <= memory // 4:
        batch *= 2
    return batch


def activation_bytes(size: Size) -> int:
    """Bytes of activations of one micro-batch: inside a block, at all hook points, and twice of `ROWS` features."""
    widest = max(d_in for d_in, _ in size.encoders)
    inside, kept = 4 * size.model.hidden * size.model.itemsize, size.hooks * widest * size.model.itemsize
    return size.batch * size.window * (inside + kept + 3 * 4 * widest + 10 * ROWS)


def fixed_bytes(size: Size) -> int:
    """Bytes that every pass needs, apart from its state."""
    split = 6 if size.model.itemsize == 2 else 0  # noqa: PLR2004 (bfloat16; only a GPU keeps them, see `product`)
    return size.model.weights + (2 * 4 + split) * size.weights + activation_bytes(size)


def block_bytes(shape: Shape, place: int, block: int) -> int:
    """Bytes of one block's statistics as a worker holds them."""
    windows = FIRES * ACTIVATION
    sample = shape.sample * (SPARE * SLOT.itemsize + GROWTH * windows)
    top = shape.top * (REPEATED * (COLUMNS + windows) + PATIENCE * (ROW.itemsize + windows))
    return round(_features(shape, place, block) * (sample + top + _totals(shape)))


def written_bytes(shape: Shape, place: int, block: int) -> int:
    """Bytes of the same packed, as they are written and sent."""
    rows = shape.sample + REPEATED * shape.top
    return round(_features(shape, place, block) * (rows * (COLUMNS + FIRES * ACTIVATION) + _totals(shape)))


def gigabytes(size: float) -> str:
    """Bytes for people."""
    return f"{size / 1e9:.1f} GB"


def _features(shape: Shape, place: int, block: int) -> int:
    return min(BLOCK, shape.widths[place] - block * BLOCK)


def _totals(shape: Shape) -> int:
    return 8 * (BINS + shape.sources + 3) + 4 * BUCKETS


def _only(shape: Shape, some: set[tuple[int, int]]) -> Shape:
    blocks: Sequence[tuple[int, ...]] = [
        tuple(b for b in blocks if (place, b) in some) for place, blocks in enumerate(shape.blocks)
    ]
    return replace(shape, blocks=tuple(blocks))
