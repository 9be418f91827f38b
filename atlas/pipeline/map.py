"""Map: a place for every feature that fired, on the map of its dictionary and on that of all, written into the store.

A stage of its own, between collect and site: it reads the store's neighbours and no weights, so a change of `[map]`
repeats no pass, and a build without the packages that it takes ends with a site that has no map.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError

import numpy as np

from atlas.config import Recipe
from atlas.maps import Graph, Layout, all_of, lay_out, own_of, versions
from atlas.paths import Places
from atlas.pipeline.report import Reporter
from atlas.store import open_store
from atlas.store.schema import MAP
from atlas.store.write import write_table

STAGE = "map"
RULES = "map 1"
"""Raised when the same inputs would give another map."""


def draw_map(recipe: Recipe, places: Places, report: Reporter, *, force: bool = False) -> bool:
    """Run the stage if anything it depends on has changed; returns whether it ran.

    Raises:
        AtlasError: If there is no store, or the map cannot be drawn.
    """
    store = open_store(places.store)
    manifest = store.manifest
    if not recipe.map.make:
        report.say(f"{STAGE}: switched off (map.make)")
        return False
    try:
        made_by = versions()
    except PackageNotFoundError as error:
        report.say(f"{STAGE}: none is drawn, {error.name} is not installed (pip install 'sae-atlas[map]')")
        return False
    parts = (RULES, manifest.stages["collect"], recipe.digest("map"), made_by)
    inputs = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    if not force and manifest.stages.get(STAGE) == inputs:
        report.say(f"{STAGE}: nothing has changed")
        return False
    ids = [d.id for d in manifest.dictionaries]
    total = sum(d.alive for d in manifest.dictionaries)
    with report.track("lay out the map", (2 if len(ids) > 1 else 1) * total, "features") as tick:

        def place(graph: Graph) -> Layout:
            settings = recipe.map
            layout = lay_out(graph, seed=settings.seed, closest=settings.closest, smallest=settings.smallest)
            tick(len(layout.x), False)
            return layout

        graphs = [own_of(store, i) for i in range(len(ids))]
        own = [place(graph) for graph in graphs]
        every = place(all_of(store)) if len(ids) > 1 else own[0]
    columns = {
        "dictionary": [ids[i] for i, graph in enumerate(graphs) for _ in graph.feature],
        "feature": np.concatenate([graph.feature for graph in graphs]),
        **{name: np.concatenate([getattr(layout, name) for layout in own]) for name in ("x", "y", "cluster")},
        **{f"all_{name}": getattr(every, name) for name in ("x", "y", "cluster")},
    }
    digest = write_table(places.store / "map.parquet", columns, MAP)
    manifest.done(STAGE, inputs, **{"map.parquet": digest}).write(places.store)
    return True
