"""Recomputes what a store publishes, from the weights, with none of the package's code.

    python build/bench/verify.py --store build/out/demo/store [--quick] [--features 25] [--seed 0]

Read are the store's files, the model (transformers) and the dictionaries (safetensors, SAELens layout, JumpReLU).

1. `--features` features are drawn from each dictionary (0: all; `--quick`: 16 at most). All below is about them,
   except that `--quick` looks at every feature of every dictionary in the few windows that it runs.
2. Stored windows, BOS in front, go through the model in batches of another size and order than the collect pass
   took. A forward hook on block L gives the residual stream x after it; BOS, EOS and padding never count.
   pre = (x - b_dec) @ W_enc + b_enc, and a feature fires where pre > threshold.
3. Every stored snippet of those features in those windows: each activation (`at`, `act`) and the one the snippet
   stands for, and that the feature fires nowhere else in the window.
4. Count of firings, maximum, and top snippet (window, position, value), over the windows that were run.
5. Logit effects of the drawn features: decoder row * (1 + final norm's weight) @ unembedding, 10 from either end.

Equal means: activations and maxima to 1e-3 relative (the store's rounding to 12 bits takes 2.4e-4 of it); counts
within what firings closer than 1e-3 to the threshold leave open (`borderline` counts those); the top snippet is the
stored one or ties with it to 1e-3 (`ties`); logit effects to 1e-3 of the largest, tokens up to such ties.

Without `--quick` all stored windows are run. `coverage` is the share of the corpus's windows that were. At 1,
counts, maxima and top snippets are checked as they are defined. Below 1, a count is only bounded from below; maximum
and top snippet are compared where the stored top window was run (`--quick` starts with those of the drawn features),
though a window that was not run might go higher; elsewhere no recomputed value may exceed the maximum (`bounds`).

Not checked: that the stored token ids are what the tokenizer makes of the corpus, the conversion of the model, token
texts, the choice of snippets after the first (near-duplicates, sample), histograms, moments, neighbours, names.
The last line holds key=value pairs; `checked` is the number of comparisons. The exit status is 1 after a mismatch.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from functools import partial
from itertools import zip_longest
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging

TOLERANCE = 1e-3
LOGITS = 10  # from either end
BATCH = 24  # windows; the demo's collect pass takes 32
QUICK_WINDOWS, QUICK_FEATURES = 80, 16  # of all, drawn from each dictionary
TOP, QUANTILE = 0, 1  # kinds of snippet, as the store numbers them


class Tally:
    """What was compared and what was seen, by kind, and how many comparisons failed."""

    def __init__(self) -> None:
        self.compared, self.seen = Counter[str](), Counter[str]()
        self.mismatches = 0
        self.worst = {"activation": 0.0, "logit": 0.0}

    def expect(self, kind: str, ok: bool | np.bool_, message: str) -> None:
        """Count one comparison, and print what differs."""
        self.compared[kind] += 1
        if not ok:
            self.mismatches += 1
            print(f"mismatch: {message}")


def read_snippets(path: Path, columns: np.ndarray, width: int) -> SimpleNamespace:
    """The snippets of the features `columns`, by window: flat arrays; `ends` cuts the ragged `at` and `act`."""
    table = pq.read_table(path)
    place = np.full(width, -1)
    place[columns] = np.arange(len(columns))
    column = place[table["feature"].to_numpy()]
    order = np.argsort(table["window"].to_numpy(), kind="stable")
    order = order[column[order] >= 0]
    part = table.take(order)
    rows = {name: part[name].to_numpy() for name in ("kind", "group", "rank", "window", "position", "value")}
    rows |= {name: pc.list_flatten(part[name]).to_numpy() for name in ("at", "act")}
    return SimpleNamespace(column=column[order], ends=np.cumsum(pc.list_value_length(part["at"]).to_numpy()), **rows)


class Subject:
    """One dictionary: its weights, what the store says of it, and what was recomputed."""

    def __init__(self, store: Path, entry: dict[str, Any], folder: Path, drawn: np.ndarray, every: bool) -> None:
        self.name, width = entry["id"], entry["width"]
        config = json.loads((folder / "cfg.json").read_text("utf-8"))
        hook = re.fullmatch(r"blocks\.(\d+)\.hook_resid_post", entry["hook_point"])
        plain = {config.get("normalize_activations", "none"), config.get("reshape_activations", "none")} == {"none"}
        if config["architecture"] != "jumprelu" or not plain or hook is None or config["d_sae"] != width:
            sys.exit(f"{folder}: only JumpReLU SAEs of the residual stream, not normalised, are recomputed here")
        self.layer = int(hook[1])
        self.drawn = drawn
        self.columns = np.arange(width) if every else drawn
        weights = {name: tensor.float() for name, tensor in load_file(folder / "sae_weights.safetensors").items()}
        self.W_enc = weights["W_enc"][:, self.columns]  # [d, c]
        self.b_enc = weights["b_enc"][self.columns]
        self.b_dec = weights["b_dec"] if config["apply_b_dec_to_input"] else torch.zeros_like(weights["b_dec"])
        self.threshold = weights["threshold"][self.columns].clamp_min(0).numpy()
        self.decoder = weights["W_dec"][drawn]  # [n, d]
        self.features = pq.read_table(store / self.name / "features.parquet")
        assert self.features["index"].to_pylist() == list(range(width)), f"{self.name}: features are not in order"
        self.rows = read_snippets(store / self.name / "snippets.parquet", self.columns, width)
        tops = np.flatnonzero((self.rows.kind == TOP) & (self.rows.rank == 0))
        self.top_row = np.full(n := len(self.columns), -1)
        self.top_row[self.rows.column[tops]] = tops
        self.at_top = np.full(n, np.nan)  # recomputed where the stored top snippet is
        self.count, self.sure, self.perhaps = (np.zeros(n, np.int64) for _ in range(3))
        self.best, self.best_window, self.best_position = np.zeros(n), np.full(n, -1), np.full(n, -1)

    def wanted(self, kind: int) -> np.ndarray:
        """Of each drawn feature, the window of one snippet of a kind: the best one, or one of the lowest quantile."""
        rows = self.rows
        first = (rows.kind == kind) & (rows.rank == 0) & (rows.group == 0)
        return np.asarray(rows.window[first & np.isin(self.columns[rows.column], self.drawn)])

    def look(self, window: int, pre: np.ndarray, tally: Tally) -> None:
        """Take in one window, pre [t, c] before the threshold, and compare the snippets that show it."""
        fires, sure = pre > self.threshold, pre > self.threshold * (1 + TOLERANCE)
        self.count += fires.sum(0)
        self.sure += sure.sum(0)
        self.perhaps += (pre > self.threshold * (1 - TOLERANCE)).sum(0)
        values = np.where(fires, pre, 0)
        better = (peak := values.max(0)) > self.best
        self.best[better], self.best_window[better] = peak[better], window
        self.best_position[better] = values.argmax(0)[better]
        part = slice(*np.searchsorted(self.rows.window, [window, window + 1]))
        if part.start < part.stop:
            self._compare(part, pre, sure, tally)

    def _compare(self, part: slice, pre: np.ndarray, sure: np.ndarray, tally: Tally) -> None:
        rows = self.rows
        names = ("column", "kind", "rank", "position", "value")
        column, kind, rank, position, value = (getattr(rows, name)[part] for name in names)
        n, begin = len(column), rows.ends[part.start - 1] if part.start else 0
        entries = slice(begin, rows.ends[part.stop - 1])
        row = np.repeat(np.arange(n), np.diff(rows.ends[part], prepend=begin))
        at, act = rows.at[entries], rows.act[entries]
        inside = (at >= 0) & (at < len(pre))
        where = np.where(inside, at, 0), column[row]
        got = np.where(inside, pre[where], np.nan)
        off = np.abs(got - act) / act
        wrong = ~(off <= TOLERANCE)  # NaN is wrong
        elsewhere = (sure.sum(0)[column] - np.bincount(row, sure[where] & inside, n)).astype(int)
        stands = np.bincount(row, (at == position[row]) & (act == value[row]), n) == 1
        peak = np.zeros(n)
        np.maximum.at(peak, row, act)
        stands &= (kind != TOP) | (value == peak)
        bad = (np.bincount(row, wrong, n) > 0) | (elsewhere != 0) | ~stands
        tally.compared["snippets"] += int((~bad).sum())
        tally.seen["activations"] += len(at)
        tally.worst["activation"] = max(tally.worst["activation"], np.max(off, where=~wrong, initial=0))
        for i in np.flatnonzero(bad):
            these = np.flatnonzero(wrong & (row == i))[:3]
            what = [f"stored {act[j]:.6g} at {at[j]}, recomputed {got[j]:.6g}" for j in these]
            what += [] if stands[i] else [f"position {position[i]}, value {value[i]:.6g} do not fit its activations"]
            what += [f"fires at {elsewhere[i]} places that are not stored"] if elsewhere[i] else []
            place = f"{self.name}/{self.columns[column[i]]} snippet (kind {kind[i]}, rank {rank[i]})"
            tally.expect("snippets", False, f"{place} of window {rows.window[part.start]}: {'; '.join(what)}")
        top = np.flatnonzero((kind == TOP) & (rank == 0) & (position < len(pre)))
        self.at_top[column[top]] = pre[position[top], column[top]]

    def finish(self, complete: bool, tally: Tally) -> None:
        """Compare counts, maxima and top snippets, once all windows were looked at."""
        counts, maxima = (self.features[name].to_numpy()[self.columns] for name in ("count", "max"))
        tally.seen["borderline"] += int((self.perhaps - self.sure).sum())
        tally.seen["counts_equal"] += int((counts == self.count).sum()) if complete else 0
        for c, (count, maximum) in enumerate(zip(counts, maxima, strict=True)):
            label, best, row = f"{self.name}/{self.columns[c]}", self.best[c], self.top_row[c]
            band = f"{self.sure[c]} to {self.perhaps[c]}" if complete else f"at least {self.sure[c]}"
            fits = self.sure[c] <= count <= (self.perhaps[c] if complete else count)
            tally.expect("counts" if complete else "bounds", fits, f"{label} count {count}, recomputed {band}")
            said = f"{label} maximum {maximum:.6g}, recomputed {best:.6g}"
            if row < 0:  # no snippet: silent
                tally.expect("maxima" if complete else "bounds", count == maximum == self.sure[c] == 0, said)
                continue
            if np.isnan(self.at_top[c]) and not complete:
                tally.expect("bounds", best <= maximum * (1 + TOLERANCE), said)
                continue
            tally.expect("maxima", abs(best - maximum) <= TOLERANCE * maximum, said)
            stored = int(self.rows.window[row]), int(self.rows.position[row])
            mine = int(self.best_window[c]), int(self.best_position[c])
            same = self.rows.value[row] == maximum and self.at_top[c] >= best * (1 - TOLERANCE)
            said = f"{label} top snippet {stored} value {self.rows.value[row]:.6g}, recomputed {mine} value {best:.6g}"
            tally.expect("tops", same, said)
            tally.seen["ties"] += int(same and stored != mine)

    def logits(self, scale: torch.Tensor, unembedding: torch.Tensor, tally: Tally) -> None:
        """Compare the logit effects of the drawn features; scale [d], unembedding [vocabulary, d]."""
        stored = self.features.take(self.drawn)
        for side, sign in (("top", 1), ("bottom", -1)):
            said = stored[f"logit_{side}"].to_pylist(), stored[f"logit_{side}_value"].to_pylist()
            for low in range(0, len(self.drawn), 64):
                effects = ((self.decoder[low : low + 64] * scale) @ unembedding.T).numpy()  # [n, vocabulary]
                for i, effect in enumerate(effects, low):
                    tokens, values = said[0][i][:LOGITS], np.array(said[1][i][:LOGITS])
                    best = sign * np.sort(-np.partition(-sign * effect, LOGITS)[:LOGITS])[::-1]
                    whole = len(set(tokens)) == len(values) == LOGITS
                    far = np.abs([effect[tokens] - values, best - values]) if whole else np.inf
                    off = np.max(far) / np.abs(effect).max()
                    label = f"{self.name}/{self.drawn[i]} {side} logits"
                    tally.expect("logits", off <= TOLERANCE, f"{label}: {tokens}, off by {off:.2g} of the largest")
                    tally.worst["logit"] = max(tally.worst["logit"], off if off <= TOLERANCE else 0)


def run(model: Any, subjects: list[Subject], windows: dict[int, list[int]], lead: list[int], tally: Tally) -> None:
    """Send windows (id: token ids) through the model, and every dictionary over what its block gives."""
    residual: dict[int, torch.Tensor] = {}

    def catch(layer: int, _module: Any, _args: Any, output: Any) -> None:
        residual[layer] = output[0] if isinstance(output, tuple) else output

    for layer in (layers := {subject.layer for subject in subjects}):
        model.layers[layer].register_forward_hook(partial(catch, layer))
    model.layers = model.layers[: max(layers) + 1]
    special, skip = (getattr(model.config, f"{name}_token_id") for name in ("bos", "eos", "pad")), len(lead)
    never = torch.tensor([token for token in special if token is not None])
    order = sorted(windows, key=lambda window: (len(windows[window]), window))
    for low in range(0, len(order), BATCH):
        if sys.stderr.isatty():
            print(f"{low} of {len(order)} windows", end="\r", file=sys.stderr, flush=True)
        batch = order[low : low + BATCH]
        ids, mask = torch.zeros(2, len(batch), skip + len(windows[batch[-1]]), dtype=torch.long)
        for i, window in enumerate(batch):
            ids[i, : skip + len(windows[window])] = torch.tensor(lead + windows[window])
            mask[i, : skip + len(windows[window])] = 1
        model(input_ids=ids, attention_mask=mask, use_cache=False)
        counted = (mask[:, skip:].bool() & ~torch.isin(ids[:, skip:], never)).numpy()
        tally.seen["tokens"] += int(counted.sum())
        for subject in subjects:
            x = residual[subject.layer][:, skip:] - subject.b_dec
            pre = (x @ subject.W_enc + subject.b_enc).numpy()  # [b, t, c]
            pre[~counted] = -np.inf
            for i, window in enumerate(batch):
                subject.look(window, pre[i, : len(windows[window])], tally)


def main() -> int:
    """Check, print, and say whether all is equal."""
    begun, here = time.monotonic(), Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(description="Recompute what a store publishes, without the package.")
    parser.add_argument("--store", type=Path, default=here / "out" / "demo" / "store")
    parser.add_argument("--model", type=Path, help="the converted model (default: the one in out/cache)")
    parser.add_argument("--dictionaries", type=Path, default=here / "demo", help="folder that holds their folders")
    parser.add_argument("--features", type=int, default=25, help="drawn from each dictionary; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_WINDOWS} windows, every feature in them")
    args = parser.parse_args()
    manifest = json.loads((args.store / "manifest.json").read_text("utf-8"))
    corpus, tally, subjects = manifest["corpus"], Tally(), []
    for place, entry in enumerate(manifest["dictionaries"]):
        width = entry["width"]
        n = min(width, args.features or width, QUICK_FEATURES if args.quick else width)
        drawn = np.sort(np.random.default_rng([args.seed, place]).choice(width, n, replace=False))
        subjects.append(Subject(args.store, entry, args.dictionaries / Path(entry["source"]).name, drawn, args.quick))
    table = pq.read_table(args.store / "windows.parquet").to_pydict()
    windows = dict(zip(table["window"], table["ids"], strict=True))
    if args.quick:
        turns = [turn for kind in (TOP, QUANTILE) for turn in zip_longest(*(s.wanted(kind) for s in subjects))]
        chosen = dict.fromkeys(int(window) for turn in turns for window in turn if window is not None)
        windows = {window: windows[window] for window in list(chosen)[:QUICK_WINDOWS]}
    logging.disable_progress_bar()
    notes = (here / "out" / "cache" / "models").glob("*/converted.json")
    fitting = [n.parent for n in notes if json.loads(n.read_bytes())["source"] == manifest["model"]["source"]]
    if not args.model and len(fitting) != 1:
        sys.exit("there is not exactly one converted model in out/cache/models: name it with --model")
    model = AutoModelForCausalLM.from_pretrained(args.model or fitting[0], dtype=torch.float32).eval()
    norm, scale = model.model.norm, 1 + model.model.norm.weight.detach()
    complete = len(windows) == corpus["windows"]
    with torch.inference_mode():
        if not torch.allclose(norm(torch.ones_like(scale)), scale, rtol=1e-4):
            sys.exit("the final norm is not Gemma's RMSNorm: its logit effects are not recomputed here")
        unembedding = model.get_output_embeddings().weight[: manifest["model"]["vocabulary"]]
        for subject in subjects:
            subject.logits(scale, unembedding, tally)
        run(model.model, subjects, windows, [corpus["bos_id"]] if corpus["bos"] else [], tally)
    for total in (corpus["tokens"], *(entry["tokens"] for entry in manifest["dictionaries"])):
        fits = total == tally.seen["tokens"] or (not complete and total > tally.seen["tokens"])
        tally.expect("totals", fits, f"{total} tokens, recomputed {tally.seen['tokens']}")
    for subject in subjects:
        subject.finish(complete, tally)
    line: dict[str, Any] = {"checked": sum(tally.compared.values()), "mismatches": tally.mismatches}
    line |= {**tally.compared, **tally.seen, "drawn": sum(len(s.drawn) for s in subjects), "windows": len(windows)}
    line |= {f"worst_{kind}": f"{value:.1e}" for kind, value in tally.worst.items()}
    line |= {"coverage": f"{len(windows) / corpus['windows']:.4f}", "seconds": round(time.monotonic() - begun)}
    print(*(f"{key}={value}" for key, value in line.items()))
    return int(tally.mismatches > 0)


if __name__ == "__main__":
    sys.exit(main())
