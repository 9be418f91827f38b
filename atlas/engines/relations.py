"""Which features are related to each: decoders that point the same way, and firing on the same tokens.

Of the dictionary itself and of every other one the nearest by cosine are kept (`effects`); of the dictionary itself and
of the others at its hook point also those that fire most together with it (`stats.together`). Both have both numbers: a
high cosine without firing together, or the other way round, says more than either.

Signatures of all dictionaries, a kilobyte a feature, are in memory while this is done. Time grows with the square of
the number of features, by what each pair of dictionaries takes: a matrix product, and for dictionaries at one hook
point some microseconds for each feature of one and each feature that fires with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from atlas.dictionaries.base import Dictionary
from atlas.effects import cosines, nearest
from atlas.engines.parts import Parts
from atlas.stats import Listed, Together, most_together, together
from atlas.store.write import ragged


@dataclass(frozen=True)
class Wanted:
    """How many of each to keep, from the recipe's `[collect]`."""

    neighbours: int
    across: int
    cofiring: int


class Relations:
    """Relations between the features of all dictionaries.

    Args:
        dictionaries: In the recipe's order.
        rows: Gives what the features of a dictionary write into the stream, float32 [f, d_model]; called for each pair
            of dictionaries, so that those of one alone are held.
        passes: The finished passes.
        wanted: How many to keep.

    Raises:
        AtlasError: If a part of a pass is damaged.
    """

    def __init__(
        self,
        dictionaries: Sequence[Dictionary],
        rows: Callable[[Dictionary], Tensor],
        passes: Sequence[Parts],
        wanted: Wanted,
    ) -> None:
        self._dictionaries, self._rows, self._wanted = dictionaries, rows, wanted
        self._signatures = [_signatures(passes, place) for place in range(len(dictionaries))]

    def columns(self, place: int, own: Tensor) -> dict[str, Any]:
        """Columns of the store's table for one dictionary: its own relations first, then others in the recipe's order.

        Args:
            place: Place of the dictionary.
            own: What its features write, float32 [f, d_model].
        """
        near: list[tuple[int, np.ndarray, Together]] = []
        fires: list[tuple[int, np.ndarray, Together]] = []
        hook = self._dictionaries[place].hook_point
        for other in [place, *(p for p in range(len(self._dictionaries)) if p != place)]:
            same = other == place
            rows = own if same else self._rows(self._dictionaries[other])
            k = self._wanted.neighbours if same else self._wanted.across
            if k:
                found = nearest(own, rows, k, same=same)
                pairs = together(self._signatures[place], self._signatures[other], found.index)
                near.append((other, found.cosine, pairs))
            if self._wanted.cofiring and self._dictionaries[other].hook_point == hook:
                listed = Listed.of(self._signatures[other])
                pairs = most_together(self._signatures[place], listed, self._wanted.cofiring, same=same)
                fires.append((other, cosines(own, rows, pairs.index), pairs))
        return _columns("neighbour", near, len(own)) | _columns("cofiring", fires, len(own))


def _signatures(passes: Sequence[Parts], place: int) -> np.ndarray:
    """Signatures of a dictionary, uint32 [f, BUCKETS]."""
    where = {block: parts for parts in passes for block in parts.shape.blocks[place]}
    return np.concatenate([where[block].signature(place, block) for block in sorted(where)])


def _columns(name: str, found: list[tuple[int, np.ndarray, Together]], width: int) -> dict[str, Any]:
    """Lists of related features; those that are none (index -1) are left out."""
    none = np.zeros((width, 0), np.float32)
    index = np.hstack([none.astype(np.int32), *(pairs.index for _, _, pairs in found)])
    there = index >= 0
    values = {
        "dictionary": (
            np.hstack([none, *(np.full(p.index.shape, d) for d, _, p in found)]).astype(np.int16),
            pa.int16(),
        ),
        "index": (index, pa.int32()),
        "cosine": (np.hstack([none, *(cosine for _, cosine, _ in found)]), pa.float32()),
        **{
            key: (np.hstack([none, *(getattr(p, key) for _, _, p in found)]), pa.float32())
            for key in ("jaccard", "here", "there")
        },
    }
    counts = there.sum(axis=1)
    return {f"{name}_{key}": ragged(value[there], counts, kind) for key, (value, kind) in values.items()}
