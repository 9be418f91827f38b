"""What Gemma Scope on Gemma 2 2B costs: all 26 residual SAEs of 16,384 features. Arithmetic on measured rates.

    python build/bench/scale.py [--into site_src/pages/docs/cluster.md]

1. The model's shape gives parameters and bytes; `atlas.engines.plan` gives operations, memory and disk of the pass.
2. What one GPU reads in a second was measured, with weights of this shape (`gpu.py`, see `Rates`).
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
    """What `gpu.py` measured on one H100 with 16 cores of its host, and other benches elsewhere."""

    tokens: float = 26_161.0  # of the pass, a second: `--batch 128`
    more: float = 32_883.0  # the same with `--batch 512`
    encode: float = 47e12  # operations a second of a product in float32
    state: float = 10e3  # bytes a feature of a state on disk and in the object store
    merging: float = 1e9 / 19  # bytes a second of the sum of two states, on one core of the machine of the tests
    store: float = 2.5e3  # bytes a feature, as in the demo
    site: float = 49e3  # bytes a feature, as in the demo


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
        row("one GPU, measured", "`gpu.py --batch 128`", f"**{rates.tokens:,.0f} tokens/s**"),
        row("", "`gpu.py --batch 512`", f"**{rates.more:,.0f} tokens/s**"),
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
        row("Tokens", "Operations", "Corpus on disk", "1 GPU", "8 GPUs", "1 GPU, batch 512", "8 GPUs, batch 512"),
        row(*["---"] * 7),
    ]
    hours = []
    for tokens in (10**6, 10**7, 10**8):
        done = make_plan(replace(size, tokens=tokens), shape, 0)
        ends = {1: 0.0, 8: merge * (1 + log2(8))}  # one GPU is the engine `local`
        speeds = rates.tokens, rates.more
        times = [(tokens / speed / gpus + after + ends[gpus]) / HOUR for speed in speeds for gpus in ends]
        hours.append(times[0])
        runs.append(row(f"{tokens:,}", f"{done.operations:.2g}", giga(8 * tokens), *(f"{t:.2f} h" for t in times)))
    text = "\n".join([*work, "", *each, "", *runs])
    return text, f"tokens_per_second={rates.tokens:.0f} hours_1m={hours[0]:.2f} hours_100m={hours[-1]:.2f}"


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
