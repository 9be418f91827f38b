"""Compares us with SAEDashboard, and with Delphi's latent cache, on the same work in one run.

    python build/bench/peers.py [--quick] [--features 512,2048,4096] [--windows 256] [--venv DIR]

1. The same model (the demo's Gemma 3 270M), the same token windows (the first full ones of the demo's store), the same
   dictionary: the demo's 4,096 features after block 9, cut to its first N, so that it has N features for every tool.
2. Ours is `atlas build` in a process of its own: collect, names, and the whole site with search and data. Theirs is
   the runner of SAEDashboard with its defaults (20 top snippets, ten intervals of five, densities, histograms, logit
   tables, correlations) and its HTML export, in the peers' environment. Each of its snippets is a whole window, as
   each of ours can be unfolded to one; `--short` leaves its 11 tokens. Seconds are wall time from the start of the
   process to its last byte, imports and loading included; peaks are resident memory.
3. Output is every byte of our site against every byte of their HTML.
4. What both say of each feature is then compared where it is defined alike: `peers_oracle.py` says how.
5. Delphi's latent cache only stores activations; it stands in the table to be held against collecting.

The last line holds key=value pairs for the largest N. The exit status of a full run is 1 if we are less than 25 times
as fast or their output is less than 20 times ours; of any run if the two disagree. Needs `make demo` to have run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peers_inputs import WINDOW, environment, offline, prepare, take_windows
from peers_oracle import compare
from peers_watch import FailedError, watch

SPEEDUP, OUTPUT_RATIO, AGREEMENT = 25, 20, 0.99
QUICK_FEATURES, QUICK_WINDOWS = 32, 16
HERE = Path(__file__).resolve().parent


@dataclass
class Row:
    """One line of the table. `parts` says where the seconds went."""

    features: int
    tool: str
    seconds: float
    cpu: float
    peak_mb: float
    output: int
    zipped: int
    parts: dict[str, float]
    said: dict[str, Any] = field(default_factory=dict)


def size(folder: Path, zipped: bool) -> tuple[int, int]:
    """Bytes of all files in a folder, and of the same compressed one by one as a web server would (0: not asked)."""
    total = small = 0
    for path in folder.rglob("*"):
        if path.is_file():
            total += path.stat().st_size
            small += _deflated(path) if zipped else 0
    return total, small


def _deflated(path: Path) -> int:
    """Compressed a piece at a time: the peer's files can be larger than memory should be."""
    packer, length = zlib.compressobj(6), 0
    with path.open("rb") as file:
        while piece := file.read(1 << 22):
            length += len(packer.compress(piece))
    return length + len(packer.flush())


def ours(job: dict[str, Any], work: Path, zipped: bool) -> Row:
    """Build the whole atlas of the prepared recipe with our command line."""
    out, environ = work / "ours", offline() | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    # -P: the package that PYTHONPATH or the environment names, not one that lies in the current folder
    command = [sys.executable, "-P", "-m", "atlas", "build", str(work / "recipe.toml"), "--out", str(out)]
    run = watch(command, work / "ours.log", environ)
    base = out / "peers"
    stored = max(path.stat().st_mtime for path in base.glob("store/*/snippets.parquet"))
    collect = stored - run.begun
    parts = {"load_and_collect": collect, "names_and_site": run.seconds - collect}
    return Row(job["features"], "atlas", run.seconds, run.cpu, run.peak_mb, *size(base / "site", zipped), parts)


def theirs(tool: str, python: Path, job: dict[str, Any], work: Path, zipped: bool) -> Row:
    """Run a peer's driver in its environment; the marks it reports end its clock before it writes the report."""
    script, out = HERE / f"peers_{tool}.py", work / tool
    out.mkdir()
    order, result = work / f"{tool}.json", work / f"{tool}-result.json"
    order.write_text(json.dumps(job | {"out": str(out)}), "utf-8")
    run = watch([str(python), str(script), str(order), str(result)], work / f"{tool}.log", offline())
    said = json.loads(result.read_text("utf-8"))
    parts, before = {}, run.begun
    for name, mark in said["marks"].items():
        parts[name], before = mark - before, mark
    numbers = before - run.begun, said["cpu"], said["peak_mb"]
    return Row(job["features"], tool, *numbers, *size(out, zipped), parts, said)


def delphi(python: Path, job: dict[str, Any], work: Path) -> list[Row]:
    """Delphi's row, or none and a word why: what we claim does not rest on it, and a long run should not end here."""
    try:
        return [theirs("delphi", python, job, work, zipped=False)]
    except FailedError as error:
        print(f"no figures of Delphi: {error}")
        return []


def table(rows: list[Row]) -> Iterator[str]:
    """The table, line by line."""
    heads = "".join(f"{head:>11}" for head in ("seconds", "CPU s", "peak MB", "output MB", "zipped MB"))
    yield f"{'features':>8}  {'tool':<10}{heads}  parts"
    for row in rows:
        zipped = f"{row.zipped / 1e6:11.2f}" if row.zipped else f"{'-':>11}"
        parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in row.parts.items())
        numbers = f"{row.seconds:11.1f}{row.cpu:11.1f}{row.peak_mb:11.0f}{row.output / 1e6:11.2f}{zipped}"
        yield f"{row.features:8}  {row.tool:<10}{numbers}  {parts}"


def arguments() -> argparse.Namespace:
    """The command line."""
    out = HERE.parent / "out"
    parser = argparse.ArgumentParser(description="Compare us with SAEDashboard and Delphi on the same work.")
    parser.add_argument("--features", default="512,2048,4096", help="numbers of features, one comparison each")
    parser.add_argument("--windows", type=int, default=256, help=f"windows of {WINDOW} tokens")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_FEATURES} features, {QUICK_WINDOWS} windows")
    parser.add_argument("--venv", type=Path, default=out / "bench" / "peers-venv", help="the peers' environment")
    parser.add_argument("--store", type=Path, default=out / "demo" / "store", help="where the windows come from")
    parser.add_argument("--model", type=Path, help="the converted model (default: the one in out/cache)")
    parser.add_argument("--sae", type=Path, default=HERE.parent / "demo" / "layer_9_width_4096")
    parser.add_argument("--work", type=Path, default=out / "bench" / "peers", help="emptied first")
    parser.add_argument("--html-features", type=int, default=64, help="features in one of the peer's HTML files")
    parser.add_argument(
        "--cache", action="store_true", help="let SAEDashboard keep the model's activations on disk between batches"
    )
    parser.add_argument(
        "--short", action="store_true", help="let SAEDashboard show its own 11 tokens of a window instead of all of it"
    )
    parser.add_argument("--only-ours", action="store_true", help="time our side and no other")
    parser.add_argument("--no-delphi", action="store_true")
    parser.add_argument("--keep", action="store_true", help="leave what was written in --work")
    args = parser.parse_args()
    args.features = [int(part) for part in args.features.split(",")]
    if args.quick:
        args.features, args.windows = [QUICK_FEATURES], min(args.windows, QUICK_WINDOWS)
    found = sorted((out / "cache" / "models").glob("gemma3-270m-*"))
    if not args.model and len(found) != 1:
        sys.exit("there is not exactly one converted model in out/cache/models: run `make demo`, or name it: --model")
    args.model = args.model or found[0]
    return args


def one(
    args: argparse.Namespace, python: Path | None, features: int, texts: list[str], windows: list[list[int]]
) -> tuple[list[Row], dict[str, Any], bool]:
    """One comparison: rows of the table, values of the last line, and whether what is claimed holds."""
    work, zipped = args.work.resolve() / str(features), not args.quick
    job = prepare(work, args.model, args.sae, features, texts, windows)
    job |= {
        "html_features": args.html_features,
        "cache": str(work / "cache") if args.cache else "",
        "whole": not args.short,
    }
    us = ours(job, work, zipped)
    if python is None:
        return [us], {}, True
    them = theirs("dashboard", python, job, work, zipped)
    third = [] if args.no_delphi or args.quick else delphi(python, job, work)
    line: dict[str, Any] = {
        "speedup": f"{them.seconds / us.seconds:.1f}",
        "output_ratio": f"{them.output / us.output:.1f}",
        "features": features,
        "windows": len(windows),
    }
    for who, row in (("ours", us), ("theirs", them)):
        line |= {f"{who}_s": f"{row.seconds:.1f}", f"{who}_cpu_s": f"{row.cpu:.1f}"}
        line |= {f"{who}_mb": f"{row.output / 1e6:.1f}", f"{who}_peak_mb": f"{row.peak_mb:.0f}"}
    line |= {"output_ratio_zipped": f"{them.zipped / us.zipped:.1f}"} if zipped else {}
    line |= compare(them.said, work, args.model, windows)
    fine = all(float(value) >= AGREEMENT for key, value in line.items() if key.startswith("oracle_"))
    for row in third:
        line["delphi_firings"] = row.said["firings"]
    if not args.quick:
        fine = fine and us.seconds * SPEEDUP <= them.seconds and us.output * OUTPUT_RATIO <= them.output
    if not args.keep:
        shutil.rmtree(work)
    return [us, them, *third], line, fine


def main() -> int:
    """Run everything, print, and say whether what is claimed holds for the largest number of features."""
    args = arguments()
    python = None if args.only_ours else environment(args.venv.resolve())
    texts, windows = take_windows(args.store, args.model, args.windows)
    rows: list[Row] = []
    line: dict[str, Any] = {}
    fine = True
    for features in sorted(args.features):
        more, line, fine = one(args, python, features, texts, windows)
        rows += more
        print(*table(more), *(f"{key}={value}" for key, value in line.items()), "", sep="\n", flush=True)
    print(*table(rows), sep="\n")
    print(*(f"{key}={value}" for key, value in line.items()))
    return int(not fine)


if __name__ == "__main__":
    sys.exit(main())
