"""Of a folder that holds several layers, the recipe says which."""

from __future__ import annotations

from pathlib import Path

import pytest

from atlas.dictionaries.files import Files
from atlas.dictionaries.formats.common import Wanted, which_layer
from atlas.errors import AtlasError

PATTERN = r"layer(\d+)\.pt"


def holding(*names: str) -> Files:
    return Files("sae", frozenset(names), False, (), Path)


def test_the_one_that_is_named_or_the_only_one() -> None:
    two = holding("layer3.pt", "layer12.pt", "readme.md")
    assert which_layer(two, Wanted("own", layer=12), PATTERN) == ("layer12.pt", 12)
    assert which_layer(holding("layer0.pt"), Wanted("own"), PATTERN) == ("layer0.pt", 0)
    assert which_layer(holding("layer07.pt"), Wanted("own", layer=7), PATTERN) == ("layer07.pt", 7)


@pytest.mark.parametrize(
    ("names", "layer", "said"),
    [
        (("layer12.pt", "layer3.pt"), None, "sae: holds layers 3, 12; say which: layer = N"),
        (("layer12.pt", "layer3.pt"), 4, "sae: holds layers 3, 12; say which: layer = N"),
        (("layer3.pt",), 4, "sae: holds layer 3; say which: layer = N"),
        (("readme.md",), 4, "sae: has no file of a layer; it holds readme.md"),
    ],
)
def test_any_other_is_refused(names: tuple[str, ...], layer: int | None, said: str) -> None:
    with pytest.raises(AtlasError) as error:
        which_layer(holding(*names), Wanted("own", layer=layer), PATTERN)
    assert str(error.value) == said
