"""Documents to token ids: text by the tokenizer, ids as they are, conversations by the tokenizer's chat template.

- Text is tokenised in batches. Control tokens spelt out in it are text.
- Ids that were made before are checked against the vocabulary. Whoever made them has packed several texts into a row,
  as SAELens and SAEDashboard do, with BOS or EOS between them: these end a text, and are left out (a window gets a BOS
  of its own, and neither ever counts).
- A conversation becomes text by the template that the tokenizer brings (Jinja in transformers' sandbox), in which
  control tokens are control tokens. A BOS in front is left out, for the same reason.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from atlas.corpus.parts import Document, Part
    from atlas.corpus.tokens import FastTokenizer

BATCH_CHARACTERS = 100_000
"""Text tokenised at a time; has no influence on the result."""

Ids = NDArray[np.int32]
Encoded = tuple[int, "Document", Ids, list[tuple[int, int]]]
"""Place and document, its ids, and where each text in it begins and ends."""


class Encoder:
    """Makes token ids of documents.

    Args:
        tokenizer: The model's fast tokenizer; it is copied, not changed.
    """

    def __init__(self, tokenizer: FastTokenizer) -> None:
        self._tokenizer = tokenizer
        self._text, self._control = _copy(tokenizer, control=False), _copy(tokenizer, control=True)
        ids = (getattr(tokenizer, name, None) for name in ("bos_token_id", "eos_token_id"))
        self._ends = [i for i in ids if isinstance(i, int)]
        self.vocabulary = max(tokenizer.backend_tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    def encoded(self, part: Part, first: int, check: Callable[[], None]) -> Iterator[Encoded]:
        """Documents of a part from a place on, with their ids, int32 [length].

        Args:
            part: The part.
            first: Place of the first document in hash order.
            check: Called for every document; what it raises ends the work.

        Raises:
            AtlasError: If ids are not of this tokenizer, or it has no chat template or one that fails.
        """
        batch: list[tuple[int, Document]] = []
        characters = 0
        for place in range(first, len(part)):
            check()
            document = part.document(place)
            size = len(document.content) if isinstance(document.content, str) else 0
            if batch and (characters + size > BATCH_CHARACTERS or not isinstance(document.content, str)):
                yield from self._batch(batch)
                batch, characters = [], 0
            if isinstance(document.content, str):
                batch.append((place, document))
                characters += size
            elif isinstance(document.content, np.ndarray):
                yield place, document, document.content, self._texts(document.id, document.content)
            else:
                ids = self._chat(document.id, document.content)
                yield place, document, ids, [(0, len(ids))]
        if batch:
            yield from self._batch(batch)

    def _batch(self, batch: list[tuple[int, Document]]) -> Iterator[Encoded]:
        encodings = self._text.encode_batch_fast([d.content for _, d in batch], add_special_tokens=False)
        for (place, document), encoding in zip(batch, encodings, strict=True):
            yield place, document, np.array(encoding.ids, dtype=np.int32), [(0, len(encoding.ids))]

    def _texts(self, document: str, ids: Ids) -> list[tuple[int, int]]:
        """Where the texts of a row begin and end."""
        highest = int(ids.max(initial=-1))
        if highest >= self.vocabulary:
            raise AtlasError(
                document,
                f"has token id {highest}, and this model's tokenizer ends at {self.vocabulary - 1}",
                "use a corpus that was tokenised for this model",
            )
        cuts = [-1, *np.flatnonzero(np.isin(ids, self._ends)).tolist(), len(ids)]
        return [(low + 1, high) for low, high in pairwise(cuts) if high > low + 1]

    def _chat(self, document: str, messages: list[dict[str, str]]) -> Ids:
        tokenizer: Any = self._tokenizer
        if not getattr(tokenizer, "chat_template", None):
            mend = 'use the tokenizer of a chat model, or kind = "text"'
            raise AtlasError(document, "is a conversation, and the tokenizer has no chat template", mend)
        try:
            text = tokenizer.apply_chat_template(messages, tokenize=False)
        except Exception as error:  # a template raises what it likes, such as "roles must alternate"
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise AtlasError(
                document, f"is refused by the tokenizer's chat template ({reason})", "leave it out"
            ) from error
        ids = np.array(self._control.encode(text, add_special_tokens=False).ids, dtype=np.int32)
        return ids[1:] if len(ids) and ids[0] == getattr(tokenizer, "bos_token_id", None) else ids


def _copy(tokenizer: FastTokenizer, *, control: bool) -> Any:
    """A copy of the `tokenizers.Tokenizer` that keeps every token, and takes control tokens for such or for text."""
    backend = copy.deepcopy(tokenizer.backend_tokenizer)
    backend.encode_special_tokens = not control
    backend.no_truncation()
    backend.no_padding()
    return backend
