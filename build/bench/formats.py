"""Every format, model family and hook point that is read, each checked; and SAELens beside us on the same files.

    python build/bench/formats.py [--quick] [--golden] [--into FILE] [--venv DIR]

1. The tests of formats and families are run, and what they checked is counted: a dictionary in every layout of
   `tests/dictionaries/layouts.py`, its publisher's arithmetic in numpy; every hook point of every family of
   `atlas.model.families`, with arithmetic of its own.
2. Without `--quick`, SAELens reads the same files in the peers' environment (made on first use). Where both read a
   layout, activations and reconstructions are compared; `AGAIN` says where they differ, and why.
3. `--golden` keeps what SAELens made of them in `tests/dictionaries/golden/`, which CI compares with. `--into` puts the
   tables of what was checked between the `formats` comments of a page.

Last line: formats=... families=... hooks=... failed=0; exit status 1 if anything failed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "tests" / "dictionaries"), str(Path(__file__).parent)]
from cases import CASES, Case
from peers_inputs import environment

from atlas.model.hooks import SITES

TESTS = ("tests/dictionaries/test_formats.py", "tests/model/test_families.py")

AGAIN = {
    "gemma_scope_embedding": "SAELens leaves b_dec as it is when it scales an embedding SAE",
    "llama_scope_residual": "SAELens leaves the decoder's norm out of what is compared with the threshold",
    "llama_scope_transcoder": "as llama_scope_residual, through the same loader",
    "circuit_tracer_cross_layer_jumprelu": "SAELens does not read the thresholds of a cross-layer transcoder",
    "llama_scope_r1_distill": "SAELens knows no factor for it and does not scale the input",
    "sparsify_residual": "SAELens transposes W_dec, which is stored [n, d]",
    "sparsify_mlp": "SAELens transposes W_dec",
    "sparsify_skip_transcoder": "SAELens reads it as an SAE",
    "dictionary_learning_gated": "SAELens leaves out the length of the decoder's row",
    "dictionary_learning_jumprelu": "SAELens leaves out the length of the decoder's row",
    "dictionary_learning_new": "SAELens subtracts a bias that the publisher does not",
}
"""Layouts that SAELens reads otherwise than their publisher does."""

SAME = 1e-5

BEGIN, END = "<!-- formats: begin -->", "<!-- formats: end -->"


class Counter:
    """A plugin of pytest that notes what was checked and what failed."""

    def __init__(self) -> None:
        self.passed: dict[str, set[str]] = defaultdict(set)
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Called by pytest for every phase of every test."""
        if report.failed:
            self.failed.append(report.nodeid)
        elif report.when == "call" and report.passed and "[" in report.nodeid:
            name, _, parameter = report.nodeid.partition("[")
            self.passed[name.rpartition("::")[2]].add(parameter.rstrip("]"))


def job(name: str, made: Case, root: Path, x: np.ndarray) -> dict[str, Any] | None:
    """What SAELens is asked to load; None where it has no loader."""
    own = {
        "saelens": "saelens",
        "gemma_scope": "gemma_scope",
        "gemma_scope_2": "gemma_scope_2",
        "llama_scope": "llama_scope",
        "sparsify": "sparsify",
        "dictionary_learning": "dictionary_learning",
        "qwen_scope": "qwen_scope",
        "circuit_tracer": "circuit_tracer",
    }.get(made.format)
    if own is None:
        return None
    form, overrides = own, {}
    folder, repo = made.path.name, f"org/{made.path.parent.name}"
    root = made.path.parent
    if made.format == "saelens":
        folder = str(made.path)
    elif made.format == "gemma_scope":
        form = "gemma_scope_transcoder" if made.kind == "transcoder" else form
        root = next(p for p in made.path.parents if p.name.startswith("gemma-scope"))
        folder, repo = made.path.relative_to(root).as_posix(), f"google/{root.name}"
    elif made.format == "gemma_scope_2":
        root = next(p for p in made.path.parents if p.name.startswith("gemma-scope"))
        folder, repo = made.path.relative_to(root).as_posix(), f"google/{root.name}"
        if made.section:
            folder += f"/{made.weights.removesuffix('.safetensors')}"
    elif name == "llama_scope_r1_distill":
        form = "llama_scope_r1"
        overrides = {"d_sae": made.width}
    elif made.format == "qwen_scope":
        repo = f"Qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_{made.section['k']}"
    elif name.startswith("circuit_tracer_cross"):
        form, folder, root = "circuit_tracer_clt", "1", made.path
    elif made.format == "circuit_tracer":
        (made.path.parent / "wandb-config.yaml").write_text(
            f"d_model: {{value: {made.d_in}}}\nd_feature: {{value: {made.width}}}\nbatch_size: {{value: 1}}\n"
        )
    return {
        "name": name,
        "format": form,
        "root": str(root),
        "repo": repo,
        "folder": folder,
        "d_in": made.d_in,
        "d_sae": made.width,
        "overrides": overrides,
        "x": x.tolist(),
    }


def beside(venv: Path, scratch: Path, golden: Path | None) -> tuple[dict[str, str], int]:
    """What SAELens makes of every layout, in words, and how many surprise."""
    jobs, cases = [], {}
    for name, make in CASES.items():
        made = make(scratch / name)
        x = np.random.default_rng(1).standard_normal((64, made.d_in)) * 2
        cases[name] = made, x
        asked = job(name, made, scratch / name, x)
        jobs += [asked] if asked else []
    (scratch / "job.json").write_text(json.dumps(jobs))
    script = Path(__file__).with_name("formats_saelens.py")
    subprocess.run(  # noqa: S603 (ours)
        [str(environment(venv)), str(script), str(scratch / "job.json"), str(scratch / "result.npz")], check=True
    )
    with np.load(scratch / "result.npz") as data:
        found = {key: data[key] for key in data.files}
    said, surprises, kept = {}, 0, {}
    for name, (made, x) in cases.items():
        if f"{name}/acts" not in found:
            error = found.get(f"{name}/error")
            said[name] = f"does not read it ({str(error)[:60]})" if error is not None else "has no loader"
            continue
        acts, out = found[f"{name}/acts"], found[f"{name}/out"]
        same = acts.shape == (64, made.width) and np.allclose(acts, made.encode(x), rtol=SAME, atol=2 * SAME)
        same = same and np.allclose(out, made.decode(x, made.encode(x)), rtol=SAME, atol=1e-4)
        said[name] = "the same" if same else AGAIN.get(name, "differs")
        surprises += same == (name in AGAIN)
        if same:
            kept |= {f"{name}/acts": acts, f"{name}/out": out}
    if golden:
        golden.parent.mkdir(exist_ok=True)
        np.savez_compressed(golden, **kept)
    return said, surprises


def tables(layouts: list[str], families: list[str], said: dict[str, str]) -> str:
    """What was checked, as Markdown: a row a layout, then the families and hook points."""
    rows = ["| Layout | SAELens reads it |", "|---|---|"]
    for name in layouts:
        verdict = " ".join(said.get(name, "").split()).replace("does not read it (", "no (").replace("|", "/")
        rows.append(f"| `{name}` | {verdict or 'was not asked'} |")
    sites = ", ".join(f"`{site}`" for site in SITES)
    return "\n".join([*rows, "", f"Families: {', '.join(f'`{f}`' for f in families)}. Hook points of each: {sites}."])


def main() -> int:
    """Run, count, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="without SAELens")
    parser.add_argument("--golden", action="store_true", help="keep what SAELens makes of the layouts, for CI")
    parser.add_argument("--into", type=Path, help="put the tables into this page")
    parser.add_argument("--venv", type=Path, default=ROOT / "build" / "out" / "bench" / "peers-venv")
    args = parser.parse_args()
    counter = Counter()
    pytest.main(
        [
            "-q",
            "-x",
            "--no-header",
            "-p",
            "no:cacheprovider",
            "-W",
            "ignore::pytest.PytestAssertRewriteWarning",
            *(str(ROOT / t) for t in TESTS),
        ],
        plugins=[counter],
    )
    layouts = counter.passed["test_it_computes_what_its_publisher_computes"]
    families = counter.passed["test_what_is_added_adds_up_by_way_of_the_middle"]
    said, surprises = {}, 0
    if not args.quick:
        with tempfile.TemporaryDirectory(prefix="atlas-formats-") as scratch:
            golden = ROOT / "tests" / "dictionaries" / "golden" / "saelens.npz" if args.golden else None
            said, surprises = beside(args.venv, Path(scratch), golden)
        for name, what in said.items():
            print(f"{name:<40} SAELens: {what}")
    if args.into:
        page = args.into.read_text("utf-8")
        before, _, rest = page.partition(BEGIN)
        text = tables(sorted(layouts), sorted(families), said)
        args.into.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", "utf-8")
    hooks = len(families) * len(SITES)
    failed = len(counter.failed) + surprises
    print(f"formats={len(layouts)} families={len(families)} hooks={hooks} failed={failed}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
