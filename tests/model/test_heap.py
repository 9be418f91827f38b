"""Freed memory stays in the process, where the C library lets us say so."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from atlas.model import heap

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
import resource, sys, torch
from atlas.model.heap import keep_freed_memory
kept = sys.argv[1] == "keep" and keep_freed_memory()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for lap in range(20):
    before = faults() if lap in (0, 10) else before
    torch.ones(25_000_000)  # 100 MB: 24,414 pages of 4 KiB
print(kept, faults() - before)
"""


def faults(how: str) -> tuple[bool, int]:
    clean = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True, env=clean)
    kept, count = done.stdout.split()
    return kept == "True", int(count)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """A C library that only notes what it is told."""
    made: list[tuple[int, int]] = []

    def mallopt(name: int, value: int) -> int:
        made.append((name, value))
        return 1

    library = type("Library", (), {"mallopt": staticmethod(mallopt)})
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda _name: library)
    monkeypatch.setattr(os, "confstr", lambda _name: "glibc 9.9", raising=False)
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    return made


@pytest.mark.skipif(not heap._is_glibc(), reason="not glibc")
def test_a_tensor_gets_the_pages_of_the_one_before() -> None:
    kept, count = faults("keep")
    assert kept
    assert count < 1000
    left, without = faults("leave")
    assert not left
    assert without > 1000, "then the C library does it by itself, and this module can go"


@pytest.mark.parametrize("fault", [ValueError("unrecognized configuration name"), AttributeError("confstr"), OSError()])
def test_other_c_libraries_are_left_alone(
    calls: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def confstr(_name: str) -> str:
        raise fault

    monkeypatch.setattr(os, "confstr", confstr, raising=False)
    assert heap.keep_freed_memory() is False
    assert calls == []
    assert "THP_MEM_ALLOC_ENABLE" not in os.environ


def test_a_library_without_mallopt(calls: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda _name: object())
    assert heap.keep_freed_memory() is False
    assert calls == []


def test_what_is_set(calls: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(heap, "HUGE_PAGES", tmp_path / "none")
    assert heap.keep_freed_memory() is True
    assert calls == [(heap.M_MMAP_MAX, 0), (heap.M_TRIM_THRESHOLD, -1)]
    assert "THP_MEM_ALLOC_ENABLE" not in os.environ, "this kernel has no huge pages"
    monkeypatch.setattr(heap, "HUGE_PAGES", tmp_path)
    heap.keep_freed_memory()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "1"
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    heap.keep_freed_memory()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "0", "the user's word holds"


FREED = """
import torch
from pathlib import Path
from atlas.model.heap import give_back_freed_memory, keep_freed_memory
keep_freed_memory()
resident = lambda: 4096 * int(Path("/proc/self/statm").read_text().split()[1])
whole = torch.ones(25_000_000)
above = torch.ones(1_000_000)  # so that the freed chunk is not the top of the heap
del whole
before = resident()
print(give_back_freed_memory(), before - resident())
"""


@pytest.mark.skipif(not heap._is_glibc(), reason="not glibc")
def test_what_is_freed_is_given_back_when_told() -> None:
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True, check=True)
    given, bytes_less = done.stdout.split()
    assert given == "True"
    assert int(bytes_less) > 90_000_000


def test_nothing_is_given_back_without_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda _name: object())
    assert heap.give_back_freed_memory() is False
    monkeypatch.setattr(heap, "_is_glibc", lambda: False)
    assert heap.give_back_freed_memory() is False
