"""What a reader does, in a real browser."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

FEATURE = "tiny-gemma/1-res-600/12/"
HOSTILE = "A name with <script>alert(3)</script> & “quotes”"


def test_a_feature_page_can_be_read(watched):
    page = watched.go(FEATURE)
    assert page.locator("h1").inner_text() == HOSTILE
    assert page.locator("#top ol li").count() >= 5
    assert page.get_by_role("heading", name="Promotes").is_visible()
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1], "it scrolls sideways"


def test_values_are_shown_on_hover_and_by_arrow_keys(watched):
    page = watched.go(FEATURE)
    snippet = page.locator("#top ol li p").first
    values = snippet.get_attribute("data-v").split()
    snippet.locator("b").first.hover()
    tip = page.locator(".tip")
    assert tip.is_visible()
    assert values[0] in tip.inner_text()
    page.mouse.move(0, 0)
    snippet.focus()
    page.keyboard.press("ArrowRight")
    assert tip.is_visible()
    assert any(v in tip.inner_text() for v in values)


def test_searching_a_name_and_following_the_result(watched):
    page = watched.go(FEATURE)
    page.keyboard.press("/")
    box = page.locator("header input[type=search]")
    assert box.evaluate("node => node === document.activeElement")
    page.keyboard.type("golden brid")
    option = page.get_by_role("option").first
    option.wait_for()
    assert option.locator(".name").inner_text() == "Golden bridges"
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("0-res-24/3/"))
    assert page.locator("h1").inner_text() == "Golden bridges"


def test_a_hostile_name_is_text_in_the_results_too(watched):
    page = watched.go("?q=quotes")
    option = page.get_by_role("option").first
    option.wait_for()
    assert option.locator(".name").inner_text() == HOSTILE


def test_the_colour_scheme_is_switched_and_kept(watched):
    page = watched.go(FEATURE)
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    switch = page.locator(".atlas-scheme")
    for _ in range(3):
        if page.evaluate("document.body.dataset.mdColorScheme") == "slate":
            break
        switch.click()
    assert page.evaluate("document.body.dataset.mdColorScheme") == "slate"
    dark = page.evaluate(background)
    assert dark != light
    page.reload()
    assert page.evaluate(background) == dark
    watched.go("docs/numbers/")
    assert page.evaluate("document.body.dataset.mdColorScheme") == "slate"


def test_a_table_is_sorted_and_filtered(watched):
    page = watched.go("tiny-gemma/1-res-600/")
    rows = page.locator("table.feats tbody tr")
    before = rows.count()
    page.locator("th[data-c=max]").click()
    expect(page.locator("th[data-c=max]")).to_have_attribute("aria-sort", re.compile("ending"))
    values = [float(t.replace(",", "")) for t in page.locator("table.feats tbody tr td:nth-child(4)").all_inner_texts()]
    assert values in (sorted(values), sorted(values, reverse=True))
    page.fill("#filter", "quotes")
    expect(page.locator("table.feats tbody")).to_contain_text(HOSTILE)
    expect(rows).not_to_have_count(before)


def test_more_snippets_come_from_the_data(watched):
    page = watched.go(FEATURE)
    before = page.locator("#top ol li").count()
    button = page.locator("#top").get_by_role("button", name=re.compile("more"))
    button.click()
    expect(page.locator("#top ol li")).not_to_have_count(before)
    assert "<script>" not in page.locator("#top").inner_html()


def test_whole_windows_and_back(watched):
    page = watched.go(FEATURE)
    snippets = page.locator("#top ol li p")
    cut = snippets.all_inner_texts()
    value = snippets.first.get_attribute("data-v")
    peaks = page.locator("#top ol li p b.k")
    marked = peaks.all_inner_texts()
    button = page.locator("#top").get_by_role("button", name="Whole windows")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    full = snippets.all_inner_texts()
    assert any(len(long) > len(short) for long, short in zip(full, cut, strict=True))
    assert all(short.strip("…").strip()[:20] in long for long, short in zip(full, cut, strict=True))
    assert set(value.split()) <= set(snippets.first.get_attribute("data-v").split())
    assert peaks.all_inner_texts() == marked, "another token is marked"
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    assert snippets.all_inner_texts() == cut


@pytest.mark.parametrize("url", ["https://a.example/x?a&b", "javascript:alert(1)", ""])
def test_a_whole_window_says_which_document_it_is_of(watched, url):
    def of_the_web(route):
        answer = route.fetch()
        data = answer.json()
        data |= {"url": [url] * len(data["url"]), "licence": ["<b>CC0</b>"] * len(data["licence"])}
        route.fulfill(response=answer, json=data)

    page = watched.go(FEATURE)
    page.route("**/windows/*.json", of_the_web)
    sources = page.locator("#top ol li small")
    before = sources.all_inner_texts()
    button = page.locator("#top").get_by_role("button", name="Whole windows")
    for pressed in ("true", "false", "true"):
        button.click()
        expect(button).to_have_attribute("aria-pressed", pressed)
    after = sources.all_inner_texts()
    assert [text.replace(" · <b>CC0</b>", "") for text in after] == before
    assert all("<b>CC0</b>" in text for text in after)
    assert all("/" in source.get_attribute("title") for source in sources.all())
    links = [link.get_attribute("href") for link in page.locator("#top ol li small a").all()]
    assert links == ([url] * len(before) if url.startswith("https") else [])


def test_previous_next_and_copy(watched):
    page = watched.go(FEATURE)
    page.keyboard.press("j")
    page.wait_for_url(re.compile("/13/$"))
    page.keyboard.press("k")
    page.wait_for_url(re.compile("/12/$"))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name=re.compile("Copy")).first.click()
    assert "@misc{" in page.evaluate("navigator.clipboard.readText()")


def test_everything_is_there_without_javascript(without_script):
    page = without_script.go(FEATURE)
    assert page.locator("h1").inner_text() == HOSTILE
    assert page.locator("#top ol li").count() >= 5
    page.locator("summary").nth(1).click()
    assert page.locator("details").nth(1).locator("p").first.is_visible()
    page.get_by_role("link", name="1-res-600").first.click()
    assert page.locator("table.feats tbody tr").count() == 100
    page.locator("#pages").get_by_role("link", name="2", exact=True).click()
    assert page.locator("table.feats tbody tr").count() == 100
    without_script.go("")
    assert page.get_by_role("link", name="Golden bridges").count() >= 1


def test_docs_and_home_are_whole(watched):
    for path in (
        "",
        "tiny-gemma/",
        "docs/numbers/",
        "docs/recipe/",
        "tiny-gemma/0-res-24/",
        "tiny-gemma/1-res-600/599/",
    ):
        page = watched.go(path)
        assert page.locator("h1").first.is_visible()
        width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width[0] <= width[1], f"{path} scrolls sideways"
