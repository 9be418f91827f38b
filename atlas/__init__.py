"""A browsable, citable atlas of sparse-autoencoder features, built offline into static files.

The pipeline, in ten lines:

    recipe = config.load("recipe.toml")                  # one TOML file, validated once
    windows = corpus.make_windows(recipe, tokenizer)     # documents -> BOS + consecutive tokens
    for batch in windows:                                # one pass of the model for every dictionary
        activations = model.run(batch, hook_points)      # the forward stops after the last one needed
        for dictionary in dictionaries:
            accumulator.update(dictionary.encode(activations))   # exact and mergeable
    store = deposit(accumulators, logit_effects, neighbours)     # Parquet: the waist; no torch after it
    names = lexical(store) | by_hand                     # one display name a feature
    site = stamp(store, names, frame)                    # a page a feature, search, data: plain files

`open_store` reads a finished store:

    >>> store = atlas.open_store("build/out/demo/store")
    >>> store.dictionaries
    >>> store.feature("9-res-4k", 650)                   # a FeatureRecord; notebooks show its snippets
    >>> store.to_arrow("features", "9-res-4k")
"""

from atlas.config import Recipe
from atlas.config import load as load_recipe
from atlas.errors import AtlasError
from atlas.records import DictionaryRecord, FeatureRecord, Name, Snippet
from atlas.store import Store, open_store
from atlas.version import __version__

__all__ = [
    "AtlasError",
    "DictionaryRecord",
    "FeatureRecord",
    "Name",
    "Recipe",
    "Snippet",
    "Store",
    "__version__",
    "load_recipe",
    "open_store",
]
