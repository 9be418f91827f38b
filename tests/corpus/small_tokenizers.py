"""Small tokenizers of the two families, built in code."""

from types import SimpleNamespace

import orjson
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXT = [
    "the cat sat on the mat",
    "the dog and the cat",
    "a cat, a dog; the theme of that",
    "def cat(self):\n    return",
]


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330, initial_alphabet=alphabet, special_tokens=["<eos>"], show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.add_tokens(["    ", "né"])  # literal text, as Pythia's runs of spaces are: not in byte characters
    tokenizer.post_processor = processors.TemplateProcessing(single="<eos> $A", special_tokens=[("<eos>", 0)])
    return tokenizer


def sentencepiece(*, dummy_prefix: bool = False) -> Tokenizer:
    """BPE over `▁` with byte fallback: Gemma's way, or with a dummy prefix Llama 2's."""
    space = normalizers.Replace(" ", "▁")
    learnt = Tokenizer(models.BPE())
    learnt.normalizer = space
    learnt.pre_tokenizer = pre_tokenizers.Split(Regex("(?<=▁)"), "isolated")
    learnt.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=80, show_progress=False))
    model = orjson.loads(learnt.to_str())["model"]
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", *(f"<0x{b:02X}>" for b in range(256)), *model["vocab"]]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys([*pieces, "▁", "▁▁"]))}
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]] + [("▁", "▁")]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.normalizer = space
    if dummy_prefix:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), space])
        steps.append(decoders.Strip(" ", 1, 0))
    tokenizer.decoder = decoders.Sequence(steps)
    tokenizer.add_special_tokens(["<pad>", "<eos>", "<bos>", "<unk>"])
    return tokenizer


def fast(backend: Tokenizer) -> SimpleNamespace:
    """What is used of a transformers fast tokenizer."""
    return SimpleNamespace(backend_tokenizer=backend)
