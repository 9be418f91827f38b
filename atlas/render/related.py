"""Related features as a page lists them: a few of each dictionary, with both numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from atlas.records import FeatureRecord, Neighbour
from atlas.render.shapes import NeighbourGroup, NeighbourView

SHOWN_NEAR, SHOWN_ACROSS = 6, 3

TOGETHER = 0.05
"""Share of tokens with either on which both have to fire, for a feature to be listed among those that fire with it."""


def near(feature: FeatureRecord, called: Callable[[str, int], str]) -> tuple[NeighbourGroup, ...]:
    """Features whose decoder rows point the same way; `called` says what a page calls a feature."""
    return _grouped(feature, feature.neighbours, called)


def firing(feature: FeatureRecord, called: Callable[[str, int], str]) -> tuple[NeighbourGroup, ...]:
    """Features that fire on the same tokens, as far as that is worth a line; `called` as in `near`."""
    return _grouped(feature, (n for n in feature.cofiring if (n.jaccard or 0) >= TOGETHER), called)


def _grouped(
    feature: FeatureRecord, related: Iterable[Neighbour], called: Callable[[str, int], str]
) -> tuple[NeighbourGroup, ...]:
    groups: dict[str, list[NeighbourView]] = {}
    for n in related:
        own = n.dictionary == feature.dictionary
        found = groups.setdefault(n.dictionary, [])
        if len(found) < (SHOWN_NEAR if own else SHOWN_ACROSS):
            href = f"{feature.model}/{n.dictionary}/{n.index}/"
            cosine = f"{n.cosine:.2f}".replace("-", "\u2212")
            share = "" if n.jaccard is None else f"{n.jaccard:.0%}"
            found.append(NeighbourView(href, str(n.index), called(n.dictionary, n.index), cosine, share))
    return tuple(
        NeighbourGroup("In this dictionary" if d == feature.dictionary else f"In {d}", tuple(found))
        for d, found in groups.items()
    )
