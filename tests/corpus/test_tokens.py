"""Token bytes: joined, they are the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tokenizers import fast
from tokenizers import Tokenizer, models, pre_tokenizers

from atlas.corpus import token_bytes
from atlas.corpus.tokens import byte_characters
from atlas.errors import AtlasError

MANY = "the cat — été, Straße, кот, 猫が好き, 고양이, קטן שלום, قطة, नमस्ते, ไทย, 🐈‍⬛🏳️‍🌈, 𓃠\t\n\r\0    x  y"
TEXTS = st.one_of(st.text(), st.text("the cat\n 猫é🐈\0<>0x41"))


def joined(tokenizer, text):
    table = token_bytes(tokenizer)
    return b"".join(table[i] for i in tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids)


@given(TEXTS)
def test_byte_level_bytes_join_to_the_text(gpt, text):
    assert joined(gpt, text).decode() == text


@given(TEXTS.filter(lambda t: "▁" not in t))
def test_sentencepiece_bytes_join_to_the_text(gemma, text):
    assert joined(gemma, text.replace("<unk>", "")).decode() == text.replace("<unk>", "")


@given(TEXTS.filter(lambda t: t and "▁" not in t))
def test_the_dummy_prefix_is_one_space_of_the_first_token(llama, text):
    assert joined(llama, text).decode() == " " + text


@pytest.mark.parametrize("which", ["gpt", "gemma"])
def test_many_scripts(which, request):
    assert joined(request.getfixturevalue(which), MANY).decode() == MANY


def test_every_byte_of_a_byte_level_vocabulary_is_there_once(gpt):
    table = token_bytes(gpt)
    assert sorted(t for t in table if len(t) == 1) == [bytes([b]) for b in range(256)]
    assert sorted(byte_characters().values()) == list(range(256))
    assert set(byte_characters()) == set(pre_tokenizers.ByteLevel.alphabet())


def test_control_and_added_tokens_stand_for_their_literal_text(gpt, gemma):
    table = token_bytes(gpt)
    assert table[0] == b"<eos>"
    assert table[gpt.backend_tokenizer.token_to_id("    ")] == b"    "
    assert table[gpt.backend_tokenizer.token_to_id("né")] == "né".encode()
    table = token_bytes(gemma)
    assert table[:4] == [b"<pad>", b"<eos>", b"<bos>", b"<unk>"]
    assert table[4 + 0xE9] == b"\xe9"
    assert table[gemma.backend_tokenizer.token_to_id("▁▁")] == b"  "


def test_ids_that_the_vocabulary_skips_are_empty():
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 3}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(), pre_tokenizers.ByteLevel()])
    assert token_bytes(fast(tokenizer)) == [b"a", b"", b"", b"b"]


def test_other_families_are_refused_by_name_of_their_steps():
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    with pytest.raises(AtlasError, match=r"neither byte-level nor SentencePiece-like \(BertPreTokenizer\)"):
        token_bytes(fast(tokenizer))
