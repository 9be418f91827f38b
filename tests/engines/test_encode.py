"""The encoder finds exactly what fires in the dense activations, block by block, on the host and on a device."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_worlds import BLOCK, ROWS, D, make_dictionary, small_blocks
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.config import DictionarySection
from atlas.dictionaries.base import Dictionary
from atlas.dictionaries.neurons import neurons
from atlas.engines.encode import Buffers, Encoder
from atlas.stats import Batch, Firings, round_significant

KINDS = ("standard", "jumprelu", "topk")
WIDTHS = (3, BLOCK, ROWS, ROWS + 1, 2 * ROWS + BLOCK + 1, 3 * ROWS)
Taken = dict[int, tuple[list[int], list[float]]]


@pytest.fixture(autouse=True)
def _small():
    with small_blocks():
        yield


def whole_numbers(n: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(-4, 5, (n, D)).astype(np.float32))


def a_batch(n: int) -> Batch:
    ids = np.arange(n, dtype=np.int32).reshape(1, n)
    return Batch.of(np.zeros(1, np.int64), np.zeros(1, np.int64), ids, np.ones((1, n), bool))


def blocks_of(dictionary: Dictionary) -> list[int]:
    return list(range(-(-dictionary.width // BLOCK)))


def dense(dictionary: Dictionary, x: torch.Tensor) -> Taken:
    """Cells and rounded values of every block, read off `Dictionary.encode`."""
    whole = dictionary.encode(x).T.contiguous().numpy()
    found = {}
    for block in blocks_of(dictionary):
        part = whole[block * BLOCK : (block + 1) * BLOCK].reshape(-1)
        cells = np.flatnonzero(part)
        found[block] = (cells.tolist(), round_significant(part[cells]).tolist())
    return found


def encoded(dictionary: Dictionary, x: torch.Tensor, wanted: list[int] | None = None, *, here: bool = True) -> Taken:
    """What the encoder hands on; each block may come once only."""
    taken: Taken = {}
    batch = a_batch(len(x))

    def take(block: int, firings: Firings, of: Batch) -> None:
        assert block not in taken, "twice"
        assert of is batch
        assert firings.cells.dtype == np.int32
        assert firings.value.dtype == np.float32
        taken[block] = (firings.cells.tolist(), firings.value.tolist())

    with ThreadPoolExecutor(2) as pool:
        blocks = blocks_of(dictionary) if wanted is None else wanted
        encoder = Encoder(dictionary, Buffers.on(torch.device("cpu")), pool, blocks)
        encoder._here = here
        pending = encoder.run(x, batch, take)
        for done in pending + encoder._line.drain():
            done.result()
    return dict(sorted(taken.items()))


@pytest.mark.parametrize("here", [True, False])
@pytest.mark.parametrize("subtract", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_it_hands_on_exactly_what_is_positive_in_the_dense_activations(kind, width, subtract, here):
    dictionary = make_dictionary(kind, width, seed=width, subtract=subtract)
    for n in (0, 1, 2, 23):
        x = whole_numbers(n, seed=n)
        before = x.clone()
        assert encoded(dictionary, x, here=here) == dense(dictionary, x), n
        assert torch.equal(x, before), "the next dictionary reads it too"


@pytest.mark.parametrize("here", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_only_the_blocks_that_are_wanted_come(kind, here):
    dictionary = make_dictionary(kind, 3 * ROWS + 1)
    x = whole_numbers(9)
    whole = dense(dictionary, x)
    for wanted in ([0], [1, 2], [4, 6], [6], [0, 1, 2, 3, 4, 5, 6]):
        assert encoded(dictionary, x, wanted, here=here) == {block: whole[block] for block in wanted}


def test_rows_without_a_wanted_block_are_not_multiplied(monkeypatch):
    products, multiply = [], torch.addmm
    monkeypatch.setattr(torch, "addmm", lambda b, *rest, out: (products.append(len(b)), multiply(b, *rest, out=out))[1])
    encoded(make_dictionary("standard", 3 * ROWS + 1), whole_numbers(5), [2, 6])
    assert products == [ROWS, 1]


@pytest.mark.parametrize("here", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_every_block_comes_once_even_if_nothing_fires(kind, here):
    dictionary = make_dictionary(kind, 2 * ROWS + 1)
    dead = replace(dictionary, b_enc=torch.full_like(dictionary.b_enc, -1000.0))
    assert encoded(dead, whole_numbers(6), here=here) == {block: ([], []) for block in blocks_of(dead)}


def test_a_negative_threshold_lets_nothing_negative_through_and_the_threshold_itself_does_not_fire():
    dictionary = replace(
        make_dictionary("jumprelu", 4),
        W_enc=torch.zeros(D, 4),
        b_enc=torch.tensor([-1.0, 0.5, 2.0, 3.0]),
        threshold=torch.tensor([-2.0, -2.0, 2.0, 2.0]),
    )
    assert encoded(dictionary, whole_numbers(1)) == {0: ([1, 3], [0.5, 3.0])} == dense(dictionary, whole_numbers(1))


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(KINDS), st.integers(1, 30), st.integers(0, 40), st.integers(0, 10**6), st.booleans())
def test_real_numbers_differ_from_the_dense_ones_by_rounding_alone(kind, width, n, seed, here):
    chance = torch.Generator().manual_seed(seed)
    made = make_dictionary(kind, width, seed, subtract=True)
    dictionary = replace(
        made, W_enc=torch.randn(D, width, generator=chance), b_dec=torch.randn(D, generator=chance), k=made.k and 1
    )
    x = torch.randn(n, D, generator=chance)
    found, there = encoded(dictionary, x, here=here), dense(dictionary, x)
    assert found.keys() == there.keys()
    pre = torch.addmm(dictionary.b_enc, x - dictionary.b_dec, dictionary.W_enc).T
    for block, (cells, values) in found.items():
        here_, there_ = dict(zip(cells, values, strict=True)), dict(zip(*there[block], strict=True))
        for cell in here_.keys() & there_.keys():
            assert here_[cell] == pytest.approx(there_[cell], rel=2**-11, abs=1e-5)
        for cell in here_.keys() ^ there_.keys():  # on the threshold, but for rounding
            feature, token = divmod(cell, n)
            bar = (
                0.0 if dictionary.threshold is None else max(0.0, float(dictionary.threshold[block * BLOCK + feature]))
            )
            assert float(pre[block * BLOCK + feature, token]) == pytest.approx(bar, abs=1e-5)


def fit(dictionary: Dictionary, x: torch.Tensor, wanted: list[int] | None = None) -> list[bool] | None:
    with ThreadPoolExecutor(1) as pool:
        encoder = Encoder(dictionary, Buffers.on(x.device), pool, blocks_of(dictionary) if wanted is None else wanted)
        fits = encoder.fit(x, float(x.abs().max()) if len(x) else 0.0)
    return None if fits is None else fits.tolist()


def huge(kind: str, column: int, *, subtract: bool = False) -> Dictionary:
    """A feature whose weights are so large that an activation of 4 overflows and one of 3 does not."""
    dictionary = make_dictionary(kind, 2 * ROWS + 1, subtract=subtract)
    weights = dictionary.W_enc.clone()
    weights[:, column] = torch.tensor([1e38, 0.0, 0.0, 0.0])
    return replace(dictionary, W_enc=weights, b_dec=torch.tensor([1.0, 0.0, 0.0, 0.0]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("column", [0, ROWS, 2 * ROWS])
def test_a_token_whose_sum_leaves_float32_does_not_fit_in_whatever_pass(kind, column):
    x = torch.tensor([[3.0, 1, 1, 1], [4, 0, 0, 0], [-4, 0, 0, 0], [0, 4, 4, 4]])
    for wanted in (None, [0], [4]):
        assert fit(huge(kind, column), x, wanted) == [True, False, False, True]
    far = torch.tensor([[1.0, 1, 1, 1], [3, 0, 0, 0], [5, 0, 0, 0], [-3, 0, 0, 0]])
    assert fit(huge(kind, column, subtract=True), far) == [True, True, False, False]


def test_a_sum_that_cancels_too_late_does_not_fit():
    weights = torch.zeros(D, 1)
    weights[:, 0] = torch.tensor([3e38, 3e38, -3e38, -3e38])
    dictionary = replace(make_dictionary("standard", 1), W_enc=weights, b_enc=torch.zeros(1))
    x = torch.tensor([[0.5, 0.25, 0.25, 0.25], [4.0, 4.0, 4.0, 4.0]])
    assert fit(dictionary, x) == [True, False]


def test_a_value_that_only_rounding_makes_infinite_does_not_fit():
    most = torch.finfo(torch.float32).max
    dictionary = replace(make_dictionary("standard", 1), W_enc=torch.zeros(D, 1), b_enc=torch.tensor([most]))
    assert fit(dictionary, whole_numbers(2)) == [False, False]
    below = replace(dictionary, b_enc=torch.tensor([3.4e38]))
    assert fit(below, whole_numbers(2)) == [True, True]
    assert np.isfinite(encoded(below, whole_numbers(1))[0][1]).all()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(30, 39), st.booleans())
def test_what_is_said_to_fit_without_looking_is_finite(seed, exponent, subtract):
    dictionary = make_dictionary("standard", ROWS + 1, seed, subtract=subtract)
    dictionary = replace(dictionary, W_enc=dictionary.W_enc * 10.0 ** (exponent - 1))
    x = whole_numbers(6, seed)
    finite = torch.isfinite(dictionary.encode(x)).all(1).tolist()
    fits = fit(dictionary, x)
    assert all(finite) if fits is None else all(f or not ok for f, ok in zip(finite, fits, strict=True))
    if exponent < 36:
        assert fits is None, "looked although it could not happen"


def test_a_batch_of_no_tokens_is_looked_at_without_harm():
    dictionary = huge("standard", 0)
    with ThreadPoolExecutor(1) as pool:
        fits = Encoder(dictionary, Buffers.on(torch.device("cpu")), pool, [0]).fit(whole_numbers(0), 1e30)
    assert fits is not None
    assert fits.tolist() == []


@pytest.mark.parametrize("here", [True, False])
@pytest.mark.parametrize("k", [0, 3])
@pytest.mark.parametrize("width", [1, BLOCK, BLOCK + 1, ROWS, ROWS + 3])
def test_neurons_are_handed_on_without_a_product(width, k, here, monkeypatch):
    """Twice as many features as neurons: the sides meet in the middle of a block, and of a run of rows."""
    section = DictionarySection(id="n", source="neurons", layer=0, k=min(k, width), floor=0.1)
    dictionary = neurons(section, width, "model")
    monkeypatch.delattr(torch, "addmm")
    for n in (0, 1, 23):
        x = torch.randn(n, width, generator=torch.Generator().manual_seed(n))
        assert encoded(dictionary, x, here=here) == dense(dictionary, x), n
    last = blocks_of(dictionary)[-1]
    assert encoded(dictionary, x, [last], here=here) == {last: dense(dictionary, x)[last]}
    encoder = Encoder(dictionary, Buffers.on(x.device), ThreadPoolExecutor(1), [0])
    assert encoder.fit(x, 3e38) is not None
    assert encoder.fit(x, 1e38) is None
