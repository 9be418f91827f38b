"""Dictionaries by the names of SAELens: the real SAELens, its real directory of releases, and a Hub that is a folder.

    python build/bench/releases.py [--python FILE]

Runs `releases_saelens.py` in the peers' environment (made on first use), with this checkout on its path: tiny weights
lie in a Hub's cache where releases of SAELens's directory have theirs, and nothing can be fetched. `--python` takes
another interpreter that has SAELens and what `collect` needs.

Last line: releases=... same=... refused=... failed=0; exit status 1 if anything failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from peers_inputs import environment, offline

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Find the interpreter, run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", type=Path, help="an interpreter that has SAELens; by default the peers'")
    args = parser.parse_args()
    python = args.python.absolute() if args.python else environment(ROOT / "build" / "out" / "bench" / "peers-venv")
    script = Path(__file__).with_name("releases_saelens.py")
    with tempfile.TemporaryDirectory(prefix="atlas-releases-") as scratch:
        places = {"HF_HOME": str(Path(scratch) / "hub"), "ATLAS_OUT": str(Path(scratch) / "out")}
        run = [str(python), str(script), scratch]
        return subprocess.run(run, check=False, env=offline() | places | {"PYTHONPATH": str(ROOT)}).returncode  # noqa: S603 (ours)


if __name__ == "__main__":
    sys.exit(main())
