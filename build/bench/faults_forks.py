"""Runs of `atlas` in forks of one process, which has imported what takes seconds, with a fault arranged in each.

Nothing of torch may run in the process that forks: threads that it would start are not there in a fork.

    python build/bench/faults_forks.py      reads a request a line from stdin and answers each with a line of JSON:
    {"argv": ["collect", "--out", "out"], "cwd": "...", "fault": "disk full in the pass"}
    {"code": 2, "out": "...", "err": "..."}  a negative code is the signal that ended it
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma3ForCausalLM,
    PreTrainedTokenizerFast,
    conversion_mapping,
)

import atlas.pipeline.collect
import atlas.pipeline.name
import atlas.pipeline.site
from atlas import cli
from atlas.engines import Worker
from atlas.model.lm import LanguageModel
from atlas.stats import Accumulator
from atlas.store import sealed

LAZY = (AutoModelForCausalLM, AutoTokenizer, Gemma3ForCausalLM, PreTrainedTokenizerFast)
"""Imported here so that no fork has to."""

Points = Sequence[tuple[Any, str]]
WRITES: Points = (
    (os, "fsync"),
    (os, "sync"),
    (Path, "mkdir"),
    (Path, "rename"),
    (Path, "replace"),
    (Path, "unlink"),
    (Path, "write_bytes"),
    (sealed, "save"),
    (pq.ParquetWriter, "write_table"),
    (shutil, "rmtree"),
)
STEPS: Points = ((Worker, "read"), (Accumulator, "update"), (LanguageModel, "run"))


def warm() -> None:
    """What libraries put off until they are used first."""
    pa.array(np.zeros(1))  # imports pandas, where it is installed
    conversion_mapping.get_checkpoint_conversion_mapping("gemma3")  # compiles a thousand regular expressions


def fork(work: Callable[[], object], log: Path) -> int:
    """Start `work` in a fork, which writes `log`.out and `log`.err; returns its process id."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        for handle, suffix in ((1, ".out"), (2, ".err")):
            os.dup2(os.open(log.with_suffix(suffix), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), handle)
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 (the fork's last words)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait(pid: int) -> int:
    """How a fork ended: its exit code, or the negative number of a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def die() -> None:
    """A kill, as by the kernel."""
    os.kill(os.getpid(), signal.SIGKILL)


class Trap:
    """Counts calls of some functions; kills the process at one of them.

    Args:
        points: The functions.
        at: Which call, from 1; 0 for none.
        when: `before`, `middle` (half of the bytes written, half of the files removed) or `after`.
    """

    def __init__(self, points: Points, at: int = 0, when: str = "before") -> None:
        self.calls, self._at, self._when = 0, at, when
        self._lock = threading.Lock()
        for owner, name in points:
            setattr(owner, name, self._watched(name, getattr(owner, name)))

    def _watched(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*given: Any, **named: Any) -> Any:
            with self._lock:
                self.calls += 1
                here = self.calls == self._at
            if here and self._when == "middle":
                _half(name, call, given)
            if here and self._when != "after":
                die()
            result = call(*given, **named)
            if here:
                die()
            return result

        return watched


def _half(name: str, call: Callable[..., Any], given: tuple[Any, ...]) -> None:
    """Do half of what a call would do."""
    if name == "write_bytes":
        path, data = given
        call(path, data[: len(data) // 2])
    elif name == "save":
        path, arrays, header = given
        call(path, _interrupted(list(arrays)), header)
    elif name == "rmtree":
        files = [p for p in sorted(Path(given[0]).rglob("*")) if p.is_file()]
        for path in files[::2]:
            os.unlink(path)  # noqa: PTH108 (Path.unlink is watched)
    elif name in {"write_table", "read"}:
        call(*given)


def _interrupted(arrays: list[Any]) -> Iterator[Any]:
    """Half of the arrays, then a kill."""
    yield from arrays[: len(arrays) // 2]
    die()


def _at_call(number: int, owner: Any, name: str, what: Callable[[], object]) -> None:
    """Do something just before a function is called for the `number`th time."""
    call, calls = getattr(owner, name), iter(range(1, 10**9))

    def wrapped(*given: Any, **named: Any) -> Any:
        if next(calls) == number:
            what()
        return call(*given, **named)

    setattr(owner, name, wrapped)


def _small_files(size: int = 12_000) -> None:
    """A limit on the size of files stands in for the full disk: a write fails part of the way."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _no_memory() -> None:
    raise MemoryError


def _signal(number: int) -> None:
    os.kill(os.getpid(), number)


FAULTS: dict[str, Callable[[], None]] = {
    "": lambda: None,
    "disk full in the corpus": partial(_small_files, 1000),
    "disk full in the pass": lambda: _at_call(4, Worker, "read", _small_files),
    "disk full in the deposit": lambda: _at_call(1, atlas.pipeline.collect, "deposit", _small_files),
    "no memory in the pass": lambda: _at_call(4, LanguageModel, "run", _no_memory),
    "Ctrl-C in the pass": lambda: _at_call(4, Worker, "read", partial(_signal, signal.SIGINT)),
    "SIGTERM in the pass": lambda: _at_call(4, Worker, "read", partial(_signal, signal.SIGTERM)),
}


def command(argv: list[str], cwd: str, fault: str) -> None:
    """One command of `atlas` with a fault arranged."""
    os.chdir(cwd)
    sys.argv = ["atlas", *argv]
    FAULTS[fault]()
    cli.main()


def main() -> None:
    """Answer requests until stdin ends."""
    warm()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        for line in sys.stdin:
            request = json.loads(line)
            code = wait(fork(partial(command, request["argv"], request["cwd"], request.get("fault", "")), log))
            said = {suffix: log.with_suffix(f".{suffix}").read_text("utf-8") for suffix in ("out", "err")}
            print(json.dumps({"code": code, **said}), flush=True)


if __name__ == "__main__":
    main()
