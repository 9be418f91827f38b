"""A dictionary trained on a centred stream, on a stream that is not: the same activations."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from cases import CASES

from atlas.config import DictionarySection
from atlas.dictionaries.base import centred
from atlas.dictionaries.files import find_files
from atlas.dictionaries.formats import Wanted
from atlas.dictionaries.load import find_format, load_dictionary
from atlas.errors import AtlasError

READ = (
    "saelens_before_6",
    "saelens_standard_without_b_dec",
    "saelens_topk",
    "saelens_layer_norm",
    "saelens_skip_transcoder",
)


@pytest.mark.parametrize("name", READ)
def test_the_mean_of_a_vector_makes_no_difference(name, tmp_path):
    made = CASES[name](tmp_path)
    files = find_files(str(made.path), lambda path: tmp_path / path)
    as_it_is = find_format(files).read(files, Wanted("it", **made.section))
    x = torch.randn(50, as_it_is.d_in, generator=torch.Generator().manual_seed(0)) * 3 + 40
    without = x - x.mean(dim=-1, keepdim=True)
    wanted, found = as_it_is.encode(without), centred(as_it_is).encode(x)
    assert int((wanted > 0).sum()) > 50
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-3)
    if as_it_is.normalise == "none":  # layer_norm takes the mean off by itself, and puts it back
        assert not torch.allclose(as_it_is.encode(x), wanted, atol=0.1)
        torch.testing.assert_close(
            centred(as_it_is).decode(x, found), as_it_is.decode(without, wanted), rtol=1e-4, atol=5e-3
        )


def test_a_recipe_says_it_and_pages_know(tmp_path):
    made = CASES["saelens_before_6"](tmp_path)
    plain, centre = (
        load_dictionary(DictionarySection(id="it", source=str(made.path), centre=flag), _Here())
        for flag in (False, True)
    )
    assert torch.equal(centre.W_enc, centred(plain).W_enc)
    assert centre.W_enc.mean(dim=0).abs().max() < 1e-6
    assert centre.metadata["centre"] == "true"
    assert "centre" not in plain.metadata
    with pytest.raises(AtlasError, match="centre does not go with constant_norm_rescale"):
        centred(replace(plain, normalise="constant_norm"))


class _Here:
    """As much of a recipe as is asked for."""

    @staticmethod
    def resolve(path):
        from pathlib import Path

        return Path(path)
