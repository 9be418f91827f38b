"""Concepts in TOML: what is right is read, what is wrong is one line that says where."""

from __future__ import annotations

from pathlib import Path

import pytest

from atlas.config import Concept, ConceptFeature, load, read_concepts
from atlas.errors import AtlasError

ROOT = Path(__file__).parents[1]
WIDTHS = {"9-res-4k": 4096, "5-res": 10}
GOOD = """
[[concept]]
id = "scripture"
title = "  Scripture "
summary = "Chapters & <b>verses</b>."
essay = '''
    Indented as the file is.

    - A list.
'''
features = ["9-res-4k/842", "5-res/9"]

[[concept]]
id = "dates.2"
title = "Dates"
summary = "Days."
page = "pages/dates.md"

[[concept.feature]]
feature = "5-res/0"
note = " The only one. "
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "concepts.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def entry(rest: str = "", id_: str = "a") -> str:
    return f'[[concept]]\nid = "{id_}"\ntitle = "A"\nsummary = "B."\n{rest}\n'


def test_concepts_are_read_in_order_with_essays_and_notes(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "dates.md").write_text("\nAn essay of its own.\n", "utf-8")
    assert read_concepts(write(tmp_path, GOOD), WIDTHS) == (
        Concept(
            "scripture",
            "Scripture",
            "Chapters & <b>verses</b>.",
            "Indented as the file is.\n\n- A list.",
            (ConceptFeature("9-res-4k", 842), ConceptFeature("5-res", 9)),
        ),
        Concept("dates.2", "Dates", "Days.", "An essay of its own.", (ConceptFeature("5-res", 0, "The only one."),)),
    )


def test_a_file_without_concepts_and_a_concept_without_features_are_no_errors(tmp_path: Path) -> None:
    assert read_concepts(write(tmp_path, ""), WIDTHS) == ()
    assert read_concepts(write(tmp_path, entry()), WIDTHS)[0].features == ()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[[concept]]\nid = "a"\ntitle = "A"', r"concepts\.toml: concept\.0\.summary: Field required; add it"),
        (entry('name = "x"'), r"concepts\.toml: concept\.0\.name: Extra inputs .*; remove it or mend its spelling"),
        ("[[concepts]]", r"concepts\.toml: concepts: Extra inputs"),
        (entry('summery = ""').replace('"A"', '" "'), r"concepts\.toml: concept\.0\.title: .*at least 1"),
        (entry().replace('"A"', f'"{"x" * 81}"'), r"concepts\.toml: concept\.0\.title: .*at most 80"),
        *(
            (entry(id_=id_), r"concepts\.toml: concept\.0\.id: .*; use lower-case letters, digits")
            for id_ in ("", "A", "a b", "../a", "a/b", "-a", ".a", "a\\n", "ä")
        ),
        (entry(id_="index.html"), r"concept index\.html: this id is a file of the site itself; choose another id"),
        (entry() * 2, r"concept a: is there twice; give each concept an id of its own"),
        (entry('essay = "x"\npage = "y.md"'), r"concept a: has an essay and a page; keep one of them"),
        (entry('page = "y.md"'), r"concept a: page y\.md: no such file; it is relative to the file of concepts"),
        (entry('page = "."'), r"concept a: page \.: cannot be read"),
        (entry('features = ["5-res/1"]\n[[concept.feature]]\nfeature = "5-res/2"'), r"concept a: has `features` and"),
        (
            entry('features = ["7-res/1"]'),
            r"concept a: 7-res/1: no such dictionary in the atlas; it has 9-res-4k, 5-res",
        ),
        (entry('features = ["5-res/10"]'), r"concept a: 5-res/10: index out of range; 5-res has 10; they begin at 0"),
        (entry('features = ["5-res/1", "5-res/1"]'), r"concept a: 5-res/1: is listed twice"),
        *(
            (entry(f'features = ["{feature}"]'), r"concept a: '.*': is no feature; write it as")
            for feature in ("5-res", "5-res/01", "5-res/-1", "m/5-res/1", "5-res/1/", "5-res/1\\n", "5-res/١")
        ),
        (entry('[[concept.feature]]\nnote = "x"'), r"concepts\.toml: concept\.0\.feature\.0\.feature: Field required"),
        (
            entry(f"features = {['9-res-4k/' + str(i) for i in range(201)]}"),
            r"concept a: lists 201 features; list at most 200",
        ),
        ("[[concept", r"concepts\.toml: cannot be read as TOML"),
        (b'a = "\xff"', r"concepts\.toml: cannot be read as TOML"),
    ],
)
def test_what_is_wrong_is_one_line_that_says_where(tmp_path: Path, text: str | bytes, line: str) -> None:
    with pytest.raises(AtlasError, match=line) as caught:
        read_concepts(write(tmp_path, text), WIDTHS)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(AtlasError, match=r"none\.toml: no such file of concepts; mend site\.concepts in the recipe"):
        read_concepts(tmp_path / "none.toml", WIDTHS)
    with pytest.raises(AtlasError, match="cannot be read as TOML"):
        read_concepts(tmp_path, WIDTHS)


def test_a_page_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "y.md").write_bytes(b"\xff")
    with pytest.raises(AtlasError, match=r"concept a: page y\.md: cannot be read"):
        read_concepts(write(tmp_path, entry('page = "y.md"')), WIDTHS)


def test_the_concepts_of_the_demo_are_valid() -> None:
    recipe = load(ROOT / "build" / "recipes" / "demo.toml")
    widths = {"5-res-2k": 2048, "9-res-1k": 1024, "9-res-4k": 4096, "12-res-2k": 2048}
    assert set(widths) == {d.id for d in recipe.dictionary}
    concepts = read_concepts(recipe.resolve(recipe.site.concepts), widths)
    assert [c.id for c in concepts] == ["scripture", "deception", "cringe", "dates"]
    assert all(c.essay and c.features for c in concepts)
