"""What Gemma Scope on Gemma 2 2B would cost: all 26 residual SAEs of 16,384 features. Arithmetic, nothing is run.

    python build/bench/scale.py [--into site_src/pages/docs/cluster.md]

1. The model's shape gives parameters and bytes; `atlas.engines.plan` gives operations, memory and disk of the pass.
2. Operations and bytes over stated rates (`Rates`) give seconds a token on one GPU. The device does one thing after the
   other; the host's threads add up firings meanwhile, so that the slower of the two decides.
3. Tokens times that over the number of GPUs, plus what is done once on one GPU, give hours. With `ray` on n GPUs there
   come log2 n merges of two states, one after the other on the way up the tree, and the driver's own. Loading,
   downloads, tokenising, the first short tasks and the last task of the slowest worker are left out.

`--into` replaces what lies between two `scale` comments of a page; else the tables are printed. The last line printed
holds key=value pairs.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from math import log2
from pathlib import Path

from atlas.engines import Shape
from atlas.engines.plan import Size, choose_batch, make_plan
from atlas.model.footprint import Footprint
from atlas.pipeline.prepare import MEMORY, MOST_WINDOWS

LAYERS, D, MLP, HEADS, KEYS, HEAD, VOCABULARY = 26, 2304, 9216, 8, 4, 256, 256_000  # Gemma 2 2B
WIDTH, TOP, SAMPLE, SOURCES, WINDOW = 16_384, 20, 128, 1, 128  # Gemma Scope's 16k; a recipe's defaults
BEGIN, END = "<!-- scale: begin -->", "<!-- scale: end -->"
HOUR = 3600


@dataclass(frozen=True)
class Rates:
    """What is assumed of an H100 SXM and of its host; of the GPU nothing was measured with this package."""

    forward: float = 0.40 * 989e12  # 40% of dense bfloat16
    encode: float = 0.60 * 67e12  # 60% of float32 without tensor cores: what the encoders run in
    tf32: float = 0.40 * 494.5e12  # 40% of dense TF32, if they ran in that
    memory: float = 0.60 * 3.35e12  # bytes a second: 60% of HBM3
    sifted: float = 16.0  # bytes that cross that memory for each activation: written, compared, found, copied
    fires: float = 100.0  # features of a dictionary that fire on a token
    firing: float = 20e-9  # seconds of a host thread for each firing (`atlas.engines.encode`)
    threads: float = 12.0  # host threads a GPU that are kept busy
    state: float = 10e3  # bytes a feature of a state on disk and in the object store
    merging: float = 1e9 / 19  # bytes a second of the sum of two states, on one core of the machine of the tests
    store: float = 2.5e3  # bytes a feature, as in the demo
    site: float = 75e3  # bytes a feature, as in the demo


def gemma(tokens: int) -> Size:
    """What the plan wants to know of model and dictionaries."""
    attention = D * HEADS * HEAD * 2 + D * KEYS * HEAD * 2  # queries and output; keys and values
    matrices = LAYERS * (attention + 3 * D * MLP)
    norms = LAYERS * 4 * D + D
    weights = 2 * (matrices + norms + VOCABULARY * D)  # bfloat16; the unembedding is the embedding
    model = Footprint(matrices, weights, LAYERS, HEADS * HEAD, MLP, 2)
    size = Size(model, LAYERS, ((D, WIDTH),) * LAYERS, tokens, WINDOW, 1)
    return replace(size, batch=choose_batch(size, MEMORY, MOST_WINDOWS["cuda"]))


def tables(rates: Rates) -> tuple[str, str]:
    """The tables as Markdown, and a line of key=value pairs."""
    size = gemma(1)
    shape = Shape.whole([WIDTH] * LAYERS, SOURCES, TOP, SAMPLE)
    plan = make_plan(size, shape, 0)
    features = LAYERS * WIDTH
    forward, encode, tf32 = plan.forward / rates.forward, plan.encode / rates.encode, plan.encode / rates.tf32
    sift = features * rates.sifted / rates.memory
    host = LAYERS * rates.fires * rates.firing / rates.threads
    slow, fast = max(forward + encode + sift, host), max(forward + tf32 + sift, host)
    logits, near = 2 * D * VOCABULARY * features, 2 * D * features**2
    after = (logits + near) / rates.encode
    state, packed = max(plan.state), features * rates.state
    merge = packed / rates.merging

    def row(*cells: object) -> str:
        return "| " + " | ".join(map(str, cells)) + " |"

    def giga(value: float) -> str:
        return f"{value / 1e9:,.1f} GB"

    work = [
        row("What", "Arithmetic", "Result"),
        row("---", "---", "---"),
        row(
            "forward, a token",
            f"2 × {size.model.parameters:,} parameters + 4 × {WINDOW} × {HEADS * HEAD} × {LAYERS}",
            f"{plan.forward / 1e9:.2f} GFLOP",
        ),
        row("encoders, a token", f"{LAYERS} × 2 × {D} × {WIDTH:,}", f"{plan.encode / 1e9:.2f} GFLOP"),
        row("forward", f"over {rates.forward / 1e12:.0f} TFLOP/s", f"{forward * 1e6:.1f} µs a token"),
        row("encoders in float32", f"over {rates.encode / 1e12:.0f} TFLOP/s", f"{encode * 1e6:.1f} µs a token"),
        row("encoders, were they in TF32", f"over {rates.tf32 / 1e12:.0f} TFLOP/s", f"{tf32 * 1e6:.1f} µs a token"),
        row(
            "sifting, on the GPU",
            f"{features:,} activations × {rates.sifted:.0f} bytes over {rates.memory / 1e12:.2f} TB/s",
            f"{sift * 1e6:.1f} µs a token",
        ),
        row(
            "statistics, on the host meanwhile",
            f"{LAYERS} × {rates.fires:.0f} firings × {rates.firing * 1e9:.0f} ns over {rates.threads:.0f} threads",
            f"{host * 1e6:.1f} µs a token",
        ),
        row("one GPU", "the slower of GPU and host", f"**{1 / slow:,.0f} tokens/s** ({1 / fast:,.0f} with TF32)"),
        row("merging two states", f"{packed / 1e9:.1f} GB over {rates.merging / 1e6:.0f} MB/s", f"{merge:.0f} s"),
        row(
            "logit effects and neighbours, once",
            f"2 × {D} × {features:,} × ({VOCABULARY:,} + {features:,})",
            f"{(logits + near) / 1e15:.1f} PFLOP, {after / 60:.1f} min",
        ),
    ]
    each = [
        row("Where", "What", "Bytes"),
        row("---", "---", "---"),
        row("GPU of each worker", "model, bfloat16", giga(size.model.weights)),
        row("", "dictionaries, activations and the rest (`plan.fixed`)", giga(plan.fixed - size.model.weights)),
        row("memory of each worker", "statistics at the peak (`plan.state`)", giga(state)),
        row("object store", "a worker's state, packed", giga(packed)),
        row("driver's disk", "checkpoint, and the next one beside it", giga(2 * packed)),
        row("", "store, once", giga(features * rates.store)),
        row("", f"site: {2 * features:,} files", giga(features * rates.site)),
    ]
    runs = [
        row("Tokens", "Operations", "Corpus on disk", "1 GPU", "8 GPUs", "1 GPU, TF32", "8 GPUs, TF32"),
        row(*["---"] * 7),
    ]
    hours = []
    for tokens in (10**6, 10**7, 10**8):
        done = make_plan(replace(size, tokens=tokens), shape, 0)
        ends = {1: 0.0, 8: merge * (1 + log2(8))}  # one GPU is the engine `local`
        times = [(tokens * per / gpus + after + ends[gpus]) / HOUR for per in (slow, fast) for gpus in ends]
        hours.append(times[0])
        runs.append(row(f"{tokens:,}", f"{done.operations:.2g}", giga(8 * tokens), *(f"{t:.2f} h" for t in times)))
    text = "\n".join([*work, "", *each, "", *runs])
    return text, f"tokens_per_second={1 / slow:.0f} hours_1m={hours[0]:.2f} hours_100m={hours[-1]:.2f} measured=0"


def main() -> None:
    """Print the tables, or put them into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path)
    into = parser.parse_args().into
    text, last = tables(Rates())
    if into is None:
        print(text)
    else:
        page = into.read_text("utf-8")
        before, _, rest = page.partition(BEGIN)
        into.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", "utf-8")
    print(last)


if __name__ == "__main__":
    main()
