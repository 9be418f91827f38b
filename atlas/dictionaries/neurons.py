"""Neurons: what passes a hook point, number by number, as a dictionary that nobody had to train.

    source = "neurons"      and `layer = 9`: the MLP's neurons, at `blocks.9.mlp.hook_post`;
                            or `hook_point = "..."`: the numbers of any other place

A neuron says something with either sign, so that each has two features, as in the descriptions of neurons that
Transluce published (Choi et al., "Scaling Automatic Neuron Description", 2024: one text for the highest activations,
one for the lowest):

    feature i       the positive side of neuron i: its activation where it is above zero
    feature d + i   the negative side of neuron i: minus its activation where it is below zero

What a feature writes is its row of the down projection, with its sign. Neurons are not sparse: without `floor` or `k`
nearly all fire on every token, on one side or the other.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch

from atlas.dictionaries.base import Dictionary, with_floor
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from atlas.config import DictionarySection

SOURCE = "neurons"


def is_neurons(section: DictionarySection) -> bool:
    """Whether a section of a recipe means the model's own neurons."""
    return section.source == SOURCE


def hook_of(section: DictionarySection) -> str:
    """Where these neurons are.

    Raises:
        AtlasError: If the section says neither a layer nor a hook point.
    """
    if section.hook_point:
        return section.hook_point
    if section.layer is None:
        raise AtlasError(f"dictionary {section.id}", "says not which neurons", "set `layer`, or a `hook_point`")
    return f"blocks.{section.layer}.mlp.hook_post"


def neurons(section: DictionarySection, width: int, model: str) -> Dictionary:
    """Both sides of all neurons at a hook point.

    Args:
        section: One `[[dictionary]]` with the source `neurons`.
        width: Numbers that pass the hook point, d; there are 2 d features.
        model: Digest of the model, which decides everything.

    Raises:
        AtlasError: If the section says not where, or asks for more features at a time than there are.
    """
    hook = hook_of(section)
    if section.k > 2 * width:
        raise AtlasError(f"dictionary {section.id}", f"k is {section.k}, of {2 * width} features", "lower it")
    found = Dictionary(
        id=section.id,
        architecture="neurons",
        hook_point=hook,
        W_enc=torch.zeros(width, 0),
        b_enc=torch.zeros(2 * width),
        W_dec=torch.zeros(0, width),
        b_dec=torch.zeros(width),
        k=section.k or None,
        kind="neurons",
        format=SOURCE,
        digest=hashlib.sha256(f"{SOURCE} {hook} {model}".encode()).hexdigest(),
        source=section.source,
    )
    return with_floor(found, section.floor) if section.floor else found
