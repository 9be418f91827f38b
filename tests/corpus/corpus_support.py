"""Reading a corpus to its end, and looking at what came of it."""

import threading
from itertools import islice

from atlas.corpus import open_corpus

BATCH = 4


def read(recipe, tokenizer, folder, *, key="k", batch=BATCH, stop=None):
    """Chunks (all, or the first `stop`) and, if it was reached, the end."""
    with open_corpus(recipe, tokenizer, folder / "cache", folder / "spool", key, batch) as corpus:
        chunks = list(islice(corpus, stop))
        return chunks, None if stop is not None else corpus.end


def windows(chunks):
    """Every window as document, start and token ids, in the order of their ids."""
    return [
        (c.documents[c.document[w - c.first]].id, int(c.start[w - c.first]), tuple(c.tokens(w).tolist()))
        for c in chunks
        for w in c.windows
    ]


def digests(chunks):
    return [chunk.digest() for chunk in chunks]


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "atlas-corpus"]


def names(folder):
    return sorted(path.name for path in folder.iterdir())
