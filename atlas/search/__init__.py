"""Search over the features of an atlas, from plain static files.

`rank` orders the features, `tokenise` makes terms of texts, `form` is the file format, `index` writes it,
`reader` reads and checks it. The reader's half is `site_src/assets/search-core.js`.
"""

from atlas.search.index import Entry, Manifest, build_index
from atlas.search.rank import Ranked, static_rank
from atlas.search.reader import Reader
from atlas.search.tokenise import tokenise

__all__ = ["Entry", "Manifest", "Ranked", "Reader", "build_index", "static_rank", "tokenise"]
