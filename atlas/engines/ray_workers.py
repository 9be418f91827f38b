"""Actors on a Ray cluster, and the tasks that each has.

1. An actor joins when it answers: until then the cluster may have no room for it, and it gets no task.
2. Each has one task ahead of the one that it works on. The first ones are of one micro-batch. Then a task is to take
   `every` seconds, or `HANDOVER` times what packing its state takes, if that is more; but not more than its share of
   what is left, so that all end at about the same time; but at least `WORTH` times the packing.
3. When a task fails because its actor or node died, all tasks of that actor come back as lost, and the actor, which
   Ray starts anew where there is room, joins again. Workers that die without end, or never come, end the pass.
4. A few more actors merge states, when there are any. They take no CPU of Ray's count, since all of them may be the
   workers'. (Tasks that take none would be started all at once, a process each.) A merge that was lost is done again
   by Ray, as long as both states are there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from atlas.engines.ray_cluster import WHERE, Crew
from atlas.engines.ray_task import Make, Merger, Reader, Report
from atlas.engines.ray_tree import Found, Unit
from atlas.engines.state import Shape
from atlas.errors import AtlasError

SPREAD = {"max_restarts": -1, "scheduling_strategy": "SPREAD"}
"""For all actors: started anew without end, and far from one another."""

AHEAD = 2
"""Tasks that a worker has: the one that it works on, and the next."""

HANDOVER, WORTH = 60.0, 5.0
"""How many times longer than packing its state a task is to take, and takes at least. Merging takes some 20 times."""

MERGED = 2
"""Workers whose states one merger merges: less than it could, by `HANDOVER`."""

BEAT = (0.05, 5.0)
"""Seconds that is waited for something to happen, at least and at most."""

PATIENCE = 300.0
"""Seconds without any worker after which the pass is given up; its parts stay."""

LOSSES = 6
"""Tasks lost for each worker, and none finished in between, after which it is no accident."""


@dataclass(eq=False)
class _Seat:
    """An actor.

    Attributes:
        actor: Its handle.
        live: Whether it has joined.
        tasks: How many it has.
        goal: Tokens of its next task, if enough is left.
        least: Tokens of its next task, if little is left.
    """

    actor: Any
    live: bool = False
    tasks: int = 0
    goal: float = 1.0
    least: float = 1.0


@dataclass
class Workers:
    """The actors of a pass.

    Attributes:
        ray: The module, connected.
        make: Makes a worker on its node.
        crew: What an actor needs.
        number: How many to start.
        shape: What to count.
        every: Seconds that a task may take, unless packing its state takes long.
        say: Told of losses.
    """

    ray: Any
    make: Make
    crew: Crew
    number: int
    shape: Shape
    every: float
    say: Callable[[str], None]
    _seats: list[_Seat] = field(default_factory=list)
    _mergers: list[Any] = field(default_factory=list)
    _joining: dict[Any, _Seat] = field(default_factory=dict)  # by the answer that is waited for
    _out: dict[Any, tuple[_Seat, Found]] = field(default_factory=dict)  # tasks by their reports
    _devices: set[str] = field(default_factory=set)
    _losses: int = 0
    _alone: float = 0.0  # since when there is no worker

    def __post_init__(self) -> None:
        """Ask for the actors; Ray starts as many as there is room for, far from one another first."""
        actor = self.ray.remote(**self.crew.needs, **SPREAD, max_task_retries=0)(Reader)
        self._alone = time.monotonic()
        for _ in range(self.number):
            self._seats.append(_Seat(actor.remote(self.make)))
            self._join(self._seats[-1])

    @property
    def busy(self) -> bool:
        """Whether any task is out."""
        return bool(self._out)

    def deal(self, take: Callable[[float], list[Unit]], left: Callable[[], int]) -> None:
        """Give every worker what it is to have, in turn.

        Args:
            take: Takes micro-batches of so many tokens, or a little more, out of what is left; an empty list if
                nothing is.
            left: How many tokens are left, at most.
        """
        live = [seat for seat in self._seats if seat.live]
        for tasks, seat in product(range(AHEAD), live):
            if seat.tasks > tasks:
                continue
            share = max(seat.least, left() / len(live))
            if units := take(max(1.0, min(seat.goal, share))):
                numbers: dict[Any, list[int]] = {}
                for unit in units:
                    numbers.setdefault(unit.chunk, []).append(unit.number)
                read = seat.actor.read.options(num_returns=2)
                report, state = read.remote(list(numbers.values()), *numbers)
                self._out[report] = seat, Found(state, units)
                seat.tasks += 1

    def listen(self, seconds: float) -> Iterator[tuple[Found, Report | None]]:
        """Wait until something happens; tasks that ended, without a report where they were lost.

        Args:
            seconds: How long at most.

        Raises:
            AtlasError: As a worker raised it, or if there are no workers to wait for.
        """
        if any(seat.live for seat in self._seats):
            self._alone = time.monotonic()
        elif (alone := time.monotonic() - self._alone) > PATIENCE:
            mend = "wait until the cluster has room, or add nodes, and run it again: what is done is kept"
            raise AtlasError(WHERE, f"the cluster had no room for any worker for {alone:.0f} s", mend)
        answers = [*self._out, *self._joining]
        for answer in self.ray.wait(answers, num_returns=1, timeout=min(max(seconds, BEAT[0]), BEAT[1]))[0]:
            try:
                value = self.ray.get(answer)
            except self.ray.exceptions.RayError as error:
                if is_bug(self.ray, error):
                    raise
                value = error
            if answer in self._joining:
                self._joined(self._joining.pop(answer), value)
            else:
                yield self._ended(*self._out.pop(answer), value)

    def merge(self, one: Any, other: Any) -> Any:
        """The sum of two states, which stays on the cluster; all are `ray.ObjectRef`."""
        if len(self._mergers) * MERGED < self.number:
            spread = {**SPREAD, "max_task_retries": -1, "allow_out_of_order_execution": True}
            self._mergers.append(self.ray.remote(num_cpus=0, **spread)(Merger).remote(self.shape))
        self._mergers.append(self._mergers.pop(0))  # in turn
        return self._mergers[0].merge.remote(one, other)

    def dismiss(self) -> None:
        """End the actors, whatever they are doing."""
        for actor in [*(seat.actor for seat in self._seats), *self._mergers]:
            self.ray.kill(actor, no_restart=True)

    def _join(self, seat: _Seat) -> None:
        seat.live = False
        self._joining[seat.actor.here.options(max_task_retries=-1).remote()] = seat

    def _joined(self, seat: _Seat, value: object) -> None:
        if isinstance(value, self.ray.exceptions.ActorDiedError):  # for good: it cannot even be made
            mend = "install the same packages on every node"
            raise AtlasError(WHERE, f"a worker cannot start ({_last_line(value)})", mend)
        if isinstance(value, Exception):
            self._join(seat)
        else:
            seat.live = True

    def _ended(self, seat: _Seat, found: Found, value: Report | Exception) -> tuple[Found, Report | None]:
        seat.tasks -= 1
        if isinstance(value, Exception):
            self._lost(seat, value)
            return found, None
        if value.error is not None:
            raise AtlasError(*value.error)
        self._losses = 0
        speed = value.tokens / max(value.reading, 1e-6)
        seat.goal = speed * max(self.every, HANDOVER * value.packing)
        seat.least = min(seat.goal, speed * WORTH * value.packing)
        if value.device not in self._devices:
            self._devices.add(value.device)
            if len(self._devices) > 1:
                what = " and ".join(sorted(self._devices))
                self.say(f"ray: workers run on {what}: another run may differ in the last digits")
        return found, value

    def _lost(self, seat: _Seat, error: Exception) -> None:
        self._losses += 1
        if self._losses > LOSSES * len(self._seats):
            mend = "see the logs of Ray; if a node's memory is too small, set collect.memory or a smaller collect.batch"
            raise AtlasError(WHERE, f"workers die again and again ({_first_line(error)})", mend)
        if seat.live:
            self.say(f"ray: a worker was lost; its tasks are done again ({_first_line(error)})")
            self._join(seat)


def is_bug(ray: Any, error: Exception) -> bool:
    """Whether an error of Ray's is code that failed, on the cluster, and not the loss of a worker or of an object."""
    failed, loss = ray.exceptions.RayTaskError, ray.exceptions.RayError
    return isinstance(error, failed) and not isinstance(error.cause, loss)


def _first_line(error: object) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]


def _last_line(error: object) -> str:
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), "")[:200]
