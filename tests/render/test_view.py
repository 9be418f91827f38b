"""The view of a record: it says what `feature.json` says, to the last printed digit, whatever the text is."""

from __future__ import annotations

import ast
import json
import random
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.config import AtlasSection
from atlas.records import (
    DictionaryRecord,
    FeatureRecord,
    Histogram,
    LogitEffects,
    Name,
    Neighbour,
    Snippet,
    SnippetGroup,
    SourceRecord,
    TokenEffect,
)
from atlas.render import cite, numbers
from atlas.render.data import feature_json
from atlas.render.shapes import FeatureView, SnippetView
from atlas.render.view import AMOUNTS, Context, Steps, feature_view
from atlas.store.manifest import CorpusEntry, Manifest, ModelEntry
from atlas.text import label

CHARACTER = "敏".encode()
TOKENS = [b"the", b" cat", b"\n", CHARACTER[:2], CHARACTER[2:], b"`", b"<b>", "\u0301".encode(), b"\xff", b"", b" `"]
IDS = ("own", "other")
LABELS = {"prose": "Prose", "code": "Code <b>"}
HOSTILE = 'A "name" with `ticks`, \\slashes {braces} 100% & <script>, ~^_#$\nand a line'
DICTIONARY, OTHER = (
    DictionaryRecord(
        "m", d, "", "blocks.4.hook_resid_post", 4, "jumprelu", 999_999, 8, 200_000, 1, 1, f"hf://org/{d}", "d" * 64, {}
    )
    for d in IDS
)
WINDOW = {"window": 128, "bos": True, "bos_id": 2, "seed": 0}
SOURCES = [SourceRecord(s, text, "licence", 1, 5, 100_000) for s, text in LABELS.items()]
MANIFEST = Manifest(
    format=1,
    version="0",
    model=ModelEntry(id="m", name="Model", source="hf://org/m", fell_back=False, digest="a", tokenizer_digest="b",
                     dtype="float32", layers=18, d_model=8, vocabulary=9, final_norm="RMSNorm", softcap=None),
    corpus=CorpusEntry(digest="c", tokens=200_000, windows=10, documents=2, dropped={}, sources=SOURCES, **WINDOW),
    dictionaries=[DICTIONARY, OTHER], settings={}, run={"device": "cpu", "torch": "2"}, stages={}, files={},
)  # fmt: skip
CONTEXT = Context(AtlasSection(id="a", title="Atlas", url="https://x.org/a/"), MANIFEST, lambda *_: Name("", "none"))


def single(chance: random.Random, low: float = -6, high: float = 5) -> float:
    """A float32 of any size."""
    return float(np.float32(10 ** chance.uniform(low, high)))


def snippet(chance: random.Random, most: float, length: int = 0) -> Snippet:
    n = length or chance.randrange(1, 60)
    position = chance.randrange(n)
    values = [float(np.float32(most * chance.random())) if chance.random() < 0.4 else 0.0 for _ in range(n)]
    values[position] = float(np.float32(most * chance.uniform(0.01, 1)))
    pieces = tuple(chance.choice(TOKENS) for _ in range(n))
    return Snippet(chance.randrange(99), "doc", chance.choice([*LABELS]), chance.randrange(3), tuple(range(n)), pieces,
                   tuple(values), position, values[position], chance.randrange(4))  # fmt: skip


def related(chance: random.Random) -> tuple[Neighbour, ...]:
    """Seven features of each dictionary; some of what is told of them is not known."""
    share = [None, 0.0, 0.04, 0.06, 0.5, 0.987, 1.0]
    return tuple(
        Neighbour(d, i, (-1) ** i * single(chance, -3, 0), *(chance.choice(share) for _ in range(3)))
        for d in IDS
        for i in range(7)
    )


def record(seed: int, **changes: Any) -> FeatureRecord:
    """A feature with numbers of every size."""
    chance = random.Random(seed)  # noqa: S311 (no secret)
    most = single(chance)
    count, tokens = chance.randrange(1, 200_000), chance.choice([200_000, 999_999, 10**9])
    edges = sorted(single(chance) for _ in range(5))

    def group(kind: Any) -> SnippetGroup:
        low, high = sorted(single(chance) for _ in range(2))
        return SnippetGroup(kind, low, high, chance.choice([0.0, 0.004, 0.2, chance.random()]),
                            tuple(snippet(chance, most) for _ in range(chance.randrange(5))))  # fmt: skip

    def effects(sign: int) -> tuple[TokenEffect, ...]:
        return tuple(
            TokenEffect(i, chance.choice(TOKENS), sign * single(chance)) for i in range(chance.randrange(1, 15))
        )

    made = FeatureRecord(
        model="m", dictionary="own", index=seed, count=count, tokens=tokens, max=most,
        top=tuple(snippet(chance, most) for _ in range(chance.randrange(1, 15))),
        quantiles=tuple(group("quantile") for _ in range(5)), intervals=tuple(group("interval") for _ in range(5)),
        histogram=Histogram(tuple(edges), (1, 0, 7, count)), sources={"prose": count // 3, "code": count - count // 3},
        logits=LogitEffects(effects(1), effects(-1), Histogram((-2.0, 0.5, single(chance, 0)), (3, 4)),
                            *(chance.choice([-1, 1]) * single(chance, -4, 2) for _ in range(4))),
        neighbours=related(chance), cofiring=related(chance),
        name=Name("A name", "hand", "A. Author", "A note."),
    )  # fmt: skip
    return replace(made, **changes)


def view_of(feature: FeatureRecord, context: Context = CONTEXT, **options: Any) -> FeatureView:
    return feature_view(feature, context, Steps(None, 5, 7), **options)


def single_of(value: float) -> float:
    """What was stored, of a number of the data: the shortest text of a float32 is another float64."""
    return float(np.float32(value))


def rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Columns of the data as rows; all have to be as long."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def agree(view: SnippetView, data: dict[str, Any]) -> None:
    """A snippet of the page against the same one of the data."""
    assert view.value == numbers.activation(single_of(data["value"]))
    assert view.source == LABELS[data["source"]]
    assert view.repeats == data.get("repeats", view.repeats)
    assert data["value"] == data["values"][data["at"].index(data["position"])]
    printed = {numbers.activation(single_of(v)) for v in data["values"]}
    assert {p.value for p in view.pieces if p.level} <= printed
    assert view.before == (data["first"] > 0 or data["start"] > 0)
    assert view.after == (data["first"] + len(data["tokens"]) < data["length"])
    assert [p.value for p in view.pieces if p.focus] == [view.value]
    assert all(bool(p.value) == (p.level > 0) for p in view.pieces)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6))
def test_page_and_data_agree_to_the_last_printed_digit(seed: int) -> None:
    feature = record(seed)
    view = view_of(feature)
    data = json.loads(feature_json(feature, DICTIONARY, view.lead))
    facts = {fact.label: fact.value for fact in view.facts}
    assert facts["Density"] == numbers.percent(data["density"]) == numbers.percent(data["count"] / data["tokens"])
    assert facts["Firings"] == f"{numbers.count(data['count'])} of {numbers.rounded_count(data['tokens'])} tokens"
    assert facts["Maximum"] == numbers.activation(single_of(data["max"]))
    assert len(view.top) + view.top_more == len(data["top"]["value"])
    for shown, stored in zip(view.top, rows(data["top"]), strict=False):
        agree(shown, stored)
    for shown_effects, side in ((view.promotes, "top"), (view.suppresses, "bottom")):
        values = [numbers.effect(single_of(value)) for value in data["logits"][side]["value"]]
        assert [e.value for e in shown_effects] == values[:10]
    names = ("mean", "std", "skew", "kurtosis")
    prints = (numbers.effect, numbers.significant, numbers.effect, numbers.effect)
    expected = [printed(single_of(data["logits"][name])) for name, printed in zip(names, prints, strict=True)]
    assert [fact.value for fact in view.moments] == expected
    for groups, stored_groups in ((view.quantiles, data["quantiles"]), (view.intervals, data["intervals"])):
        for shown_group, group in zip(groups, reversed(stored_groups), strict=True):
            low, high = (numbers.activation(single_of(group[end])) for end in ("low", "high"))
            assert shown_group.note.startswith(f"activation {low}–{high}")
            stored_rows = rows(group["snippets"])
            assert len(shown_group.snippets) + shown_group.more == len(stored_rows)
            for shown, stored in zip(shown_group.snippets, stored_rows, strict=False):
                agree(shown, stored)
    for place, group in zip(view.intervals, reversed(data["intervals"]), strict=True):
        part = f"about {numbers.percent(round(group['share'], 2) or group['share'])} of firings"
        assert place.note.endswith(part if group["share"] else "none of the sample")
    for near, groups in ((rows(data["neighbours"]), view.neighbours), (rows(data["cofiring"]), view.cofiring)):
        cosines = {f"{n['path']}/": f"{single_of(n['cosine']):.2f}".replace("-", "\u2212") for n in near}
        shares = {f"{n['path']}/": "" if n["jaccard"] is None else f"{n['jaccard']:.0%}" for n in near}
        found = [n for g in groups for n in g.neighbours]
        assert [(cosines[n.href], shares[n.href]) for n in found] == [(n.cosine, n.together) for n in found]
    assert view.activations.low == numbers.activation(single_of(data["histogram"]["edges"][0]))
    assert len(view.activations.heights) == len(data["histogram"]["counts"])
    assert view.logits.high == numbers.effect(single_of(data["logits"]["histogram"]["edges"][-1]))
    shares = {LABELS[s]: numbers.percent(n / data["count"]) for s, n in data["sources"].items() if n}
    assert {s.label: s.value for s in view.sources} == shares
    assert view.code.endswith(f"# {numbers.activation(single_of(data['max']))}")
    assert data["recompute"]["value"] == data["top"]["value"][0]
    assert (data["path"], data["index"], data["summary"]) == (view.path, view.index, view.lead.replace("`", ""))
    assert data["name"] == {"text": view.title, "method": "hand", "author": "A. Author", "note": view.name_note}


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_data_reads_back_as_the_same_float32(seed: int) -> None:
    feature = record(seed)
    data = json.loads(feature_json(feature, DICTIONARY, ""))
    assert np.float32(data["max"]) == np.float32(feature.max)
    for stored, mine in zip(rows(data["top"]), feature.top, strict=True):
        assert stored["at"] == [place for place, value in enumerate(mine.values) if value]
        assert np.array_equal(np.float32(stored["values"]), np.float32([v for v in mine.values if v]))
        assert stored["length"] == len(mine.ids)
    effects = [np.float32(value) for value in data["logits"]["top"]["value"]]
    assert effects == [np.float32(e.value) for e in feature.logits.top]


@pytest.mark.parametrize("amount", AMOUNTS)
def test_a_page_that_shows_less_prints_the_same(amount: Any) -> None:
    feature = record(1)
    small, whole = view_of(feature, amount=amount), view_of(feature)
    assert [s.value for s in small.top] == [s.value for s in whole.top][: amount.top]
    assert len(small.top) + small.top_more == len(feature.top)
    for few, many in zip(small.quantiles + small.intervals, whole.quantiles + whole.intervals, strict=True):
        assert few.more + len(few.snippets) == many.more + len(many.snippets)
    assert (small.facts, small.moments, small.promotes) == (whole.facts, whole.moments, whole.promotes)


def test_a_dead_feature_says_so_and_claims_nothing() -> None:
    nothing = Histogram((), ())
    view = view_of(record(3, count=0, max=0.0, top=(), quantiles=(), intervals=(), histogram=nothing, tokens=200_000,
                          sources={"prose": 0, "code": 0}, name=Name("", "none")))  # fmt: skip
    assert (view.kind, view.title, view.named) == ("dead", "Feature 3 of own", "")
    assert view.lead == "Never fired on the 200k tokens that were read."
    assert [f.value for f in view.facts[:3]] == ["0%", "0 of 200k tokens", "0"]
    assert (view.top, view.quantiles, view.intervals, view.sources, view.code) == ((), (), (), (), "")
    assert (view.activations.heights, view.activations.label) == ((), "No firings")
    assert view.promotes


@pytest.mark.parametrize(("count", "kind"), [(1, "alive"), (20_000, "alive"), (20_001, "dense"), (200_000, "dense")])
def test_a_feature_is_dense_above_a_tenth_of_all_tokens(count: int, kind: str) -> None:
    view = view_of(record(4, count=count, tokens=200_000, sources={"prose": count, "code": 0}))
    assert view.kind == kind
    assert view.lead.startswith("Fires on much of all text, hardest on" if kind == "dense" else "Fires hardest on")


def strings_in(code: str) -> set[str]:
    return {n.value for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def test_the_code_of_the_card_is_python_whatever_the_address() -> None:
    tricky = replace(DICTIONARY, source='hf://org/saes/a "b"\\/😀@v1')
    manifest = MANIFEST.model_copy(update={"dictionaries": [tricky, OTHER]})
    code = view_of(record(5), replace(CONTEXT, manifest=manifest)).code
    assert {"org/m", "org/saes", 'a "b"\\/😀/sae_weights.safetensors', "v1"} <= strings_in(code)


def test_the_code_of_the_card_asks_saelens_for_what_saelens_names() -> None:
    named = replace(DICTIONARY, source='saelens:some-release/a/"b"')
    manifest = MANIFEST.model_copy(update={"dictionaries": [named, OTHER]})
    code = view_of(record(5), replace(CONTEXT, manifest=manifest)).code
    assert 'SAE.from_pretrained("some-release", "a/\\"b\\"").state_dict().items()' in code
    assert {"some-release", 'a/"b"'} <= strings_in(code)
    assert "WEIGHTS" not in code


def test_hostile_names_stay_what_they_are_and_break_nothing() -> None:
    model = MANIFEST.model.model_copy(update={"name": HOSTILE, "source": f"{HOSTILE}'''"})
    hostile = replace(DICTIONARY, source=HOSTILE, hook_point="blocks.4.hook_resid_post")
    manifest = MANIFEST.model_copy(update={"model": model, "dictionaries": [hostile, OTHER]})
    atlas = AtlasSection(id="a", title=HOSTILE, authors=(HOSTILE,))
    view = view_of(record(5, name=Name(HOSTILE, "hand")), Context(atlas, manifest, lambda *_: Name(HOSTILE, "lexical")))
    assert view.title == HOSTILE
    assert {n.name for g in view.neighbours for n in g.neighbours} == {HOSTILE}
    assert {f"{HOSTILE}'''", f"{HOSTILE}/sae_weights.safetensors"} <= strings_in(view.code)
    for line in view.bibtex.splitlines()[1:-1]:
        plain = re.sub(r"\\(textbackslash|textasciitilde|textasciicircum)\{\}|\\[{}%&#$_]", "", line)
        assert not set(plain) & set("\\%&#$_~^"), line
        assert plain.count("{") == plain.count("}")
    assert len(view.bibtex.splitlines()) == 5
    assert "\n" not in view.citation


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6))
def test_backticks_in_the_lead_set_off_the_promoted_tokens_and_nothing_else(seed: int) -> None:
    feature = record(seed)
    marked = re.findall("`([^`]*)`", view_of(feature).lead)
    assert marked == [label(e.piece).replace("`", "´") for e in feature.logits.top[:3]]


def test_only_those_are_listed_as_firing_together_that_do() -> None:
    shares = (0.9, None, 0.05, 0.049, 0.5)
    view = view_of(record(6, cofiring=tuple(Neighbour("own", i, 0.5, share) for i, share in enumerate(shares))))
    ((title, found),) = ((g.title, g.neighbours) for g in view.cofiring)
    assert title == "In this dictionary"
    assert [(n.id, n.together) for n in found] == [("0", "90%"), ("2", "5%"), ("4", "50%")]
    assert view_of(record(6, cofiring=())).cofiring == ()


def test_links_and_titles() -> None:
    view = view_of(record(6, quantiles=tuple(SnippetGroup("quantile", 0.0, 0.0, 0.2, ()) for _ in range(3))))
    assert (view.previous.href, view.next.href, view.random.href) == ("", "m/own/5/", "m/own/7/")
    assert [(g.title, g.note) for g in view.quantiles] == [(f"Rank {r}%", "empty") for r in ("67–100", "33–67", "0–33")]
    assert [g.title for g in view.intervals][::4] == ["80–100% of the maximum", "0–20% of the maximum"]
    assert [(g.title, len(g.neighbours)) for g in view.neighbours] == [("In this dictionary", 6), ("In other", 3)]
    assert view.neighbours[1].neighbours[0].name == "Feature 0 of other"
    assert "url = {https://x.org/a/m/own/6/}" in view.bibtex
    assert view.citation.endswith(" https://x.org/a/m/own/6/")
    assert cite.plain(CONTEXT.atlas, "Atlas", "").endswith(" https://x.org/a/")
