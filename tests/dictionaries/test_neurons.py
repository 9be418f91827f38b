"""Neurons as a dictionary: both sides, bars, and what a recipe may say of them."""

from __future__ import annotations

import pytest
import torch

from atlas.config import DictionarySection
from atlas.dictionaries.neurons import hook_of, is_neurons, neurons
from atlas.errors import AtlasError

X = torch.tensor([[1.0, -2.0, 0.0], [-0.25, 3.0, 0.5]])


def section(**keys: object) -> DictionarySection:
    return DictionarySection.model_validate({"id": "n", "source": "neurons", "layer": 9} | keys)


def test_each_neuron_has_two_sides() -> None:
    found = neurons(section(), 3, "model")
    assert (found.width, found.d_in, found.d_out, found.kind) == (6, 3, 3, "neurons")
    assert found.hook_point == "blocks.9.mlp.hook_post"
    acts = found.encode(X)
    assert acts.tolist() == [[1, 0, 0, 0, 2, 0], [0, 3, 0.5, 0.25, 0, 0]]
    assert torch.equal(found.decode(X, acts), X)


def test_a_floor_and_k_make_them_sparse() -> None:
    assert neurons(section(floor=0.5), 3, "model").encode(X).tolist() == [[1, 0, 0, 0, 2, 0], [0, 3, 0, 0, 0, 0]]
    assert neurons(section(k=1), 3, "model").encode(X).tolist() == [[0, 0, 0, 0, 2, 0], [0, 3, 0, 0, 0, 0]]


def test_the_digest_is_of_model_and_place() -> None:
    digests = {
        neurons(section(**keys), 3, model).digest
        for keys, model in (({}, "a"), ({"layer": 8}, "a"), ({}, "b"), ({"hook_point": "blocks.9.hook_mlp_out"}, "a"))
    }
    assert len(digests) == 4


def test_a_place_may_be_named() -> None:
    assert hook_of(section(hook_point="blocks.0.attn.hook_z")) == "blocks.0.attn.hook_z"
    assert is_neurons(section())
    assert not is_neurons(section(source="./neurons"))


def test_what_cannot_be() -> None:
    with pytest.raises(AtlasError, match="dictionary n: says not which neurons; set `layer`"):
        hook_of(section(layer=None))
    with pytest.raises(AtlasError, match="k is 7, of 6 features; lower it"):
        neurons(section(k=7), 3, "model")
