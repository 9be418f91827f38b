"""Token ids that come from elsewhere: packed rows and conversations, in the real tokenizer of transformers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from corpus_support import read, windows
from small_tokenizers import sentencepiece
from transformers import PreTrainedTokenizerFast

from atlas.corpus import corpus_key
from atlas.errors import AtlasError

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "<turn>{{ m.role }}\n{{ m.content }}<end>\n{% endfor %}"
)
PAD, EOS, BOS = 0, 1, 2


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    made = PreTrainedTokenizerFast(
        tokenizer_object=sentencepiece(), bos_token="<bos>", eos_token="<eos>", pad_token="<pad>"
    )
    made.add_special_tokens({"additional_special_tokens": ["<turn>", "<end>"]})
    made.chat_template = TEMPLATE
    return made


def jsonl(path: Any, rows: list[Any]) -> None:
    path.write_text("\n".join(json.dumps({"it": row}) for row in rows))


def test_texts_that_were_packed_into_a_row_are_taken_apart(recipe, tmp_path, tokenizer):
    text, other = list(range(10, 30)), list(range(30, 45))
    jsonl(tmp_path / "x.jsonl", [[BOS, *text, EOS, BOS, *other], [BOS, EOS, EOS], [*other, EOS], list(range(10, 15))])
    part = {"id": "p", "source": "file:x.jsonl", "kind": "tokens", "column": "it"}
    for bos, length in ((True, 15), (False, 16)):
        chunks, end = read(recipe(part, bos=bos), tokenizer, tmp_path / str(bos))
        found = sorted((document, start, list(ids)) for document, start, ids in windows(chunks))
        rest = [("p/x.jsonl:1", 1 + length, text[length:])] if len(text) - length >= 8 else []
        assert found == [
            ("p/x.jsonl:1", 1, text[:length]), *rest, ("p/x.jsonl:1", 23, other), ("p/x.jsonl:3", 0, other)
        ]  # fmt: skip
        assert end.dropped["short"] == 2, "the rest of the first, and five tokens"
        assert BOS not in np.concatenate([chunk.ids for chunk in chunks])
    assert {d.tokens for d in chunks[0].documents} == {38, 16}, "a row's whole length"


def test_ids_of_another_tokenizer_are_refused(recipe, tmp_path, tokenizer):
    jsonl(tmp_path / "x.jsonl", [[5, len(tokenizer)]])
    part = {"id": "p", "source": "file:x.jsonl", "kind": "tokens", "column": "it"}
    with pytest.raises(
        AtlasError, match=r"p/x\.jsonl:1: has token id \d+, and this model's tokenizer ends at \d+; use"
    ):
        read(recipe(part), tokenizer, tmp_path)


def test_a_conversation_goes_through_the_template(recipe, tmp_path, tokenizer):
    said = [{"role": "user", "content": "the cat sat"}, {"role": "assistant", "content": "on the mat"}]
    jsonl(tmp_path / "x.jsonl", [said])
    part = {"id": "p", "source": "file:x.jsonl", "kind": "chat", "column": "it"}
    chunks, end = read(recipe(part, window=128), tokenizer, tmp_path)
    ((document, start, ids),) = windows(chunks)
    expected = tokenizer.apply_chat_template(said, tokenize=True, return_dict=False)
    assert expected[0] == BOS
    assert (document, start, list(ids)) == ("p/x.jsonl:1", 0, expected[1:])
    assert {tokenizer.convert_tokens_to_ids(t) for t in ("<turn>", "<end>")} <= set(ids), "control tokens, not text"
    assert end.dropped_total == 0


def test_a_conversation_that_cannot_be_said(recipe, tmp_path, tokenizer, gemma):
    jsonl(tmp_path / "x.jsonl", [[{"role": "system", "content": "be good"}]])
    part = {"id": "p", "source": "file:x.jsonl", "kind": "chat", "column": "it"}
    with pytest.raises(AtlasError, match=r"p/x\.jsonl:1: is refused by the tokenizer's chat template \(no system\)"):
        read(recipe(part), tokenizer, tmp_path / "1")
    with pytest.raises(AtlasError, match=r"p/x\.jsonl:1: is a conversation, and the tokenizer has no chat template"):
        read(recipe(part), gemma, tmp_path / "2")


def test_another_template_is_another_corpus_where_it_matters(recipe, tmp_path, tokenizer):
    jsonl(tmp_path / "x.jsonl", [[{"role": "user", "content": "the cat"}]])
    other = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, bos_token="<bos>", eos_token="<eos>")
    for kind in ("chat", "text"):
        part = recipe({"id": "p", "source": "file:x.jsonl", "kind": kind, "column": "it"})
        assert (corpus_key(part, tokenizer) == corpus_key(part, other)) == (kind == "text")
