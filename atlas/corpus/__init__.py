"""Text in, chunks of token windows out.

    recipe -> documents (stable ids) -> sample within the token budget -> windows -> chunks (`open_corpus`)

`documents` indexes the recipe's parts, `sampling` decides what is read of each, `reading` cuts tokens into
the windows that the model reads, `chunks` puts some of them in order, `spool` keeps them on disk, and
`stream` does it all in the background. `tokens` says which bytes a token stands for. No torch here.
"""

from atlas.corpus.chunks import Chunk, DocumentRef
from atlas.corpus.documents import load_documents
from atlas.corpus.fingerprint import corpus_key
from atlas.corpus.lookup import Found
from atlas.corpus.parts import Document
from atlas.corpus.spool import CorpusEnd
from atlas.corpus.stream import Corpus, open_corpus, read_all
from atlas.corpus.tokens import token_bytes

__all__ = [
    "Chunk",
    "Corpus",
    "CorpusEnd",
    "Document",
    "DocumentRef",
    "Found",
    "corpus_key",
    "load_documents",
    "open_corpus",
    "read_all",
    "token_bytes",
]
