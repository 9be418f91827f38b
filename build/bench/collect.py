"""Our pass against its floor, in one process and on the same tokens.

    python build/bench/collect.py [--quick] [--batches N] [--model DIR]

The floor is what nobody can avoid: the model's forward pass to the last hook point, and one dense product
`addmm(b_enc, x, W_enc)` for each dictionary, written into memory that is there already. Ours is `Worker.read`: the same
forward pass, and everything that the atlas keeps. Both run under the same allocator settings and threads; they
take turns, micro-batch by micro-batch, which of them goes first alternating. What is reported is the ratio of the
sums of their times, without the tenth of the turns whose own ratio is highest and the tenth where it is lowest (one
each of 5 to 19 turns): there the machine was doing something else.

1. `ratio_to_floor`: one dictionary, the demo's 9-res-4k, from empty statistics on. Without --quick also two and four
   at one or two hook points (`SOME`), of 1k to 16k features.
2. `many_ratio_to_floor`: eight dictionaries of 1k to 16k features at three hook points in one pass.
3. `extra_dictionary_ratio`: what one more dictionary at a hook point adds, over its own product, for 1k features (and
   4k and 16k without --quick), the worst of them. The forward pass is left out of this, so it takes many more tokens,
   as many as the demo's: they are drawn with replacement from activations that were recorded before, and are read as
   new windows.

Dictionaries that the demo does not have are random ones (`small.write_dictionary`) of which 32 features fire on a
token, as with the demo's. The model and the text are the demo's: `make demo` first, or name the folder of a model.

Last line: the three ratios; exit status 1 if they are above 1.10, 1.25 and 1.30.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from atlas.spin import wait_briefly

wait_briefly()  # as the command line does, before torch is imported

import torch
from small import write_dictionary

from atlas.config import load
from atlas.corpus import Chunk, corpus_key, open_corpus
from atlas.dictionaries.base import Dictionary
from atlas.dictionaries.files import find_files
from atlas.dictionaries.formats import Wanted, saelens
from atlas.engines import Shape, State, Worker
from atlas.engines.encode import Buffers, Encoder
from atlas.model.heap import keep_freed_memory
from atlas.model.inputs import pad
from atlas.model.lm import LanguageModel
from atlas.paths import out_root
from atlas.stats import Batch, Firings

ROOT = Path(__file__).resolve().parents[2]
BATCH, TOP, SAMPLE = 32, 20, 128
QUICK_BATCH, QUICK_TURNS = 8, (9, 5)
"""Windows of a micro-batch of the quick passes, so that they have several turns; and how many, of either pass."""

TURNS = 50
"""Micro-batches for one more dictionary: 203,200 tokens, the demo's corpus."""

WARM = 2
"""Micro-batches before those, of both, which are not timed: libraries load code with the first."""

FEW = 2048
"""Tokens that thresholds of random dictionaries are quantiles of."""

LEAST_TURNS = 5
"""Below this many, none is left out."""

LIMITS = {"ratio_to_floor": 1.10, "many_ratio_to_floor": 1.25, "extra_dictionary_ratio": 1.30}

MANY = {  # id: hook point's block, features, folder of build/demo if it is real
    "5-2k": (5, 2048, "layer_5_width_2048"),
    "5-8k": (5, 8192, ""),
    "9-1k": (9, 1024, "layer_9_width_1024"),
    "9-4k": (9, 4096, "layer_9_width_4096"),
    "9-16k": (9, 16384, ""),
    "12-1k": (12, 1024, ""),
    "12-2k": (12, 2048, "layer_12_width_2048"),
    "12-4k": (12, 4096, ""),
}


SOME = (("9-1k", "9-4k"), ("9-1k", "9-4k", "9-16k", "12-2k"))


@dataclass
class Race:
    """Two ways to do the same work, taking turns; their seconds, the floor's first."""

    turns: list[tuple[float, float]] = field(default_factory=list)

    def turn(self, floor: Callable[[], object], ours: Callable[[], object]) -> None:
        """Time one of each; who goes first alternates."""
        order = (floor, ours) if len(self.turns) % 2 == 0 else (ours, floor)
        times = {}
        for run in order:
            start = time.perf_counter()
            run()
            times[run] = time.perf_counter() - start
        self.turns.append((times[floor], times[ours]))

    @property
    def ratio(self) -> float:
        """Ratio of the sums without the outermost turns."""
        out = 0 if len(self.turns) < LEAST_TURNS else max(1, len(self.turns) // 10)
        ranked = sorted(self.turns, key=lambda turn: turn[1] / turn[0])
        floor, ours = np.sum(ranked[out : len(ranked) - out], axis=0)
        return float(ours / floor)

    def __str__(self) -> str:
        """The ratio, that of all turns, and the median of the turns' ratios."""
        floor, ours = np.mean(self.turns, axis=0)
        pairs = [ours / floor for floor, ours in self.turns]
        return (
            f"{self.ratio:.3f} (all turns {ours / floor:.3f}, median turn {np.median(pairs):.3f}, {len(self.turns)} "
            f"turns, floor {floor:.3f} s, ours {ours:.3f} s)"
        )


class Bench:
    """The model, its corpus, and dictionaries by block and width."""

    def __init__(self, folder: Path, scratch: Path, batch: int, tokens: int) -> None:
        self.model = LanguageModel.load(folder)
        recipe = load(ROOT / "build/recipes/demo.toml")
        self.sources = len(recipe.corpus.part)
        only = {"tokens": tokens, "part": recipe.corpus.part[:1]}  # reading the others takes longer than the races
        recipe = recipe.model_copy(update={"corpus": recipe.corpus.model_copy(update=only)})
        key = corpus_key(recipe, self.model.tokenizer)
        with open_corpus(recipe, self.model.tokenizer, out_root() / "cache", scratch / "corpus", key, batch) as corpus:
            self.chunks = list(corpus)
        self.scratch = scratch
        self.activations: dict[int, torch.Tensor] = {}

    def batches(self, count: int) -> Iterator[tuple[Chunk, int]]:
        """The first micro-batches."""
        found = [(chunk, number) for chunk in self.chunks for number in range(len(chunk.batches) - 1)]
        yield from found[:count]

    def inputs(self, chunk: Chunk, number: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Token ids, mask and positions that count of one micro-batch."""
        low, high = chunk.batches[number : number + 2].tolist()
        model = self.model
        return pad(chunk.ids, chunk.offsets[low : high + 1], model.bos_id, model.pad_id, model.special_ids)

    def record(self, blocks: list[int], count: int) -> None:
        """Keep what some micro-batches do after these blocks, [tokens, d_model] each."""
        hooks = [self.model.hook(f"blocks.{b}.hook_resid_post") for b in blocks]
        parts: dict[int, list[torch.Tensor]] = {b: [] for b in blocks}
        for chunk, number in self.batches(count):
            ids, mask, counted = self.inputs(chunk, number)
            found = self.model.run(ids, mask, hooks)
            for block, hook in zip(blocks, hooks, strict=True):
                parts[block].append(found[hook.name][counted])
        self.activations = {block: torch.cat(some).clone() for block, some in parts.items()}

    def dictionary(self, name: str) -> Dictionary:
        """One of `MANY`."""
        block, width, real = MANY[name]
        folder = ROOT / "build/demo" / real
        if not real:
            folder = self.scratch / name
            hook_point = f"blocks.{block}.hook_resid_post"
            write_dictionary(folder, self.activations[block][:FEW], width, hook_point, seed=width)
        return saelens.read(find_files(str(folder), Path), Wanted(name))

    def race(self, names: list[str], count: int) -> Race:
        """A pass with these dictionaries against its floor."""
        dictionaries = [self.dictionary(name) for name in names]
        hooks = {d.hook_point: self.model.hook(d.hook_point) for d in dictionaries}
        out = torch.empty(BATCH * 128 * max(d.width for d in dictionaries))
        race, shape = Race(), Shape.whole([d.width for d in dictionaries], self.sources, TOP, SAMPLE)

        def floor(chunk: Chunk, number: int) -> None:
            ids, mask, counted = self.inputs(chunk, number)
            found = self.model.run(ids, mask, list(hooks.values()))
            for dictionary in dictionaries:
                x = found[dictionary.hook_point][counted]
                into = out[: len(x) * dictionary.width].view(len(x), dictionary.width)
                torch.addmm(dictionary.b_enc, x, dictionary.W_enc, out=into)

        with torch.inference_mode(), Worker(self.model, dictionaries, shape, bos=True, state=State(shape)) as worker:
            for chunk, number in self.batches(count):
                race.turn(partial(floor, chunk, number), partial(worker.read, chunk, number))
        return race

    def one_more(self, name: str, count: int) -> Race:
        """One dictionary alone against its product, on micro-batches drawn from what was recorded."""
        d, pool = self.dictionary(name), self.activations[MANY[name][0]]
        shape = Shape.whole([d.width], self.sources, TOP, SAMPLE)
        state, unused = State(shape), State(shape)
        chance = np.random.default_rng(0)
        tokens = BATCH * 127
        out = torch.empty(tokens, d.width)
        race = Race()

        def take(state: State, block: int, firings: Firings, batch: Batch) -> None:
            state.accumulators[0, block].update(firings, batch)

        with torch.inference_mode(), ThreadPoolExecutor(torch.get_num_threads()) as threads:
            encoder = Encoder(d, Buffers.on(torch.device("cpu")), threads, list(shape.blocks[0]))
            for turn in range(-WARM, count):
                x = pool[torch.from_numpy(chance.integers(0, len(pool), tokens))]
                ids = chance.integers(0, self.model.vocab, (BATCH, 127)).astype(np.int32)
                windows = np.arange(BATCH) + (turn + WARM) * BATCH
                batch = Batch.of(windows, chance.integers(0, self.sources, BATCH), ids, np.ones(ids.shape, bool))
                ours = partial(encoder.run, x, batch, partial(take, state if turn >= 0 else unused))
                if turn == 0:
                    for accumulator in unused.accumulators.values():
                        accumulator.arrays()
                (race if turn >= 0 else Race()).turn(partial(torch.addmm, d.b_enc, x, d.W_enc, out=out), ours)
        return race


def main() -> None:
    """Run the three races."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few small micro-batches, about a minute")
    parser.add_argument("--batches", type=int, default=0, help="micro-batches of the passes; 40 by default")
    parser.add_argument("--model", type=Path, help="folder of the converted model; the demo's by default")
    given = parser.parse_args()
    keep_freed_memory()
    found = sorted((out_root() / "cache" / "models").glob("gemma3-270m*"))
    if given.model is None and not found:
        sys.exit("no model yet: run `make demo` first")
    batch, counts = (QUICK_BATCH, QUICK_TURNS) if given.quick else (BATCH, (40, 40))
    counts = (given.batches, given.batches) if given.batches else counts
    with tempfile.TemporaryDirectory(prefix="atlas-collect-") as scratch:
        bench = Bench(given.model or found[0], Path(scratch), batch, max(*counts, 8) * batch * 127)
        bench.record([5, 9, 12], 4 if given.quick else 8)
        extras = {}  # first, since the passes are few turns and the first one loads code
        for name in ("9-1k",) if given.quick else ("9-1k", "9-4k", "9-16k"):
            extras[name] = bench.one_more(name, TURNS)
            print(f"one more, {name:<14} {extras[name]}", flush=True)
        one = bench.race(["9-4k"], counts[0])
        print(f"one dictionary           {one}", flush=True)
        for names in () if given.quick else SOME:
            print(f"{', '.join(names):<24} {bench.race(list(names), counts[1])}", flush=True)
        many = bench.race(list(MANY), counts[1])
        print(f"eight dictionaries       {many}", flush=True)
    ratios = {
        "ratio_to_floor": one.ratio,
        "many_ratio_to_floor": many.ratio,
        "extra_dictionary_ratio": max(race.ratio for race in extras.values()),
    }
    threads = torch.get_num_threads()
    print(
        " ".join(f"{name}={value:.3f}" for name, value in ratios.items()), f"threads={threads} turns={len(one.turns)}"
    )
    sys.exit(any(value > LIMITS[name] for name, value in ratios.items()))


if __name__ == "__main__":
    main()
