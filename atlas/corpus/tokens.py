"""Which bytes every token stands for, read off the tokenizer's own description.

Two families cover the open models; `tokenizer.json` says which one it is:

1. Byte-level BPE (GPT-2, Pythia, Llama 3, Qwen): pre-tokenizer or decoder `ByteLevel`. A token is
   written with 256 printable characters, one a byte.
   https://github.com/openai/gpt-2/blob/master/src/encoder.py
2. SentencePiece-like (Gemma, Llama 2, T5): a decoder that turns `▁` into a space, and, with byte
   fallback, tokens `<0xNN>` for one byte.

Control tokens, and in the first family all added tokens, stand for their literal text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Iterator

BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class FastTokenizer(Protocol):
    """What is used of `transformers.PreTrainedTokenizerFast`."""

    @property
    def backend_tokenizer(self) -> Any:
        """The `tokenizers.Tokenizer` behind it."""


def token_bytes(tokenizer: FastTokenizer) -> list[bytes]:
    """Bytes of every token id, so that the bytes of a text's tokens join to the text.

    SentencePiece tokenizers with a dummy prefix (Llama 2) put one space before a text; it belongs to
    the first token's bytes here as well.

    Args:
        tokenizer: A fast tokenizer.

    Returns:
        One entry per id from 0 to the highest; ids that the vocabulary skips are empty. A model may
        have more rows than this in its embedding: padding, of no meaning.

    Raises:
        AtlasError: If the tokenizer is of neither family.
    """
    described: dict[str, Any] = orjson.loads(tokenizer.backend_tokenizer.to_str())
    steps = [s for key in ("pre_tokenizer", "decoder") for s in _steps(described.get(key))]
    added = {entry["id"]: entry for entry in described.get("added_tokens", ())}
    vocabulary = {i: piece for piece, i in tokenizer.backend_tokenizer.get_vocab(with_added_tokens=True).items()}
    out = [b""] * (max(vocabulary, default=-1) + 1)
    if any(step["type"] == "ByteLevel" for step in steps):
        table = byte_characters()
        for i, piece in vocabulary.items():
            mapped = [table.get(char) for char in piece]
            literal = i in added or None in mapped
            out[i] = piece.encode() if literal else bytes(b for b in mapped if b is not None)
        return out
    space = _space(steps)
    if space is None:
        kinds = ", ".join(dict.fromkeys(step["type"] for step in steps)) or "no pre-tokenizer and no decoder"
        where = "tokenizer"
        raise AtlasError(where, f"neither byte-level nor SentencePiece-like ({kinds})", "its text cannot be shown")
    fallback = any(step["type"] == "ByteFallback" for step in steps)
    for i, piece in vocabulary.items():
        byte = BYTE.fullmatch(piece) if fallback else None
        if byte:
            out[i] = bytes([int(byte[1], 16)])
        elif i in added and added[i]["special"]:
            out[i] = piece.encode()
        else:
            out[i] = piece.replace(space, " ").encode()
    return out


def byte_characters() -> dict[str, int]:
    """GPT-2's map from printable characters to bytes, all 256 of them."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + n): b for n, b in enumerate(others)}


def _steps(step: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """A pre-tokenizer or decoder and, when it is a sequence, what it is made of."""
    if step is None:
        return
    yield step
    for inner in (*step.get("pretokenizers", ()), *step.get("decoders", ())):
        yield from _steps(inner)


def _space(steps: list[dict[str, Any]]) -> str | None:
    """The character that stands for a space, if the tokenizer is SentencePiece-like."""
    for step in steps:
        if step["type"] == "Metaspace":
            return str(step["replacement"])
        if step["type"] == "Replace" and step.get("content") == " " and "String" in step["pattern"]:
            return str(step["pattern"]["String"])
    return None
