"""The whole path on a tiny atlas: same bytes twice, continued after a kill, nothing redone, no torch in site."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import orjson
import pytest

import atlas
from atlas.publish.check import check_site
from atlas.render.data import PER_FILE
from atlas.search import Reader
from atlas.store import sealed

ATLAS = [sys.executable, "-m", "atlas"]
ENV = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONWARNINGS": "ignore"}


def digests(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def run(*arguments: object, cwd: Path, env: dict[str, str] = ENV) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ATLAS, *map(str, arguments)], cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=240
    )


@pytest.fixture(scope="module")
def again(tiny, tmp_path_factory):
    """The same inputs in another folder: collected, killed on the way, continued, named, and made into a site."""
    folder = tmp_path_factory.mktemp("again")
    for name in ("model", "wide", "narrow", "texts"):
        shutil.copytree(tiny.folder / name, folder / name)
    for name in ("recipe.toml", "names.toml", "concepts.toml", "bridges.md"):
        shutil.copy(tiny.folder / name, folder / name)
    recipe = folder / "recipe.toml"
    recipe.write_text(recipe.read_text("utf-8").replace("[collect]", "[collect]\ncheckpoint = 0.001"), "utf-8")
    part = folder / "out" / "tiny" / "work" / "pass-0" / "part-0000.sealed"
    process = subprocess.Popen([*ATLAS, "collect", "--out", "out"], cwd=folder, env=ENV, stdout=subprocess.DEVNULL)
    try:
        deadline, left = time.monotonic() + 120, 0
        while left < 5:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            if found := sealed.peek(part, lambda name: name == "covered"):
                left = len(found[0]["covered"])
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (folder / "out" / "tiny" / "store").exists(), "a store that is not whole"
    result = run("build", "--out", "out", cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder, left, result.stdout


def test_a_killed_pass_goes_on_without_redoing_what_a_checkpoint_holds(again):
    _, left, said = again
    found = re.search(r"run the model and the dictionaries: done, .* (\d+) of them found done", said)
    assert found, said
    assert int(found[1]) >= left * 2 * 8  # micro-batches x windows x the shortest window


def test_another_build_gives_the_same_bytes_even_after_a_kill(tiny, again):
    folder, _, _ = again
    for part in ("store", "site"):
        here, there = digests(tiny.out / "tiny" / part), digests(folder / "out" / "tiny" / part)
        assert here.keys() == there.keys()
        assert [name for name in here if here[name] != there[name]] == []


def test_nothing_is_done_twice(again):
    folder, _, _ = again
    before = (folder / "out/tiny/site/index.html").stat().st_mtime_ns
    result = run("build", "--out", "out", cwd=folder)
    assert result.stdout.count("nothing has changed") == 4
    assert (folder / "out/tiny/site/index.html").stat().st_mtime_ns == before


def test_an_edit_redoes_only_what_depends_on_it(again, tmp_path):
    folder = tmp_path / "edited"
    shutil.copytree(again[0], folder)
    recipe = folder / "recipe.toml"
    text = recipe.read_text("utf-8")
    recipe.write_text(text.replace('label = "Prose"', 'label = "Plain prose"'), "utf-8")
    result = run("build", "--out", "out", cwd=folder)
    assert "collect: nothing has changed" in result.stdout
    assert "name: nothing has changed" not in result.stdout
    assert "Plain prose" in (folder / "out/tiny/site/index.html").read_text("utf-8")
    recipe.write_text(text.replace("A tiny", "A small"), "utf-8")
    result = run("site", "--out", "out", cwd=folder)
    assert "A small" in (folder / "out/tiny/site/index.html").read_text("utf-8")
    (folder / "bridges.md").write_text("Another essay.", "utf-8")
    run("site", "--out", "out", cwd=folder)
    assert "Another essay." in (folder / "out/tiny/site/c/bridges/index.html").read_text("utf-8")


def test_a_damaged_store_is_collected_again(again, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(again[0], folder)
    table = folder / "out/tiny/store/1-res-600/features.parquet"
    data = bytearray(table.read_bytes())
    data[len(data) // 2] ^= 1
    table.write_bytes(data)
    result = run("collect", "--out", "out", cwd=folder)
    assert "nothing has changed" not in result.stdout
    assert digests(folder / "out/tiny/store/1-res-600") == digests(again[0] / "out/tiny/store/1-res-600")


def test_site_runs_where_torch_cannot_be_imported(again, tmp_path):
    folder = tmp_path / "plain"
    shutil.copytree(again[0], folder)
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "from atlas.cli import main\n"
        "if __name__ == '__main__': sys.argv = ['atlas', 'site', '--out', 'out', '--force']; main()\n"
    )
    script = folder / "no_torch.py"
    script.write_text(code)
    result = subprocess.run([sys.executable, script], cwd=folder, env=ENV, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert digests(folder / "out/tiny/site") == digests(again[0] / "out/tiny/site")


def test_the_site_is_whole(tiny):
    report = check_site(tiny.site)
    Reader(tiny.site / "search").verify()
    assert report.problems == []
    assert report.pages > 624
    index = orjson.loads((tiny.site / "atlas.json").read_bytes())
    assert {"list/index.html", "c/index.html", "c/bridges/index.html"} <= set(index["pages"])


def test_every_feature_has_its_page_and_the_same_record_as_data(tiny):
    store = atlas.open_store(tiny.store)
    for dictionary, record in store.dictionaries.items():
        for feature in store.features(dictionary):
            folder = tiny.site / feature.path
            page, data = (
                (folder / "index.html").read_text("utf-8"),
                orjson.loads((folder / "feature.json").read_bytes()),
            )
            assert data["count"] == feature.count
            assert np.float32(data["max"]) == np.float32(feature.max)
            assert f"{feature.count:,} of" in page or not feature.count
            assert "<script>alert" not in page
            assert data["top"]["window"] == [s.window for s in feature.top]
            for window, position, first, tokens in zip(
                *(data["top"][key] for key in ("window", "position", "first", "tokens")), strict=True
            ):
                file = orjson.loads((tiny.site / f"windows/{window // PER_FILE}.json").read_bytes())
                whole = file["tokens"][file["window"].index(window)]
                assert whole[first + 1 : first + len(tokens)] == tokens[1:]  # the first may be the end of a character
                assert first <= position < first + len(tokens)
                row = store.windows.row[window]
                assert file["document"][file["window"].index(window)] == store.windows.document[row]
        assert record.width == sum(1 for _ in store.features(dictionary))


def test_a_removed_page_and_a_broken_link_are_found(tiny, tmp_path):
    site = tmp_path / "site"
    shutil.copytree(tiny.site, site)
    (site / "tiny-gemma/1-res-600/5/index.html").unlink()
    result = run("check", site, cwd=tmp_path)
    assert result.returncode == 1
    assert "tiny-gemma/1-res-600/5/index.html: missing" in result.stdout
    assert "tiny-gemma/1-res-600/4/index.html: link to" in result.stdout
    assert re.search(r"problems=\d+$", result.stdout.strip())
    assert run("check", tiny.site, cwd=tmp_path).stdout.strip().endswith("problems=0")


def test_show_prints_a_feature(tiny, tmp_path):
    result = run("show", "1-res-600/12", "--store", tiny.store, cwd=tmp_path)
    assert result.returncode == 0
    assert "A name with <script>alert(3)</script>" in result.stdout
    assert "promotes" in result.stdout
