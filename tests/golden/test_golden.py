"""One page in two formats: the view as text, the page as HTML; a failure says which of the two moved.

`make golden` writes them anew; read the difference before you commit it.
"""

import dataclasses
import os
import pprint
from pathlib import Path

from golden_feature import CONTEXT, FEATURE, MANIFEST

from atlas.render.data import feature_json
from atlas.render.frame import Frame
from atlas.render.html import Renderer
from atlas.render.view import Steps, feature_view

HERE = Path(__file__).parent
SENTINELS = ("<title>", "atlas-sentinel-title", "</title>", "<!--atlas-sentinel-body-->", "")
VIEW = feature_view(FEATURE, CONTEXT, Steps(649, 651, 29))


def compare(name: str, text: str) -> None:
    path = HERE / name
    if os.environ.get("ATLAS_GOLDEN") == "write":
        path.write_text(text, "utf-8")
    assert path.read_text("utf-8") == text, f"{name} has changed; if it should, run `make golden` and read the diff"


def test_the_view():
    compare("feature.view.txt", pprint.pformat(dataclasses.asdict(VIEW), width=110, sort_dicts=False) + "\n")


def test_the_page():
    frame = Frame("golden", (SENTINELS,) * 4, {})
    compare("feature.html", Renderer(frame).feature(VIEW) + "\n")


def test_the_data():
    compare("feature.json", feature_json(FEATURE, MANIFEST.dictionaries[0], VIEW.lead).decode() + "\n")
