"""The documentation says what the code does: nothing is missing, nothing points nowhere."""

import inspect
import re
import tomllib
from pathlib import Path

import pytest
import typer

import atlas
from atlas.cli import app
from atlas.config import load, read_concepts
from atlas.corpus.demo import DEMO
from atlas.names import read_names
from atlas.pipeline.reference import recipe_reference
from atlas.version import __version__

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "site_src" / "pages" / "docs"
README = (ROOT / "README.md").read_text("utf-8")
REGENERATE = "python -m atlas.pipeline.reference > site_src/pages/docs/recipe.md"

COMMANDS = typer.main.get_command(app)
OPTIONS = [
    (name, option)
    for name, command in sorted(COMMANDS.commands.items())
    for parameter in command.params
    for option in parameter.opts
    if option.startswith("--")
]


def docs(name):
    return (DOCS / name).read_text("utf-8")


def section(text, heading):
    """What stands under a heading, up to the next one of its level."""
    _, _, rest = text.partition(f"\n## {heading}\n")
    return rest.partition("\n## ")[0]


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_the_recipe_page_is_what_the_declarations_say():
    assert docs("recipe.md") == recipe_reference(), f"the keys have changed; run: {REGENERATE}"


@pytest.mark.parametrize("name", sorted(COMMANDS.commands))
def test_every_command_is_documented(name):
    text = docs("commands.md")
    assert f"\natlas {name}" in section(text, f"atlas {name}")
    assert f"[`atlas {name}`](#atlas-{name})" in text


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_every_option_is_documented_with_its_command(name, option):
    text = docs("commands.md")
    here = section(text, f"atlas {name}")
    assert option in here, f"`atlas {name}` has an option that its section lacks"
    assert f"`{option}" in here + section(text, "Common to the stages"), "nothing says what it means"


def test_no_option_is_made_up():
    text = docs("commands.md")
    known = {option for _, option in OPTIONS} | {"--version", "--help"}
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text)) <= known


@pytest.mark.parametrize("name", atlas.__all__)
def test_every_public_name_is_in_the_api_page(name):
    assert re.search(rf"`{name}(`|\()", docs("api.md"))


def test_every_member_of_a_store_is_in_the_api_page():
    members = [name for name in vars(atlas.Store) if not name.startswith("_")]
    table = section(docs("api.md"), "Store")
    assert [name for name in members if not re.search(rf"`{name}(`|\()", table)] == []
    for name in filter(lambda name: inspect.isfunction(vars(atlas.Store)[name]), members):
        said = re.search(rf"`{name}\((.*?)\)`", table)[1]
        parameters = [p for p in inspect.signature(vars(atlas.Store)[name]).parameters if p != "self"]
        assert re.findall(r"\b[a-z]+\b(?=[,=)]|$)", re.sub(r"=[^,]+", "=", said)) == parameters, name


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!https?:|#)([^)#]+)", README))))
def test_every_file_that_the_readme_points_to_exists(target):
    assert (ROOT / target).exists()


@pytest.mark.parametrize("path", ["build/demo/README.md", "build/demo/NOTICE.md", "CHANGELOG.md"])
def test_links_of_other_papers_lead_somewhere(path):
    text = (ROOT / path).read_text("utf-8")
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    assert [t for t in targets if not (ROOT / path).parent.joinpath(t).exists()] == []


def test_the_readme_names_the_commands_to_build_and_to_test():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"^make ([a-z]+)", "\n".join(blocks(README, "bash")), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    assert "make test" in README


def test_versions_agree():
    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"version = {{{__version__}}}" in README
    assert __version__ in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_recipes_and_names_of_the_guide_are_valid(tmp_path):
    recipe, *more = blocks(docs("your-own-atlas.md"), "toml")
    (names,) = (block for block in more if "[[name]]" in block)
    (concepts,) = (block for block in more if "[[concept]]" in block)
    more = [block for block in more if block not in (names, concepts)]
    (tmp_path / "recipe.toml").write_text("\n".join([recipe, *more]), "utf-8")
    (tmp_path / "names.toml").write_text(names, "utf-8")
    loaded = load(tmp_path / "recipe.toml")
    widths = {d.id: 10**6 for d in loaded.dictionary}
    assert read_names(tmp_path / "names.toml", widths)
    (tmp_path / "concepts.toml").write_text(concepts, "utf-8")
    (tmp_path / "dates.md").write_text("An essay.", "utf-8")
    assert len(read_concepts(tmp_path / "concepts.toml", widths)) == 2


@pytest.mark.parametrize("page", sorted(p.name for p in DOCS.glob("*.md")))
def test_python_on_the_pages_compiles(page):
    for code in blocks(docs(page), "python"):
        compile(code, page, "exec")


def test_the_demo_page_says_what_the_recipe_says():
    page = docs("demo.md")
    recipe = load(ROOT / "build" / "recipes" / "demo.toml")
    assert f"{recipe.corpus.tokens:,} tokens" in page
    assert [d.id for d in recipe.dictionary if f"| `{d.id}` |" not in page] == []
    assert [p.label for p in recipe.corpus.part if p.label not in page] == []
    assert {p.source.removeprefix("demo:") for p in recipe.corpus.part} <= DEMO.keys()
    names = tomllib.loads((ROOT / "build" / "demo" / "names.toml").read_text("utf-8"))["name"]
    for text in (page, (ROOT / "build" / "demo" / "README.md").read_text("utf-8")):
        assert f"{len(names)} features" in text
