"""A pass on a real Ray cluster of two nodes, each with its own processes, on the loopback interface.

Workers are killed by their process, nodes by theirs; the bytes have to be those of `local`.
"""

import hashlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from engine_worlds import exactly, make_world, one_pass
from ray_worlds import CHUNKS, Dying, Job, Make

from atlas.config import load
from atlas.engines import ray_workers
from atlas.engines.ray_cluster import Crew, connected
from atlas.errors import AtlasError
from atlas.paths import places
from atlas.pipeline.collect import collect
from atlas.pipeline.map import draw_map
from atlas.pipeline.name import name
from atlas.pipeline.node import make_worker
from atlas.pipeline.prepare import prepare, read_inputs
from atlas.pipeline.report import Silent
from atlas.store import sealed

HOST = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"  # Ray takes 127.0.0.1 for the address of the machine
ALONE = Crew("cpu", 1, 1)
NODE = {"node_ip_address": HOST, "num_cpus": 1, "object_store_memory": 100 * 2**20}

QUICK = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 6,
    "max_direct_call_object_size": 2048,  # what is larger stays on its node: small as the states are here
}
"""So that a node that does not answer counts as lost soon, and its states with it."""


def digests(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.fixture(scope="module")
def cluster():
    """A head and one more node, each with one CPU."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    folder = tempfile.mkdtemp(prefix="ray-")  # short: sockets lie in it
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)  # all that Ray writes, and which cluster is this machine's
        (Path(folder) / "ray").mkdir()
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))  # the nodes' processes read `ray_worlds`
        head = {**NODE, "include_dashboard": False, "_system_config": QUICK}
        made = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
        second = made.add_node(**NODE)
        patch.setenv("RAY_ADDRESS", made.address)
        yield SimpleNamespace(ray=made, second=second, address=made.address)
        made.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def job(tmp_path):
    return Job(tmp_path)


@pytest.fixture(scope="module")
def expected():
    """The state of the whole small world, read in order by one worker."""
    return exactly(one_pass(make_world(3, CHUNKS)).arrays())


@pytest.fixture(scope="module")
def connection(cluster):
    """A connection to the cluster that the tests share, so that Ray keeps its processes from one to the next."""
    with connected(lambda _: None) as ray:
        yield ray
    del cluster


class Killed(BaseException):
    """Ends a pass like a signal, at a moment that the test chooses."""


def after(ticks, act):
    """A tick that acts once, when so many tasks have ended."""
    seen = []

    def tick(_amount, _found):
        seen.append(None)
        if len(seen) == ticks:
            act()

    return tick


def killed():
    raise Killed


def test_a_finished_pass_needs_no_cluster(job, expected, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    job.on_this_machine()
    assert exactly(job.on_ray().arrays()) == expected


def test_two_workers_find_to_the_last_bit_what_one_finds(job, cluster, expected):
    seen, make = [], Make(job.folder / "log", meets=2)
    state = job.on_ray(lambda amount, found: seen.append((amount, found)), make=make)
    assert exactly(state.arrays()) == expected
    assert exactly(job.parts.load().arrays()) == expected
    read = make.read()
    assert len({pid for pid, _ in read}) == 2
    assert sorted(number for _, number in read) == sorted(state.covered), "a micro-batch was read twice"
    assert sum(amount for amount, _ in seen) == sum(len(chunk.ids) for chunk in job.world.chunks)
    assert not any(found for _, found in seen)
    assert job.said[0] == f"ray: using the cluster at {cluster.address}"
    assert job.said[1] == "ray: nodes=2 workers=2, 1 CPUs each"
    assert len(job.said) == 2


@pytest.mark.usefixtures("connection")
def test_a_killed_worker_costs_what_it_was_doing(job, expected, monkeypatch):
    monkeypatch.setattr(ray_workers, "HANDOVER", 0.0)  # tasks of one micro-batch
    make, dead = Make(job.folder / "log", hangs=6), []

    def kill(_amount, _found):
        if not dead and (hung := make.hung()):
            dead.append(hung)
            os.kill(hung, signal.SIGKILL)

    state = job.on_ray(kill, every=1e-6, make=make)
    assert exactly(state.arrays()) == expected
    begun = Counter(number for _, number in make.read())
    assert [number for number, times in begun.items() if times > 1] == [6]
    assert next(pid for pid, number in make.read() if number == 6) == dead[0]
    assert any("a worker was lost" in line for line in job.said)


@pytest.mark.usefixtures("connection")
def test_a_pass_killed_on_ray_goes_on_here_and_the_other_way_round(job, expected, monkeypatch):
    monkeypatch.setattr(ray_workers, "HANDOVER", 0.0)
    with pytest.raises(Killed):
        job.on_ray(after(9, killed), every=1e-6)
    done = job.parts.load().covered
    assert len(done) >= 5
    with pytest.raises(Killed):
        job.on_this_machine(after(len(done) + 9, killed))
    more = job.parts.load().covered
    assert done < more
    job.make.log.unlink()
    state = job.on_ray()
    assert exactly(state.arrays()) == expected
    assert {number for _, number in job.make.read()} == state.covered - more


@pytest.mark.usefixtures("connection")
def test_what_a_worker_raises_arrives_as_it_was(job):
    with pytest.raises(AtlasError) as error:
        job.on_ray(make=Make(job.make.log, (AtlasError, ("weights", "are damaged", "mend them"))), crew=ALONE)
    assert str(error.value) == "weights: are damaged; mend them"
    assert type(error.value) is AtlasError
    with pytest.raises(ZeroDivisionError, match="a bug"):  # keeps its traceback
        job.on_ray(make=Make(job.make.log, (ZeroDivisionError, ("a bug",))), crew=ALONE)


@pytest.mark.usefixtures("connection")
def test_workers_that_always_die_end_the_pass(job, monkeypatch):
    monkeypatch.setattr(ray_workers, "LOSSES", 1)

    with pytest.raises(AtlasError, match="workers die again and again"):
        job.on_ray(make=Dying(job.make.log), crew=ALONE)


def test_a_full_cluster_is_not_waited_for_for_ever(job, connection, monkeypatch):
    monkeypatch.setattr(ray_workers, "PATIENCE", 1.0)
    monkeypatch.setattr(ray_workers, "BEAT", (0.05, 0.2))

    @connection.remote(num_cpus=1)
    class Guest:
        def here(self):
            return True

    guests = [Guest.remote() for _ in range(2)]
    connection.get([guest.here.remote() for guest in guests])
    with pytest.raises(AtlasError, match="no room for any worker"):
        job.on_ray()
    assert connection.is_initialized(), "it ended a connection that was not its own"


class Counting(Silent):
    """Counts what was found done."""

    found = 0

    @contextmanager
    def track(self, *_about):
        def tick(amount, found):
            self.found += amount * found

        yield tick


def in_folder(tiny, folder: Path, change: str) -> Path:
    """The inputs of the tiny atlas again, with keys added to `[collect]`; returns the recipe."""
    for part in ("model", "wide", "narrow", "texts"):
        shutil.copytree(tiny.folder / part, folder / part)
    recipe = folder / "recipe.toml"
    recipe.write_text(tiny.recipe.read_text("utf-8").replace("[collect]", f"[collect]\n{change}"), "utf-8")
    shutil.copy(tiny.folder / "names.toml", folder)
    return recipe


@pytest.mark.usefixtures("cluster")
def test_a_killed_driver_leaves_parts_and_the_store_has_the_same_bytes(tiny, tmp_path):
    path = in_folder(tiny, tmp_path, 'engine = "ray"\ncheckpoint = 0.001\nworkers = 1')
    part = tmp_path / "out/tiny/work/pass-0/part-0000.sealed"
    command = [sys.executable, "-m", "atlas", "collect", "--out", "out"]
    log = tmp_path / "driver.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=file, stderr=file)
        try:
            deadline, left = time.monotonic() + 120, 0
            while left < 5:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                if found := sealed.peek(part, lambda name: name == "covered"):
                    left = len(found[0]["covered"])
                time.sleep(0.005)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert not (tmp_path / "out/tiny/store").exists()
    path.write_text(path.read_text("utf-8").replace("workers = 1", "workers = 2"), "utf-8")
    reporter = Counting()
    recipe, where = load(path), places("tiny", tmp_path / "out")
    assert collect(recipe, where, reporter)
    assert reporter.found >= left * 2 * 8  # micro-batches x windows x the shortest window
    assert name(recipe, where, reporter)
    assert draw_map(recipe, where, reporter)
    assert digests(where.store) == digests(tiny.store)


def test_a_node_with_other_weights_is_refused(tiny, tmp_path):
    path = in_folder(tiny, tmp_path, 'engine = "ray"')
    recipe, where = load(path), places("tiny", tmp_path / "out")
    job = prepare(recipe, where, read_inputs(recipe, where, Silent()))
    make = pickle.loads(pickle.dumps(make_worker(recipe, where, job, job.plan.shapes[0])))  # noqa: S301 (our own)
    with make() as worker:
        assert worker.state.shape == job.plan.shapes[0]
    with pytest.raises(AtlasError, match=r"dictionary 0-res-24 is .*bring the nodes to the same state"):
        replace(make, has=(*make.has[:-1], ("dictionary 0-res-24", "other")))()


def test_a_lost_node_costs_what_lay_on_it(job, cluster, expected, monkeypatch):
    """Last, for the node does not come back."""
    monkeypatch.setattr(ray_workers, "HANDOVER", 0.0)
    monkeypatch.setattr(ray_workers, "WORTH", 0.0)
    make, gone = Make(job.folder / "log", meets=2), []

    def remove(_amount, _found):
        each = Counter(pid for pid, _ in make.read())
        if not gone and len(each) == 2 and min(each.values()) > 4:
            gone.append(cluster.ray.remove_node(cluster.second, allow_graceful=False))

    state = job.on_ray(remove, every=3600, make=make, tokens=0)  # tasks of one micro-batch, and no checkpoint
    assert exactly(state.arrays()) == expected
    assert gone
    begun = Counter(number for _, number in make.read())
    assert sum(times > 1 for times in begun.values()) >= 3
    assert any("was lost" in line for line in job.said)
