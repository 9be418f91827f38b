"""Name: one display name for every feature, written into the store."""

from __future__ import annotations

import hashlib

from atlas.config import Recipe
from atlas.names import LexicalNamer, read_names
from atlas.paths import Places
from atlas.pipeline.report import Reporter
from atlas.records import Name
from atlas.store import Store, open_store
from atlas.store.schema import NAMES
from atlas.store.write import write_table

STAGE = "name"
RULES = "names 2"
"""Raised when the same inputs would give other names."""


def name(recipe: Recipe, places: Places, report: Reporter, *, force: bool = False) -> bool:
    """Run the stage if anything it depends on has changed; returns whether it ran.

    Raises:
        AtlasError: If there is no store, or a file of names is wrong.
    """
    store = open_store(places.store)
    manifest = store.manifest
    widths = {d.id: d.width for d in manifest.dictionaries}
    hand: dict[tuple[str, int], Name] = {}
    for file in recipe.names.files:
        hand |= read_names(recipe.resolve(file), widths)
    told = "\n".join(f"{key} {value}" for key, value in sorted(hand.items()))
    labels = str([(s.id, s.label) for s in manifest.corpus.sources])
    parts = (RULES, manifest.stages["collect"], str(recipe.names.lexical), labels, told)
    inputs = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    if not force and manifest.stages.get(STAGE) == inputs:
        report.say(f"{STAGE}: nothing has changed")
        return False
    rows = (
        {key: value for key, value in _lexical(store, report).items() if key not in hand}
        if recipe.names.lexical
        else {}
    )
    rows |= hand
    order = sorted(rows, key=lambda key: ([*widths].index(key[0]), key[1]))
    columns = {
        "dictionary": [key[0] for key in order],
        "feature": [key[1] for key in order],
        **{field: [getattr(rows[key], field) for key in order] for field in ("text", "method", "author", "note")},
    }
    digest = write_table(places.store / "names.parquet", columns, NAMES)
    manifest.done(STAGE, inputs, **{"names.parquet": digest}).write(places.store)
    return True


def _lexical(store: Store, report: Reporter) -> dict[tuple[str, int], Name]:
    windows = store.windows
    namer = LexicalNamer((windows.text(row)[1] for row in windows.row.values()), store.manifest.corpus.sources)
    names: dict[tuple[str, int], Name] = {}
    with report.track("name features", sum(d.width for d in store.manifest.dictionaries), "features") as tick:
        for dictionary in store.dictionaries:
            for feature in store.features(dictionary, groups=False):
                name = namer.name(feature)
                if name.text:
                    names[dictionary, feature.index] = name
                tick(1, False)
    return names
