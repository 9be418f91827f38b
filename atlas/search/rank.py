"""The static rank: which feature comes first when nothing else decides.

Search, lists and packs number features by this order (docid = place), so that the beginning of any posting
list is already its best part.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from atlas.records import NameMethod

DENSE = 0.1
"""A feature that fires on a larger share of tokens than this is dense: it rarely means one thing."""
RARE = 20
"""Below this many firings there is too little text to judge a feature by."""

_NAMED: dict[str, int] = {"hand": 0, "lexical": 1, "none": 2}


@dataclass(frozen=True, slots=True)
class Ranked:
    """What the static rank looks at.

    Attributes:
        dictionary_order: Place of the feature's dictionary in the recipe.
        index: The feature's place in its dictionary.
        alive: Whether it fired at all.
        name_method: How its name was made.
        count: Tokens on which it fired.
        density: Share of tokens on which it fired, 0 to 1.
        kurtosis: Excess kurtosis of its logit effects (0 for a normal distribution).
    """

    dictionary_order: int
    index: int
    alive: bool
    name_method: NameMethod
    count: int
    density: float
    kurtosis: float


def static_rank(features: Iterable[Ranked]) -> list[int]:
    """Order features from first to last shown.

    The rule, each line deciding among what the lines above leave equal:

    1. Features that fired before features that never did.
    2. Named by hand, then named from their words, then unnamed.
    3. Density at most 0.1 and at least 20 firings, then the others.
    4. Larger excess kurtosis of the logit effects (few tokens moved far: more informative); unknown last.
    5. Order of the dictionaries in the recipe, then index.

    Args:
        features: The features, in any order.

    Returns:
        Places in `features`: the first is the feature with docid 0, and so on.
    """
    keyed = [(_key(feature), place) for place, feature in enumerate(features)]
    keyed.sort()
    return [place for _, place in keyed]


def _key(feature: Ranked) -> tuple[bool, int, bool, float, int, int]:
    usual = feature.density <= DENSE and feature.count >= RARE
    # NaN compares with nothing and would make the order depend on the sorting algorithm.
    less = math.inf if math.isnan(feature.kurtosis) else -feature.kurtosis
    return (
        not feature.alive,
        _NAMED[feature.name_method],
        not usual,
        less,
        feature.dictionary_order,
        feature.index,
    )
