"""Printed numbers: read back to what they were, within the digits that they claim."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.render.numbers import activation, count, effect, level, percent, rounded_count, significant

MINUS = "\u2212"
VALUES = st.floats(1e-30, 1e30) | st.floats(1e-4, 1e9) | st.integers(1, 10**9).map(float)
UNITS = {"k": 10**3, "M": 10**6, "B": 10**9}


def read(text: str) -> float:
    return float(text.replace(",", "").replace(MINUS, "-"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (-0.0, "0"), (1, "1"), (1.5, "1.5"), (3.14159, "3.14"), (2.0, "2"), (0.1, "0.1"), (0.12345, "0.123"),
        (9.996, "10"), (99.96, "100"), (999.6, "1,000"), (1234.5, "1,230"), (1e6, "1,000,000"),
        (123456789, "123,000,000"), (0.0001234, "0.000123"), (0.00001234, "1.23e-05"), (1.5e9, "1.50e+09"),
        (-1.25, "-1.25"), (-1234, "-1,230"), (math.inf, "inf"), (math.nan, "nan"),
    ],
)  # fmt: skip
def test_three_significant_digits(value: float, text: str) -> None:
    assert significant(value) == text


@given(VALUES, st.integers(1, 6))
def test_significant_digits_read_back_to_within_half_a_digit(value: float, digits: int) -> None:
    text = significant(value, digits)
    step = 10.0 ** (math.floor(math.log10(value)) - digits + 1)
    assert abs(read(text) - value) <= step / 2 * (1 + 1e-9)
    assert len(re.sub(r"e.*|[,.]|^0[.0]*", "", text).strip("0")) <= digits
    assert not re.search(r"\.\d*0$|\.$", text)
    assert significant(-value, digits) == f"-{text}"


@given(VALUES, VALUES)
def test_a_greater_number_never_prints_as_less(one: float, two: float) -> None:
    low, high = sorted((one, two))
    assert read(significant(low)) <= read(significant(high))
    assert read(activation(low)) <= read(activation(high))
    assert level(low, 1e9) <= level(high, 1e9)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.5, "0.5"), (12.345, "12.3"), (99.94, "99.9"), (99.96, "100"), (514.25, "514"), (12345.6, "12,346")],
)
def test_activations_are_whole_from_a_hundred_up(value: float, text: str) -> None:
    assert activation(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0%"), (1, "100%"), (0.5, "50%"), (0.1667, "16.7%"), (0.01234, "1.23%"), (0.001234, "0.12%"),
        (1e-6, "0.0001%"), (1e-9, "1.0e-07%"), (0.9994, "99.9%"), (0.9996, ">99.9%"), (1 - 1e-12, ">99.9%"),
    ],
)  # fmt: skip
def test_percentages(share: float, text: str) -> None:
    assert percent(share) == text


@given(st.integers(1, 10**12), st.integers(1, 10**12))
def test_what_happened_is_never_nothing_and_what_did_not_never_all(n: int, more: int) -> None:
    text = percent(n / (n + more))
    assert read(text.strip(">%")) > 0
    assert text != "100%" or n / (n + more) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.8125, "+2.81"), (-2.03125, f"{MINUS}2.03"), (0.0, "+0.00"), (-0.0, "+0.00"), (0.01, "+0.01"),
        (12.0, "+12.00"), (0.0049, "+4.9e-03"), (-0.0049, f"{MINUS}4.9e-03"), (-1e-7, f"{MINUS}1.0e-07"),
    ],
)  # fmt: skip
def test_effects_have_their_sign(value: float, text: str) -> None:
    assert effect(value) == text


@given(st.floats(-100, 100, width=32))
def test_effects_read_back_and_only_zero_prints_as_zero(value: float) -> None:
    text = effect(value)
    assert text[0] == (MINUS if value < 0 else "+")
    assert read(text) == pytest.approx(value, abs=0.00501, rel=0.051)
    assert (read(text) == 0) == (value == 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (812, "812"), (9_999, "9,999"), (10_000, "10k"), (240_123, "240k"), (999_499, "999k"),
        (999_500, "1M"), (999_999, "1M"), (1_520_000, "1.52M"), (999_499_999, "999M"), (999_999_999, "1B"),
        (25 * 10**9, "25B"),
    ],
)  # fmt: skip
def test_large_numbers_for_people(value: int, text: str) -> None:
    assert rounded_count(value) == text


@given(st.integers(0, 10**12))
def test_large_numbers_read_back(value: int) -> None:
    text = rounded_count(value)
    found = read(text.rstrip("kMB")) * UNITS.get(text[-1], 1)
    assert found == pytest.approx(value, rel=0.0051)
    assert read(text.rstrip("kMB")) < 1000 or value < 10_000 or value > 999 * 10**9
    assert read(count(value)) == value


def test_levels_run_from_one_to_nine() -> None:
    assert [level(v, 9.0) for v in (0, 0.001, 1, 1.001, 4.5, 8, 8.001, 9, 10)] == [0, 1, 1, 2, 5, 8, 9, 9, 9]
    assert level(1, 0) == level(0, 0) == level(-1, 5) == 0


@given(st.floats(2.0**-30, 2.0**30, width=32))
def test_the_maximum_has_the_highest_level(maximum: float) -> None:
    assert level(maximum, maximum) == 9
    assert level(maximum / 1e6, maximum) == 1
