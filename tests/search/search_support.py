"""What the tests of search share: small indexes, and the client's pure half run by node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from atlas.search import Entry

CORE = Path(__file__).parents[2] / "site_src" / "assets" / "search-core.js"


def entry(place: int, name: str, tokens: str = "", promotes: str = "", dictionary: str = "9-res-4k") -> Entry:
    """A feature with some text."""
    path = f"gemma-3-270m/{dictionary}/{place}"
    fields = {"name": name, "tokens": tokens, "promotes": promotes}
    return Entry(path, f"{dictionary}/{place}", name, f"line {place}", fields)


def entries(texts: Iterable[tuple[str, str, str]]) -> list[Entry]:
    """Features with these names, tokens and promoted tokens, in docid order."""
    return [entry(place, *fields) for place, fields in enumerate(texts)]


def client(**job: Any) -> dict[str, Any]:
    """What the client answers; skips the test where there is no node, except in CI."""
    node = shutil.which("node")
    if not node and not os.environ.get("CI"):
        pytest.skip("node is not installed")
    assert node, "CI needs node"
    command = [node, str(Path(__file__).with_name("client.mjs"))]
    job["core"] = str(CORE)
    done = subprocess.run(
        command, input=json.dumps(job), capture_output=True, text=True, encoding="utf-8", timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
