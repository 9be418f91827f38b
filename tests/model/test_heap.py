"""Freed memory stays in the process, where the C library lets us say so."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from atlas.model import heap

SCRIPT = """
import resource, sys, torch
from atlas.model.heap import keep_freed_memory
kept = sys.argv[1] == "keep" and keep_freed_memory()
torch.ones(25_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(25_000_000)  # 100 MB: 24,414 pages of 4 KiB
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> tuple[bool, int]:
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True)
    kept, count = done.stdout.split()
    return kept == "True", int(count)


@pytest.mark.skipif(not heap._is_glibc(), reason="not glibc")
def test_a_tensor_gets_the_pages_of_the_one_before() -> None:
    kept, count = faults("keep")
    assert kept
    assert count < 1000


@pytest.mark.skipif(not heap._is_glibc(), reason="not glibc")
def test_it_would_not_without() -> None:
    kept, count = faults("leave")
    assert not kept
    assert count > 1000, "then this module is no longer needed"


@pytest.mark.parametrize("fault", [ValueError("unrecognized configuration name"), AttributeError("confstr"), OSError])
def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    def confstr(_name: str) -> str:
        raise fault

    monkeypatch.setattr(os, "confstr", confstr)
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda _name: pytest.fail("nothing is to be called"))
    assert heap.keep_freed_memory() is False


def test_a_library_without_mallopt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "confstr", lambda _name: "glibc 9.9")
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda _name: object())
    assert heap.keep_freed_memory() is False


def test_systems_without_such_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "confstr")
    assert heap.keep_freed_memory() is False
