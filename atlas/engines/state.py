"""What a pass knows so far: accumulators, what could not be counted, and which micro-batches it has seen.

States of different micro-batches merge in any order and any tree to the same state, to the last byte
(`atlas.stats`). That one fact carries everything else here: workers keep a state each, a checkpoint is a
state on disk, and a build that was killed goes on with what no state covers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from atlas.engines.encode import BLOCK
from atlas.stats import Accumulator

Arrays = dict[str, np.ndarray]
SHOWN = 100
"""Windows named of those with values that are not finite."""


@dataclass(frozen=True)
class Shape:
    """What decides which accumulators a state has; states of one shape can be merged.

    Attributes:
        widths: Features of each dictionary, in the recipe's order.
        blocks: Of each dictionary, the blocks of `BLOCK` features that are counted, ascending.
        sources: Number of corpus sources.
        top: Top snippets kept a feature.
        sample: Firings sampled a feature.
    """

    widths: tuple[int, ...]
    blocks: tuple[tuple[int, ...], ...]
    sources: int
    top: int
    sample: int

    @staticmethod
    def whole(widths: Sequence[int], sources: int, top: int, sample: int) -> Shape:
        """All blocks of all dictionaries."""
        return Shape(tuple(widths), tuple(tuple(range(-(-w // BLOCK))) for w in widths), sources, top, sample)

    def none(self) -> Shape:
        """The same without any block: what is known beside the accumulators."""
        return replace(self, blocks=tuple(() for _ in self.blocks))

    def places(self) -> Iterable[tuple[int, int]]:
        """(dictionary's place, block) of every accumulator."""
        return ((place, block) for place, blocks in enumerate(self.blocks) for block in blocks)

    def accumulator(self, place: int, block: int) -> Accumulator:
        """An empty accumulator of one block."""
        first = block * BLOCK
        width = min(BLOCK, self.widths[place] - first)
        return Accumulator(width, self.sources, self.top, self.sample, first)


@dataclass
class Unfit:
    """Positions of one dictionary that are in no statistic because a value there is not finite."""

    positions: int = 0
    windows: int = 0
    first: list[int] = field(default_factory=list)  # ids, ascending, at most SHOWN

    def add(self, windows: Iterable[int], positions: int, count: int) -> None:
        """Note `positions` positions in `count` windows, these among them."""
        self.positions += positions
        self.windows += count
        self.first = sorted({*self.first, *windows})[:SHOWN]


class State:
    """The state of a pass; empty at first.

    Attributes:
        covered: Numbers of the micro-batches that were seen.
        chunks: Digests of the chunks of text that they came from, by number.
        accumulators: By (dictionary's place, block).
        unfit: A dictionary each.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.covered: set[int] = set()
        self.chunks: dict[int, str] = {}
        self.accumulators = {(place, block): shape.accumulator(place, block) for place, block in shape.places()}
        self.unfit = [Unfit() for _ in shape.widths]

    def merge(self, other: State) -> None:
        """Add what another state of the same shape and other micro-batches knows.

        Raises:
            ValueError: If both have seen a micro-batch, or they read different text.
        """
        self.merge_head(other)
        for where, accumulator in self.accumulators.items():
            accumulator.merge(other.accumulators[where])

    def merge_head(self, other: State) -> None:
        """The same without the accumulators, which have to be added, each once, before the state is of any use.

        Raises:
            ValueError: As `merge`; nothing is changed then.
        """
        if not self.covered.isdisjoint(other.covered):
            msg = f"micro-batch {min(self.covered & other.covered)} is in both states"
            raise ValueError(msg)
        for number in self.chunks.keys() & other.chunks.keys():
            if self.chunks[number] != other.chunks[number]:
                msg = f"the states read different text in chunk {number}"
                raise ValueError(msg)
        self.covered |= other.covered
        self.chunks |= other.chunks
        for mine, theirs in zip(self.unfit, other.unfit, strict=True):
            mine.add(theirs.first, theirs.positions, theirs.windows)

    def arrays(self) -> Arrays:
        """All of it as named arrays, equal for equal sets of micro-batches."""
        return dict(self.items())

    def items(self) -> Iterator[tuple[str, np.ndarray]]:
        """The same one after the other; a block's are made when it is their turn."""
        for (place, block), accumulator in self.accumulators.items():
            for name, value in accumulator.arrays().items():
                yield f"{place}/{block}/{name}", value
        for place, unfit in enumerate(self.unfit):
            yield f"{place}/unfit", np.array([unfit.positions, unfit.windows, *unfit.first], np.int64)
        yield "covered", np.array(sorted(self.covered), np.int64)
        yield "chunks", np.array(sorted(self.chunks), np.int64)
        digests = "".join(self.chunks[number] for number in sorted(self.chunks))
        yield "chunk_digests", np.frombuffer(digests.encode("ascii"), np.uint8)

    @staticmethod
    def restored(shape: Shape, arrays: Arrays) -> State:
        """The state that `arrays` came from, as far as the shape goes."""
        state = State(shape)
        parts: dict[tuple[int, int], Arrays] = {where: {} for where in state.accumulators}
        for name, value in arrays.items():
            match name.split("/"):
                case [place, block, rest] if (where := (int(place), int(block))) in parts:
                    parts[where][rest] = value
                case [place, _]:
                    positions, windows, *first = value.tolist()
                    state.unfit[int(place)] = Unfit(positions, windows, first)
        for where, part in parts.items():
            state.accumulators[where].restore(part)
        state.covered = set(arrays["covered"].tolist())
        numbers = arrays["chunks"].tolist()
        digests = arrays["chunk_digests"].tobytes().decode("ascii")
        size = len(digests) // max(1, len(numbers))
        state.chunks = {number: digests[i * size : (i + 1) * size] for i, number in enumerate(numbers)}
        return state


def is_head(name: str) -> bool:
    """Whether an array of this name is no part of an accumulator."""
    return name.count("/") < 2  # noqa: PLR2004 (place/block/name)
