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

Time: the whole model runs over these tokens once for each dictionary, once for each place that one writes to, and twice
more, always in `model.dtype`. Memory: the whole model, one dictionary, and `ACTIVATIONS` logits or activations at a
time.
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
        tick: Called with a number of tokens done.

    Raises:
        AtlasError: If a chunk of the corpus is damaged.
    """
    sums = [None if d.kind == "neurons" else Sums() for d in dictionaries]
    for rows in _rows(model, corpus, tokens, bos=bos) if any(s is not None for s in sums) else ():
        _add(model, dictionaries, sums, rows)
        tick(int(rows[2].sum()))
    return [None if s is None or not s.tokens else s.record() for s in sums]


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


def _add(model: LanguageModel, dictionaries: Sequence[Dictionary], sums: Sequence[Sums | None], rows: Rows) -> None:
    ids, mask, counted = rows
    if not bool(counted.any()):
        return
    measured = [(d, s) for d, s in zip(dictionaries, sums, strict=True) if s is not None]
    points = {name: model.hook(name) for d, _ in measured for name in (d.hook_point, d.hook_out or d.hook_point)}
    seen = model.run(ids, mask, list(points.values()))
    at = counted.to(model.device)
    loss = losses(model, ids, mask, counted).tolist()
    zeroed: dict[str, list[float]] = {}
    for dictionary, own in measured:
        place = dictionary.hook_out or dictionary.hook_point
        x, y = seen[dictionary.hook_point], seen[place]
        there, new = y[at].float(), _rebuilt(dictionary, x[at])
        fits = torch.isfinite(new).all(1) & torch.isfinite(there).all(1)
        own.add(there[fits].cpu(), new[fits].cpu())
        made = torch.zeros(y.shape, device=y.device)
        made[at] = torch.where(fits[:, None], new, there)
        own.losses.setdefault("loss", []).extend(loss)
        if points[place].side == "normalized":
            continue
        if place not in zeroed:
            zeroed[place] = losses(model, ids, mask, counted, (points[place], torch.zeros_like(made))).tolist()
        own.losses.setdefault("zeroed", []).extend(zeroed[place])
        own.losses.setdefault("spliced", []).extend(_spliced(model, rows, points[place], made))


def _spliced(model: LanguageModel, rows: Rows, point: HookPoint, made: Tensor) -> list[float]:
    return [float(x) for x in losses(model, *rows, (point, made)).tolist()]


@torch.inference_mode()
def _rebuilt(dictionary: Dictionary, x: Tensor) -> Tensor:
    """What the dictionary says is at `hook_out`, float32 [n, d_out] on the device of x."""
    weights = dictionary.to(x.device)
    step = max(1, ACTIVATIONS // dictionary.width)
    parts = [x[low : low + step] for low in range(0, len(x), step)]
    return torch.cat([weights.decode(part, weights.encode(part)) for part in parts])
