"""How the ascending terms are cut into shards, and which prefixes need a node of their own."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence

from atlas.search import form


def order(term: str) -> bytes:
    """Sorting key: UTF-16 units, as JavaScript compares strings (it differs beyond U+FFFF)."""
    return term.encode("utf-16-be")


def separator(before: str, term: str) -> str:
    """The shortest beginning of `term` that comes after `before`."""
    return term[: len(_common(before, term)) + 1]


def _common(a: str, b: str) -> str:
    """The longest beginning of both."""
    length = min(len(a), len(b))
    return a[: next((i for i in range(length) if a[i] != b[i]), length)]


def file_stem(text: str) -> str:
    """A file name for a separator or prefix: any text becomes plain hexadecimal of bounded length."""
    return text.encode()[:16].hex()


def cut(terms: Sequence[str], sizes: Sequence[int], limit: int = form.SHARD_BYTES) -> list[int]:
    """Places of the first term of every shard.

    A shard takes terms until `limit` bytes; among the cuts that leave it at least two thirds full, the one
    with the shortest separator is best (few prefixes then lie across shards), the latest of equals.
    A single term larger than the limit is a shard alone.
    """
    cuts, start, room = [], 0, limit - len(form.MAGIC) - 4
    while start < len(terms):
        cuts.append(start)
        best, shortest, used, end = 0, 0, 0, start
        while end < len(terms) and (end == start or used + sizes[end] <= room):
            used += sizes[end]
            end += 1
            if used * 3 >= room * 2 and end < len(terms):
                length = len(separator(terms[end - 1], terms[end]))
                if not best or length <= shortest:
                    best, shortest = end, length
        start = end if end == len(terms) else best or end
    return cuts


def nodes(terms: Sequence[str], begins: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Prefixes whose terms lie in more than `form.SPAN` shards, each with its range of terms, ascending.

    Of prefixes with the same terms only the longest is given; who looks one up takes the first node that
    begins with it.
    """
    keys = [order(term) for term in terms]
    spans = Counter(begin[:n] for begin in begins for n in range(1, len(begin) + 1))
    found: dict[str, tuple[int, int]] = {}
    for prefix, count in spans.items():
        # The shard before the first that begins with the prefix may hold some of its terms too.
        if count + (prefix not in begins) > form.SPAN:
            first = bisect_left(keys, order(prefix))
            last = bisect_left(keys, order(prefix) + b"\xff\xff")
            found[_common(terms[first], terms[last - 1])] = first, last
    for prefix in sorted(found, key=order):
        yield prefix, *found[prefix]
