"""The static rank: one rule, told in `atlas.search.rank`."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from atlas.search import Ranked, static_rank

BEST = Ranked(0, 0, alive=True, name_method="hand", count=100, density=0.01, kurtosis=9.0)


def test_each_line_of_the_rule_decides_before_the_next() -> None:
    ladder = [
        BEST,
        replace(BEST, index=1),
        replace(BEST, dictionary_order=1),
        replace(BEST, kurtosis=1.0),
        replace(BEST, kurtosis=math.nan),
        replace(BEST, density=0.11, kurtosis=99.0),
        replace(BEST, count=19, kurtosis=98.0),
        replace(BEST, name_method="lexical", kurtosis=99.0),
        replace(BEST, name_method="none", kurtosis=99.0),
        replace(BEST, alive=False, count=0, kurtosis=99.0),
    ]
    assert static_rank(ladder) == list(range(len(ladder)))
    assert static_rank(ladder[::-1]) == list(range(len(ladder)))[::-1]


def test_limits_are_inclusive() -> None:
    edge = replace(BEST, density=0.1, count=20, kurtosis=1.0)
    beyond = replace(BEST, density=0.1000001, kurtosis=2.0)
    assert static_rank([beyond, edge]) == [1, 0]


RANKED = st.builds(
    Ranked,
    st.integers(0, 3),
    st.integers(0, 50),
    st.booleans(),
    st.sampled_from(["hand", "lexical", "none"]),
    st.integers(0, 100),
    st.floats(0, 1),
    st.floats(allow_nan=True),
)


@given(st.lists(RANKED, unique_by=lambda f: (f.dictionary_order, f.index)), st.randoms())
def test_order_does_not_depend_on_the_order_given(features: list[Ranked], random: object) -> None:
    order = [features[place] for place in static_rank(features)]
    shuffled = features[:]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert repr([shuffled[place] for place in static_rank(shuffled)]) == repr(order)
    assert sorted(static_rank(features)) == list(range(len(features)))
