"""A pass of a small made-up world whose workers note what they read, for engines that run elsewhere."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from engine_worlds import World, make_world, no_tick

from atlas.engines import Parts, State, Worker, run_local
from atlas.engines.ray import run_ray
from atlas.engines.ray_cluster import Crew

CHUNKS = 16
ONE_CPU = Crew("cpu", 1, 2)


class Noted(Worker):
    """Notes what it reads and in which process, and takes its time."""

    make: Make

    def read(self, chunk, number):
        mine, make = chunk.first_batch + number, self.make
        with make.log.open("a") as file:
            file.write(f"{os.getpid()} {mine}\n")
        if make.fails is not None:
            raise make.fails[0](*make.fails[1])
        if mine == make.hangs and not make.hung():
            make.log.with_name("hung").write_text(f"{os.getpid()}\n")
            time.sleep(600)
        deadline = time.monotonic() + 60
        while len({pid for pid, _ in make.read()}) < make.meets:
            assert time.monotonic() < deadline, "the others do not come"
            time.sleep(0.01)
        time.sleep(0.02)
        return super().read(chunk, number)


@dataclass(frozen=True)
class Make:
    """Makes a worker of a small made-up world.

    Attributes:
        log: Where it notes what it reads.
        fails: What every reading raises.
        meets: Processes that have to be there before any goes on.
        hangs: Micro-batch that whoever reads it first does not come back from.
    """

    log: Path
    fails: tuple[type[Exception], tuple[str, ...]] | None = None
    meets: int = 1
    hangs: int = -1

    def __call__(self) -> Noted:
        world = make_world(3, CHUNKS)
        made = Noted(world.model, world.dictionaries, world.shape, bos=True)
        made.make = self
        return made

    def read(self) -> list[tuple[int, int]]:
        """Process and number of the micro-batches that were begun so far."""
        return [(int(pid), int(number)) for pid, number in map(str.split, self.log.read_text().splitlines())]

    def hung(self) -> int:
        """The process that hangs, or 0."""
        note = self.log.with_name("hung")
        text = note.read_text() if note.exists() else ""
        return int(text) if text.endswith("\n") else 0


class Dying(Make):
    """A worker whose process ends instead."""

    def __call__(self) -> Noted:
        os._exit(1)


@dataclass
class Job:
    """A pass of the small world."""

    folder: Path
    world: World = field(default_factory=lambda: make_world(3, CHUNKS))
    said: list[str] = field(default_factory=list)

    @property
    def parts(self) -> Parts:
        return Parts(self.folder / "pass", "run", self.world.shape)

    @property
    def make(self) -> Make:
        return Make(self.folder / "log")

    def on_ray(self, tick=no_tick, every=0.01, make=None, crew=ONE_CPU, tokens=10**4) -> State:
        parts = self.parts
        state = parts.load()
        return run_ray(make or self.make, self.world.chunks, tokens, parts, state, every, tick, crew, self.said.append)

    def on_this_machine(self, tick=no_tick) -> State:
        parts = self.parts
        with self.world.worker(state=parts.load()) as worker:
            return run_local([worker], self.world.chunks, parts, 0.0001, tick)
