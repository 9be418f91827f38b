"""How numbers are printed: once, here, for pages, cards and tables alike."""

from __future__ import annotations

import math


def significant(value: float, digits: int = 3) -> str:
    """A number to so many significant digits, without an exponent unless it is very small or large.

    Thousands are parted by commas; trailing zeros after the point are kept out.
    """
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -4 or magnitude > 8:  # noqa: PLR2004 (where plain digits stop being readable)
        return f"{value:.{digits - 1}e}"
    rounded = round(value, digits - 1 - magnitude)
    places = max(0, digits - 1 - magnitude)
    text = f"{rounded:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def activation(value: float) -> str:
    """An activation: three significant digits, whole from 100 up."""
    return f"{value:,.0f}" if value >= 100 else significant(value)  # noqa: PLR2004


def percent(share: float) -> str:
    """A share as a percentage of two to three significant digits.

    Never "0%" for what happened, nor "100%" for nearly all.
    """
    if share == 0:
        return "0%"
    value = 100 * share
    text = significant(value, 3 if value >= 1 else 2)
    return ">99.9%" if text == "100" and share < 1 else f"{text}%"


def effect(value: float) -> str:
    """A logit effect: signed, two decimals, or two significant digits where that would be 0.00."""
    if value and abs(value) < 0.01:  # noqa: PLR2004
        return f"{value:+.1e}".replace("-", "\u2212", 1) if value < 0 else f"{value:+.1e}"
    return f"{value + 0.0:+.2f}".replace("-", "\u2212")  # -0.0 + 0.0 is 0.0


def count(value: int) -> str:
    """A whole number, thousands parted."""
    return f"{value:,}"


def rounded_count(value: int) -> str:
    """A large number for people: 1.52M, 240k, 812."""
    for least, size, unit in ((999_500_000, 10**9, "B"), (999_500, 10**6, "M"), (10**4, 10**3, "k")):
        if value >= least:
            return f"{significant(value / size)}{unit}"
    return count(value)


def level(value: float, maximum: float) -> int:
    """Intensity from 1 (faint) to 9 (the feature's maximum); 0 for silence."""
    if value <= 0 or maximum <= 0:
        return 0
    return min(9, max(1, math.ceil(9 * value / maximum)))
