"""Runs a command and says how long it took and how much memory it and its children held at most."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

STEP = 0.25  # seconds between two looks


class FailedError(RuntimeError):
    """A command that ended with an error; says which one, and the tail of its output."""


@dataclass(frozen=True)
class Run:
    """A finished command. `begun` is in the clock of `time.time`, so that a child can report marks against it."""

    begun: float
    seconds: float
    cpu: float  # seconds of processor time, children included
    peak_mb: float


def watch(command: list[str], log: Path, environment: dict[str, str]) -> Run:
    """Run a command to its end.

    The peak is the greatest sum of resident memory over the process and its children, looked at four times a
    second, or the kernel's own figure for the largest single process if that is higher. Pages that forked workers
    share count once for each, so the figure is an upper bound where there are workers.

    Raises:
        FailedError: If its exit status is not 0.
    """
    peak, begun = 0, time.time()
    with log.open("wb") as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)  # noqa: S603 (ours)
        while True:
            done, status, usage = os.wait4(child.pid, os.WNOHANG)
            if done:
                break
            peak = max(peak, _resident(child.pid))
            time.sleep(STEP)
    seconds = time.time() - begun
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        tail = log.read_text("utf-8", "replace").splitlines()[-25:]
        raise FailedError("\n".join([*tail, f"{' '.join(command)}: exit status {child.returncode}"]))
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    return Run(begun, seconds, usage.ru_utime + usage.ru_stime, max(peak, usage.ru_maxrss * unit) / 1e6)


def _resident(pid: int) -> int:
    """Bytes that a process and its children hold now; those that end meanwhile count 0."""
    total = 0
    try:
        family = [(parent := psutil.Process(pid)), *parent.children(recursive=True)]
    except psutil.Error:
        return 0
    for process in family:
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total
