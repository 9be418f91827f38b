"""Pages: nothing unescaped, values beside their tokens, within the budget, readable in both schemes."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
import render_views as views

from atlas import paths
from atlas.render import numbers
from atlas.render.frame import build_frame
from atlas.render.html import Renderer, bars, nearby, page_link, prose, relative, snippet
from atlas.render.shapes import BarsView, Link, Piece, SnippetView

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "</p></pre><script>alert(1)</script><img src=x onerror=alert(1)>\"'` onmouseover=x {{ 7*7 }}{% raw %}\0&lt;\n"
CSS = paths.data("site_src", "assets", "atlas.css").read_text(encoding="utf-8")
PAGES = {"feature", "dead", "dictionary", "home", "model", "concept", "concepts", "list"}
VOID = {"meta", "link", "input", "br", "img", "hr"}


class Reader(HTMLParser):
    """Collects tags and checks that they nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def renderer(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    folder: Path = tmp_path_factory.mktemp("html")
    frame = build_frame(folder / "site", title="Atlas", description="", extra_pages=None, work=folder / "work")
    return Renderer(frame)


def pages(renderer: Renderer, text: str | None) -> dict[str, str]:
    return {
        "feature": renderer.feature(views.feature(text)),
        "dead": renderer.feature(views.feature(text, kind="dead")),
        "dictionary": renderer.dictionary(views.dictionary(text)),
        "home": renderer.home(views.home(text)),
        "model": renderer.model(views.home(text), "gemma-3-270m/"),
        "concept": renderer.page("concept", "c/law", views.concept(text)),
        "concepts": renderer.page("concepts", "c", views.concepts(text)),
        "list": renderer.page("list", "list", views.lists(text), "list.js"),
    }


def test_hostile_text_in_every_field_stays_text(renderer: Renderer) -> None:
    plain = pages(renderer, None)
    for name, page in pages(renderer, HOSTILE).items():
        assert page.startswith("<!doctype html>")
        read, expected = Reader(page), Reader(plain[name])
        assert not read.open, name
        scripts = [attributes for tag, attributes in read.tags if tag == "script"]
        assert scripts == [attributes for tag, attributes in expected.tags if tag == "script"], name
        assert not [tag for tag, _ in read.tags if tag == "img"], name
        assert not [key for _, attributes in read.tags for key in attributes if key.startswith("on")], name
        assert "\0" not in page, name
        assert "{{ 7*7 }}{% raw %}" in page, name
        assert "&amp;lt;" in page, name  # escaped once, never read back


@pytest.mark.parametrize("name", sorted(PAGES))
def test_pages_nest_and_have_one_heading_and_unique_ids(renderer: Renderer, name: str) -> None:
    read = Reader(pages(renderer, None)[name])
    assert not read.open
    tags = [tag for tag, _ in read.tags]
    assert tags.count("h1") == 1
    assert tags.count("main") == 1
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert not [attributes for _, attributes in read.tags if "style" in attributes]


def test_a_feature_page_keeps_its_budget(renderer: Renderer) -> None:
    page = renderer.feature(views.feature()).encode()
    assert len(page) <= 32 * 1024
    assert len(gzip.compress(page, 9, mtime=0)) <= 9 * 1024


def test_a_snippet_keeps_its_values_in_one_attribute_in_order() -> None:
    pieces = (
        Piece(" The", 0, "", False),
        Piece(" court", 4, "219", False),
        Piece("\n", 0, "", False),
        Piece(" ruled", 9, "514", True),
    )
    made = snippet(SnippetView("514", pieces, True, False, "s", "d", 0))
    assert made == ('<p dir=auto data-v="219 514">…The<b class=a4> court</b><i>↵</i> <b class="a9 k"> ruled</b></p>')


def test_a_silent_focus_still_has_a_value_and_indentation_stays() -> None:
    pieces = (Piece("x", 1, "5", False), Piece("    ", 0, "", True), Piece("y", 2, "7", False))
    made = snippet(SnippetView("5", pieces, False, True, "s", "d", 0))
    assert made == (
        '<p dir=auto data-v="5 0 7"><b class=a1>x</b><b class=k>\u00a0\u00a0\u00a0\u00a0</b><b class=a2>y</b>…</p>'
    )


def test_every_page_value_has_its_token(renderer: Renderer) -> None:
    for made in re.findall(r'<p dir=auto data-v="([^"]*)">(.*?)</p>', renderer.feature(views.feature())):
        assert len(made[0].split()) == made[1].count("<b ")


def test_a_histogram_is_one_path_with_a_label() -> None:
    made = bars(BarsView((0, 50, 100), "1", "<9", (50,), 'a "b"'))
    assert made.count("<path") == 2
    assert 'd="M4 100v-50h3v50M8 100v-100h3v100"' in made
    assert 'd="M6 0v100"' in made
    assert 'aria-label="a &quot;b&quot;"' in made
    assert "<span>&lt;9</span>" in made


def test_prose_sets_off_code_and_nothing_else() -> None:
    assert prose("a `<b>` c ` d") == "a <code>&lt;b&gt;</code> c ` d"


def test_nearby_pages_keep_ends_and_neighbours() -> None:
    links = tuple(Link(f"p{n}/", str(n)) for n in range(1, 42))
    shown = [(number if link else "…") for number, link in nearby(links, 20)]
    assert shown == [1, "…", 17, 18, 19, 20, 21, 22, 23, "…", 41]
    assert len(nearby(links[:1], 1)) == 1


def test_a_dead_feature_claims_no_firing(renderer: Renderer) -> None:
    page = renderer.feature(views.feature(kind="dead"))
    assert "data-v=" not in page
    assert "Strongest text" not in page
    assert "Would promote" in page


def test_missing_parts_leave_no_empty_headings(renderer: Renderer) -> None:
    view = views.feature()
    view = replace(
        view, quantiles=(), intervals=(), promotes=(), suppresses=(), sources=(), neighbours=(), previous=Link("", "")
    )
    page = renderer.feature(replace(view, logits=BarsView((), "", "", (), ""), named="", name_note=""))
    for absent in ("Across its range", "Promotes", "Fires mostly in", "Neighbours", "Logit effects", "rel=prev"):
        assert absent not in page


def test_links_lead_back_to_the_root_from_each_depth(renderer: Renderer) -> None:
    made = pages(renderer, None)
    assert 'href="../30/"' in made["feature"]
    assert 'data-src="../features.json"' in made["dictionary"]
    assert 'href="gemma-3-270m/9-res-4k/"' in made["home"]
    assert 'href="9-res-4k/"' in made["model"]
    assert 'href="?q=layer%3A12%20rhyme%20%26%20more"' in made["home"]
    assert 'src="../../../assets/atlas/table.js?v=' in made["dictionary"]
    assert 'href="../../../c/law/"' in made["feature"]
    assert 'href="../../../list/#gemma-3-270m/9-res-4k/29"' in made["feature"]
    assert 'href="../../list/#title=Law&amp;gemma-3-270m/9-res-4k/29"' in made["concept"]
    assert 'href="../../gemma-3-270m/9-res-4k/29/"' in made["concept"]
    assert 'src="../assets/atlas/list.js?v=' in made["list"]


@pytest.mark.parametrize(
    ("path", "href", "way"),
    [
        ("", "", "./"),
        ("", "a/b/", "a/b/"),
        ("a", "", "../"),
        ("a/b", "a/b/", "./"),
        ("a/b/1", "a/b/2/", "../2/"),
        ("a/b/1", "a/b/", "../"),
        ("a/b/1", "a/bc/1/", "../../bc/1/"),
        ("a/b/1/", "c/b/1/", "../../../c/b/1/"),
        ("a/b", "a/b/features.json", "features.json"),
        ("a/b", "a/b", "../b"),
    ],
)
def test_links_take_the_shortest_way(path: str, href: str, way: str) -> None:
    assert relative(path, href) == way


def test_links_to_pages_end_in_a_slash() -> None:
    assert page_link("a/b/1", "a/b/2") == page_link("a/b/1", "a/b/2/") == "../2/"
    assert page_link("a/b", "") == "../../"


def test_groups_are_named_by_their_place_in_the_data(renderer: Renderer) -> None:
    page = renderer.feature(views.feature())
    assert re.findall(r'data-k="quantiles.(\d)"', page) == ["4", "3", "2", "1", "0"]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_browser_prints_the_same_digits() -> None:
    values = [0.0, 1e-6, 0.00123, 0.125, 0.5, 2.5, 12.25, 12.375, 62.125, 99.96, 100.5, 101.5, 512.5, 1234.5, 98304.0]
    values += [i / 8 for i in range(0, 9000, 37)] + [1 / i for i in range(2, 900, 7)]
    source = paths.data("site_src", "assets", "numbers.js").resolve().as_uri()
    script = (
        f"import {{ activation, percent, level }} from {json.dumps(source)};"
        f"console.log(JSON.stringify({json.dumps(values)}.map((v) => [activation(v), percent(v), level(v, 1234.5)])))"
    )
    done = subprocess.run(["node", "--input-type=module", "-e", script], capture_output=True, text=True, check=True)
    expected = [[numbers.activation(v), numbers.percent(v), numbers.level(v, 1234.5)] for v in values]
    assert json.loads(done.stdout) == expected


def _scheme(css: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", css))


def _schemes() -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    blocks = re.findall(r"(?::root|\[data-md-color-scheme=\"slate\"\]|\.no-js body) \{([^}]*--a9[^}]*)\}", CSS)
    light, dark, preferred = blocks
    return _scheme(light), _scheme(dark), _scheme(preferred)


def _luminance(colour: str) -> float:
    code = colour[1:]
    code = "".join(c * 2 for c in code) if len(code) == 3 else code
    parts = [int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_reads_on_every_step_in_both_schemes() -> None:
    light, dark, _ = _schemes()
    for scheme in (light, dark):
        for step in range(1, 10):
            ink = scheme["fg" if step <= 2 else "ink" if step <= 7 else "ink-high"]
            assert _contrast(ink, scheme[f"a{step}"]) >= 4.5, step
        for colour in ("fg", "mut", "acc"):
            assert min(_contrast(scheme[colour], scheme["bg"]), _contrast(scheme[colour], scheme["card"])) >= 4.5


def test_dark_is_the_same_chosen_or_preferred() -> None:
    light, dark, preferred = _schemes()
    assert dark == preferred
    assert dark.keys() == light.keys()
