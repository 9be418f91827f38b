"""Which documents are read, and how much of each part.

1. Within a part, documents are taken in the order of a keyed hash of their ids: a shuffle that does
   not depend on how many documents there are, nor on the order in which they were found.
2. The token budget is split over the parts by their shares.
3. Every part is read up to its quota. What a part that ended early leaves over is split again over
   the parts that have more, until the budget is spent or nothing is left to read.

Nothing is held: what is read is handed on, part after part, round after round. How far the reading has
come is a few numbers (`Filling`), so that it can be taken up again there.

A share of the documents can be held out (`is_held_out`): their text is never read by a pass, so that a name can be
tried on text that the one who gave it cannot have seen.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")


@dataclass(slots=True)
class Filling:
    """How far the budget is spent.

    Attributes:
        used: Tokens read of every part.
        quota: What every part may come to in this round; parts that ended in earlier rounds are not in it.
        ended: Parts that ended in this round.
    """

    used: dict[str, int]
    quota: dict[str, int]
    ended: list[str]


def hash_order(key: str, seed: int) -> bytes:
    """Sort key of a document: 16 bytes that depend on the seed and the document's id alone."""
    # blake2b takes keys of at most 64 bytes, seeds are unbounded: the seed goes into the message.
    return hashlib.blake2b(f"{seed}\0{key}".encode(), digest_size=16).digest()


def is_held_out(document: str, share: float, seed: int) -> bool:
    """Whether a document belongs to the held-out share: by the hash of its id, so that it does for ever.

    Args:
        document: Its id; a long text that was cut has one for all of its sections.
        share: Share that is held out, from 0 to 1.
        seed: Seed of the sampling.
    """
    return int.from_bytes(hash_order(f"held out\0{document}", seed)[:8], "big") < share * 2**64


def split_budget(budget: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Split a number of tokens by shares; the quotas add up to it exactly (largest remainders)."""
    total = sum(shares.values())
    exact = {part: budget * share / total for part, share in shares.items()}
    quotas = {part: int(value) for part, value in exact.items()}
    by_remainder = sorted(exact, key=lambda part: (quotas[part] - exact[part], part))
    for part in by_remainder[: max(0, budget - sum(quotas.values()))]:
        quotas[part] += 1
    return quotas


def unfilled(shares: Mapping[str, float], budget: int) -> Filling:
    """The beginning: nothing read, the budget split over all parts."""
    return Filling(dict.fromkeys(shares, 0), split_budget(budget, shares), [])


def fill(
    streams: Mapping[str, Iterator[T]],
    shares: Mapping[str, float],
    budget: int,
    size: Callable[[T], int],
    filling: Filling,
) -> Iterator[tuple[str, T]]:
    """Read items from every stream until the budget is spent.

    A stream stops with the item that reaches its quota, so that a part passes it by less than one
    item; streams are read no further than that.

    Args:
        streams: Items of every part, in the order in which they are to be taken, from where `filling` stands.
        shares: Weight of every part.
        budget: Tokens to read in all.
        size: Tokens of an item, at least 1.
        filling: How far the reading has come; kept up to date before an item is handed on.

    Yields:
        Part and item, of every stream its items in order.
    """
    while filling.quota:
        for part, quota in filling.quota.items():
            while part not in filling.ended and filling.used[part] < quota:
                item = next(streams[part], None)
                if item is None:
                    filling.ended.append(part)
                    break
                filling.used[part] += size(item)
                yield part, item
        left = budget - sum(filling.used.values())
        live = [part for part in filling.quota if part not in filling.ended]
        extra = split_budget(left, {part: shares[part] for part in live}) if filling.ended and live and left > 0 else {}
        filling.quota = {part: filling.used[part] + more for part, more in extra.items()}
        filling.ended = []
