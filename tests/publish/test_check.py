"""`atlas check` passes a whole site, and names the page of everything that is missing, broken or foreign."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from atlas.errors import AtlasError
from atlas.publish.check import PAGE_BYTES, PAGE_GZIP, addresses, check_site, within_budget

PAGE = "m/9-res/0/index.html"
CHROME = """<!doctype html><title>A feature</title>
<link rel="stylesheet" href="{up}assets/site.css?v=1"><link rel=icon href='{up}assets/icon.svg'>
<link rel="canonical" href="https://example.org/m/"><link rel="next" href="https://example.org/next">
<script src={up}assets/site.js></script><img src="data:image/png;base64,AAAA"><script>let a = "<b>";</script>
<a href="#here">skip</a> <a href="{up}">home</a> <a href="{up}m/9-res/0/">first</a>
<a href="{up}a%20b.txt?x=1#y">file</a>
<a href="https://example.org/">elsewhere</a> <a href="mailto:a@example.org">write</a>
<form action="{up}search/"><input></form>
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Three features of which one is dead, a dictionary, a model, a home page."""
    folder = tmp_path / "site"
    pages = {"": "", "m/": "../", "m/9-res/": "../../", "search/": "../"}
    pages |= {f"m/9-res/{i}/": "../../../" for i in range(3)}
    for path, up in pages.items():
        (folder / path).mkdir(parents=True, exist_ok=True)
        (folder / path / "index.html").write_text(CHROME.format(up=up or "./"), "utf-8")
    for i in range(2):
        (folder / f"m/9-res/{i}/feature.json").write_text("{}")
    (folder / "m/9-res/features.json").write_text("{}")
    (folder / "assets").mkdir()
    for name in ("site.css", "site.js", "icon.svg"):
        (folder / "assets" / name).write_text("a { background: url(icon.svg), url(data:x) }")
    (folder / "a b.txt").write_text("text")
    index = {"model": "m", "dictionaries": [{"id": "9-res", "width": 3, "dead": [2]}]}
    (folder / "atlas.json").write_text(json.dumps(index))
    return folder


def add(site: Path, html: str, page: str = PAGE) -> None:
    with (site / page).open("a", encoding="utf-8") as file:
        file.write(html)


def problems(site: Path) -> list[str]:
    return check_site(site).problems


def test_a_whole_site_passes(site: Path) -> None:
    report = check_site(site)
    assert report.problems == []
    assert report.pages == 7
    assert report.links == 7 * 12
    assert report.largest == (site / PAGE).stat().st_size
    assert 0 < report.largest_gzip < report.largest


@pytest.mark.parametrize(
    "name", [PAGE, "m/9-res/1/feature.json", "m/9-res/index.html", "m/9-res/features.json", "m/9-res/1/index.html"]
)
def test_what_a_feature_or_dictionary_lacks_is_named(site: Path, name: str) -> None:
    (site / name).unlink()
    assert f"{name}: missing" in problems(site)


def test_a_page_that_the_site_says_it_has_is_missed(site: Path) -> None:
    index = json.loads((site / "atlas.json").read_bytes())
    (site / "atlas.json").write_text(json.dumps(index | {"pages": ["search/index.html", "c/law/index.html"]}))
    assert problems(site) == ["c/law/index.html: missing"]


def test_a_dead_feature_needs_no_page(site: Path) -> None:
    (site / "m/9-res/2/index.html").unlink()
    assert problems(site) == []


@pytest.mark.parametrize(
    ("gone", "address"),
    [
        ("assets/site.css", "../../../assets/site.css?v=1"),
        ("assets/site.js", "../../../assets/site.js"),
        ("assets/icon.svg", "../../../assets/icon.svg"),
        ("a b.txt", "../../../a%20b.txt?x=1#y"),
        ("search/index.html", "../../../search/"),
        ("index.html", "../../../"),
    ],
)
def test_a_link_whose_target_is_gone_is_named_with_its_page(site: Path, gone: str, address: str) -> None:
    (site / gone).unlink()
    assert f"{PAGE}: link to {address} leads nowhere" in problems(site)


@pytest.mark.parametrize(
    "address",
    [
        "../7/",
        "nothing.html",
        "../../../../outside",
        "../../../../index.html",
        "../../../assets",
        "/m/none/",
        "x y",
        "FEATURE.json",
    ],
)
def test_a_link_that_leads_nowhere_is_named_with_its_page(site: Path, address: str) -> None:
    add(site, f'<a class="x" href="{address}">y</a>')
    assert problems(site) == [f"{PAGE}: link to {address} leads nowhere"]


@pytest.mark.parametrize("address", ["../1/", "feature.json", "./feature.json", "../../9-res/1/index.html", "?q=x"])
def test_links_that_lead_somewhere_pass(site: Path, address: str) -> None:
    add(site, f'<a href="{address}">y</a>')
    assert problems(site) == []


@pytest.mark.parametrize(
    ("html", "address"),
    [
        ('<script src="https://cdn.example.org/x.js"></script>', "https://cdn.example.org/x.js"),
        ('<SCRIPT async SRC="https://cdn.example.org/x.js"></SCRIPT>', "https://cdn.example.org/x.js"),
        ("<script src=//cdn.example.org/x.js></script>", "//cdn.example.org/x.js"),
        ('<link rel="stylesheet" href="//cdn.example.org/x.css">', "//cdn.example.org/x.css"),
        ("<link href='http://cdn.example.org/x.css' rel=stylesheet>", "http://cdn.example.org/x.css"),
        ('<link rel="preload" as="font" href="https://fonts.example.org/x">', "https://fonts.example.org/x"),
        ('<link rel="preconnect" href="https://fonts.example.org">', "https://fonts.example.org"),
        ('<link rel="shortcut icon" href="//x.org/i.png">', "//x.org/i.png"),
        ('<img alt="" src="https://x.org/i.png">', "https://x.org/i.png"),
        ('<img alt="" src="https&#58;//x.org/i.png">', "https://x.org/i.png"),
        ('<iframe src="https://x.org/"></iframe>', "https://x.org/"),
        ('<video src="https://x.org/v.mp4"></video>', "https://x.org/v.mp4"),
        ('<object data="https://x.org/o"></object>', "https://x.org/o"),
        ('<svg><use href="https://x.org/s.svg#a"/></svg>', "https://x.org/s.svg#a"),
    ],
)
def test_what_comes_from_another_host_is_named_with_its_page(site: Path, html: str, address: str) -> None:
    add(site, html)
    assert problems(site) == [f"{PAGE}: loads {address} from another host"]


@pytest.mark.parametrize(
    "css",
    [
        '@import "https://x.org/a.css";',
        "@import '//x.org/a.css';",
        "a { background: url(https://x.org/i.png) }",
        "a { background: URL( '//x.org/i.png' ) }",
    ],
)
def test_a_style_that_loads_from_another_host_is_named(site: Path, css: str) -> None:
    (site / "assets" / "site.css").write_text(css)
    assert problems(site) == ["assets/site.css: loads from another host"]


@pytest.mark.parametrize("rel", ["canonical", "next", "prev", "alternate", "license", "author"])
def test_links_that_a_reader_may_follow_may_lead_elsewhere(site: Path, rel: str) -> None:
    add(site, f'<link rel="{rel}" href="https://example.org/icon/manifest/stylesheet/">')
    assert problems(site) == []


def test_escaped_text_is_no_tag(site: Path) -> None:
    add(site, "<p>&lt;script src=&quot;https://x.org/x.js&quot;&gt; src=nowhere.js href='gone/'</p>")
    assert problems(site) == []


def test_a_page_above_its_budget_is_named(site: Path) -> None:
    add(site, " " * PAGE_BYTES)
    found = problems(site)
    assert len(found) == 1
    assert found[0].startswith(f"{PAGE}: {(site / PAGE).stat().st_size} bytes (")
    assert found[0].endswith("above the budget")


def test_a_page_that_packs_badly_is_named(site: Path) -> None:
    noise = random.Random(0).randbytes(PAGE_GZIP).hex()  # noqa: S311 (no secret)
    add(site, f"<p>{noise}</p>", "m/9-res/1/index.html")
    assert len(noise) < PAGE_BYTES
    assert [p.split(":")[0] for p in problems(site)] == ["m/9-res/1/index.html"]


def test_other_pages_have_no_budget(site: Path) -> None:
    add(site, " " * PAGE_BYTES, "m/9-res/index.html")
    add(site, " " * PAGE_BYTES, "index.html")
    assert problems(site) == []


def test_the_budget_includes_its_ends() -> None:
    assert within_budget(b" " * PAGE_BYTES)
    assert not within_budget(b" " * (PAGE_BYTES + 1))
    assert not within_budget(random.Random(0).randbytes(PAGE_BYTES - 1))  # noqa: S311 (no secret)


def test_a_site_too_large_for_its_host_is_said(site: Path) -> None:
    (site / "big").write_bytes(bytes(2_100_000))
    assert check_site(site, budget_mb=3).problems == []
    assert check_site(site, budget_mb=2).problems == [f"{site}: 2 MB, more than the 2 MB that the host takes"]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (None, r"site: no site here \(it has no atlas\.json\); `atlas site RECIPE` makes one"),
        (b"{", r"atlas\.json: cannot be read \(.*; build the site again"),
        (b"\xff", r"atlas\.json: cannot be read \(.*; build the site again"),
        (b"[]", r"atlas\.json: .*build the site again"),
        (b"{}", r"atlas\.json: .*build the site again"),
        (b'{"model": "m", "dictionaries": [{"id": "x"}]}', r"atlas\.json: .*build the site again"),
    ],
)
def test_a_folder_that_is_no_site_is_one_line(site: Path, data: bytes | None, line: str) -> None:
    if data is None:
        (site / "atlas.json").unlink()
    else:
        (site / "atlas.json").write_bytes(data)
    with pytest.raises(AtlasError, match=line) as caught:
        check_site(site)
    assert "\n" not in str(caught.value)


def test_addresses_are_unescaped_and_anchors_left_out() -> None:
    page = '<a href="a&amp;b" id=x>1</a><a href="#x">2</a><a href="">3</a>'
    page += "<link rel=next href=n><link href=m><img srcset=s src=t>"
    assert list(addresses(page)) == [("a", "a&b"), ("a", "n"), ("a", "m"), ("img", "s"), ("img", "t")]
