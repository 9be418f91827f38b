"""Concepts and lists, in a real browser."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

HOSTILE = "A name with <script>alert(3)</script> & “quotes”"
ONE, TWO, DEAD = "tiny-gemma/1-res-600/12", "tiny-gemma/0-res-24/3", "tiny-gemma/1-res-600/599"


def names(page):
    return page.locator("#list-items > li > a").all_inner_texts()


def opened(watched, hash_):
    """The page of lists with all its features there."""
    page = watched.go(f"list/#{hash_}")
    expect(page.locator("#list-items .what")).to_have_count(0)
    return page


def address(page):
    """The address as the page sees it now; the driver hears of a replaced one a little later."""
    return page.evaluate("location.href")


def fits(page):
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    return width[0] <= width[1]


def test_a_list_shows_its_features_in_the_order_of_the_address(watched):
    page = opened(watched, f"title=Two%20%26%20%3Cb%3Ea%20dead%20one%3C/b%3E&{TWO},{ONE},{DEAD}")
    assert page.locator("h1").inner_text() == "Two & <b>a dead one</b>"
    assert page.title().startswith("Two & <b>a dead one</b> · ")
    assert names(page) == ["Golden bridges", HOSTILE, "Feature 599 of 1-res-600"]
    first = page.locator("#list-items > li").first
    assert first.locator("p[data-v] b.k").count() == 1
    assert re.search(r"density [\d.]+% · maximum [\d.]+", first.inner_text())
    assert first.locator("code").count() == 5
    assert "never fired" in page.locator("#list-items > li").nth(2).inner_text()
    assert page.locator("#list-count").inner_text() == "3 features"
    assert fits(page)
    page.get_by_role("link", name="Golden bridges").click()
    page.wait_for_url(re.compile("0-res-24/3/$"))


def test_a_snippet_of_a_list_is_that_of_the_feature_page(watched):
    page = opened(watched, ONE)
    here = page.locator("#list-items p[data-v]")
    text, values = here.inner_text(), here.get_attribute("data-v")
    watched.go(f"{ONE}/")
    there = page.locator("#top ol li p").first
    assert (there.inner_text(), there.get_attribute("data-v")) == (text, values)


def test_a_list_is_ordered_and_cut_by_keyboard_and_the_address_follows(watched):
    page = opened(watched, f"{ONE},{TWO},{DEAD}")
    page.get_by_role("button", name=f"Down: {HOSTILE}").focus()
    page.keyboard.press("Enter")
    assert names(page)[:2] == ["Golden bridges", HOSTILE]
    assert address(page).endswith(f"#{TWO},{ONE},{DEAD}")
    assert page.locator("#list-status").inner_text() == f"{HOSTILE}: now 2 of 3."
    page.keyboard.press("Enter")
    assert names(page)[2] == HOSTILE
    focused = page.evaluate("document.activeElement.textContent")
    assert focused == "Up", "the button at the end gives the focus to the other"
    page.get_by_role("button", name="Remove: Golden bridges").click()
    assert address(page).endswith(f"#{DEAD},{ONE}")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Remove: Feature 599 of 1-res-600"
    page.reload()
    expect(page.locator("#list-items .what")).to_have_count(0)
    assert names(page) == ["Feature 599 of 1-res-600", HOSTILE]


def test_features_are_added_by_id_by_link_and_from_a_list(watched):
    page = opened(watched, "")
    assert page.get_by_text("which needs JavaScript").is_hidden()
    status, entry = page.locator("#list-status"), page.get_by_label("Add", exact=True)
    assert status.inner_text().startswith("No features yet")

    def add(text):
        entry.fill(text)
        entry.press("Enter")

    add("1-res-600/12")
    assert status.inner_text() == f"Added {ONE}."
    add(f"https://example.org/tiny/{ONE}/?x=1#y")
    assert status.inner_text() == "It is in the list already."
    add(f"{watched.base}list/#title=x&{ONE},{TWO}")
    assert status.inner_text() == f"Added {TWO}."
    add("<img src=x onerror=alert(1)>")
    assert status.inner_text() == "“<img src=x onerror=alert(1)>” is no feature: an id is model/dictionary/index."
    expect(page.locator("#list-items .what")).to_have_count(0)
    assert names(page) == [HOSTILE, "Golden bridges"]
    page.get_by_label("Title").fill("Mine, 100% & more")
    assert address(page).endswith(f"#title=Mine%2C%20100%25%20%26%20more&{ONE},{TWO}")
    assert page.locator("h1").inner_text() == "Mine, 100% & more"
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    expect(status).to_have_text("The link was copied.")
    assert page.evaluate("navigator.clipboard.readText()") == address(page)


def test_what_is_no_feature_is_one_plain_line_each(watched):
    page = watched.go(
        f"list/#title=%E0%A4&{TWO},{TWO},tiny-gemma/1-res-600/600,%3Cimg%20src=x%20onerror=alert(1)%3E,../../x"
    )
    expect(page.locator("#list-items > li")).to_have_count(4)
    wrong = page.locator("#list-items .what")
    expect(wrong.nth(0)).to_have_text("“tiny-gemma/1-res-600/600” is no feature of this atlas.")
    assert wrong.all_inner_texts()[1:] == [
        f"“{text}” is no feature: an id is model/dictionary/index."
        for text in ("<img src=x onerror=alert(1)>", "../../x")
    ]
    assert page.locator("h1").inner_text() == "%E0%A4"
    assert page.locator("#list-items img").count() == 0
    page.get_by_role("button", name="Remove: ../../x").click()
    expect(wrong).to_have_count(2)
    assert fits(page)
    # the missing feature is the one fault there may be
    missing = [fault for fault in watched.faults if "600/feature.json" in fault or "404" in fault]
    assert len(missing) == len(watched.faults)
    watched.faults.clear()


def test_a_list_holds_two_hundred_features(watched):
    many = ",".join(f"tiny-gemma/1-res-600/{i}" for i in range(201))
    page = opened(watched, many)
    assert page.locator("#list-items > li").count() == 200
    assert "lists 201 features; these are the first 200" in page.locator("#list-status").inner_text()
    page.get_by_label("Add", exact=True).fill("0-res-24/3")
    page.get_by_role("button", name="Add to the list").click()
    assert page.locator("#list-status").inner_text() == "A list holds at most 200 features."


def test_an_address_that_changes_changes_the_list(watched):
    page = opened(watched, ONE)
    page.evaluate(f"location.hash = '{TWO}'")
    expect(page.locator("#list-items > li > a")).to_have_text("Golden bridges")
    page.go_back()
    expect(page.locator("#list-items > li > a")).to_have_text(HOSTILE)


def test_from_home_to_a_concept_to_a_feature_and_back(watched):
    page = watched.go("")
    page.get_by_role("link", name="Bridges", exact=True).click()
    page.wait_for_url(re.compile("/c/bridges/$"))
    entries = page.locator("ol.look > li")
    assert entries.locator("> a").all_inner_texts() == ["Golden bridges", HOSTILE, "Feature 599 of 1-res-600"]
    assert "The one that is named so, & no other." in entries.first.inner_text()
    assert fits(page)
    page.get_by_role("link", name="open as a list").click()
    page.wait_for_url(re.compile("/list/#"))
    expect(page.locator("#list-items .what")).to_have_count(0)
    assert page.locator("h1").inner_text() == "Bridges"
    assert len(names(page)) == 3
    page.get_by_role("link", name=HOSTILE).click()
    page.wait_for_url(re.compile("/1-res-600/12/$"))
    page.get_by_role("link", name="A title with <script>alert(4)</script>").click()
    page.wait_for_url(re.compile(r"/c/hostile\.one/$"))
    assert page.get_by_role("heading", name="A heading").evaluate("node => node.tagName") == "H2"
    page.get_by_role("link", name="a feature").click()
    page.wait_for_url(re.compile("/1-res-600/12/$"))
    page.get_by_role("link", name="Begin a list").click()
    expect(page.locator("#list-items > li > a")).to_have_text(HOSTILE)
    blocked = [fault for fault in watched.faults if "Content Security Policy" in fault]
    assert blocked == watched.faults, "the essay's scripts are stopped, and nothing else is wrong"
    watched.faults.clear()


def test_nothing_of_an_essay_runs(watched):
    page = watched.go("c/hostile.one/")
    title = page.title()
    page.locator("#mine").click()
    page.get_by_role("link", name="nothing").click()
    page.wait_for_timeout(200)
    assert page.title() == title != "ran"
    assert page.url.endswith("/c/hostile.one/")
    assert page.locator("#mine i").inner_text() == "author", "HTML of the author stays"
    assert len(watched.faults) >= 2
    assert all("Content Security Policy" in fault for fault in watched.faults)
    watched.faults.clear()


def test_a_concept_is_found_by_its_title(watched):
    page = watched.go("?q=bridges")
    options = page.get_by_role("option")
    options.first.wait_for()
    assert options.locator(".name").all_inner_texts()[:2] == ["Bridges", "Golden bridges"]
    assert options.locator(".id").all_inner_texts()[:2] == ["concept", "0-res-24/3"]
    options.first.click()
    page.wait_for_url(re.compile("/c/bridges/$"))


def test_concepts_are_read_without_javascript_and_lists_say_what_they_need(without_script):
    page = without_script.go("c/")
    assert page.locator("ul.look > li").count() == 3
    page.get_by_role("link", name="Bridges", exact=True).click()
    assert page.get_by_role("heading", name="What a bridge is").is_visible()
    assert page.locator("ol.look > li p[data-v]").count() == 2
    without_script.go("c/none/")
    assert page.get_by_text("The author lists none.").is_visible()
    without_script.go(f"list/#{ONE}")
    assert page.get_by_text("which needs JavaScript").is_visible()
    assert page.locator("form.tools").first.is_hidden()
