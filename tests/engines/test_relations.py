"""Related features of several dictionaries: which ones, in which order, with both numbers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from atlas.effects import nearest
from atlas.engines.relations import Relations, Wanted
from atlas.stats import Listed, most_together, together
from atlas.stats.batch import BUCKETS, EMPTY

WIDTHS, HOOKS, BLOCK, D = (7, 5, 6), ("a", "b", "a"), 4, 8
WANTED = Wanted(neighbours=3, across=2, cofiring=4)


@pytest.fixture
def world() -> SimpleNamespace:
    """Three dictionaries, two of them at one hook point; in each the last feature is dead."""
    chance = np.random.default_rng(0)
    rows = [torch.from_numpy(chance.standard_normal((w, D)).astype(np.float32)) for w in WIDTHS]
    signatures = []
    for width in WIDTHS:
        drawn = chance.integers(0, 6, (width, BUCKETS)).astype(np.uint32)
        drawn[chance.random((width, BUCKETS)) < 0.3] = EMPTY
        drawn[-1] = EMPTY
        signatures.append(drawn)
    dictionaries: Any = [SimpleNamespace(hook_point=hook, place=place) for place, hook in enumerate(HOOKS)]
    blocks = [tuple(range(-(-w // BLOCK))) for w in WIDTHS]

    def part(chosen: int) -> Any:
        """A pass that has every other block."""
        some = tuple(tuple(b for b in own if b % 2 == chosen) for own in blocks)
        return SimpleNamespace(
            shape=SimpleNamespace(blocks=some),
            signature=lambda place, block: signatures[place][block * BLOCK : (block + 1) * BLOCK],
        )

    made = Relations(dictionaries, lambda d: rows[d.place], [part(0), part(1)], WANTED)  # type: ignore[attr-defined]
    return SimpleNamespace(rows=rows, signatures=signatures, made=made)


@pytest.mark.parametrize("place", range(len(WIDTHS)))
def test_relations_are_those_of_each_pair_of_dictionaries(world: SimpleNamespace, place: int) -> None:
    columns = {name: value.to_pylist() for name, value in world.made.columns(place, world.rows[place]).items()}
    unit = [torch.nn.functional.normalize(r, dim=1).numpy() for r in world.rows]
    order = [place, *(p for p in range(len(WIDTHS)) if p != place)]
    for feature in range(WIDTHS[place]):
        for name in ("neighbour", "cofiring"):
            expected = []
            for other in order:
                same, own, theirs = other == place, world.signatures[place], world.signatures[other]
                if name == "neighbour":
                    index = nearest(world.rows[place], world.rows[other], 3 if same else 2, same=same).index
                    pairs = together(own, theirs, index)
                elif HOOKS[other] == HOOKS[place]:
                    pairs = most_together(own, Listed.of(theirs), WANTED.cofiring, same=same)
                else:
                    continue
                for i, *shares in zip(*(x[feature].tolist() for x in vars(pairs).values()), strict=True):
                    if i >= 0:
                        expected.append((other, i, float(unit[place][feature] @ unit[other][i]), *shares))
            keys = ("dictionary", "index", "cosine", "jaccard", "here", "there")
            found = list(zip(*(columns[f"{name}_{key}"][feature] for key in keys), strict=True))
            assert [row[:2] for row in found] == [row[:2] for row in expected]
            assert np.array(found).ravel() == pytest.approx(np.array(expected).ravel(), abs=1e-6, nan_ok=True)
    assert columns["cofiring_index"][-1] == [], "what is dead fires with nothing"
    assert len(columns["neighbour_index"][-1]) == 3 + 2 * 2


def test_none_wanted_are_none(world: SimpleNamespace) -> None:
    world.made._wanted = Wanted(0, 0, 0)
    columns = world.made.columns(0, world.rows[0])
    assert all(value.to_pylist() == [[]] * WIDTHS[0] for value in columns.values())
