"""The pass on a GPU against its floor, for a model and dictionaries of published shapes.

    python build/bench/gpu.py [--shape gemma-2-2b] [--width 16384] [--fires 100] [--batch 128] [--batches 8] [--tf32]

Weights and text are random: what this measures depends on shapes and on how many features fire, and nobody has to
download anything. A residual dictionary reads each block; its thresholds are quantiles, so that `--fires` features fire
on a token.

The floor is the forward pass and one dense product for each dictionary, into memory that is there already. Ours is
`Worker.read`, to its end. Both read the same micro-batches, `--batches` at a time, and take turns; the device is waited
for at the end of each turn. Forward pass and products are timed alone as well. `--tf32` lets products of float32
matrices run in TF32, for both: the package has no switch for it, and this shows what it would bring and cost.
`--profile` lists what the device spends its time on.

Last line: `ratio_to_floor=... tokens_per_second=...`. Runs on a CPU too (`--device cpu`), with a smaller shape.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from atlas.spin import wait_briefly

wait_briefly()

import torch
from collect import Race
from gpu_inputs import SHAPES, WINDOW, chunk_of, random_dictionary, random_model
from torch import Tensor

from atlas.corpus import Chunk
from atlas.engines import Shape, State, Worker
from atlas.engines.line import Line
from atlas.engines.product import Product
from atlas.model.heap import keep_freed_memory
from atlas.model.inputs import pad
from atlas.stats import Accumulator

TOP, SAMPLE = 20, 128
TURNS = 6
FEW = 4096
"""Tokens that thresholds are quantiles of."""


class Bench:
    """Everything on the device, and one turn of each kind.

    Args:
        given: The command line.
    """

    def __init__(self, given: argparse.Namespace) -> None:
        self.device = torch.device(given.device)
        dtype = torch.bfloat16 if given.dtype == "bfloat16" else torch.float32
        self.model = random_model(SHAPES[given.shape], self.device, dtype)
        self._size, self._turns = (given.batch * given.batches, given.batch), itertools.count()
        self.chunk = self.next_chunk()
        names = [f"blocks.{i}.hook_resid_post" for i in range(self.model.n_layers)]
        self.hooks = [self.model.hook(name) for name in names]
        found = self.forward(0)
        self.dictionaries = [
            random_dictionary(
                str(i), name, found[name].reshape(-1, self.model.d_model)[:FEW].float(), given.width, given.fires
            )
            for i, name in enumerate(names)
        ]
        self.out = torch.empty(given.batch * WINDOW * given.width, device=self.device)
        shape = Shape.whole([given.width] * len(names), 1, TOP, SAMPLE)
        self.worker = Worker(self.model, self.dictionaries, shape, bos=True, state=State(shape))
        self.tokens = given.batch * given.batches * (WINDOW - 1)

    def next_chunk(self) -> Chunk:
        """Text that was not read before: no window may be counted twice."""
        return chunk_of(next(self._turns), *self._size, self.model.vocab)

    def wait(self) -> None:
        """Until the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def forward(self, number: int) -> dict[str, Tensor]:
        """The model on one micro-batch, to the last hook point."""
        low, high = self.chunk.batches[number : number + 2].tolist()
        model, pin = self.model, self.device.type == "cuda"
        offsets = self.chunk.offsets[low : high + 1]
        ids, mask, _ = pad(self.chunk.ids, offsets, model.bos_id, model.pad_id, model.special_ids, pin=pin)
        return model.run(ids, mask, self.hooks)

    def products(self, found: dict[str, Tensor]) -> None:
        """One dense product a dictionary, of all tokens but BOS."""
        for d in self.dictionaries:
            x = found[d.hook_point][:, 1:].reshape(-1, self.model.d_model).float()
            torch.addmm(d.b_enc, x, d.W_enc, out=self.out[: len(x) * d.width].view(len(x), d.width))

    def turn(self, work: Callable[[int], object]) -> float:
        """Seconds for all micro-batches of a chunk."""
        self.chunk = self.next_chunk()
        start = time.perf_counter()
        for number in range(len(self.chunk.batches) - 1):
            work(number)
        self.worker.finish()
        self.wait()
        return time.perf_counter() - start

    def floor(self, number: int) -> None:
        """What nobody can avoid, for one micro-batch."""
        self.products(self.forward(number))

    def ours(self, number: int) -> None:
        """The pass, for one micro-batch."""
        self.worker.read(self.chunk, number)


def errors(bench: Bench) -> str:
    """Worst relative error of what fires, of the last dictionary, against float64, of each way to multiply."""
    d = bench.dictionaries[-1]
    x = bench.forward(0)[d.hook_point][:, 1:].reshape(-1, bench.model.d_model)[:FEW]
    exact = (x.double() @ d.W_enc.double()).T
    fires = exact > d.bar[:, None]
    product, found = Product(d.W_enc, d.b_enc), []

    def worst(name: str, out: Tensor) -> None:
        found.append(f"{name} {float(((out.double() - exact).abs() / exact)[fires].max()):.1e}")

    allowed = torch.backends.cuda.matmul.allow_tf32
    for name, tf32, operand in (
        ("float32", False, x.float()),
        ("tf32", True, x.float()),
        ("split", False, product.operand(x)),
    ):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        product.into(out := torch.empty(d.width, len(x), device=bench.device), 0, operand)
        worst(name, out)
    torch.backends.cuda.matmul.allow_tf32 = allowed
    worst("bfloat16", (x.bfloat16() @ d.W_enc.bfloat16()).float().T)
    return ", ".join(found)


class Watch:
    """Adds up how long some methods take: on the clock, and on the processor of the calling thread."""

    def __init__(self, **watched: tuple[Any, str]) -> None:
        self._spent = {name: [0.0, 0.0] for name in watched}
        for name, (owner, method) in watched.items():
            setattr(owner, method, self._timed(self._spent[name], getattr(owner, method)))

    @staticmethod
    def _timed(spent: list[float], method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            begun = time.perf_counter(), time.thread_time()
            try:
                return method(*given, **named)
            finally:  # some additions of threads may be lost; it is for orientation
                spent[0] += time.perf_counter() - begun[0]
                spent[1] += time.thread_time() - begun[1]

        return timed

    def told(self) -> str:
        """Seconds since the last call."""
        text = ", ".join(f"{name} {clock:.2f} ({used:.2f})" for name, (clock, used) in self._spent.items())
        for spent in self._spent.values():
            spent[:] = 0.0, 0.0
        return text


def profile(bench: Bench) -> None:
    """What the device does in one turn of ours."""
    from torch.profiler import ProfilerActivity  # noqa: PLC0415
    from torch.profiler import profile as record  # noqa: PLC0415

    with record(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        took = bench.turn(bench.ours)
    print(found.key_averages().table(sort_by="self_cuda_time_total", row_limit=16, max_name_column_width=60))
    print(f"the turn took {took:.2f} s with the profiler on")


def main() -> None:
    """Measure one setting."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="gemma-2-2b")
    parser.add_argument("--width", type=int, default=16_384)
    parser.add_argument("--fires", type=int, default=100)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--tf32", action="store_true")
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    keep_freed_memory()
    torch.backends.cuda.matmul.allow_tf32 = given.tf32
    with torch.inference_mode():
        bench = Bench(given)
        parts = {"forward": bench.forward}
        found = bench.forward(0)
        parts["products"] = lambda _number: bench.products(found)
        print(f"worst relative error of what fires: {errors(bench)}")
        for work in (bench.floor, bench.ours):  # kernels are chosen, code is compiled, statistics are filled
            bench.turn(work)
        if given.profile:
            profile(bench)
        for name, work in parts.items():
            bench.turn(work)
            print(f"{name:10} {bench.tokens / bench.turn(work):>10,.0f} tokens/s", flush=True)
        watch = Watch(
            statistics=(Accumulator, "update"),
            waits=(Worker, "_wait"),
            fetches=(Line, "fetch"),
            forward=(bench.model, "run"),
        )
        race = Race()
        for _ in range(TURNS):
            race.turn(partial(bench.turn, bench.floor), partial(bench.turn, bench.ours))
            print("turn: floor {:.2f} s, ours {:.2f} s".format(*race.turns[-1]), "of which", watch.told(), flush=True)
        count = sum(int(a.totals.count.sum()) for a in bench.worker.state.accumulators.values())
    name = torch.cuda.get_device_name(bench.device) if bench.device.type == "cuda" else bench.device.type
    used = torch.cuda.max_memory_allocated(bench.device) / 1e9 if bench.device.type == "cuda" else 0.0
    floor, ours = np.mean(race.turns, axis=0)
    print(f"floor      {bench.tokens / floor:>10,.0f} tokens/s")
    print(f"ours       {bench.tokens / ours:>10,.0f} tokens/s, {count:,} firings, {race}")
    print(
        f"{name}, torch {torch.__version__}, {torch.get_num_threads()} threads, {used:.1f} GB on the device at most, ",
        end="",
    )
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB on the host, {given}")
    print(f"ratio_to_floor={race.ratio:.3f} tokens_per_second={bench.tokens / ours:.0f}")


if __name__ == "__main__":
    main()
