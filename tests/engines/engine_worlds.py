"""A small made-up model with its dictionaries and its corpus, and what they come to when counted plainly.

Weights and activations are small whole numbers: every sum is exact, so that no result depends on the shape of a
matrix product and all comparisons are to the last bit.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from atlas.corpus.chunks import Chunk, DocumentRef
from atlas.dictionaries.base import Dictionary
from atlas.engines import Parts, Shape, State, Worker, encode, run_local, state, worker
from atlas.stats import Accumulator, Batch, Firings

PAD, EOS, BOS, VOCAB = 0, 1, 2, 32
D, BLOCK, ROWS, SOURCES, TOP, SAMPLE = 4, 4, 8, 2, 3, 5
HOOKS = ("a", "b")

Arrays = dict[str, np.ndarray]
Spoil = Callable[[torch.Tensor, dict[str, torch.Tensor]], None]
"""Changes activations by hook point in place, given the ids."""


class Inline(Executor):
    """Runs what it is given at once, in the calling thread."""

    def __init__(self, _threads: int) -> None:
        """As a pool is made."""

    def submit(self, work, /, *given, **named):
        done: Future = Future()
        done.set_result(work(*given, **named))
        return done


@contextmanager
def small_blocks(*, inline: bool = False) -> Iterator[None]:
    """Blocks of four features, eight encoded at a time, TopK on a few tokens at a time; `inline`: no threads."""
    with pytest.MonkeyPatch.context() as patch:
        if inline:
            patch.setattr(worker, "ThreadPoolExecutor", Inline)
        patch.setattr(encode, "BLOCK", BLOCK)
        patch.setattr(state, "BLOCK", BLOCK)
        patch.setattr(encode, "ROWS", ROWS)
        patch.setattr(encode, "SLICE", 64)
        yield


def make_dictionary(
    architecture: str, width: int, seed: int = 0, hook: str = "a", *, subtract: bool = False
) -> Dictionary:
    """Whole weights; thresholds of either sign; for TopK a bias that tells all features apart, so that none tie."""
    chance = np.random.default_rng(seed)
    whole = {name: chance.integers(-2, 3, size) for name, size in (("enc", (D, width)), ("b", width), ("dec", D))}
    weights = {name: torch.from_numpy(values.astype(np.float32)) for name, values in whole.items()}
    if architecture == "topk":
        weights["b"] = weights["b"] + torch.arange(width) / 1024
    jump = architecture == "jumprelu"
    return Dictionary(
        id=f"{architecture}-{width}",
        architecture=architecture,
        hook_point=hook,
        W_enc=weights["enc"],
        b_enc=weights["b"],
        W_dec=weights["enc"].T.contiguous(),
        b_dec=weights["dec"],
        threshold=torch.from_numpy(chance.integers(-3, 4, width).astype(np.float32)) if jump else None,
        k=3 if architecture == "topk" else None,
        subtract_b_dec=subtract,
    )


class Model:
    """Activations by token and position: whole numbers where a position counts, NaN everywhere else."""

    device, pad_id, bos_id, special_ids = torch.device("cpu"), PAD, BOS, frozenset({PAD, EOS, BOS})

    def __init__(self, spoil: Spoil | None = None) -> None:
        chance = torch.Generator().manual_seed(7)
        self._table = {h: torch.randint(-3, 4, (VOCAB, D), generator=chance).float() for h in HOOKS}
        self._shift = {h: torch.randint(-1, 2, (64, D), generator=chance).float() for h in HOOKS}
        self._spoil = spoil

    @staticmethod
    def hook(name: str) -> SimpleNamespace:
        return SimpleNamespace(name=name)

    def run(self, ids: torch.Tensor, mask: torch.Tensor, hooks: Sequence[SimpleNamespace]) -> dict[str, torch.Tensor]:
        counts = mask & (ids != EOS) & (ids != BOS)
        found = {}
        for hook in hooks:
            value = self._table[hook.name][ids] + self._shift[hook.name][: ids.shape[1]]
            found[hook.name] = torch.where(counts[..., None], value, torch.nan)
        if self._spoil is not None:
            self._spoil(ids, found)
        return found


@dataclass
class World:
    """A model, dictionaries and a corpus in chunks."""

    dictionaries: list[Dictionary]
    chunks: list[Chunk]
    model: Model = field(default_factory=Model)
    bos: bool = True

    @property
    def shape(self) -> Shape:
        return Shape.whole([d.width for d in self.dictionaries], SOURCES, TOP, SAMPLE)

    @property
    def batches(self) -> list[tuple[Chunk, int]]:
        return [(chunk, n) for chunk in self.chunks for n in range(len(chunk.batches) - 1)]

    def worker(self, shape: Shape | None = None, state: State | None = None) -> Worker:
        return Worker(self.model, self.dictionaries, shape or self.shape, bos=self.bos, state=state)


def make_world(seed: int, chunks: int = 3, spoil: Spoil | None = None, tokens: int = 0, *, bos: bool = True) -> World:
    """Three dictionaries at two hook points; windows of few different tokens (or so many), so that contexts repeat."""
    made = [
        make_dictionary("standard", 7, seed),
        make_dictionary("jumprelu", 4, seed + 1, "b", subtract=True),
        make_dictionary("topk", 5, seed + 2),
    ]
    chance = random.Random(seed)  # noqa: S311 (no secret)
    found: list[Chunk] = []
    for number in range(chunks):
        first = found[-1].windows.stop if found else 0
        batch = found[-1].first_batch + len(found[-1].batches) - 1 if found else 0
        found.append(_chunk(number, first, batch, chance, tokens))
    return World(made, found, Model(spoil), bos)


def _chunk(number: int, first: int, first_batch: int, chance: random.Random, tokens: int) -> Chunk:
    windows = chance.randrange(3, 8)
    lengths = sorted((chance.randrange(1, 9) for _ in range(windows)), reverse=True)
    few = [EOS, *range(3, 3 + tokens if tokens else chance.choice([6, VOCAB]))]
    ids = [chance.choice(few) for _ in range(sum(lengths))]
    inner = sorted(chance.sample(range(1, windows), chance.randrange(1, 3)))
    return Chunk(
        number=number,
        first=first,
        first_batch=first_batch,
        ids=np.array(ids, np.int32),
        offsets=np.cumsum([0, *lengths]),
        document=np.zeros(windows, np.int32),
        source=np.array([chance.randrange(SOURCES) for _ in range(windows)], np.int16),
        start=np.zeros(windows, np.int32),
        batches=np.array([0, *inner, windows]),
        documents=[DocumentRef("d", 0, sum(lengths))],
    )


def rectangle(chunk: Chunk, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids [b, t] of a micro-batch without BOS, -1 where a window has ended, and the windows' ids."""
    low, high = chunk.batches[number : number + 2].tolist()
    windows = [chunk.tokens(chunk.first + w) for w in range(low, high)]
    ids = np.full((len(windows), max(map(len, windows))), -1, np.int32)
    for row, tokens in enumerate(windows):
        ids[row, : len(tokens)] = tokens
    return ids, np.arange(chunk.first + low, chunk.first + high)


def plainly(world: World, spoilt: Callable[[Dictionary, np.ndarray], np.ndarray] | None = None) -> Arrays:
    """What every accumulator should hold: dense encoding, one micro-batch after the other.

    `spoilt` says which positions [b, t] of a micro-batch do not count for a dictionary.
    """
    whole = {
        (p, b): Accumulator(min(BLOCK, d.width - b * BLOCK), SOURCES, TOP, SAMPLE, first=b * BLOCK)
        for p, d in enumerate(world.dictionaries)
        for b in range(-(-d.width // BLOCK))
    }
    for chunk, number in world.batches:
        ids, windows = rectangle(chunk, number)
        led = np.hstack([np.full((len(ids), int(world.bos)), BOS), np.maximum(ids, 0)])
        plain = Model().run(torch.from_numpy(led), torch.ones(led.shape, dtype=torch.bool), [*map(Model.hook, HOOKS)])
        source = chunk.source[windows - chunk.first].astype(np.int64)
        for place, dictionary in enumerate(world.dictionaries):
            counted = (ids > 0) & (ids != EOS)
            if spoilt is not None:
                counted &= ~spoilt(dictionary, ids)
            dense = dictionary.encode(plain[dictionary.hook_point][:, world.bos :][torch.from_numpy(counted)]).T.numpy()
            batch = Batch.of(windows, source, ids, counted)
            for block in range(-(-dictionary.width // BLOCK)):
                _add(whole[place, block], dense[block * BLOCK : (block + 1) * BLOCK], batch)
    return {f"{p}/{b}/{name}": v for (p, b), a in whole.items() for name, v in a.arrays().items()}


def _add(accumulator: Accumulator, dense: np.ndarray, batch: Batch) -> None:
    flat = np.ascontiguousarray(dense).reshape(-1)
    cells = np.flatnonzero(flat)
    accumulator.update(Firings.of(cells, flat[cells]), batch)


def exactly(arrays: Arrays) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Arrays to the last bit."""
    return {name: (str(a.dtype), a.shape, a.tobytes()) for name, a in arrays.items()}


def statistics(arrays: Arrays) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """The accumulators' arrays only, to the last bit."""
    return exactly({name: a for name, a in arrays.items() if name.count("/") == 2})


def one_pass(world: World) -> State:
    """All micro-batches in order through one worker."""
    with world.worker() as worker:
        for chunk, number in world.batches:
            worker.read(chunk, number)
        worker.finish()
        return worker.state


def no_tick(_amount: int, _found: bool) -> None:
    """Nobody looks at the progress."""


FIRST, SECOND = "part-0000.sealed", "part-0001.sealed"


def halves(world: World) -> list[State]:
    """The pass in two halves, by two workers."""
    made = []
    for part in (0, 1):
        with world.worker() as worker:
            for chunk, number in world.batches[part::2]:
                worker.read(chunk, number)
            made.append(worker.state)
    return made


def names(found: Parts) -> list[str]:
    return sorted(path.name for path in found.folder.iterdir())


def finish(world: World, found: Parts) -> tuple[list[str], set[int]]:
    """Load what is there and run the rest of the pass: what was refused, and what was found done."""
    found = Parts(found.folder, found.run, found.shape)
    state = found.load()
    done = set(state.covered)
    assert names(found) == ([FIRST] if done else [])
    with world.worker(state=state) as worker:
        total = run_local([worker], world.chunks, found, 60, no_tick)
    assert exactly(total.arrays()) == exactly(Parts(found.folder, found.run, found.shape).load().arrays())
    assert exactly(total.arrays()) == exactly(one_pass(world).arrays())
    return found.refused, done
