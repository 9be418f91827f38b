"""The recipe: what is wrong is one line that names file, key and mend; the digest knows what matters."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from atlas import paths
from atlas.config import EXECUTION, RESERVED, Recipe, load
from atlas.errors import AtlasError

GOOD: dict[str, Any] = {
    "atlas": {"id": "demo", "title": "A title"},
    "model": {"id": "gemma", "name": "Gemma", "source": "hf://google/gemma"},
    "corpus": {"part": [{"id": "bible", "label": "Bible", "licence": "public", "source": "demo:bible"}]},
    "dictionary": [{"id": "9-res-1k", "source": "weights"}],
}
SPELLING = r"unknown key; remove it or mend its spelling \(the keys are on the reference page\)"
SECTIONS = ("model", "corpus", "dictionary", "collect")


def toml(data: dict[str, Any]) -> str:
    """TOML of nested tables, all inline but the first level."""

    def value(x: Any) -> str:
        if isinstance(x, dict):
            return "{" + ", ".join(f"{k} = {value(v)}" for k, v in x.items()) + "}"
        if isinstance(x, (list, tuple)):
            return "[" + ", ".join(map(value, x)) + "]"
        return str(x) if isinstance(x, float) else json.dumps(x)

    return "".join(f"{k} = {value(v)}\n" for k, v in data.items())


def changed(key: str, new: Any) -> dict[str, Any]:
    """The good recipe with one key set, or removed where `new` is `...`."""
    data = copy.deepcopy(GOOD)
    *parents, last = (int(p) if p.isdigit() else p for p in key.split("."))
    place: Any = data
    for parent in parents:
        place = place[parent] if isinstance(place, list) else place.setdefault(parent, {})
    if new is ...:
        del place[last]
    else:
        place[last] = new
    return data


def write(folder: Path, data: dict[str, Any]) -> Path:
    path = folder / "recipe.toml"
    path.write_text(toml(data), "utf-8")
    return path


def refused(path: Path, line: str) -> None:
    with pytest.raises(AtlasError, match=line) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    assert not {"\n", "Value error"} & {w for w in ("\n", "Value error") if w in str(caught.value)}


def test_a_good_recipe_loads_with_its_defaults(tmp_path: Path) -> None:
    recipe = load(write(tmp_path, GOOD))
    assert (recipe.collect.top, recipe.corpus.window, recipe.corpus.bos) == (20, 128, True)
    assert recipe.resolve("weights") == (tmp_path / "weights").resolve()
    assert recipe.resolve("../x") == (tmp_path.parent / "x").resolve()
    assert recipe.resolve("/abs/x") == Path("/abs/x").resolve()
    assert recipe.resolve("~/x") == Path.home() / "x"
    with pytest.raises(ValidationError, match="frozen"):
        recipe.corpus.tokens = 3  # type: ignore[misc]


SECTION_KEYS = ["", "atlas.", "model.", "corpus.", "corpus.part.0.", "dictionary.0.", "collect.", "names.", "site."]


@pytest.mark.parametrize("section", SECTION_KEYS)
def test_an_unknown_key_is_named(tmp_path: Path, section: str) -> None:
    key = f"{section}windwo"
    refused(write(tmp_path, changed(key, 3)), rf"recipe\.toml: {key}: {SPELLING}")


def test_a_key_that_only_the_program_sets_is_unknown_too(tmp_path: Path) -> None:
    refused(write(tmp_path, changed("folder", "x")), rf"recipe\.toml: folder: {SPELLING}")


REQUIRED = [
    *("atlas", "atlas.id", "atlas.title", "model", "model.id", "model.name", "model.source", "corpus", "corpus.part"),
    *(f"corpus.part.0.{key}" for key in ("id", "label", "licence", "source")),
    *("dictionary", "dictionary.0.id", "dictionary.0.source"),
]


@pytest.mark.parametrize("key", REQUIRED)
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    refused(write(tmp_path, changed(key, ...)), rf"recipe\.toml: {key}: Field required; add it")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("corpus.tokens", "many", "valid integer"),
        ("corpus.window", 12.5, "valid integer"),
        ("corpus.bos", "perhaps", "valid boolean"),
        ("corpus.part.0.share", "half", "valid number"),
        ("atlas.title", 3, "valid string"),
        ("atlas.authors", "Me", "valid tuple"),
        ("atlas", 3, "valid dictionary"),
        ("dictionary", {"id": "x"}, "valid tuple"),
        ("model.dtype", "int8", "'float32', 'bfloat16' or 'float16'"),
        ("collect.device", "tpu", "'auto', 'cpu', 'cuda' or 'mps'"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(tmp_path: Path, key: str, value: Any, says: str) -> None:
    refused(write(tmp_path, changed(key, value)), rf"recipe\.toml: {key}: .*{says}")


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("atlas.title", ["x", "x" * 2000], ["", " ", "x" * 2001]),
        ("atlas.year", [1900, 9999], [1899, 10_000]),
        ("corpus.tokens", [100], [99, -1]),
        ("corpus.window", [8, 8192], [7, 8193]),
        ("corpus.per_document", [0], [-1]),
        ("corpus.seed", [0], [-1]),
        ("corpus.part", [], [[]]),
        ("corpus.part.0.share", [1e-9, 1e6], [0, -1, 1e7, float("nan"), float("inf")]),
        ("dictionary", [], [[]]),
        ("collect.batch", [0, 4096], [-1, 4097]),
        ("collect.checkpoint", [1, 0.5], [0]),
        ("collect.memory", ["", "8GB", "1.5 TB", "900MB"], ["8", "GB", "8gb", "-1GB", "8 GiB"]),
        ("collect.workers", [0, 8], [-1]),
        ("collect.top", [1, 100], [0, 101]),
        ("collect.sample", [25, 10_000], [24, 10_001]),
        ("collect.groups", [1, 20], [0, 21]),
        ("collect.per_group", [1, 20], [0, 21]),
        ("collect.logits", [1, 100], [0, 101]),
        ("collect.neighbours", [0, 100], [-1, 101]),
        ("collect.across", [0], [-1]),
        ("collect.threads", [0], [-1]),
        ("site.host_budget_mb", [0], [-1]),
    ],
)
def test_a_value_out_of_range_is_named(tmp_path: Path, key: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        load(write(tmp_path, changed(key, value)))
    for value in bad:
        refused(write(tmp_path, changed(key, value)), rf"recipe\.toml: {key}: .*should")


@pytest.mark.parametrize("key", ["atlas.id", "atlas.release", "model.id", "corpus.part.0.id", "dictionary.0.id"])
def test_ids_are_what_an_address_may_hold(tmp_path: Path, key: str) -> None:
    for good in ("a", "9-res-4k", "gemma-3.1_b", "a" * 80):
        load(write(tmp_path, changed(key, good)))
    for bad in ("", "A", "a b", "a/b", "..", ".a", "-a", "é", "a\n", "a?b", "a%2f", "a" * 81):
        refused(write(tmp_path, changed(key, bad)), rf"recipe\.toml: {key}: String should")


def test_an_id_used_twice_is_named(tmp_path: Path) -> None:
    refused(write(tmp_path, changed("dictionary", GOOD["dictionary"] * 2)), "dictionary id '9-res-1k' is used twice")
    refused(write(tmp_path, changed("corpus.part", GOOD["corpus"]["part"] * 2)), "corpus.part id 'bible' is used twice")


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_model_may_not_take_a_folder_of_the_site(tmp_path: Path, name: str) -> None:
    refused(
        write(tmp_path, changed("model.id", name)), f"model.id '{name}' is a folder of the site itself; choose another"
    )


def test_featured_features_are_of_this_recipe(tmp_path: Path) -> None:
    assert load(write(tmp_path, changed("site.featured", ["9-res-1k/0", "9-res-1k/1023"])))
    for bad in ("9-res-1k", "x/1", "9-res-1k/-1", "9-res-1k/x", "9-res-1k/", "/1", "9-res-1k/1/2", "9-res-1k/²",
                "9-res-1k/٣", "9-res-1k/007", "9-res-1k/1.0", "9-res-1k/ 1", "9-res-1k/" + "9" * 5000):  # fmt: skip
        refused(write(tmp_path, changed("site.featured", [bad])), r"site\.featured '.*' is not `dictionary/index`")


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"[atlas\n", r"recipe\.toml: not valid TOML: .*line 1"),
        (b"[atlas]\nid = 'a'\nid = 'b'\n", r"recipe\.toml: not valid TOML: .*line 3"),
        (b"title = '\xff'", r"recipe\.toml: cannot be read \(.*utf-8"),
        (b"", r"recipe\.toml: atlas: Field required; add it"),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path: Path, data: bytes, line: str) -> None:
    (tmp_path / "recipe.toml").write_bytes(data)
    refused(tmp_path / "recipe.toml", line)


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path: Path) -> None:
    refused(tmp_path / "none.toml", r"none\.toml: no such recipe; `atlas new DIR` writes one to start from")
    refused(tmp_path, r"cannot be read \(.*directory")


def leaves(data: Any, where: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Paths to every single value of a whole recipe."""
    if isinstance(data, dict):
        return [leaf for key, value in data.items() for leaf in leaves(value, (*where, key))]
    if isinstance(data, (list, tuple)) and data and isinstance(data[0], dict):
        return [leaf for i, value in enumerate(data) for leaf in leaves(value, (*where, i))]
    return [where]


def other(value: Any) -> Any:
    """Another valid value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value / 2 if 0 < value < 1 else value + 1  # a share stays one
    if isinstance(value, str):
        choices = {
            "float32": "float16",
            "bfloat16": "float16",
            "auto": "cpu",
            "local": "ray",
            "8GB": "9GB",
            "saelens": "openai",
            "text": "chat",
        }
        return choices.get(value, f"{value}x")
    return ["9-res-1k/3"] if value in ((), []) else [*value, "x"]


WHOLE = Recipe.model_validate(GOOD).model_dump(mode="json")
WHOLE["atlas"]["year"] = 2026
WHOLE["dictionary"] = [d | {"layer": 3, "format": "saelens"} for d in WHOLE["dictionary"]]
WHOLE["corpus"] |= {"held_out": 0.25}
WHOLE["corpus"]["part"] = [p | {"near_duplicates": 0.5} for p in WHOLE["corpus"]["part"]]
WHOLE["collect"] |= {"autocast": "bfloat16", "memory": "8GB"}
LABELS = {("model", "name"), ("dictionary", "label"), ("corpus", "part", "label"), ("corpus", "part", "licence")}
LABELS |= {("collect", key) for key in EXECUTION["collect"]}


@pytest.mark.parametrize("leaf", leaves(WHOLE), ids=lambda leaf: ".".join(map(str, leaf)))
def test_the_digest_changes_with_all_but_labels_and_how_it_is_run(tmp_path: Path, leaf: tuple[str | int, ...]) -> None:
    data = copy.deepcopy(WHOLE)
    place: Any = data
    for step in leaf[:-1]:
        place = place[step]
    place[leaf[-1]] = other(place[leaf[-1]])
    before, after = load(write(tmp_path, WHOLE)), load(write(tmp_path, data))
    named = tuple(step for step in leaf if isinstance(step, str))
    assert (before.digest(leaf[0]) == after.digest(leaf[0])) == (named in LABELS)
    assert (before.digest(*SECTIONS) == after.digest(*SECTIONS)) == (named in LABELS or leaf[0] not in SECTIONS)


def test_the_digest_does_not_know_order_format_or_place(tmp_path: Path) -> None:
    one = load(write(tmp_path, GOOD))
    (tmp_path / "elsewhere").mkdir()
    turned = {key: GOOD[key] for key in reversed(GOOD)}
    turned["collect"] = {"top": 20}  # the default, spelt out
    two = load(write(tmp_path / "elsewhere", turned))
    assert one.digest(*SECTIONS) == two.digest(*reversed(SECTIONS))
    assert one.digest("model") != one.digest("corpus")
    assert len(one.digest("model")) == 64


RECIPES = [*sorted(paths.data("recipes").glob("*.toml")), paths.data("recipes", "starter", "recipe.toml")]


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_the_recipes_of_the_package_load(path: Path) -> None:
    recipe = load(path)
    assert recipe.digest(*SECTIONS)
    assert {s.id for s in recipe.dictionary}
