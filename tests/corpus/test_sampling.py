"""The budget is spent by shares, what is left over is shared again, and nothing depends on order."""

import copy
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from atlas.corpus.sampling import fill, hash_order, split_budget, unfilled

SHARES = st.dictionaries(st.sampled_from("abcdef"), st.floats(0.01, 1e6), min_size=1)
STREAMS = st.dictionaries(st.sampled_from("abcde"), st.lists(st.integers(1, 20), max_size=30), min_size=1)


def size(item):
    return item


def started(streams, shares, budget, filling=None):
    iterators = {part: iter(stream) for part, stream in streams.items()}
    return fill(iterators, shares, budget, size, filling or unfilled(shares, budget))


def by_part(streams, shares, budget):
    taken = {part: [] for part in streams}
    for part, item in started(streams, shares, budget):
        taken[part].append(item)
    return taken


@given(st.integers(0, 10**12), SHARES)
def test_quotas_add_up_and_are_within_one_of_exact(budget, shares):
    quotas = split_budget(budget, shares)
    assert sum(quotas.values()) == budget
    for part, share in shares.items():
        assert abs(quotas[part] - budget * share / sum(shares.values())) < 1 + budget * 1e-12


@given(STREAMS, st.integers(1, 300))
def test_the_budget_is_reached_if_there_is_enough_and_passed_by_less_than_an_item_a_part(streams, budget):
    taken = by_part(streams, dict.fromkeys(streams, 1.0), budget)
    spent = sum(map(sum, taken.values()))
    assert spent >= min(budget, sum(map(sum, streams.values())))
    assert spent < budget + 20 * len(streams)
    assert all(taken[part] == stream[: len(taken[part])] for part, stream in streams.items())


@given(STREAMS, SHARES, st.integers(1, 300))
def test_the_order_of_the_parts_does_not_matter(streams, shares, budget):
    weights = {part: shares.get(part, 1.0) for part in streams}
    backwards = dict(reversed(streams.items()))
    # Shares are summed in another order: a power of two keeps floats out of what is tested here.
    weights = {part: 2.0 ** round(weight).bit_length() for part, weight in weights.items()}
    assert by_part(streams, weights, budget) == by_part(backwards, weights, budget)


@given(STREAMS, SHARES, st.integers(1, 300), st.integers(0, 100))
def test_a_reading_that_was_stopped_goes_on_as_if_it_were_not(streams, shares, budget, stop):
    weights = {part: shares.get(part, 1.0) for part in streams}
    whole = list(started(streams, weights, budget))
    filling = unfilled(weights, budget)
    before = list(islice(started(streams, weights, budget, filling), stop))
    rest = {part: stream[sum(p == part for p, _ in before) :] for part, stream in streams.items()}
    after = started(rest, weights, budget, copy.deepcopy(filling))
    assert before + list(after) == whole


def test_what_a_short_part_leaves_goes_to_the_others_by_share():
    streams = {"short": [10], "one": [1] * 1000, "three": [1] * 1000}
    taken = by_part(streams, {"short": 4, "one": 1, "three": 3}, 410)
    assert {part: sum(items) for part, items in taken.items()} == {"short": 10, "one": 100, "three": 300}


def test_streams_are_read_no_further_than_the_quota_and_not_before_they_are_wanted():
    seen = []
    stream = (seen.append(n) or n for n in range(1, 100))
    filled = started({"a": stream}, {"a": 1}, 10)
    assert seen == []
    assert next(filled) == ("a", 1)
    assert seen == [1]
    list(filled)
    assert seen == [1, 2, 3, 4]


def test_hash_order_is_pinned_and_depends_on_seed_and_id():
    assert hash_order("bible/genesis-1", 0).hex() == "da674c8be1f02c09bee3ee5c32343aab"
    assert len({hash_order(key, seed) for key in ("a", "b") for seed in (0, 1)}) == 4
