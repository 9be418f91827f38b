"""The budget is spent by shares, what is left over is shared again, and nothing depends on order."""

from hypothesis import given
from hypothesis import strategies as st

from atlas.corpus.sampling import fill, hash_order, split_budget

SHARES = st.dictionaries(st.sampled_from("abcdef"), st.floats(0.01, 1e6), min_size=1)
STREAMS = st.dictionaries(st.sampled_from("abcde"), st.lists(st.integers(1, 20), max_size=30), min_size=1)


@given(st.integers(0, 10**12), SHARES)
def test_quotas_add_up_and_are_within_one_of_exact(budget, shares):
    quotas = split_budget(budget, shares)
    assert sum(quotas.values()) == budget
    for part, share in shares.items():
        assert abs(quotas[part] - budget * share / sum(shares.values())) < 1 + budget * 1e-12


@given(STREAMS, st.integers(1, 300))
def test_the_budget_is_reached_if_there_is_enough_and_passed_by_less_than_an_item_a_part(streams, budget):
    taken = fill(streams, dict.fromkeys(streams, 1.0), budget, lambda n: n)
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
    assert fill(streams, weights, budget, lambda n: n) == fill(backwards, weights, budget, lambda n: n)


def test_what_a_short_part_leaves_goes_to_the_others_by_share():
    streams = {"short": [10], "one": [1] * 1000, "three": [1] * 1000}
    taken = fill(streams, {"short": 4, "one": 1, "three": 3}, 410, lambda n: n)
    assert {part: sum(items) for part, items in taken.items()} == {"short": 10, "one": 100, "three": 300}


def test_streams_are_read_no_further_than_the_quota():
    seen = []
    stream = (seen.append(n) or n for n in range(1, 100))
    fill({"a": stream}, {"a": 1}, 10, lambda n: n)
    assert seen == [1, 2, 3, 4]


def test_hash_order_is_pinned_and_depends_on_seed_and_id():
    assert hash_order("bible/genesis-1", 0).hex() == "da674c8be1f02c09bee3ee5c32343aab"
    assert len({hash_order(key, seed) for key in ("a", "b") for seed in (0, 1)}) == 4
