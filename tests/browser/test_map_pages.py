"""The map in a real browser, drawn in software: what a reader sees and does, at a desk and on a phone."""

import re

import orjson
import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

PLACE = """(row) => {
  const canvas = document.querySelector("canvas"), edge = canvas.getBoundingClientRect();
  const side = 0.96 * Math.min(edge.width, edge.height), [x, y] = row;
  return [edge.left + edge.width / 2 + (x - 0.5) * side, edge.top + edge.height / 2 + (y - 0.5) * side];
}"""


def opened(watched, path="map/"):
    page = watched.go(path)
    expect(page.locator("#map-keys")).not_to_be_empty()
    assert "picture only" not in page.locator("#map-keys").inner_text()
    return page


def places(tiny, path="map"):
    """x, y (0 to 1) and address of the map's features, read as the page reads them."""
    import numpy as np

    folder = tiny.site / path
    said, data = orjson.loads((folder / "map.json").read_bytes()), (folder / "points.bin").read_bytes()
    column = {n: np.frombuffer(data, f"<{k}", said["count"], o) for n, k, o in said["columns"]}
    ids = [said["dictionaries"][d] for d in column["dictionary"]]
    return [
        (x / 65535, y / 65535, f"{said['model']}/{d}/{f}/")
        for x, y, d, f in zip(column["x"].tolist(), column["y"].tolist(), ids, column["feature"].tolist(), strict=True)
    ]


def lone(found):
    """The point that is farthest from all others."""

    def room(point):
        return min((point[0] - x) ** 2 + (point[1] - y) ** 2 for x, y, path in found if path != point[2])

    return max(found, key=room)


def test_the_pointer_shows_a_feature_and_a_click_opens_it(watched, tiny):
    page = opened(watched)
    x, y, path = lone(places(tiny))
    page.locator("canvas").scroll_into_view_if_needed()
    at = page.evaluate(PLACE, [x, y])
    page.mouse.move(*at)
    card = page.locator(".spot")
    expect(card).to_be_visible()
    expect(card.locator("a")).not_to_have_text("…")
    assert card.locator("code").inner_text() == "/".join(path.split("/")[1:3])
    name = card.locator("a").inner_text()
    page.mouse.click(*at)
    page.wait_for_url(re.compile(f"{re.escape(path)}$"))
    assert page.locator("h1").inner_text() == name


def test_it_is_drawn_and_its_colours_can_be_changed(watched):
    page = opened(watched)
    seen = {"cluster": page.locator("canvas").screenshot()}
    for value, text in (
        ("density", "of tokens"),
        ("source", "Prose"),
        ("dictionary", "1-res-600"),
        ("cluster", "Grey"),
    ):
        page.select_option("#map-colour", value)
        expect(page.locator("#map-keys")).to_contain_text(text)
        page.wait_for_timeout(100)
        seen[value] = page.locator("canvas").screenshot()
    assert len(set(seen.values())) >= 3, "nothing is drawn, or colours are the same"
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1], "it scrolls sideways"


def test_search_highlights_and_a_single_hit_is_shown(watched):
    page = opened(watched)
    page.fill("#map-find", "golden bridges")
    expect(page.locator("#map-said")).to_have_text("1 feature")
    expect(page.locator(".spot a")).to_have_text("Golden bridges")
    page.fill("#map-find", "nothing has this word")
    expect(page.locator("#map-said")).to_have_text(re.compile("None here|some of the words"))
    page.click("#map-all")
    expect(page.locator("#map-said")).to_be_empty()


def test_a_link_to_a_feature_shows_it_and_its_page_links_back(watched):
    page = watched.go("tiny-gemma/0-res-24/3/")
    page.get_by_role("link", name="map", exact=True).click()
    expect(page.locator(".spot code")).to_have_text("0-res-24/3")
    expect(page.locator(".spot a")).to_have_text("Golden bridges")
    opened(watched, "map/0-res-24/#f=1-res-600/1")
    expect(page.locator("#map-said")).to_have_text("1-res-600/1 is not on this map")


def test_keys_and_the_list_of_clusters_move_the_map(watched):
    page = opened(watched, "map/1-res-600/")
    page.locator("canvas").focus()
    for key in ("+", "ArrowLeft", "-", "0"):
        page.keyboard.press(key)
    clusters = page.locator(".clusters li")
    if clusters.count():
        clusters.first.locator("button").press("Enter")
        expect(page.locator("#map-said")).to_contain_text("features")
        assert clusters.first.locator("p a").count() == 3


def test_a_finger_shows_the_card_before_anything_opens(chromium, base, tiny):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(base + "map/")
    expect(page.locator("#map-keys")).not_to_be_empty()
    x, y, path = lone(places(tiny))
    page.locator("canvas").scroll_into_view_if_needed()
    page.touchscreen.tap(*page.evaluate(PLACE, [x, y]))
    expect(page.locator(".spot.held")).to_be_visible()
    assert page.url.endswith(f"#f={'/'.join(path.split('/')[1:3])}")
    page.locator(".spot a").tap()
    page.wait_for_url(re.compile(f"{re.escape(path)}$"))
    context.close()


def test_without_webgl_the_picture_stays(chromium, base):
    context = chromium.new_context()
    page = context.new_page()
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto(base + "map/")
    expect(page.locator("#map-keys")).to_contain_text("A picture only")
    assert page.locator(".plane img").is_visible()
    context.close()


def test_without_javascript_there_is_the_picture_and_the_list(without_script):
    page = without_script.go("map/")
    picture = page.locator(".plane img")
    assert picture.is_visible()
    assert picture.evaluate("image => image.naturalWidth") == 1200
    assert page.get_by_role("heading", name="Clusters").is_visible()
    page.get_by_role("link", name="0-res-24").first.click()
    assert page.locator("h1").inner_text() == "Map of 0-res-24"


def test_nothing_of_it_is_loaded_on_other_pages(chromium, base):
    context = chromium.new_context()
    page = context.new_page()
    loaded = []
    page.on("request", lambda request: loaded.append(request.url))
    page.goto(base + "tiny-gemma/0-res-24/3/")
    page.wait_for_load_state("networkidle")
    assert [url for url in loaded if "twgl" in url or "map" in url] == []
    context.close()
