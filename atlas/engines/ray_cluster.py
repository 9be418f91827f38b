"""Connecting to a Ray cluster, and how many workers it has room for.

1. Where `RAY_ADDRESS` is set, that cluster is taken, and it is an error if nothing answers there.
2. Else the cluster that `ray start` began on this machine, if it still answers.
3. Else a cluster of this machine alone is started, on the loopback interface, and ended with the pass.

Ray is an optional extra and takes seconds to import: it is imported here, when it is needed, and nowhere else.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from atlas.errors import AtlasError

WHERE = "collect.engine"
ANSWERS = 5.0
"""Seconds that a cluster may take to accept a connection."""

LOOPBACK = "127.0.0.2"
"""Where a cluster of this machine alone listens. Ray reads 127.0.0.1 as "whatever this machine's address is"."""


@dataclass(frozen=True)
class Crew:
    """What workers are wanted.

    Attributes:
        kind: `cuda`, and a worker has a GPU of its own, or another kind of device, and it has `threads` CPUs.
        threads: Threads of a worker.
        workers: How many; 0 for as many as the cluster has room for.
    """

    kind: str
    threads: int
    workers: int

    @property
    def needs(self) -> dict[str, int]:
        """What Ray sets aside for a worker."""
        return {"num_gpus": 1, "num_cpus": 1} if self.kind == "cuda" else {"num_cpus": self.threads}


def check_installed() -> None:
    """Make sure that there is Ray, before anything is loaded for it.

    Raises:
        AtlasError: If it is not installed.
    """
    if find_spec("ray") is None:
        raise AtlasError(WHERE, "ray is not installed", "pip install 'sae-atlas[ray]'")


@contextmanager
def connected(say: Callable[[str], None]) -> Iterator[Any]:
    """The module `ray`, connected to a cluster; what was connected or started here is ended with the block.

    Args:
        say: Told which cluster it is.

    Raises:
        AtlasError: If Ray is not installed, or there is no cluster where one should be.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reads both when it is imported
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # GPUs stay visible to who asked for none
    check_installed()
    ray = importlib.import_module("ray")
    if ray.is_initialized():
        yield ray
        return
    asked = _asked()
    address = "" if asked == "local" else asked or _found()
    quiet = {"log_to_driver": False, "logging_level": "error"}
    try:
        if address and address == asked:
            ray.init(address=address, **quiet)
        elif address:
            ray.init(**quiet)  # by itself Ray finds the same one, and how to prove who one is
        else:
            local = {"_node_ip_address": LOOPBACK} if sys.platform == "linux" else {}
            ray.init(address="local", include_dashboard=False, **local, **quiet)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        first = next(iter(str(error).splitlines()), "")
        where = f"the Ray cluster at {address}" if address else "a Ray cluster of this machine"
        mend = "Ray and Python have to be of the same versions everywhere"
        raise AtlasError(where, f"cannot be used ({first})", mend) from error
    try:
        say(f"ray: using the cluster at {address}" if address else "ray: no cluster runs; started one here")
        yield ray
    finally:
        ray.shutdown()


def count_workers(nodes: Iterable[Mapping[str, Any]], crew: Crew, say: Callable[[str], None]) -> int:
    """How many workers to start.

    Args:
        nodes: As `ray.nodes()` has them.
        crew: What is wanted.
        say: Told what is found.

    Raises:
        AtlasError: If no node has what one worker needs, whatever else runs there.
    """
    have = [node["Resources"] for node in nodes if node["Alive"]]
    gpus = sum(int(r.get("GPU", 0)) for r in have)
    if crew.kind == "cuda":
        room = sum(min(int(r.get("GPU", 0)), int(r.get("CPU", 0))) for r in have)
        each = "a GPU and a CPU"
        mend = "start nodes that have them, or set collect.device"
    else:
        room = sum(int(r.get("CPU", 0)) // crew.threads for r in have)
        each = f"{crew.threads} CPUs"
        mend = "set collect.threads to what a node has"
        if gpus:
            say(f"ray: the cluster's {gpus} GPUs stay idle: the pass was prepared for the {crew.kind} of this machine")
    if not room:
        most = max((int(r.get("CPU", 0)) for r in have), default=0)
        raise AtlasError(WHERE, f"no node has {each} for a worker ({gpus} GPUs; at most {most} CPUs a node)", mend)
    workers = crew.workers or room
    late = f"; {workers - room} begin when there is room" if workers > room else ""
    say(f"ray: nodes={len(have)} workers={workers}, {each} each{late}")
    return workers


def _asked() -> str:
    """The cluster that the environment names, or nothing."""
    asked = os.environ.get("RAY_ADDRESS", "")
    if asked.startswith("ray://"):
        raise AtlasError("RAY_ADDRESS", "names a Ray client", "run on a node of the cluster, or with `ray job submit`")
    if asked in ("", "auto"):
        return ""
    if asked != "local" and not _answers(asked):
        raise AtlasError("RAY_ADDRESS", f"nothing answers at {asked}", "start the cluster, or unset it")
    return asked


def _found() -> str:
    """The cluster that `ray start` last began on this machine, if it answers, or nothing."""
    # There is no public way to ask: `ray.init` would connect, and tries for minutes where a cluster has died.
    services = importlib.import_module("ray._private.services")
    found = str(services.find_bootstrap_address(None) or "")
    return found if found and _answers(found) else ""


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWERS):
            return True
    except (OSError, ValueError, OverflowError):
        return False
