"""The formats that dictionaries are published in, a module each; each begins with its layout and source."""

from atlas.dictionaries.formats import (
    circuit_tracer,
    dictionary_learning,
    gemma_scope,
    gemma_scope_2,
    llama_scope,
    openai,
    qwen_scope,
    saelens,
    sparsify,
)
from atlas.dictionaries.formats.common import Format, Wanted

ALL: tuple[Format, ...] = (
    saelens, gemma_scope, gemma_scope_2, llama_scope, sparsify, dictionary_learning, openai, qwen_scope, circuit_tracer,
)  # fmt: skip

__all__ = ["ALL", "Format", "Wanted"]
