"""Every recipe, built from a stand-in for the Hub whose repositories are laid out as the published ones are.

A recipe is edited in sizes alone: fewer tokens, one thread of the CPU, fewer neurons on a token, and of Qwen Scope,
whose repositories say their width in their names, one that is 1k wide.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from recipe_hub import Hub
from recipe_worlds import TEXTS, furnish

from atlas.config import load
from atlas.dictionaries.neurons import is_neurons
from atlas.sources import parse_hub
from atlas.store import open_store

ROOT = Path(__file__).parents[2]
RECIPES = sorted(path.stem for path in (ROOT / "build" / "recipes").glob("*.toml") if path.stem != "demo")
EDITS = {
    "tokens = 3_145_728": "tokens = 1_500",
    "[collect]\n": '[collect]\ndevice = "cpu"\nthreads = 1\n',
    "-W32K-L0_50": "-W1K-L0_50",
    "k = 512": "k = 5",
}


@dataclass
class Result:
    code: int
    out: str
    err: str


class Atlas:
    """The command line in a process of its own, which asks the stand-in."""

    def __init__(self, folder: Path, endpoint: str, **more: str) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        env |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "home"), "HF_HUB_DISABLE_TELEMETRY": "1"}
        env |= {"NO_MKDOCS_2_WARNING": "1", "PYTHONWARNINGS": "ignore", "NO_COLOR": "1", **more}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("recipe_runner.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
            cwd=folder,
        )

    def __call__(self, *arguments: object) -> Result:
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps([str(a) for a in arguments]), file=self._process.stdin, flush=True)
        return Result(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            assert stream
            stream.close()
        self._process.wait(60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the recipes lie, edited."""
    found = tmp_path_factory.mktemp("recipes")
    for name in RECIPES:
        text = (ROOT / "build" / "recipes" / f"{name}.toml").read_text("utf-8")
        for old, new in EDITS.items():
            assert old in text or old.startswith(("-W", "k ="))
            text = text.replace(old, new)
        (found / f"{name}.toml").write_text(text, "utf-8")
    return found


@pytest.fixture(scope="module")
def hub(folder: Path) -> Iterator[tuple[Hub, str]]:
    """The stand-in with nothing on it yet, and its address."""
    made = Hub(folder / "hub")
    with made.serving() as endpoint:
        yield made, endpoint


@pytest.fixture(scope="module")
def atlas(folder: Path, hub: tuple[Hub, str]) -> Iterator[Atlas]:
    """The command line, online."""
    made = Atlas(folder, hub[1])
    yield made
    made.close()


@pytest.mark.parametrize("name", RECIPES)
def test_the_recipe_builds(name: str, folder: Path, hub: tuple[Hub, str], atlas: Atlas) -> None:
    recipe = load(folder / f"{name}.toml")
    furnish(hub[0], recipe)
    result = atlas("build", f"{name}.toml", "--out", "out")
    assert result.code == 0, result.err
    base = folder / "out" / recipe.atlas.id
    store = open_store(base / "store")
    manifest = store.manifest
    assert manifest.corpus.tokens > 1000
    assert (manifest.corpus.bos_id is not None) == recipe.corpus.bos
    assert manifest.model.revision == hub[0].repositories["models", parse_hub(recipe.model.source).repo].commit
    for section, found in zip(recipe.dictionary, manifest.dictionaries, strict=True):
        published = not is_neurons(section)
        commit = hub[0].repositories["models", parse_hub(section.source).repo].commit if published else ""
        assert found.revision == commit
        assert found.alive > 3, found.id
        assert found.hook_point == hook_of(section.id, section.label), found.id
        assert (base / "site" / recipe.model.id / section.id / "0" / "index.html").is_file()
    checked = atlas("check", base / "site")
    assert checked.code == 0, checked.out
    assert checked.out.rstrip().endswith("problems=0")


def hook_of(name: str, label: str) -> str:
    """The hook point of a dictionary by what the recipe calls it."""
    where, _, rest = label.partition(" block ")
    layer = rest.split(",")[0]
    if where == "Neurons of":
        return f"blocks.{layer}.mlp.hook_post"
    if name == "e-res-sm":
        return "blocks.0.hook_resid_pre"
    return f"blocks.{layer}.hook_resid_{'pre' if where == 'Before' else 'post'}"


@pytest.fixture(scope="module")
def small(folder: Path, hub: tuple[Hub, str]) -> str:
    """The recipe of Pythia with its first dictionary alone, and the stand-in furnished for it."""
    furnish(hub[0], load(folder / "pythia-70m.toml"))
    for name in ("gated/model", "gated/saes"):
        made = hub[0].repository(name)
        made.gated = True
        for file in ("config.json", "sae/cfg.json", "sae/sae_weights.safetensors"):
            (made.folder / file).parent.mkdir(exist_ok=True)
            (made.folder / file).write_text("{}")
    begin, first, *_, last = (folder / "pythia-70m.toml").read_text("utf-8").split("[[dictionary]]")
    return f"{begin}[[dictionary]]{first}[collect]{last.partition('[collect]')[2]}"


MODEL, SAES = "hf://EleutherAI/pythia-70m-deduped", "hf://ctigges/pythia-70m-deduped__res-sm_processed/e-res-sm"
PILE = "hf://datasets/monology/pile-uncopyrighted@refs/convert/parquet"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (MODEL, "hf://gated/model", ("hf://gated/model", "gated on the Hub", "hf auth login")),
        (SAES, "hf://gated/saes/sae", ("hf://gated/saes", "gated on the Hub", "hf auth login")),
        (MODEL, "hf://nobody/nothing", ("hf://nobody/nothing", "no such repository")),
        (SAES, "hf://nobody/nothing/sae", ("hf://nobody/nothing/sae", "no such repository")),
        (MODEL, f"{MODEL}@v9", ("@v9", "no such revision")),
        (SAES, f"{SAES}@v9", ("@v9", "no such revision")),
        (SAES, f"{SAES}x", ("e-res-smx", "no such file or folder")),
        (SAES, f"{SAES}/sae_weights.safetensors", ("in no format that is known",)),
        (PILE, "hf://datasets/nobody/nothing", ("hf://datasets/nobody/nothing", "cannot be read")),
        (PILE, f"{PILE}9", ("parquet9", "cannot be read")),
    ],
)
def test_what_the_hub_refuses_is_told_in_a_line(
    old: str, new: str, words: tuple[str, ...], small: str, folder: Path, atlas: Atlas
) -> None:
    assert f'"{old}"' in small
    (folder / "refused.toml").write_text(small.replace(f'"{old}"', f'"{new}"'), "utf-8")
    refused(atlas("collect", "refused.toml", "--out", "refused"), *words)
    assert not (folder / "refused" / "pythia-70m" / "store").exists()


def test_what_is_in_the_cache_needs_no_network(small: str, folder: Path, hub: tuple[Hub, str], atlas: Atlas) -> None:
    (folder / "text.txt").write_text("".join(TEXTS), "utf-8")
    for name in ("streamed", "filed"):
        text = small if name == "streamed" else small.replace(PILE, "file:text.txt")
        (folder / f"{name}.toml").write_text(text, "utf-8")
    assert atlas("collect", "filed.toml", "--out", "online").code == 0
    asked = len(hub[0].asked)
    offline = Atlas(folder, hub[1], HF_HUB_OFFLINE="1")
    result = offline("collect", "filed.toml", "--out", "offline")
    assert result.code == 0, result.err
    refused(offline("collect", "streamed.toml", "--out", "streamed"), PILE, "cannot be read")
    text = (folder / "filed.toml").read_text("utf-8")
    (folder / "filed.toml").write_text(text.replace("e-res-sm", "5-res-smx"), "utf-8")
    refused(offline("collect", "filed.toml", "--out", "offline"), "5-res-smx", "out of reach")
    offline.close()
    assert len(hub[0].asked) == asked
    for file in ("windows.parquet", "manifest.json"):
        first, second = (folder / way / "pythia-70m" / "store" / file for way in ("online", "offline"))
        assert first.read_bytes() == second.read_bytes(), file


def refused(result: Result, *words: str) -> None:
    """One line, and exit code 2."""
    assert result.code == 2, result.err + result.out
    lines = [line for line in result.err.splitlines() if line.strip()]
    assert len(lines) == 1, result.err
    assert lines[0].startswith("atlas: ")
    for word in words:
        assert word in lines[0]
