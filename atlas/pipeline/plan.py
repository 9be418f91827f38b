"""What a collect pass will cost, told before it starts: passes, operations, bytes, and time from a short probe.

The probe reads the first micro-batches of the corpus, whatever they are, for `PROBE` seconds, and throws the result
away. The first one is not timed where there is a second: it pays for memory that the others find there.
"""

from __future__ import annotations

import time
from itertools import pairwise

from atlas.config import Recipe
from atlas.engines import State, Worker
from atlas.engines.plan import gigabytes
from atlas.paths import Places
from atlas.pipeline.prepare import Prepared, prepare, read_inputs
from atlas.pipeline.report import Reporter

PROBE = 10.0
"""Seconds of probing."""

MINUTE, HOUR = 60, 3600


def plan(recipe: Recipe, places: Places, report: Reporter, seconds: float = PROBE) -> None:
    """Tell what collecting this recipe will cost; nothing is kept but downloads and the corpus as far as it was read.

    Raises:
        AtlasError: For anything foreseeable that is wrong with the recipe.
    """
    job = prepare(recipe, places, read_inputs(recipe, places, report))
    with job.corpus:
        speed = _probe(recipe, job, seconds)
    size, made = job.size, job.plan
    features = sum(width for _, width in size.encoders)
    effects = 2 * job.model.d_model * job.model.vocab * features
    again = size.tokens * (made.forward * len(made.shapes) + made.encode) / (made.forward + made.encode)
    work = f"{made.forward / 1e6:,.0f} million in the model, {made.encode / 1e6:,.0f} million in the dictionaries"
    buffers = made.fixed - size.model.weights
    rest = f"{gigabytes(buffers)} dictionaries and buffers, {gigabytes(max(made.state))} statistics"
    where = f"{len(job.devices)} x {job.devices[0].type}"
    for line in (
        f"read      {size.tokens:,} tokens in windows of {size.window}, micro-batches of {size.batch} windows",
        f"passes    {len(made.shapes)} for {len(size.encoders)} dictionaries with {features:,} features",
        f"work      {made.operations:.2g} operations: a token takes {work}; then {effects:.2g} for logit effects",
        f"memory    {gigabytes(made.peak)} at the peak: {gigabytes(size.model.weights)} model, {rest}",
        f"disk      {gigabytes(made.disk)} for checkpoints and the corpus, until the store is written",
        f"time      about {duration(again / speed)} on {where}, without logit effects",
        f"          (a probe of {seconds:.0f} s read {speed:,.0f} tokens a second on one)",
    ):
        report.say(line)


def _probe(recipe: Recipe, job: Prepared, seconds: float) -> float:
    """Tokens a second of one worker, in the first pass."""
    shape = job.plan.shapes[0]
    dictionaries = [d.to(job.model.device) for d in job.dictionaries]
    times, tokens = [time.monotonic()], [0]
    with Worker(job.model, dictionaries, shape, bos=recipe.corpus.bos, state=State(shape)) as worker:
        for chunk in job.corpus:
            times[-1] = time.monotonic() if len(times) == 1 else times[-1]
            for number in range(len(chunk.batches) - 1):
                tokens.append(worker.read(chunk, number))
                worker.finish()
                times.append(time.monotonic())
                if times[-1] - times[0] >= seconds:
                    return _rate(times, tokens)
    return _rate(times, tokens)


def _rate(times: list[float], tokens: list[int]) -> float:
    took = [later - earlier for earlier, later in pairwise(times)]
    read = tokens[1:]
    skip = 1 if len(read) > 1 else 0
    return sum(read[skip:]) / max(sum(took[skip:]), 1e-9)


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    if seconds < HOUR:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds / HOUR:.1f} h"
