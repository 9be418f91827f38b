"""The frame: split where it says, closed to other hosts, and the same each time."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest

from atlas.errors import AtlasError
from atlas.render import frame as frames
from atlas.render.frame import DEPTHS, Frame, build_frame, policy, split

WHOLE = (
    "<title>atlas-sentinel-title</title>atlas-sentinel-title atlas-sentinel-description "
    "<!--atlas-sentinel-head--><body><!--atlas-sentinel-body--></body>"
)


def make(folder: Path, extra_pages: Path | None = None) -> Frame:
    return build_frame(
        folder / "site",
        title="Atlas of <letters>",
        description="A test.",
        extra_pages=extra_pages,
        work=folder / "work",
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Frame, Path]:
    folder = tmp_path_factory.mktemp("frame")
    return make(folder), folder / "site"


def stamp(frame: Frame, depth: int) -> str:
    return frame.stamp(depth, title="T", description="D", head="<!--h-->", body="<p>B</p>")


def inline_scripts(page: str) -> list[str]:
    found = re.findall(r"<script([^>]*)>(.*?)</script>", page, re.DOTALL)
    return [code for attributes, code in found if "src=" not in attributes and "application/json" not in attributes]


def test_split_alternates_text_and_sentinels() -> None:
    parts = split(WHOLE, "here")
    assert "".join(parts) == WHOLE
    assert len(parts) == 11
    assert all("atlas-sentinel" in part for part in parts[1::2])
    assert not any("atlas-sentinel" in part for part in parts[::2])


@pytest.mark.parametrize(
    ("page", "name", "count"),
    [
        (WHOLE.replace("<!--atlas-sentinel-body-->", ""), "body", 0),
        (WHOLE + "<!--atlas-sentinel-body-->", "body", 2),
        (WHOLE.replace("<title>atlas-sentinel-title</title>", ""), "title", 1),
        (WHOLE.replace("<!--atlas-sentinel-head-->", ""), "head", 0),
    ],
)
def test_a_wrong_count_stops_the_build(page: str, name: str, count: int) -> None:
    with pytest.raises(AtlasError, match=f"the place of the {name} occurs {count} times"):
        split(page, "here")


@pytest.mark.parametrize("depth", range(DEPTHS))
def test_links_are_relative_at_each_depth(built: tuple[Frame, Path], depth: int) -> None:
    page = stamp(built[0], depth)
    root = "/".join([".."] * depth) or "."
    assert f'data-root="{root}"' in page
    assert f'<form role="search" class="atlas-search" action="{root}/">' in page or depth == 0
    for address in re.findall(r'(?:href|src|action)="([^"]*)"', page):
        assert not re.match(r"[a-z]+:|/", address), address
        assert address.startswith(("../" * depth, "#")), address


@pytest.mark.parametrize("depth", range(DEPTHS))
def test_the_chrome_is_small(built: tuple[Frame, Path], depth: int) -> None:
    assert len(stamp(built[0], depth).encode()) <= 2_500


def test_title_and_description_are_escaped_and_parts_placed(built: tuple[Frame, Path]) -> None:
    title = '</title><script>alert("x")</script>\0'
    page = built[0].stamp(3, title=title, description='"><img src=x>', head="<!--h-->", body="<p>B</p>")
    assert page.count("&lt;/title&gt;&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;\ufffd") == 2
    assert "<img" not in page
    assert "\0" not in page
    assert page.index("<!--h-->") < page.index("</head>") < page.index("<p>B</p>") < page.index("</main>")


def test_text_that_looks_like_a_sentinel_is_only_text(built: tuple[Frame, Path]) -> None:
    page = built[0].stamp(3, title="atlas-sentinel-description", description="D", head="", body="atlas-sentinel-title")
    assert page.count("atlas-sentinel-description") == 2
    assert page.count("atlas-sentinel-title") == 1


def test_the_policy_names_exactly_the_inline_scripts(built: tuple[Frame, Path]) -> None:
    frame, site = built
    pages = {f"depth {depth}": stamp(frame, depth) for depth in range(DEPTHS)}
    pages |= {str(path): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    assert len(pages) > DEPTHS
    for name, page in pages.items():
        found = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
        assert found, name
        expected = {base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() for code in inline_scripts(page)}
        assert set(re.findall(r"'sha256-([^']*)'", found[1])) == expected, name
        scripts = next(part for part in found[1].split(";") if part.startswith("script-src"))
        assert "unsafe" not in scripts
        assert found.start() < page.index("<script") if "<script" in page else True, name


def test_the_policy_leaves_out_data_and_fetched_scripts() -> None:
    page = '<script src="a.js"></script><script type="application/json">{}</script>'
    assert "sha256" not in policy(page)


def test_nothing_comes_from_another_host(built: tuple[Frame, Path]) -> None:
    _, site = built
    for path in site.rglob("*.html"):
        for address in re.findall(r'<(?:script|link|img)[^>]*(?:href|src)="([^"]*)"', path.read_text(encoding="utf-8")):
            assert "//" not in address, (path, address)


def test_no_sentinel_page_date_or_needless_file_is_left(built: tuple[Frame, Path]) -> None:
    _, site = built
    names = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert "docs/numbers/index.html" in names
    assert "assets/atlas/atlas.css" in names
    assert not [name for name in names if re.search(r"atlas-frame|sitemap|lunr|workers|\.map$", name)]
    assert "index.html" not in names  # the home page is stamped
    assert not [path for path in site.rglob("*.html") if "sentinel" in path.read_text(encoding="utf-8")]


def test_the_same_bytes_each_time_and_other_files_stay(tmp_path: Path, built: tuple[Frame, Path]) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "kept.txt").write_text("kept")
    again = make(tmp_path)
    assert again == built[0]
    first = {p.relative_to(built[1]): p.read_bytes() for p in built[1].rglob("*") if p.is_file()}
    second = {p.relative_to(tmp_path / "site"): p.read_bytes() for p in (tmp_path / "site").rglob("*") if p.is_file()}
    assert second.pop(Path("kept.txt")) == b"kept"
    assert first == second


def test_modules_import_one_another_with_the_version_of_the_page(built: tuple[Frame, Path]) -> None:
    frame, site = built
    version = frame.assets["page.js"].partition("?v=")[2]
    assert re.fullmatch("[0-9a-f]{8}", version)
    for path in (site / "assets" / "atlas").glob("*.js"):
        for query in re.findall(r"""["']\./[\w.-]+\.js([^"']*)["']""", path.read_text(encoding="utf-8")):
            assert query == f"?v={version}", path


def test_the_authors_pages_are_added_to_the_docs(tmp_path: Path) -> None:
    (tmp_path / "extra" / "notes").mkdir(parents=True)
    (tmp_path / "extra" / "notes" / "method.md").write_text("# Our method\n\nSee [numbers](../docs/numbers.md).\n")
    make(tmp_path, tmp_path / "extra")
    assert "Our method" in (tmp_path / "site" / "notes" / "method" / "index.html").read_text()
    assert "Our method" in (tmp_path / "site" / "docs" / "numbers" / "index.html").read_text()  # in the side nav


def test_a_warning_of_mkdocs_stops_the_build_and_says_what(tmp_path: Path) -> None:
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "bad.md").write_text("[gone](nowhere.md)\n")
    with pytest.raises(AtlasError, match=r"nowhere\.md"):
        make(tmp_path, tmp_path / "extra")


@pytest.mark.parametrize("kind", ["missing", "home"])
def test_unusable_extra_pages_are_refused(tmp_path: Path, kind: str) -> None:
    if kind == "home":
        (tmp_path / "extra").mkdir()
        (tmp_path / "extra" / "index.md").write_text("# Mine\n")
    with pytest.raises(AtlasError, match="does not exist" if kind == "missing" else "made from the store"):
        make(tmp_path, tmp_path / "extra")


def test_a_page_without_a_place_for_the_policy_is_refused() -> None:
    with pytest.raises(AtlasError, match="Content-Security-Policy"):
        frames._with_policy("<html></html>", "here")
