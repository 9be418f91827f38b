"""The map's pages and data, from the store's table of places; no torch on this side.

`/map/` is that of all dictionaries, `/map/<dictionary>/` that of one. In each folder lie the page, the picture, and the
columns that the page's script draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from atlas.config import Recipe
from atlas.names.clusters import cluster_names, units
from atlas.render.html import Renderer
from atlas.render.map import map_path, map_view
from atlas.render.pages import Line
from atlas.render.picture import picture
from atlas.render.points import map_json, packed, points
from atlas.store import Store

STAGE = "map"


def is_mapped(recipe: Recipe, store: Store) -> bool:
    """Whether the site has a map: it is wanted, and the store has one."""
    return recipe.map.make and STAGE in store.manifest.stages


def write_maps(store: Store, best: Sequence[Line], first: int, renderer: Renderer, folder: Path) -> None:
    """Write all maps.

    Args:
        store: A store that has a map.
        best: All features by static rank.
        first: Number of the first of them in the search index.
        renderer: For the pages.
        folder: The site.
    """
    manifest = store.manifest
    ids, labels = [d.id for d in manifest.dictionaries], [s.label for s in manifest.corpus.sources]
    table = store.to_arrow("map")
    for only in ("", *ids):
        found = points(table, best, ids, labels, only)
        said = [units(x.name, x.method, x.peaks.split(" ")) for x in (best[doc] for doc in found.doc)]
        chosen = cluster_names([int(cluster) - 1 for cluster in found.cluster], said)
        view, names = map_view(found, best, ids, only, said, chosen)
        data, columns = packed(replace(found, doc=found.doc + np.uint32(first)))
        here = folder / map_path(only)
        here.mkdir(parents=True)
        (here / "points.bin").write_bytes(data)
        (here / "map.png").write_bytes(picture(found))
        (here / "map.json").write_bytes(map_json(found, data, columns, manifest.model.id, ids, labels, names))
        (here / "index.html").write_text(renderer.map(view), "utf-8")
