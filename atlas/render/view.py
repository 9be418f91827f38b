"""Records to views: all rounding, ordering and wording of a feature page is here, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from atlas.config import AtlasSection
from atlas.records import DictionaryRecord, FeatureRecord, LogitEffects, Name, SnippetGroup, TokenEffect
from atlas.render import bars, card, cite, numbers, related
from atlas.render.shapes import (
    EffectView,
    Fact,
    FeatureView,
    GroupView,
    Link,
    ShareView,
)
from atlas.render.snippets import REACH, Reach, snippet_view
from atlas.store import Manifest
from atlas.text import label, runs_between, visible

DENSE = 0.1
"""Share of tokens above which a feature counts as dense: it says little about any one text."""
SHOWN_EFFECTS, SHOWN_SOURCES = 10, 6

NameOf = Callable[[str, int], Name]

METHODS = {
    "hand": "by hand",
    "lexical": "from its own words, by rule; nobody has read it yet",
    "none": "",
}


@dataclass(frozen=True, slots=True)
class Amount:
    """How many snippets a page shows, of the top, of each quantile and of each interval, and how long they are."""

    top: int
    quantile: int
    interval: int
    reach: Reach


AMOUNTS = (
    Amount(10, 3, 1, REACH),
    Amount(8, 2, 1, Reach(11, 8)),
    Amount(5, 1, 1, Reach(8, 6)),
    Amount(3, 1, 0, Reach(3, 2)),
)
"""From the usual amount down; a page takes the first that keeps it within its budget of bytes."""


@dataclass(frozen=True)
class Context:
    """What the pages of one atlas share."""

    atlas: AtlasSection
    manifest: Manifest
    name_of: NameOf
    concepts: Mapping[str, tuple[Link, ...]] = field(default_factory=dict)  # by `dictionary/index`

    @property
    def labels(self) -> dict[str, str]:
        """What pages call each source."""
        return {s.id: s.label for s in self.manifest.corpus.sources}

    def called(self, dictionary: str, index: int) -> str:
        """What pages call a feature."""
        return title_of(self.name_of(dictionary, index), dictionary, index)

    def dictionary(self, dictionary: str) -> DictionaryRecord:
        """A dictionary's record."""
        return next(d for d in self.manifest.dictionaries if d.id == dictionary)


@dataclass(frozen=True, slots=True)
class Steps:
    """Where the links of a feature page lead: indices in the same dictionary, None where there is none.

    `map` is the path of the map that the feature is on, or "".
    """

    previous: int | None
    next: int | None
    random: int
    map: str = ""


def title_of(name: Name, dictionary: str, index: int) -> str:
    """What a feature is called where it has no name."""
    return name.text or f"Feature {index} of {dictionary}"


def hook_label(dictionary: DictionaryRecord, layers: int) -> str:
    """A hook point for people, such as "9 of 18, residual"."""
    kinds = {
        "hook_resid_post": "residual",
        "hook_resid_pre": "residual before",
        "hook_mlp_out": "MLP output",
        "hook_attn_out": "attention output",
        "hook_z": "attention heads",
        "hook_resid_mid": "residual before the MLP",
        "hook_mlp_in": "residual before the MLP",
        "hook_normalized": "normalised residual",
        "hook_in": "MLP input",
        "hook_post": "MLP neurons",
    }
    kind = kinds.get(dictionary.hook_point.rsplit(".", 1)[-1], dictionary.hook_point)
    return f"{dictionary.layer} of {layers}, {kind}" if dictionary.layer is not None else kind


def feature_view(feature: FeatureRecord, context: Context, steps: Steps, amount: Amount = AMOUNTS[0]) -> FeatureView:
    """Everything that a feature page says."""
    manifest = context.manifest
    dictionary = context.dictionary(feature.dictionary)
    home = f"{feature.model}/{feature.dictionary}"
    title = title_of(feature.name, feature.dictionary, feature.index)
    cited = f"Feature {feature.index} of {feature.dictionary}, {manifest.model.name}"
    cited += f": {feature.name.text}" if feature.name.method == "hand" else ""
    repeats = sum(s.repeats for s in feature.top)
    shown = feature.top[: amount.top]
    key = f"atlas-{feature.model}-{feature.dictionary}-{feature.index}"
    return FeatureView(
        path=feature.path,
        id=f"{feature.dictionary}/{feature.index}",
        model=Link(f"{feature.model}/", feature.model),
        dictionary=Link(f"{home}/", feature.dictionary),
        index=feature.index,
        title=title,
        lead=lead(feature),
        kind=kind(feature),
        named=METHODS[feature.name.method] + (f" ({feature.name.author})" if feature.name.author else ""),
        name_note=feature.name.note,
        facts=_facts(feature, dictionary, manifest.model.layers),
        top=tuple(snippet_view(s, feature.max, context.labels, amount.reach) for s in shown),
        top_note=("1 window" if len(feature.top) == 1 else f"{len(feature.top)} windows, one each")
        + (f"; {repeats} near-repeats left out" if repeats else ""),
        top_more=len(feature.top) - len(shown),
        quantiles=tuple(_quantile(g, i, feature, context, amount) for i, g in _descending(feature.quantiles)),
        intervals=tuple(_interval(g, i, feature, context, amount) for i, g in _descending(feature.intervals)),
        promotes=_effects(feature.logits.top, feature.logits),
        suppresses=_effects(feature.logits.bottom, feature.logits),
        moments=_moments(feature.logits),
        activations=bars.activation_bars(feature),
        logits=bars.logit_bars(feature.logits.histogram),
        sources=_sources(feature, manifest),
        neighbours=related.near(feature, context.called),
        cofiring=related.firing(feature, context.called),
        previous=_step(home, steps.previous, "← {}"),
        next=_step(home, steps.next, "{} →"),
        random=_step(home, steps.random, "random"),
        map=Link(steps.map if feature.count else "", "map"),
        bibtex=cite.bibtex(context.atlas, key, cited, feature.path),
        citation=cite.plain(context.atlas, cited, feature.path),
        card=card.card(manifest, dictionary),
        code=card.recompute(manifest, dictionary, feature),
        concepts=context.concepts.get(f"{feature.dictionary}/{feature.index}", ()),
    )


def kind(feature: FeatureRecord) -> str:
    """Whether the feature is "dead", "dense" or "alive"."""
    return "dead" if not feature.count else "dense" if feature.density > DENSE else "alive"


def peaks(feature: FeatureRecord, most: int) -> list[str]:
    """Texts of the tokens that the top snippets peak at, each once, strongest first."""
    seen: dict[str, str] = {}
    for snippet in feature.top:
        run = runs_between(snippet.pieces, snippet.position, snippet.position + 1)[0]
        text = visible(run.text)[:40].replace("\n", "↵")
        text = text.strip() or text.replace(" ", "␣")
        seen.setdefault(text.casefold(), text)
        if len(seen) == most:
            break
    return list(seen.values())


def lead(feature: FeatureRecord) -> str:
    """One plain sentence, with tokens in `backticks`."""
    if not feature.count:
        return f"Never fired on the {numbers.rounded_count(feature.tokens)} tokens that were read."
    on = ", ".join(f"“{_plain(p)}”" for p in peaks(feature, 3))
    towards = ", ".join(f"`{_plain(label(e.piece)[:40])}`" for e in feature.logits.top[:3])
    dense = "Fires on much of all text, " if feature.density > DENSE else "Fires "
    return f"{dense}hardest on {on}; pushes towards {towards}."


def _plain(text: str) -> str:
    """Text without the mark that sets off tokens in a sentence."""
    return text.replace("`", "´")


def _facts(feature: FeatureRecord, dictionary: DictionaryRecord, layers: int) -> tuple[Fact, ...]:
    firings = f"{numbers.count(feature.count)} of {numbers.rounded_count(feature.tokens)} tokens"
    return (
        Fact("Density", numbers.percent(feature.density), "Share of tokens on which the feature fires"),
        Fact("Firings", firings, "Tokens with an activation above zero; BOS, EOS and padding never count"),
        Fact("Maximum", numbers.activation(feature.max), "The greatest activation that was met"),
        Fact("Layer", hook_label(dictionary, layers), f"Read at {dictionary.hook_point}"),
        *_neuron(feature, dictionary),
        Fact("Width", numbers.count(dictionary.width), "Features in the dictionary"),
    )


def _neuron(feature: FeatureRecord, dictionary: DictionaryRecord) -> tuple[Fact, ...]:
    """Which neuron, and which side of it, where features are neurons."""
    if dictionary.kind != "neurons":
        return ()
    half = dictionary.width // 2
    side = "above zero" if feature.index < half else "below zero"
    other = feature.index + half if feature.index < half else feature.index - half
    return (Fact("Neuron", f"{feature.index % half}, {side}", f"Its other side is feature {other}"),)


def _descending(groups: tuple[SnippetGroup, ...]) -> list[tuple[int, SnippetGroup]]:
    return list(reversed(list(enumerate(groups))))


def _quantile(group: SnippetGroup, place: int, feature: FeatureRecord, context: Context, amount: Amount) -> GroupView:
    n = len(feature.quantiles)
    low, high = round(100 * place / n), round(100 * (place + 1) / n)
    note = f"activation {numbers.activation(group.low)}–{numbers.activation(group.high)}" if group.high else "empty"
    return _group(group, f"Rank {low}–{high}%", note, amount.quantile, feature, context, amount.reach)


def _interval(group: SnippetGroup, place: int, feature: FeatureRecord, context: Context, amount: Amount) -> GroupView:
    n = len(feature.intervals)
    low, high = round(100 * place / n), round(100 * (place + 1) / n)
    about = round(group.share, 2) or group.share
    share = f"about {numbers.percent(about)} of firings" if group.share else "none of the sample"
    note = f"activation {numbers.activation(group.low)}–{numbers.activation(group.high)} · {share}"
    return _group(group, f"{low}–{high}% of the maximum", note, amount.interval, feature, context, amount.reach)


def _group(
    group: SnippetGroup, title: str, note: str, shown: int, feature: FeatureRecord, context: Context, reach: Reach
) -> GroupView:
    views = tuple(snippet_view(s, feature.max, context.labels, reach) for s in group.snippets[:shown])
    return GroupView(title, note, views, len(group.snippets) - len(views))


def _effects(effects: tuple[TokenEffect, ...], logits: LogitEffects) -> tuple[EffectView, ...]:
    ends = [abs(e.value) for e in (*logits.top[:1], *logits.bottom[:1])]
    widest = max(ends, default=0) or 1.0
    return tuple(
        EffectView(label(e.piece)[:40] or f"token {e.id}", numbers.effect(e.value), round(100 * abs(e.value) / widest))
        for e in effects[:SHOWN_EFFECTS]
    )


def _moments(logits: LogitEffects) -> tuple[Fact, ...]:
    return (
        Fact("Mean", numbers.effect(logits.mean), "Over the whole vocabulary"),
        Fact("Std", numbers.significant(logits.std), "Standard deviation over the vocabulary"),
        Fact("Skew", numbers.effect(logits.skew), "Skewness: which tail is the longer"),
        Fact("Kurtosis", numbers.effect(logits.kurtosis), "Excess kurtosis: how far a few tokens stand out"),
    )


def _sources(feature: FeatureRecord, manifest: Manifest) -> tuple[ShareView, ...]:
    if not feature.count:
        return ()
    rows = [
        (feature.sources[s.id] / feature.count, s.tokens / manifest.corpus.tokens, s) for s in manifest.corpus.sources
    ]
    rows = sorted((r for r in rows if r[0]), key=lambda r: (-r[0], r[2].id))[:SHOWN_SOURCES]
    widest = max(max(share, base) for share, base, _ in rows)
    return tuple(
        ShareView(
            s.label,
            numbers.percent(share),
            numbers.percent(base),
            round(100 * share / widest),
            round(100 * base / widest),
        )
        for share, base, s in rows
    )


def _step(home: str, index: int | None, text: str) -> Link:
    return Link("" if index is None else f"{home}/{index}/", text.format("" if index is None else index))
