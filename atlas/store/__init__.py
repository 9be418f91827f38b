"""The store: the waist of the atlas. Everything before it may use torch, nothing after it does.

    manifest.json                    what was run on what, the stages that are done, a digest of every file
    documents.parquet                documents that a stored window comes from
    windows.parquet                  token ids of every window that a snippet shows
    tokens.parquet                   bytes of every token that occurs, and how often the corpus has it
    names.parquet                    one display name a feature
    <dictionary>/features.parquet    one row a feature: counts, histogram, logit effects, neighbours
    <dictionary>/snippets.parquet    top, quantile and interval snippets with their activations

Parquet files hold `ROWS` features a row group, so that a reader can stream through a dictionary of any
width. `manifest.json` is written last: a store without it does not exist.
"""

from atlas.store.manifest import Manifest
from atlas.store.read import Store, open_store

__all__ = ["Manifest", "Store", "open_store"]
