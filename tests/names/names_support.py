"""Features with the snippets that a test gives them, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from atlas.records import FeatureRecord, Histogram, LogitEffects, Name, Snippet, SourceRecord

SOURCES = (
    SourceRecord("code", "Python source", "PSF", 1, 1, 200),
    SourceRecord("prose", "Prose", "public domain", 1, 1, 800),
)


def tokens(text: str) -> list[bytes]:
    """A token a word, with the space before it, and a token for each line end."""
    parts = text.replace("\n", " \n").split(" ")
    return [(part if i == 0 or part[:1] == "\n" else f" {part}").encode() for i, part in enumerate(parts)]


def snippet(pieces: Sequence[bytes], position: int, value: float = 1.0) -> Snippet:
    values = [0.0] * len(pieces)
    values[position] = value
    return Snippet(0, "d", "prose", 0, tuple(range(len(pieces))), tuple(pieces), tuple(values), position, value)


def peak(text: str, value: float = 1.0) -> Snippet:
    """A snippet that peaks at the word in [brackets]."""
    words = text.replace("\n", " \n").split(" ")
    position = next(i for i, word in enumerate(words) if word.startswith(("[", "\n[")))
    return snippet(tokens(text.replace("[", "").replace("]", "")), position, value)


def feature(*top: Snippet, **sources: int) -> FeatureRecord:
    nothing = Histogram((), ())
    return FeatureRecord(
        model="m",
        dictionary="d",
        index=0,
        count=sum(sources.values()) or len(top),
        tokens=1000,
        max=max((s.value for s in top), default=0.0),
        top=top,
        quantiles=(),
        intervals=(),
        histogram=nothing,
        sources=sources or {"code": 0, "prose": len(top)},
        logits=LogitEffects((), (), nothing, 0.0, 0.0, 0.0, 0.0),
        neighbours=(),
        cofiring=(),
        name=Name("", "none"),
    )
