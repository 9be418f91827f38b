"""Peak memory of a collect pass at 100k, 400k and 1.6M tokens: it must not grow with them.

    python build/bench/memory.py [--quick] [--tokens 100000,400000,1600000]

A small random model (`small.py`) and a dictionary of 2,048 features of which 32 fire on a token: so each feature has
fired some 1,500 times at 100k tokens, its sample and its top snippets are full, and what is left to grow is what
should not. Each size is a build and a process of its own (`atlas collect`: tokenising, the pass, checkpoints, logit
effects, the store); its peak is the kernel's count (`ru_maxrss`) when it has ended. That count begins with what the
parent held when it forked, so this script stays small: inputs are made in a process of their own too.

Last line: `rss_growth=...`, the peak of the largest over the peak of the smallest; exit status 1 if it is above 1.05.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson

SIZES = "100000,400000,1600000"
QUICK = "100000,1600000"
MOST = 1.05
WIDTH = 2048

RECIPE = """
[atlas]
id = "memory-{tokens}"
title = "Memory"
[model]
id = "small"
name = "Small"
source = "model"
[corpus]
tokens = {tokens}
window = 128
[[corpus.part]]
id = "words"
label = "Made-up words"
licence = "none"
source = "file:words.jsonl"
[[dictionary]]
id = "0-res-2k"
source = "dictionary"
[collect]
batch = 32
checkpoint = 5
device = "cpu"
"""


def prepare(folder: Path, tokens: int) -> None:
    """Model, dictionary and text enough for the largest size."""
    import torch  # noqa: PLC0415 (see the module's docstring)
    from small import text, write_dictionary, write_model  # noqa: PLC0415
    from transformers import AutoTokenizer  # noqa: PLC0415

    documents = text(tokens)
    model = write_model(folder / "model", documents)
    lines = (orjson.dumps({"text": d}) for d in documents)
    (folder / "words.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    ids = torch.tensor([tokenizer(d)["input_ids"][:127] for d in documents if len(d) > 1000][:64])
    with torch.no_grad():
        hidden = model(ids, output_hidden_states=True).hidden_states[1]
    write_dictionary(
        folder / "dictionary", hidden[:, 1:].reshape(-1, hidden.shape[-1]), WIDTH, "blocks.0.hook_resid_post"
    )


def collect(folder: Path, tokens: int) -> tuple[float, float]:
    """Peak megabytes and seconds of one build."""
    recipe = folder / f"recipe-{tokens}.toml"
    recipe.write_text(RECIPE.format(tokens=tokens), "utf-8")
    start = time.monotonic()
    process = subprocess.Popen(  # noqa: S603 (our own command)
        [sys.executable, "-m", "atlas", "collect", recipe, "--out", folder / "out"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(said.decode())
    return usage.ru_maxrss / 1024, time.monotonic() - start


def main() -> None:
    """Run all sizes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the smallest and the largest size alone")
    parser.add_argument("--tokens", default="", help=f"sizes, by default {SIZES}")
    parser.add_argument("--prepare", default="", help="only make the inputs in this folder")
    given = parser.parse_args()
    sizes = [int(n) for n in (given.tokens or (QUICK if given.quick else SIZES)).split(",")]
    if given.prepare:
        prepare(Path(given.prepare), max(sizes))
        return
    with tempfile.TemporaryDirectory(prefix="atlas-memory-") as name:
        folder = Path(name)
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--prepare", name], check=True)  # noqa: S603
        peaks = []
        for tokens in sizes:
            peak, seconds = collect(folder, tokens)
            peaks.append(peak)
            print(f"{tokens:>10,} tokens  peak {peak:7.1f} MB  {seconds:6.1f} s", flush=True)
    growth = peaks[-1] / peaks[0]
    facts = f"smallest_mb={peaks[0]:.0f} largest_mb={peaks[-1]:.0f} sizes={','.join(map(str, sizes))}"
    print(f"rss_growth={growth:.3f} {facts}")
    sys.exit(growth > MOST)


if __name__ == "__main__":
    main()
