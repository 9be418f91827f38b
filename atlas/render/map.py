"""Views of the map's pages: one for all dictionaries, one for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from atlas.render import numbers
from atlas.render.pages import Line
from atlas.render.picture import COLOURS
from atlas.render.points import SIDE, Points, middles
from atlas.render.shapes import Link

HOME = "map"
UNNAMED = "unnamed"
LABELS, SHOWN = 12, 3
_WIDE, _HIGH = 1.15, 3.6  # room of a label's letter and of its line on the picture, in hundredths of its side


@dataclass(frozen=True, slots=True)
class LabelView:
    """A cluster's name on the picture; its middle in per cent from the left and the top."""

    text: str
    left: str
    top: str


@dataclass(frozen=True, slots=True)
class ClusterView:
    """A cluster in the list: `number` from 0, `colour` that of its points, some `features` that stand for it."""

    number: int
    colour: int
    name: str
    size: str
    features: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class MapView:
    """A page of the map; `maps` are the links to all of them, `here` this one's path."""

    path: str
    title: str
    lead: str
    maps: tuple[Link, ...]
    labels: tuple[LabelView, ...]
    clusters: tuple[ClusterView, ...]
    outside: str


def map_path(dictionary: str) -> str:
    """Path of the map of a dictionary, or of all ("")."""
    return f"{HOME}/{dictionary}" if dictionary else HOME


def map_view(
    found: Points,
    best: Sequence[Line],
    ids: Sequence[str],
    only: str,
    said: Sequence[frozenset[str]],
    chosen: Sequence[tuple[str, ...]],
) -> tuple[MapView, list[str]]:
    """The page of a map, and what it calls each cluster.

    Args:
        found: Its points.
        best: All features by static rank.
        ids: Dictionaries in the manifest's order.
        only: The dictionary that it is of, or "".
        said: What each point says of its cluster (see `atlas.names.clusters`).
        chosen: The units that name each cluster.
    """
    members = [int(c) - 1 for c in found.cluster]
    names = [" · ".join(words) or UNNAMED for words in chosen]
    places = middles(found, len(names))
    shown = _representatives(members, said, chosen)
    alone = len(ids) == 1
    what = f"the {numbers.count(len(members))} features of {only}" if only else _everything(len(members), ids)
    view = MapView(
        path=map_path(only),
        title=f"Map of {only}" if only else "Map",
        lead=f"Each point is one of {what}; features whose decoder directions point the same way lie together.",
        maps=() if alone else (Link(f"{HOME}/", "all dictionaries"), *(Link(f"{map_path(d)}/", d) for d in ids)),
        labels=_labels(names, places),
        clusters=tuple(
            ClusterView(
                i,
                i % len(COLOURS),
                name,
                numbers.count(places[i][0]),
                tuple(Link(f"{best[found.doc[row]].path}/", best[found.doc[row]].name) for row in shown[i]),
            )
            for i, name in enumerate(names)
        ),
        outside=numbers.count(members.count(-1)),
    )
    return view, names


def _everything(count: int, ids: Sequence[str]) -> str:
    return f"{numbers.count(count)} features of {'all dictionaries' if len(ids) > 1 else ids[0]}"


def _representatives(
    members: Sequence[int], said: Sequence[frozenset[str]], chosen: Sequence[tuple[str, ...]]
) -> list[list[int]]:
    """Rows that stand for each cluster: of those that say most of its name's words, the first by static rank."""
    rows: list[list[int]] = [[] for _ in chosen]
    for row, cluster in enumerate(members):
        if cluster >= 0:
            rows[cluster].append(row)
    return [_telling(group, said, frozenset(words))[:SHOWN] for group, words in zip(rows, chosen, strict=True)]


def _telling(rows: list[int], said: Sequence[frozenset[str]], words: frozenset[str]) -> list[int]:
    return sorted(rows, key=lambda row: -len(said[row] & words))


def _labels(names: Sequence[str], places: Sequence[tuple[int, int, int]]) -> tuple[LabelView, ...]:
    """The largest clusters' names where they overlap none that is there already."""
    taken: list[tuple[float, float, float]] = []
    out: list[LabelView] = []
    for name, (_, x, y) in zip(names, places, strict=True):
        left, top, half = 100 * x / SIDE, 100 * y / SIDE, _WIDE * len(name) / 2
        free = all(abs(left - a) > half + b or abs(top - c) > _HIGH for a, b, c in taken)
        if name != UNNAMED and free and half < left < 100 - half and len(out) < LABELS:
            taken.append((left, half, top))
            out.append(LabelView(name, f"{left:.1f}", f"{top:.1f}"))
    return tuple(out)
