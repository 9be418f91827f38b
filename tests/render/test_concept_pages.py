"""Concept pages: essays fitted into them, features by their strongest text, links in both directions."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

from atlas.config import AtlasSection, Concept, ConceptFeature
from atlas.render.concepts import SHOWN, concept_line, concept_view, essay, list_hash, memberships
from atlas.render.pages import Line
from atlas.render.shapes import Link
from atlas.render.view import Context

MANIFEST: Any = SimpleNamespace(
    model=SimpleNamespace(id="gemma-3-270m", name="Gemma 3 270M", layers=18),
    dictionaries=[SimpleNamespace(id="9-res-4k", layer=9, hook_point="blocks.9.hook_resid_post")],
)
CONTEXT = Context(AtlasSection(id="x", title="An atlas", url="https://example.org/x"), MANIFEST, lambda *_: None)  # type: ignore[arg-type, return-value]


def made(text: str = "", features: tuple[ConceptFeature, ...] = (), id_: str = "law") -> Concept:
    return Concept(id_, "Law & order", "A summary.", text, features)


def line(index: int, count: int) -> Line:
    path, name = f"gemma-3-270m/9-res-4k/{index}", f"Name {index}"
    return Line(path, "9-res-4k", index, name, "hand", count, count / 1000, 2.0 * count, 0.0, "", "", "", None, "")


def test_an_essay_is_markdown_and_its_html_stays() -> None:
    html = essay(
        made('A *word*.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\n<b>\n```\n\n<p class="x">Own.</p>'), CONTEXT
    )
    assert "<p>A <em>word</em>.</p>" in html
    assert "<td>1</td>" in html
    assert "<code>&lt;b&gt;\n</code>" in html
    assert '<p class="x">Own.</p>' in html


def test_headings_of_an_essay_stand_below_the_title() -> None:
    html = essay(made("# One\n\n## Two\n\n### Three"), CONTEXT)
    assert re.findall(r"<(h\d)>(\w+)", html) == [("h2", "One"), ("h2", "Two"), ("h3", "Three")]


def test_a_short_id_in_an_essay_leads_to_its_feature_and_other_links_stay() -> None:
    html = essay(made("[a](9-res-4k/650) [b](7-res/1) [c](../dates/) [d](https://example.org/9-res-4k/1)"), CONTEXT)
    links = ["../../gemma-3-270m/9-res-4k/650/", "7-res/1", "../dates/", "https://example.org/9-res-4k/1"]
    assert re.findall(r'href="([^"]*)"', html) == links


def test_a_concept_shows_its_features_in_the_authors_order() -> None:
    concept = made(features=(ConceptFeature("9-res-4k", 1, "The louder."), ConceptFeature("9-res-4k", 0)))
    view = concept_view(concept, {"9-res-4k": [line(0, 0), line(1, 25)]}, CONTEXT)
    assert [(e.row.name, e.note, e.facts) for e in view.entries] == [
        ("Name 1", "The louder.", "layer 9 of 18, residual · density 2.5% · maximum 50"),
        ("Name 0", "", "layer 9 of 18, residual · never fired on the text that was read"),
    ]
    assert view.hash == "title=Law%20%26%20order&gemma-3-270m/9-res-4k/1,gemma-3-270m/9-res-4k/0"
    assert "https://example.org/x/c/law/" in view.citation
    assert concept_line(concept).size == "2 features"
    assert concept_line(made(features=concept.features[:1])).size == "1 feature"


def test_a_title_cannot_end_the_title_of_a_list() -> None:
    assert list_hash("a&b=c,d#é", ["m/d/1"]) == "title=a%26b%3Dc%2Cd%23%C3%A9&m/d/1"


def test_features_know_their_concepts_and_do_not_list_too_many() -> None:
    feature = ConceptFeature("9-res-4k", 1)
    few = [made(features=(feature,), id_=f"c{i}") for i in range(SHOWN)]
    assert memberships(few)["9-res-4k/1"] == tuple(Link(f"c/c{i}/", "Law & order") for i in range(SHOWN))
    many = memberships([*few, made(features=(feature,), id_="last"), made()])
    assert many["9-res-4k/1"] == (*(Link(f"c/c{i}/", "Law & order") for i in range(SHOWN - 1)), Link("c/", "others"))
    assert list(many) == ["9-res-4k/1"]
