"""What pages take from npm is what its manifest records, and does nothing that the pages' policy forbids."""

import hashlib
import json
import re

from atlas import paths
from atlas.render.picture import COLOURS

VENDOR = paths.data("site_src", "assets", "vendor")
FILES = json.loads((VENDOR / "vendor.json").read_text("utf-8"))["files"]


def test_every_bundle_is_the_one_that_was_recorded_and_has_its_licence():
    assert {p.name for p in VENDOR.glob("*.js")} == {f["name"] for f in FILES}
    for file in FILES:
        data = (VENDOR / file["name"]).read_bytes()
        assert len(data) == file["bytes"]
        assert hashlib.sha256(data).hexdigest() == file["sha256"]
        assert "Copyright" in (VENDOR / file["licence_file"]).read_text("utf-8")
        assert not re.search(
            rb"\beval\(|\bFunction\(|\bFunction\.apply|new Function|https?://(?!github\.com/greggman)", data
        )


def test_the_lock_file_has_the_versions_of_the_bundles():
    folder = paths.data("site_src").parent / "build" / "vendor"
    wanted = json.loads((folder / "package.json").read_text("utf-8"))["devDependencies"]
    locked = json.loads((folder / "package-lock.json").read_text("utf-8"))["packages"]
    for file in FILES:
        name, _, version = file["package"].rpartition("@")
        assert wanted[name] == version == locked[f"node_modules/{name}"]["version"]


def test_colours_are_the_same_in_python_in_the_script_and_in_the_stylesheet():
    assets = VENDOR.parent
    script = (assets / "map-colours.js").read_text("utf-8")
    listed = re.search(r"COLOURS = \[(.*?)\];", script, re.DOTALL)[1]
    assert tuple(tuple(map(int, c)) for c in re.findall(r"\[(\d+), (\d+), (\d+)\]", listed)) == COLOURS
    style = dict(re.findall(r"i\.c(\d) \{ background: #(\w+); \}", (assets / "map.css").read_text("utf-8")))
    assert [tuple(bytes.fromhex(style[str(i)])) for i in range(len(COLOURS))] == list(COLOURS)
