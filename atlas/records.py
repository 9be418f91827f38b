"""What the store holds, as plain frozen data: the vocabulary that every stage after it shares.

No torch, no arrow, no HTML. Numbers are exactly those that were stored (float32 values as Python
floats); rounding for people happens once, in `atlas.render.view`.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Literal

from atlas.text import merge, visible

NameMethod = Literal["hand", "lexical", "none"]
GroupKind = Literal["quantile", "interval"]


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One part of the corpus: where it came from and how many tokens of it were read."""

    id: str
    label: str
    licence: str
    documents: int
    windows: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Snippet:
    """A window of tokens around a firing.

    `ids`, `pieces` (the tokens' bytes) and `values` (activations, 0 where the feature is silent)
    have one entry per token of the window; BOS is in none of them. `position` is the token that the
    snippet stands for: the peak for top snippets, the sampled firing for groups; `value` is its
    activation. `repeats` counts other windows with the same context, folded into this one. `url` and
    `licence` are the document's own, empty where its source says none. Hostile: escape them.
    """

    window: int
    document: str
    source: str
    start: int
    ids: tuple[int, ...]
    pieces: tuple[bytes, ...]
    values: tuple[float, ...]
    position: int
    value: float
    repeats: int = 0
    url: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class SnippetGroup:
    """Firings between two activations: a rank quantile or an equal-width interval of the sample.

    `share` is the group's share of all firings: exact for quantiles, estimated from the uniform
    sample for intervals.
    """

    kind: GroupKind
    low: float
    high: float
    share: float
    snippets: tuple[Snippet, ...]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of values in bins; `edges` has one more entry than `counts`, ascending."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TokenEffect:
    """How far the decoder direction moves one token's logit, per unit of activation and norm."""

    id: int
    piece: bytes
    value: float


@dataclass(frozen=True, slots=True)
class LogitEffects:
    """Decoder direction through final norm and unembedding, over the whole vocabulary.

    The direct path only. `kurtosis` is the excess kurtosis (0 for a normal distribution).
    """

    top: tuple[TokenEffect, ...]
    bottom: tuple[TokenEffect, ...]
    histogram: Histogram
    mean: float
    std: float
    skew: float
    kurtosis: float


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A related feature: how close the two decoder directions are, and how often both fire.

    Attributes:
        dictionary, index: Which feature.
        cosine: Of the two decoder directions.
        jaccard: Of the tokens on which one of the two fires, the share on which both do, about; None for not known.
        here: Of the tokens on which this feature fires, the share on which the other one does, about.
        there: Of the tokens on which the other one fires, the share on which this one does, about.
    """

    dictionary: str
    index: int
    cosine: float
    jaccard: float | None = None
    here: float | None = None
    there: float | None = None


@dataclass(frozen=True, slots=True)
class Name:
    """A short text for a feature, how it was made and by whom; `note` may say more."""

    text: str
    method: NameMethod
    author: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class UnfitRecord:
    """Positions that are in no statistic since a value there was not finite; the first of their windows by id."""

    positions: int = 0
    windows: int = 0
    first: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class QualityRecord:
    """How well a dictionary rebuilds what is at its hook point, measured on some of the corpus (`engines.quality`).

    Attributes:
        tokens: Tokens that it was measured on.
        fvu: Fraction of variance unexplained.
        loss: The model's mean loss of a token, in nats.
        spliced: The same with what the dictionary makes of it at the hook point; None if nothing can be put there.
        zeroed: The same with zeros there; None likewise.
    """

    tokens: int
    fvu: float
    loss: float
    spliced: float | None
    zeroed: float | None

    @property
    def recovered(self) -> float | None:
        """Share of the loss that zeros would cost which the dictionary keeps; None where it is not known."""
        if self.spliced is None or self.zeroed is None or self.zeroed <= self.loss:
            return None
        return (self.zeroed - self.spliced) / (self.zeroed - self.loss)


@dataclass(frozen=True, slots=True)
class DictionaryRecord:
    """A dictionary of the atlas and its totals over the corpus."""

    model: str
    id: str
    label: str
    hook_point: str
    layer: int | None
    architecture: str
    width: int
    d_model: int
    tokens: int
    firings: int
    alive: int
    source: str
    digest: str
    metadata: dict[str, str]
    unfit: UnfitRecord = UnfitRecord()
    format: str = "saelens"
    kind: str = "sae"
    hook_out: str = ""
    revision: str = ""
    quality: QualityRecord | None = None

    @property
    def l0(self) -> float:
        """Mean number of features that fire on a token."""
        return self.firings / self.tokens if self.tokens else 0.0


@dataclass(frozen=True, slots=True)
class FeatureRecord:
    """Everything known about one feature.

    `sources` maps a source's id to its number of firings. `neighbours` have near decoder directions, `cofiring` fire on
    the same tokens; both are in order of that, a dictionary after the other.
    """

    model: str
    dictionary: str
    index: int
    count: int
    tokens: int
    max: float
    top: tuple[Snippet, ...]
    quantiles: tuple[SnippetGroup, ...]
    intervals: tuple[SnippetGroup, ...]
    histogram: Histogram
    sources: dict[str, int]
    logits: LogitEffects
    neighbours: tuple[Neighbour, ...]
    cofiring: tuple[Neighbour, ...]
    name: Name

    @property
    def density(self) -> float:
        """Share of tokens on which the feature fires."""
        return self.count / self.tokens if self.tokens else 0.0

    @property
    def path(self) -> str:
        """The feature's frozen address: `model/dictionary/index`."""
        return f"{self.model}/{self.dictionary}/{self.index}"

    def _repr_html_(self) -> str:
        """A small view for notebooks: name, numbers and the strongest snippets."""
        rows = "".join(f"<li>{_snippet_html(s)}</li>" for s in self.top[:8])
        return (
            f"<b>{html.escape(self.name.text)}</b> <code>{html.escape(self.path)}</code><br>"
            f"density {self.density:.3g}, maximum {self.max:.4g}<ol>{rows}</ol>"
        )


def _snippet_html(snippet: Snippet, reach: int = 12) -> str:
    lo, hi = max(0, snippet.position - reach), snippet.position + reach + 1
    peak = max(snippet.values) or 1.0
    out = []
    for run in merge(snippet.pieces[lo:hi]):
        value = max(snippet.values[lo + run.first : lo + run.last + 1])
        text = html.escape(visible(run.text)).replace("\n", "↵ ")
        alpha = value / peak
        style = f"background:rgba(255,150,30,{alpha:.2f})"
        out.append(f'<span style="{style}" title="{value:.4g}">{text}</span>' if value else text)
    return "".join(out)
