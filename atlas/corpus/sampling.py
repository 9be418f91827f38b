"""Which documents are read, and how much of each part.

1. Within a part, documents are taken in the order of a keyed hash of their ids: a shuffle that does
   not depend on how many documents there are, nor on the order in which they were found.
2. The token budget is split over the parts by their shares.
3. Every part is read up to its quota. What a part that ended early leaves over is split again over
   the parts that have more, until the budget is spent or nothing is left to read.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

T = TypeVar("T")


def hash_order(key: str, seed: int) -> bytes:
    """Sort key of a document: 16 bytes that depend on the seed and the document's id alone."""
    # blake2b takes keys of at most 64 bytes, seeds are unbounded: the seed goes into the message.
    return hashlib.blake2b(f"{seed}\0{key}".encode(), digest_size=16).digest()


def split_budget(budget: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Split a number of tokens by shares; the quotas add up to it exactly (largest remainders)."""
    total = sum(shares.values())
    exact = {part: budget * share / total for part, share in shares.items()}
    quotas = {part: int(value) for part, value in exact.items()}
    by_remainder = sorted(exact, key=lambda part: (quotas[part] - exact[part], part))
    for part in by_remainder[: max(0, budget - sum(quotas.values()))]:
        quotas[part] += 1
    return quotas


def fill(
    streams: Mapping[str, Iterable[T]], shares: Mapping[str, float], budget: int, size: Callable[[T], int]
) -> dict[str, list[T]]:
    """Read items from every stream until the budget is spent.

    A stream stops with the item that reaches its quota, so that a part passes it by less than one
    item; streams are read no further than that.

    Args:
        streams: Items of every part, in the order in which they are to be taken.
        shares: Weight of every part.
        budget: Tokens to read in all.
        size: Tokens of an item, at least 1.

    Returns:
        The items taken, by part: of every stream, its beginning.
    """
    live: dict[str, Iterator[T]] = {part: iter(stream) for part, stream in streams.items()}
    taken: dict[str, list[T]] = {part: [] for part in streams}
    used = dict.fromkeys(streams, 0)
    left = budget
    while live and left > 0:
        extra = split_budget(left, {part: shares[part] for part in live})
        ended = []
        for part, stream in live.items():
            quota = used[part] + extra[part]
            while used[part] < quota:
                item = next(stream, None)
                if item is None:
                    ended.append(part)
                    break
                taken[part].append(item)
                used[part] += size(item)
        left = budget - sum(used.values())
        if not ended:
            break
        for part in ended:
            del live[part]
    return taken
