"""How far apart are the stores of one recipe that were made with other micro-batches and other threads?

    python build/bench/tolerance.py [--tokens N] [--quick]

Same recipe, kind of device and threads give the same bytes, and a test holds that. With another shape of micro-batch,
or another number of threads, matrix products are rounded differently. This collects the demo's recipe on fewer tokens
several times (`atlas collect`, each in a process of its own) and compares every store with the first one:

    worst       greatest relative difference of an activation that both stores show at the same place
    coincide    share of top snippets (feature, window, position) of the first store that the other one has too
    counts      greatest relative difference of a feature's number of firings, of those with 100 and more

Last line: the worst of all; exit status 1 if `worst` is above 1e-3 or `coincide` below 0.995 (DESIGN, decision 6).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from atlas.store.schema import TOP

ROOT = Path(__file__).resolve().parents[2]
RUNS = ((32, 2), (32, 1), (8, 2), (5, 1))
"""Windows in a micro-batch and threads; the first is what the others are compared with."""


def collect(folder: Path, tokens: int, batch: int, threads: int) -> Path:
    """Collect the demo's recipe so; returns the store."""
    text = (ROOT / "build/recipes/demo.toml").read_text("utf-8")
    name = f"tolerance-{batch}-{threads}"
    text = text.replace('id = "demo"', f'id = "{name}"', 1).replace("tokens = 200_000", f"tokens = {tokens}")
    text = text.replace('source = "../demo/', f'source = "{ROOT / "build/demo"}/')
    assert "[collect]" not in text
    recipe = folder / f"{name}.toml"
    recipe.write_text(f'{text}\n[collect]\nbatch = {batch}\nthreads = {threads}\ndevice = "cpu"\n', "utf-8")
    cache = folder / "cache"
    if not cache.exists():
        cache.symlink_to(ROOT / "build/out/cache")
    done = subprocess.run(  # noqa: S603 (our own command)
        [sys.executable, "-m", "atlas", "collect", recipe, "--out", folder], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    return folder / name / "store"


def compare(one: Path, other: Path) -> tuple[float, float, float]:
    """`worst`, `coincide` and `counts` of two stores."""
    worst, same, all_, counts = 0.0, 0, 0, 0.0
    for table in sorted(one.glob("*/snippets.parquet")):
        name = table.parent.name
        left, right = (_activations(store / name / "snippets.parquet") for store in (one, other))
        for place in left.keys() & right.keys():
            worst = max(worst, abs(left[place][0] - right[place][0]) / left[place][0])
        top = [place for place, (_, kind) in left.items() if kind == TOP]
        all_ += len(top)
        same += sum(place in right and right[place][1] == TOP for place in top)
        ours, theirs = (pq.read_table(s / name / "features.parquet")["count"].to_numpy() for s in (one, other))
        often = ours >= 100
        if often.any():
            counts = max(counts, float((np.abs(ours - theirs)[often] / ours[often]).max()))
    return worst, same / all_, counts


def _activations(path: Path) -> dict[tuple[int, int, int], tuple[float, int]]:
    """(feature, window, position) -> activation and kind; a place that is shown twice counts as a top snippet."""
    table = pq.read_table(path, columns=["feature", "window", "position", "value", "kind"]).to_pydict()
    columns = zip(*(table[c] for c in ("kind", "feature", "window", "position", "value")), strict=True)
    found: dict[tuple[int, int, int], tuple[float, int]] = {}
    for kind, feature, window, position, value in columns:
        if kind == TOP or (feature, window, position) not in found:
            found[feature, window, position] = value, kind
    return found


def main() -> None:
    """Collect and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tokens", type=int, default=50_000)
    parser.add_argument("--quick", action="store_true", help="6,000 tokens, and only the two runs farthest apart")
    given = parser.parse_args()
    tokens, runs = (6_000, (RUNS[0], RUNS[-1])) if given.quick else (given.tokens, RUNS)
    with tempfile.TemporaryDirectory(prefix="atlas-tolerance-") as name:
        stores = [collect(Path(name), tokens, *run) for run in runs]
        found = []
        for run, store in zip(runs[1:], stores[1:], strict=True):
            found.append(compare(stores[0], store))
            print(
                f"batch {run[0]:>2}, threads {run[1]}: worst {found[-1][0]:.2e} coincide {found[-1][1]:.5f} "
                f"counts {found[-1][2]:.4f}",
                flush=True,
            )
    worst, coincide, counts = (
        pick(column) for pick, column in zip((max, min, max), zip(*found, strict=True), strict=True)
    )
    print(f"worst={worst:.2e} coincide={coincide:.5f} counts={counts:.4f} tokens={tokens} runs={len(runs)}")
    sys.exit(worst > 1e-3 or coincide < 0.995)


if __name__ == "__main__":
    main()
