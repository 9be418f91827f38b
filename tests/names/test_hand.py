"""Names written by hand: what is right is read, what is wrong is one line that says where."""

from __future__ import annotations

from pathlib import Path

import pytest

from atlas.errors import AtlasError
from atlas.names import read_names
from atlas.records import Name

WIDTHS = {"9-res-4k": 4096, "5-res": 10}
GOOD = """
author = "A. Reader"

[[name]]
feature = "9-res-4k/842"
name = "  Verdict verbs  "
note = "In film reviews."

[[name]]
feature = "5-res/9"
name = "Bridges <b>&</b> “gates”"
author = "Another"
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "names.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def entry(feature: str, name: str = "A name") -> str:
    return f'[[name]]\nfeature = "{feature}"\nname = "{name}"\n'


def test_names_are_read_with_their_authors(tmp_path: Path) -> None:
    assert read_names(write(tmp_path, GOOD), WIDTHS) == {
        ("9-res-4k", 842): Name("Verdict verbs", "hand", "A. Reader", "In film reviews."),
        ("5-res", 9): Name("Bridges <b>&</b> “gates”", "hand", "Another", ""),
    }


def test_a_file_without_names_is_no_error(tmp_path: Path) -> None:
    assert read_names(write(tmp_path, 'author = "x"'), WIDTHS) == {}


def test_names_of_other_dictionaries_are_left_out_where_they_may_be(tmp_path: Path) -> None:
    path = write(tmp_path, 'author = "x"\n' + entry("12-res/0") + entry("5-res/0"))
    assert list(read_names(path, WIDTHS, only=False)) == [("5-res", 0)]
    with pytest.raises(AtlasError, match=r"names\.toml: 12-res/0: no such dictionary in the recipe"):
        read_names(path, WIDTHS)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (entry("5-res/0"), r"names\.toml: author: Field required"),
        ('author = " "\n' + entry("5-res/0"), r"names\.toml: author: .*at least 1"),
        ('author = "x"\n[[name]]\nname = "y"', r"names\.toml: name\.0\.feature: Field required"),
        ('author = "x"\n[[name]]\nfeature = "5-res/0"', r"names\.toml: name\.0\.name: Field required"),
        ('author = "x"\n' + entry("5-res/0", " "), r"names\.toml: name\.0\.name: .*at least 1"),
        ('author = "x"\n' + entry("5-res/0", "y" * 201), r"names\.toml: name\.0\.name: .*at most 200"),
        ('author = "x"\n' + entry("5-res/0") + 'score = "1"', r"names\.toml: name\.0\.score: Extra inputs"),
        ('author = "x"\nnames = 1', r"names\.toml: names: Extra inputs"),
        ('author = "x"\nname = "y"', r"names\.toml: name: .*list"),
        *(
            ('author = "x"\n' + entry(feature), r"names\.toml: name\.0\.feature: .*pattern")
            for feature in (
                "5-res",
                "5-res/-1",
                "5-res/1.0",
                "5-res/",
                "/1",
                "5-Res/1",
                "../5-res/1",
                "5-res/1\\n",
                "5-res/١",
            )
        ),
        ('author = "x"\n' + entry("5-res/10"), r"names\.toml: 5-res/10: index out of range; 5-res has 10"),
        ('author = "x"\n' + entry("5-res/7") * 2, r"names\.toml: 5-res/7: is named twice; keep one of the names"),
        ('author = "x"\n' + entry("5-res/7") + entry("5-res/007"), r"names\.toml: 5-res/007: is named twice"),
        ('author = "x', r"names\.toml: cannot be read as TOML"),
        (b'author = "\xff"', r"names\.toml: cannot be read as TOML"),
    ],
)
def test_what_is_wrong_is_one_line_that_says_where(tmp_path: Path, text: str | bytes, line: str) -> None:
    with pytest.raises(AtlasError, match=line) as caught:
        read_names(write(tmp_path, text), WIDTHS)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(AtlasError, match=r"none\.toml: no such file of names; mend names\.files in the recipe"):
        read_names(tmp_path / "none.toml", WIDTHS)
    with pytest.raises(AtlasError, match="cannot be read as TOML"):
        read_names(tmp_path, WIDTHS)
