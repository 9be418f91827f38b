"""Text in, token windows out.

    recipe -> documents (stable ids) -> sample within the token budget -> windows (`make_windows`)

`documents` reads the recipe's parts, `sampling` decides what is read of each, `windows` cuts tokens
into the windows that the model reads, `tokens` says which bytes a token stands for. No torch here.
"""

from atlas.corpus.documents import Document, load_documents
from atlas.corpus.tokens import token_bytes
from atlas.corpus.windows import DocumentRef, Windows, make_windows

__all__ = ["Document", "DocumentRef", "Windows", "load_documents", "make_windows", "token_bytes"]
