"""Text for the demo atlas that `pip` alone brings: no hub, no download by hand.

Every loader takes the cache folder and yields (natural id, text) in a fixed order. Which text it is
follows the versions of the packages and of Python: the same installation gives the same text, and
the corpus digest on every page says when it was another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas.corpus.demo.python import pydoc, stdlib
from atlas.corpus.demo.quotations import fortunes
from atlas.corpus.demo.scripture import bible
from atlas.corpus.demo.snippets import amazon_reviews, editorials, film_reviews, tweets
from atlas.corpus.demo.translations import catalogues

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DEMO: dict[str, Callable[[Path], Iterator[tuple[str, str]]]] = {
    "amazon-reviews": amazon_reviews,
    "bible": bible,
    "catalogues": catalogues,
    "editorials": editorials,
    "film-reviews": film_reviews,
    "fortunes": fortunes,
    "pydoc": pydoc,
    "stdlib": stdlib,
    "tweets": tweets,
}
"""What `demo:NAME` means in a recipe."""
