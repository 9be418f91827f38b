"""The path of a device, on the CPU: products split for tensor cores, sifting, and what waits in line."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.engines import product
from atlas.engines.encode import MOST
from atlas.engines.line import Line
from atlas.engines.product import PARTS, Product, split
from atlas.stats import round_significant

CPU = torch.device("cpu")
VALUES = np.array([-1.0, -0.0, 0.0, 1e-45, 0.1, 1.0, 1.5, 1 / 3, np.nextafter(np.float32(MOST), 0)], np.float32)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 9), st.integers(0, 17), st.integers(1, 4), st.integers(0, 10**6))
def test_the_device_sifts_what_numpy_sifts_to_the_last_bit(rows, n, block, seed):
    chance = np.random.default_rng(seed)
    pre = chance.choice(VALUES, (rows, n)) * chance.choice(np.array([1.0, 0.7], np.float32), (rows, n))
    bars = chance.choice(np.array([0.0, 0.1, 1.0], np.float32), rows)
    firings, cuts = Line(CPU).fetch(torch.from_numpy(pre), torch.from_numpy(bars), block, None)
    assert (firings.cells.dtype, firings.value.dtype) == (np.int32, np.float32)
    starts = range(0, rows, block)
    assert len(cuts) == len(starts) + 1
    assert (cuts[0], cuts[-1]) == (0, len(firings))
    for place, start in enumerate(starts):
        mine = pre[start : start + block]
        expected = np.flatnonzero(mine > bars[start : start + block, None])
        part = slice(cuts[place], cuts[place + 1])
        assert firings.cells[part].tolist() == expected.tolist()
        assert firings.value[part].tobytes() == round_significant(mine.reshape(-1)[expected]).tobytes()


def test_what_the_device_gave_stays_when_its_buffer_is_used_again():
    pre, bars = torch.tensor([[1.0, 2.0], [0.0, 3.0]]), torch.zeros(2)
    found = Line(CPU).fetch(pre, bars, 2, None)
    pre.fill_(-7.0)
    assert (found.firings.cells.tolist(), found.firings.value.tolist()) == ([0, 1, 3], [1.0, 2.0, 3.0])


def test_one_run_waits_while_the_next_is_computed_in_the_other_buffer():
    line, order = Line(CPU), []

    def fetch(name: str) -> list[Future[None]]:
        order.append(name)
        return [Future()]

    names = []
    for number in range(3):
        names.append(line.buffer())
        assert len(line.put(lambda number=number: fetch(str(number)))) == (number > 0)
    assert names == ["pre-0", "pre-1", "pre-0"]
    assert order == ["0", "1"]
    assert len(line.drain()) == 1
    assert line.drain() == []
    assert order == ["0", "1", "2"]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([1e-20, 1e-3, 1.0, 1e20]))
def test_three_parts_are_the_whole_number(seed, scale):
    weights = torch.randn(5, 7, generator=torch.Generator().manual_seed(seed)) * scale
    parts = split(weights)
    assert (parts.dtype, parts.shape, parts.is_contiguous()) == (torch.bfloat16, (7, 15), True)
    low, middle, high = parts.T.double().view(3, 5, 7)
    assert torch.equal(low + middle + high, weights.double())


@pytest.mark.parametrize("first", [0, 3])
def test_the_split_product_is_the_product(monkeypatch, first):
    chance = torch.Generator().manual_seed(0)
    weights, bias = torch.randn(64, 10, generator=chance), torch.randn(10, generator=chance)
    x = torch.randn(9, 64, generator=chance).bfloat16()
    expected = (x.double() @ weights.double() + bias.double()).T[first : first + 4]
    whole, parts = torch.empty(4, 9), torch.empty(4, 9)
    Product(weights, bias).into(whole, first, x.float())
    seen = []
    inner = product.multiply
    monkeypatch.setattr(product, "multiply", lambda *given: seen.append(given[1].dtype) or inner(*given))
    Product(weights, bias).into(parts, first, x.repeat(1, PARTS))
    assert seen == [torch.bfloat16]
    for found in (whole, parts):
        assert float((found.double() - expected).abs().max()) < 1e-5


def test_only_bfloat16_is_kept_and_only_where_it_can_be_multiplied(monkeypatch):
    x = torch.ones(2, 3)
    one = Product(torch.ones(3, 4), torch.zeros(4))
    assert one.operand(x) is x
    assert one.operand(x.bfloat16()).dtype == torch.float32
    assert one.operand(x.to("meta", torch.bfloat16)).dtype == torch.float32
    monkeypatch.setattr(product, "DEVICES", ("meta",))
    assert one.operand(x.to("meta", torch.bfloat16)).shape == (2, 9)
    assert one.operand(x.bfloat16()).dtype == torch.float32
    assert one.operand(x.to("meta", torch.float16)).dtype == torch.float32
