"""Which Ray cluster is taken, and how many workers it gets."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from atlas.engines.ray_cluster import LOOPBACK, Crew, connected, count_workers
from atlas.errors import AtlasError


def connect() -> None:
    with connected(lambda _: None):
        pass


@pytest.mark.parametrize(
    ("crew", "nodes", "workers"),
    [
        (Crew("cpu", 4, 0), [{"CPU": 10.0}, {"CPU": 4.0}, {"CPU": 3.0}], 3),
        (Crew("cpu", 4, 2), [{"CPU": 10.0}, {"CPU": 4.0}], 2),
        (Crew("cpu", 4, 7), [{"CPU": 4.0}], 7),
        (Crew("cuda", 4, 0), [{"CPU": 16.0, "GPU": 8.0}, {"CPU": 2.0}], 8),
        (Crew("cuda", 4, 0), [{"CPU": 16.0}], "no node has a GPU and a CPU"),
        (Crew("cpu", 4, 0), [{"CPU": 3.0}, {"CPU": 3.0}], "no node has 4 CPUs .*at most 3 CPUs"),
        (Crew("cpu", 4, 1), [], "no node has 4 CPUs"),
    ],
)
def test_workers_are_counted_by_what_each_node_has(crew, nodes, workers):
    found = [{"Alive": True, "Resources": r} for r in nodes] + [{"Alive": False, "Resources": {"CPU": 99.0}}]
    if isinstance(workers, int):
        assert count_workers(found, crew, lambda _: None) == workers
    else:
        with pytest.raises(AtlasError, match=workers):
            count_workers(found, crew, lambda _: None)


def test_without_ray_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(AtlasError) as error:
        connect()
    assert str(error.value) == "collect.engine: ray is not installed; pip install 'sae-atlas[ray]'"


@pytest.mark.parametrize(
    ("address", "wrong"),
    [("127.0.0.1:1", "nothing answers at 127.0.0.1:1"), ("nonsense", "nothing answers"), ("ray://h:1", "Ray client")],
)
def test_an_address_where_no_cluster_is_is_an_error_at_once(monkeypatch, address, wrong):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(AtlasError, match=wrong):
        connect()


START = """
from atlas.engines.ray_cluster import connected
with connected(print) as ray:
    print(*(node["NodeManagerAddress"] for node in ray.nodes()))
print(ray.is_initialized())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Ray listens on 127.0.0.1 by itself")
def test_where_no_cluster_runs_one_is_started_on_the_loopback_interface_and_ended():
    """In another process: what Ray has started with, it does not forget."""
    pytest.importorskip("ray")
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:  # a short name: sockets lie in it
        (Path(folder) / "ray").mkdir()
        (Path(folder) / "ray" / "ray_current_cluster").write_text(f"{LOOPBACK}:1")  # of a cluster that has died
        env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        env |= {"RAY_TMPDIR": folder, "HOME": folder}  # Ray writes a token into the home folder
        done = subprocess.run([sys.executable, "-c", START], env=env, capture_output=True, text=True, check=False)
        said = "ray: no cluster runs; started one here"
        assert done.stdout.splitlines() == [said, LOOPBACK, "False"], done.stderr
