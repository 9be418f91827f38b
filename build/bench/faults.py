"""Kills a build at random moments, inside of writes too, lets it end, and compares every byte of the store.

    python build/bench/faults.py [--quick] [--kills 50] [--seed 0]

A small build (random model, two random dictionaries, real inputs) runs cleanly once: the bytes that are expected, and
how often it writes and steps. Then `--kills` builds are killed by SIGKILL, each at a moment drawn from the seed:

    half        before, after or in the middle of the k-th call that writes (bytes, fsync, rename, remove, Parquet)
    a quarter   before or after the k-th step (micro-batch, forward pass, update of the statistics)
    a quarter   at a random time

Some are killed up to three times; workers and checkpoints differ from one start to the next; a third of the builds
replace an older store. After each kill the store is the old one, none, or the finished one. Then the build runs to
its end, and the store must be the expected one. Ends with exit status 1 if any is not.

Kills at calls and steps are the same for the same seed but for the order in which threads write; those by time are not.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import conftest  # noqa: E402 (tests/conftest.py, which writes the inputs of a tiny atlas)
from faults_forks import STEPS, WRITES, Trap, fork, wait, warm  # noqa: E402

from atlas.config import load  # noqa: E402
from atlas.corpus import chunks  # noqa: E402
from atlas.paths import places  # noqa: E402
from atlas.pipeline.collect import collect  # noqa: E402
from atlas.pipeline.report import Silent  # noqa: E402
from atlas.store.atomic import recover  # noqa: E402

AT_ONCE = 2
TRIES = 6
RECIPE = conftest.RECIPE.replace("tokens = 6000", "tokens = 1200").replace("sample = 40", "sample = 30")
CHUNK = 300
"""Tokens of a chunk: the corpus has several, and is written while the pass runs."""

OFTEN, CLEAN = 1e-6, {"workers": 1, "checkpoint": 1e-6}
Digests = dict[str, str]


@dataclass(frozen=True)
class Clean:
    """What clean runs gave: the store, an older one to be replaced, calls by kind, seconds."""

    store: Digests
    older: Digests
    calls: dict[str, int]
    seconds: float


def digests(folder: Path) -> Digests:
    """Digest of every file, by name."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def build(
    folder: Path, out: Path, settings: dict[str, Any], trap: Callable[[], Trap], told: Path | None = None
) -> None:
    """The collect stage; in a fork. Nothing is synced: what a killed process has written is not lost."""
    chunks.CHUNK = CHUNK
    os.fsync, os.sync = (lambda _: None), (lambda: None)
    recipe = load(folder / "recipe.toml")
    recipe = recipe.model_copy(update={"collect": recipe.collect.model_copy(update=settings)})
    found = trap()
    collect(recipe, places("tiny", out), Silent())
    if told is not None:
        told.write_text(json.dumps(found.calls))


def run(folder: Path, out: Path, settings: dict[str, Any], points: Any = (), **trap: Any) -> tuple[int, float]:
    """Build once in a fork: how it ended, and after how many seconds. `seconds`: kill it then."""
    seconds, told = trap.pop("seconds", None), trap.pop("told", None)
    start = time.monotonic()
    pid = fork(partial(build, folder, out, settings, partial(Trap, points, **trap), told), out.with_suffix(".log"))
    if seconds is not None:
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
    return wait(pid), time.monotonic() - start


def clean(folder: Path) -> Clean:
    """Build without a fault, once for each thing to be known."""
    out, calls = folder / "clean", {}
    assert run(folder, folder / "older", CLEAN | {"top": 7})[0] == 0, (folder / "older.err").read_text()
    for kind, points in (("write", WRITES), ("step", STEPS)):
        shutil.rmtree(out, ignore_errors=True)
        code, seconds = run(folder, out, CLEAN, points, told=folder / "calls")
        assert code == 0, out.with_suffix(".err").read_text()
        calls[kind] = json.loads((folder / "calls").read_text())
    store = digests(places("tiny", out).store)
    older = digests(places("tiny", folder / "older").store)
    assert store.keys() == older.keys()
    assert store != older
    return Clean(store, older, calls, seconds)


class Scenario:
    """One build that is killed at least once and then runs to its end.

    Args:
        folder: Where the inputs lie.
        number, seed: Which one.
        known: What clean runs gave.
    """

    def __init__(self, folder: Path, number: int, seed: int, known: Clean) -> None:
        self._folder, self._known, self._out = folder, known, folder / f"run-{number}"
        self._chance = random.Random(f"{seed}/{number}")  # noqa: S311 (no secret)
        self._kind = ("write", "step", "write", "time")[number % 4]
        self._store = places("tiny", self._out).store
        self._replaces = number % 3 == 0

    def run(self) -> str:
        """Returns what was wrong, or nothing."""
        wanted, struck, share = self._chance.choice([1, 1, 1, 2, 3]), 0, 1.0
        self._begin()
        for _ in range(TRIES):
            code = self._strike(share)
            if wrong := self._look(code):
                return wrong
            struck += code < 0
            if struck == wanted or (code == 0 and struck):
                return self._finish()
            if code == 0:  # it was too quick: from the beginning, and sooner
                self._begin()
                share /= 2
        return self._finish() if struck else "was never killed"

    def _begin(self) -> None:
        shutil.rmtree(self._out, ignore_errors=True)
        if self._replaces:
            shutil.copytree(places("tiny", self._folder / "older").store, self._store)

    def _strike(self, share: float) -> int:
        """Start the build and kill it, at the latest after this share of what there is to do; returns how it ended."""
        chance, known = self._chance, self._known
        settings = {"workers": chance.choice([1, 1, 2]), "checkpoint": chance.choice([OFTEN, OFTEN, 0.05])}
        if self._kind == "time":
            seconds = chance.uniform(0.05, 0.9) * share * known.seconds
            return run(self._folder, self._out, settings, seconds=seconds)[0]
        points = WRITES if self._kind == "write" else STEPS
        at = max(1, round(chance.randint(1, known.calls[self._kind]) * share))
        when = chance.choice(["before", "middle", "after"])
        return run(self._folder, self._out, settings, points, at=at, when=when)[0]

    def _look(self, code: int) -> str:
        """What is wrong after a kill."""
        if code not in {0, -signal.SIGKILL}:
            return f"ended with {code}: {self._out.with_suffix('.err').read_text()[-600:]}"
        recover(self._store)
        whole = [self._known.store, self._known.older if self._replaces else {}]
        return "" if digests(self._store) in whole else f"a store that is not whole after a kill by {self._kind}"

    def _finish(self) -> str:
        """Run it to its end; what is wrong then."""
        code, _ = run(self._folder, self._out, {"workers": self._chance.choice([1, 2]), "checkpoint": 60})
        if code:
            return f"did not go on: {self._out.with_suffix('.err').read_text()[-600:]}"
        there, expected = digests(self._store), self._known.store
        shutil.rmtree(self._out)
        wrong = sorted(name for name in there.keys() | expected.keys() if there.get(name) != expected.get(name))
        return f"other bytes after a kill by {self._kind}: {', '.join(wrong)}" if wrong else ""


def tell(folder: Path, number: int, seed: int, known: Clean) -> None:
    """Run a scenario in a fork and write down what was wrong."""
    (folder / f"{number}.verdict").write_text(Scenario(folder, number, seed, known).run())


def all_of_them(folder: Path, kills: int, seed: int) -> int:
    """Run the scenarios, a few at a time; returns how many were killed and came to the same bytes."""
    pid = fork(partial(conftest.write_inputs, folder, RECIPE), folder / "inputs.log")
    assert wait(pid) == 0, (folder / "inputs.err").read_text()
    known = clean(folder)
    print(f"a clean run: {known.calls['write']} writes, {known.calls['step']} steps, {known.seconds:.1f} s", flush=True)
    left, running = list(range(kills)), set()
    while left or running:
        while left and len(running) < AT_ONCE:
            number = left.pop(0)
            running.add(fork(partial(tell, folder, number, seed, known), folder / f"scenario-{number}.log"))
        running.discard(os.wait()[0])
    good = 0
    for number in range(kills):
        path = folder / f"{number}.verdict"
        verdict = path.read_text() if path.exists() else (folder / f"scenario-{number}.err").read_text()
        good += path.exists() and not verdict
        if verdict:
            print(f"run {number}: {verdict}")
    return good


def main() -> None:
    """Parse the options and run."""
    parser = argparse.ArgumentParser(description="Kill builds at random moments and compare what they come to.")
    parser.add_argument("--kills", type=int, help="builds to kill (50; 24 with --quick)")
    parser.add_argument("--seed", type=int, default=0, help="which moments")
    parser.add_argument("--quick", action="store_true", help="fewer builds, below 50 seconds on two busy cores")
    options = parser.parse_args()
    kills = options.kills or (24 if options.quick else 50)
    start = time.monotonic()
    warm()
    with tempfile.TemporaryDirectory(prefix="atlas-faults-") as folder:
        identical = all_of_them(Path(folder), kills, options.seed)
    print(f"kills={kills} identical={identical} seconds={time.monotonic() - start:.0f}")
    sys.exit(identical != kills)


if __name__ == "__main__":
    main()
