"""SAEDashboard as an oracle: what both say of each feature, compared where both define it alike.

SAEDashboard scales each feature to a decoder row of length 1 before it starts, so our activations are multiplied by
that length first. Equal means: to 1e-3 relative, and half of the last digit that it prints.

- **maxima**: our maximum against "MAX = ..." above its top snippets (three decimals).
- **top**: it lists firings, several of a window, none within five tokens of a window's edge; we list windows, by their
  peak, near-duplicates folded together. So each of our top snippets whose peak lies where it looks, and is higher than
  the lowest that it lists, has to be in its list at the same token; and each window in its list has to be among ours,
  with the same activation at that token, if it is higher than our lowest. As many windows as we say that we folded
  may be missing; `folded` counts those that are.
- **density**: our count over all positions, BOS among them as it counts them, against its "DENSITY = ...%" (three
  decimals of a per cent). Equal means the same number of firings, as far as its digits tell.
- **logits**: its ten highest and ten lowest tokens against decoder row @ unembedding computed here with torch, ours
  against the same with the final norm's weight folded in. A feature agrees if both do: then the fold is all that
  sets them apart. `logits_shared` says how many of the ten highest tokens they share in spite of it.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import torch
from peers_inputs import WINDOW, weights
from transformers import AutoModelForCausalLM
from transformers.utils import logging

import atlas
from atlas import FeatureRecord

TOLERANCE = 1e-3
TOP_DIGITS, MAX_DIGITS, DENSITY_DIGITS = 5e-5, 5e-4, 5e-6  # half of the last digit that it prints
LOGITS, CHUNK = 10, 64


class Agreement:
    """Shares of comparisons that agree, by kind, and a few examples of those that do not."""

    def __init__(self) -> None:
        self.compared, self.agreed, self.seen = Counter[str](), Counter[str](), Counter[str]()

    def expect(self, kind: str, ok: Any, message: str) -> None:
        """Count one comparison; the first few of a kind that differ are printed."""
        self.compared[kind] += 1
        self.agreed[kind] += bool(ok)
        if not ok and self.compared[kind] - self.agreed[kind] <= 5:
            print(f"differs: {kind}: {message}")

    def line(self) -> dict[str, Any]:
        """Shares for the last line; 1 only if nothing differs."""
        shares = {}
        for kind, compared in self.compared.items():
            share = self.agreed[kind] / compared
            shares[f"oracle_{kind}"] = f"{share:.4f}" if share in {0, 1} else f"{min(max(share, 1e-4), 0.9999):.4f}"
        return shares | {f"{kind}_compared": n for kind, n in self.compared.items()} | dict(self.seen)


def close(one: float, other: float, digits: float) -> bool:
    """Whether two activations are the same, one of them printed with a last digit of twice `digits`."""
    return abs(one - other) <= TOLERANCE * abs(one) + digits


def tops(
    feature: FeatureRecord, said: dict[str, Any], norm: float, rows: dict[Any, int], within: range, tally: Agreement
) -> None:
    """Compare the top snippets of one feature; `within` is where it looks, in tokens counted from BOS."""
    label = f"feature {feature.index}"
    theirs = {(row, position): value for row, position, value in said["top"] if value > 0}
    ours = {rows[snippet.ids]: snippet for snippet in feature.top}
    full = len(theirs) == len(said["top"])  # else it lists all that fires
    lowest = min(theirs.values(), default=0) if full else 0.0
    for row, snippet in ours.items():
        value, position = snippet.value * norm, snippet.position + 1  # BOS
        if position in within and value > lowest * (1 + TOLERANCE) + TOP_DIGITS:
            found = theirs.get((row, position), 0)
            told = f"{label}, window {row}, token {position}: ours {value:.4f}, theirs {found:.4f}"
            tally.expect("top", close(value, found, TOP_DIGITS), told)
    least = min((snippet.value * norm for snippet in feature.top), default=0)
    folded = sum(snippet.repeats for snippet in feature.top)
    missing: dict[int, float] = {}
    for (row, position), value in theirs.items():
        if row in ours:
            mine = ours[row].values[position - 1] * norm
            told = f"{label}, window {row}, token {position}: ours {mine:.4f}, theirs {value:.4f}"
            tally.expect("top", close(mine, value, TOP_DIGITS), told)
        elif value > least * (1 + TOLERANCE) + TOP_DIGITS:
            missing.setdefault(row, value)
    tally.seen["folded"] += min(folded, len(missing))
    for row, value in list(missing.items())[folded:]:
        tally.expect("top", ok=False, message=f"{label}: window {row} with {value:.4f} is not among ours")


def same_extremes(effect: torch.Tensor, tokens: list[int], values: list[float], sign: int) -> bool:
    """Whether tokens and values are the highest (`sign` 1) or lowest (-1) of `effect` [vocabulary], up to ties."""
    best = sign * (sign * effect).topk(len(tokens)).values
    far = torch.stack([effect[tokens] - torch.tensor(values), best - torch.tensor(values)]).abs().max()
    return len(set(tokens)) == LOGITS and bool(far <= TOLERANCE * effect.abs().max())


def logits(
    features: list[FeatureRecord], said: list[dict[str, Any]], decoder: torch.Tensor, model: Path, tally: Agreement
) -> None:
    """Compare logit effects: theirs without the final norm, ours with it, each with torch's."""
    logging.disable_progress_bar()
    language_model = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    unembedding = language_model.get_output_embeddings().weight.detach()  # [vocabulary, d]
    scale = 1 + language_model.model.norm.weight.detach()  # Gemma's RMSNorm
    unit = decoder / decoder.norm(dim=1, keepdim=True)
    for low in range(0, len(features), CHUNK):
        plain, folded = (d[low : low + CHUNK] @ unembedding.T for d in (unit, decoder * scale))
        for feature, them, direct, normed in zip(features[low:], said[low:], plain, folded, strict=False):
            sides = (("top_logits", feature.logits.top, 1), ("bottom_logits", feature.logits.bottom, -1))
            shown, mine = True, True
            for side, effects, sign in sides:
                shown &= same_extremes(direct, *them[side], sign)
                ids, values = [e.id for e in effects[:LOGITS]], [e.value for e in effects[:LOGITS]]
                mine &= same_extremes(normed, ids, values, sign)
            told = f"feature {feature.index}: theirs are {shown} without the fold, ours are {mine} with it"
            tally.expect("logits", shown and mine, told)
            tally.seen["shared"] += len({e.id for e in feature.logits.top[:LOGITS]} & set(them["top_logits"][0]))


def compare(said: dict[str, Any], work: Path, model: Path, windows: list[list[int]]) -> dict[str, Any]:
    """Compare a finished build of ours with what SAEDashboard said of the same features."""
    store, tally = atlas.open_store(work / "ours" / "peers" / "store"), Agreement()
    (dictionary,) = store.dictionaries.values()
    assert dictionary.tokens == len(windows) * (WINDOW - 1), "we did not read all windows"
    rows = {tuple(ids[1:]): row for row, ids in enumerate(windows)}
    decoder = weights(work / "sae")["W_dec"]
    left, right = said["buffer"]  # of context, and so the distance from an edge
    within = range(1, WINDOW) if left is None else range(left + 1, WINDOW - right)
    features = list(store.features(dictionary.id, groups=False))
    positions = len(windows) * WINDOW
    for feature, them, norm in zip(features, said["features"], decoder.norm(dim=1).tolist(), strict=True):
        told = f"feature {feature.index}: ours {feature.max * norm:.4f}, theirs {them['max']}"
        tally.expect("maxima", close(feature.max * norm, them["max"], MAX_DIGITS), told)
        tops(feature, them, norm, rows, within, tally)
        told = f"feature {feature.index}: ours {feature.count} firings, theirs {them['density'] * positions:.2f}"
        off = abs(feature.count / positions - them["density"])
        tally.expect("density", off <= DENSITY_DIGITS * 1.001, told)
    logits(features, said["features"], decoder, model, tally)
    shared = tally.seen.pop("shared") / (LOGITS * len(features))
    return tally.line() | {"logits_shared": f"{shared:.3f}", "firings": dictionary.firings}
