"""How much of what is at a hook point a dictionary keeps, and what that costs the model: on some of the corpus.

1. Windows are taken at equal steps through the whole corpus until they hold enough tokens.
2. Of each, the model's loss is computed as it is; with zeros at the hook point; and with what the dictionary makes of
   it. Positions that do not count keep what is there.
3. Two numbers follow for each dictionary, with y what is at `hook_out` (where it writes: of an SAE, where it reads) and
   y' what it says is there, over all positions that count:

    fvu         sum |y - y'|^2 / sum |y - mean(y)|^2        fraction of variance unexplained
    recovered   (zeroed - spliced) / (zeroed - loss)        share of the loss that zeros would cost and the
                                                            dictionary keeps (SAEBench's and Gemma Scope's measure)

Sums are float64. Neurons are not measured: all of them together are what is there.

Time: the whole model runs over these tokens once for each dictionary, once for each place that one writes to, and once
more, always in `model.dtype`; and up to its hook point once for each dictionary. Memory: the whole model, one
dictionary, and `ACTIVATIONS` logits or activations at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from atlas.corpus import Corpus
from atlas.dictionaries.base import Dictionary
from atlas.model.hooks import HookPoint
from atlas.model.inputs import pad
from atlas.model.lm import LanguageModel
from atlas.model.splice import losses
from atlas.records import QualityRecord

ACTIVATIONS = 2**27
"""Logits or activations held at a time."""

Rows = tuple[Tensor, Tensor, Tensor]
"""ids, mask and counted of some windows, as `pad` gives them."""


@dataclass
class Sums:
    """What is added up for one dictionary; all in float64."""

    tokens: int = 0
    error: float = 0.0
    square: float = 0.0
    total: Tensor | None = None
    losses: dict[str, list[float]] = field(default_factory=dict)

    def add(self, y: Tensor, made: Tensor) -> None:
        """Add what is there and what the dictionary says is there, [n, d] each."""
        y, made = y.double(), made.double()
        self.tokens += len(y)
        self.error += float((y - made).square().sum())
        self.square += float(y.square().sum())
        self.total = y.sum(0) if self.total is None else self.total + y.sum(0)

    def record(self) -> QualityRecord:
        """What they come to."""
        spread = self.square - (float(self.total.square().sum()) / self.tokens if self.total is not None else 0.0)
        mean = {name: float(np.mean(values)) for name, values in self.losses.items()}
        return QualityRecord(
            tokens=self.tokens,
            fvu=self.error / spread if spread > 0 else 1.0,
            loss=mean["loss"],
            spliced=mean.get("spliced"),
            zeroed=mean.get("zeroed"),
        )


def measure(
    model: LanguageModel,
    dictionaries: Sequence[Dictionary],
    corpus: Corpus,
    tokens: int,
    *,
    bos: bool,
    tick: Callable[[int], None],
) -> list[QualityRecord | None]:
    """Measure every dictionary on about so many tokens; None for neurons.

    Args:
        model: The whole model, on its device.
        dictionaries: In the recipe's order, on any device.
        corpus: Read to its end.
        tokens: Tokens to measure on.
        bos: Whether windows begin with BOS.
        tick: Called with a number of tokens done, of each dictionary.

    Raises:
        AtlasError: If a chunk of the corpus is damaged.
    """
    if all(d.kind == "neurons" for d in dictionaries):
        return [None] * len(dictionaries)
    rows = [r for r in _rows(model, corpus, tokens, bos=bos) if bool(r[2].any())]
    own = [x for r in rows for x in losses(model, *r).tolist()]
    zeroed: dict[str, list[float]] = {}
    found: list[QualityRecord | None] = []
    for dictionary in dictionaries:
        if dictionary.kind == "neurons":
            found.append(None)
            continue
        place = model.hook(dictionary.hook_out or dictionary.hook_point)
        sums = Sums(losses={"loss": own})
        if place.side != "normalized":
            if place.name not in zeroed:
                zeroed[place.name] = [
                    x for r in rows for x in losses(model, *r, (place, _nothing(model, place, r))).tolist()
                ]
            sums.losses |= {"zeroed": zeroed[place.name], "spliced": []}
        _add(model, dictionary.to(model.device), place, sums, rows, tick)
        found.append(sums.record() if sums.tokens else None)
    return found


def _rows(model: LanguageModel, corpus: Corpus, tokens: int, *, bos: bool) -> Iterator[Rows]:
    """Windows at equal steps, a few at a time."""
    end = corpus.end
    count = min(end.windows, -(-tokens * end.windows // end.tokens))
    chosen = np.arange(count, dtype=np.int64) * end.windows // count
    lead = model.bos_id if bos else None
    for found in corpus.lookup(chosen):
        longest = int(np.diff(found.offsets).max()) + 1
        step = max(1, ACTIVATIONS // (longest * model.vocab))
        for low in range(0, len(found), step):
            offsets = found.offsets[low : low + step + 1]
            yield pad(found.ids, offsets, lead, model.pad_id, model.special_ids)


def _nothing(model: LanguageModel, place: HookPoint, rows: Rows) -> Tensor:
    return torch.zeros(*rows[0].shape, model.width(place), device=model.device)


def _add(
    model: LanguageModel,
    dictionary: Dictionary,
    place: HookPoint,
    sums: Sums,
    every: Sequence[Rows],
    tick: Callable[[int], None],
) -> None:
    """Add up one dictionary, which lies on the model's device while all windows go by."""
    reads = model.hook(dictionary.hook_point)
    for rows in every:
        ids, mask, counted = rows
        seen, at = model.run(ids, mask, [reads, place]), counted.to(model.device)
        y = seen[place.name]
        there, new = y[at].float(), _rebuilt(dictionary, seen[reads.name][at])
        fits = torch.isfinite(new).all(1) & torch.isfinite(there).all(1)
        sums.add(there[fits].cpu(), new[fits].cpu())
        if "spliced" in sums.losses:
            made = torch.zeros(y.shape, device=y.device)
            made[at] = torch.where(fits[:, None], new, there)
            sums.losses["spliced"] += losses(model, ids, mask, counted, (place, made)).tolist()
        tick(int(counted.sum()))


@torch.inference_mode()
def _rebuilt(dictionary: Dictionary, x: Tensor) -> Tensor:
    """What the dictionary says is at `hook_out`, float32 [n, d_out]."""
    step = max(1, ACTIVATIONS // dictionary.width)
    parts = [x[low : low + step] for low in range(0, len(x), step)]
    return torch.cat([dictionary.decode(part, dictionary.encode(part)) for part in parts])
