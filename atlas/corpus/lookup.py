"""Some windows of a corpus, by their ids: what snippets show, read from disk a chunk at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from atlas.corpus.chunks import Chunk, DocumentRef, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Found:
    """Windows of one chunk that were looked up, ascending. Arrays are read-only.

    Attributes:
        windows: int64 [n], their ids.
        ids: int32 [tokens], token ids without BOS, window after window.
        offsets: int64 [n + 1], where each window begins in `ids`.
        document: int32 [n], index into `documents`.
        source: int16 [n], index into the recipe's parts.
        start: int32 [n], the window's first token, counted in its document.
        documents: Documents of these windows, each once, sorted by source, then id.
    """

    windows: NDArray[np.int64]
    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    document: NDArray[np.int32]
    source: NDArray[np.int16]
    start: NDArray[np.int32]
    documents: list[DocumentRef]

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.windows)

    def tokens(self, place: int) -> NDArray[np.int32]:
        """Token ids of the window at a place of this result, int32 [length]."""
        return self.ids[self.offsets[place] : self.offsets[place + 1]]


def look_up(windows: NDArray[np.int64], firsts: NDArray[np.int64], load: Callable[[int], Chunk]) -> Iterator[Found]:
    """Find windows, those of one chunk at a time.

    Args:
        windows: int64 [n], ids, ascending.
        firsts: int64 [chunks + 1], id of every chunk's first window, then the number of windows.
        load: Reads a chunk; called once for each that holds one of the windows.

    Raises:
        ValueError: If the ids are not ascending, or there is no such window.
    """
    if len(windows) and (windows[0] < 0 or windows[-1] >= firsts[-1] or (np.diff(windows) < 0).any()):
        msg = f"ids of windows have to be ascending and below {firsts[-1]}"
        raise ValueError(msg)
    chunk_of = np.searchsorted(firsts, windows, side="right") - 1
    return (_in_chunk(load(number), windows[chunk_of == number]) for number in np.unique(chunk_of).tolist())


def _in_chunk(chunk: Chunk, windows: NDArray[np.int64]) -> Found:
    place = windows - chunk.first
    ids = np.concatenate([chunk.tokens(window) for window in windows.tolist()])  # copies: no view is kept
    lengths = np.diff(chunk.offsets)[place]
    used, document = np.unique(chunk.document[place], return_inverse=True)
    return Found(
        windows=frozen(windows.astype(np.int64)),
        ids=frozen(ids),
        offsets=frozen(np.concatenate(([0], np.cumsum(lengths)))),
        document=frozen(document.astype(np.int32)),
        source=frozen(chunk.source[place]),
        start=frozen(chunk.start[place]),
        documents=[chunk.documents[d] for d in used.tolist()],
    )
