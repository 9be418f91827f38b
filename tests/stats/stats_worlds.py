"""Made-up corpora for the accumulators, and the ways to feed them in."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import strategies as st
from stats_reference import Window

from atlas.stats import Accumulator, Batch, Firings, top

FEATURES, SOURCES = 3, 3
MOST = 24
TEXTS = ["a", "ab", "aaa", "aaaaaaaa", "aaaaaaab", "abababab", "abcabcabc", "b"]
VALUES = [1.0, 1.5, 2.0, 2.0009765625, 3.0, 4.0, 7.0, 2.0**-20, 2.0**-16, 1.5 * 2.0**23, 2.0**30]
DEAD = FEATURES - 1
"""The last feature never fires."""


def _window(id_: int, seed: int) -> Window:
    chance = random.Random(seed)  # noqa: S311 (no secret); drawing each firing from Hypothesis would take minutes
    tokens = tuple(map(ord, chance.choice(TEXTS)))
    fires = {
        (chance.randrange(DEAD), chance.randrange(len(tokens))): chance.choice(VALUES)
        for _ in range(chance.randrange(1, 6))
    }
    return Window(id_, chance.randrange(SOURCES), tokens, fires)


def corpora() -> st.SearchStrategy[list[Window]]:
    """A few windows with ascending ids; many contexts and many activations are equal."""
    seeds = st.integers(0, 10**6)
    few_or_many = st.lists(seeds, max_size=6) | st.lists(seeds, min_size=10, max_size=MOST)
    return few_or_many.map(lambda found: [_window(i, seed) for i, seed in enumerate(found)])


@dataclass(frozen=True)
class Plan:
    """How a corpus is fed in: micro-batches, who gets each, who is saved and restored, who merges when."""

    batch: tuple[int, ...]
    padding: tuple[int, ...]
    worker: tuple[int, ...]
    restored: tuple[bool, ...]
    order: tuple[int, ...]
    into: tuple[int, ...]
    patience: float


WORKERS, BATCHES = 4, 5


def _plan(seed: int, patience: float) -> Plan:
    chance = random.Random(seed)  # noqa: S311
    return Plan(
        batch=tuple(chance.randrange(BATCHES) for _ in range(MOST)),
        padding=tuple(chance.randrange(4) for _ in range(BATCHES)),
        worker=tuple(chance.randrange(WORKERS) for _ in range(BATCHES)),
        restored=tuple(chance.random() < 0.4 for _ in range(WORKERS)),
        order=tuple(chance.sample(range(WORKERS), WORKERS)),
        into=tuple(chance.randrange(WORKERS + 1) for _ in range(WORKERS)),
        patience=patience,
    )


def plans() -> st.SearchStrategy[Plan]:
    """Any split into micro-batches over any workers, merged in any order and tree."""
    return st.builds(_plan, st.integers(0, 10**6), st.sampled_from([0, 0.3, 1, 50]))


ONE_BATCH = Plan((0,) * MOST, (0,) * BATCHES, (0,) * BATCHES, (False,) * WORKERS, (0, 1, 2, 3), (0,) * WORKERS, 50_000)


def feed(accumulator: Accumulator, windows: list[Window], padding: int = 0) -> None:
    """One micro-batch."""
    length = max((len(w.tokens) for w in windows), default=1) + padding
    ids = np.full((len(windows), length), -1, np.int32)
    dense = np.zeros((accumulator.width, len(windows), length), np.float32)
    for row, window in enumerate(windows):
        ids[row, : len(window.tokens)] = window.tokens
        for (feature, position), value in window.fires.items():
            dense[feature, row, position] = value
    counted = ids >= 0
    sources = np.array([w.source for w in windows], np.int64)
    batch = Batch.of(np.array([w.id for w in windows], np.int64), sources, ids, counted)
    flat = dense[:, counted].reshape(-1)
    cells = np.flatnonzero(flat)
    accumulator.update(Firings.of(cells, flat[cells]), batch)


def run(windows: list[Window], k: int, m: int, plan: Plan = ONE_BATCH) -> Accumulator:
    """The corpus through accumulators as the plan says."""

    def new() -> Accumulator:
        return Accumulator(FEATURES, SOURCES, k, m)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(top, "PATIENCE", plan.patience)
        workers = [new() for _ in range(WORKERS)]
        for number in range(BATCHES):
            part = [w for w in windows if plan.batch[w.id] == number]
            if part:
                feed(workers[plan.worker[number]], part, plan.padding[number])
        for place, again in enumerate(plan.restored):
            if again:
                saved = workers[place].arrays()
                workers[place] = new()
                workers[place].restore(saved)
        total = new()
        for place, target in zip(plan.order, plan.into, strict=True):
            later = plan.order[plan.order.index(place) + 1 :]
            (workers[target] if target in later else total).merge(workers[place])
        return total
