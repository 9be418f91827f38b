"""What recipes and their page say of costs is what the bench computes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from atlas.config import load

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "build" / "bench"))
import recipes as bench  # noqa: E402 (its folder is on the path only now)

REGENERATE = "run: python build/bench/recipes.py --write --into site_src/pages/docs/recipes.md"


@pytest.fixture(scope="module")
def costs():
    recipes = {name: load(bench.RECIPES / f"{name}.toml") for name in bench.names()}
    return {name: (recipe, bench.cost(recipe)) for name, recipe in recipes.items()}


@pytest.mark.parametrize("name", bench.names())
def test_the_comment_of_a_recipe_is_what_the_bench_computes(name, costs):
    text = (bench.RECIPES / f"{name}.toml").read_text("utf-8")
    assert bench.header(costs[name][1]) in text, REGENERATE
    assert f"atlas build {name}.toml" in text
    assert "Nobody has run this recipe on the real weights" in text


def test_the_page_is_what_the_bench_computes(costs):
    page = (ROOT / "site_src" / "pages" / "docs" / "recipes.md").read_text("utf-8")
    assert page.partition(bench.BEGIN)[2].partition(bench.END)[0].strip() == bench.table(costs), REGENERATE
    assert [name for name in costs if f"`{name}`" not in page.partition("## What was run")[0]] == []


def test_a_cost_is_the_arithmetic_that_the_bench_tells_of(costs):
    recipe, found = costs["gemma-2-2b"]
    blocks = 26 * (2 * 2304 * 2048 + 2 * 2304 * 1024 + 3 * 2304 * 9216)
    assert found.plan.forward == 2 * blocks + 4 * 128 * 2048 * 26
    assert found.plan.encode == 26 * 2 * 2304 * 16_384
    assert found.dictionaries == 26 * 2 * 2304 * 16_384 * 4
    assert found.model == 2_614_341_888 * 4
    assert found.features == 26 * 16_384
    assert found.after == 2 * 2304 * found.features * (256_000 + found.features)
    assert found.plan.operations == recipe.corpus.tokens * (found.plan.forward + found.plan.encode)


def test_a_build_is_counted(tmp_path):
    for part, size in {"store/a": 40, "site/m/d/0/feature.json": 10, "site/m/d/1/feature.json": 10}.items():
        path = tmp_path / part
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    assert bench.measure(tmp_path) == "features=2 store=20 site=10 files=1.000"
