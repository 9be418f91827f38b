"""Reconstruction and loss, against transformers and numpy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from atlas.config import load
from atlas.corpus import Corpus, corpus_key, open_corpus
from atlas.dictionaries.base import Dictionary
from atlas.engines.quality import measure
from atlas.model.lm import LanguageModel

D, PLACE = 32, "blocks.1.hook_resid_post"


@pytest.fixture(scope="module")
def model(inputs: Path) -> LanguageModel:
    return LanguageModel.load(inputs.parent / "model")


@pytest.fixture(scope="module")
def corpus(inputs: Path, model: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    folder, recipe = tmp_path_factory.mktemp("quality"), load(inputs)
    with open_corpus(recipe, model.tokenizer, folder, folder / "c", corpus_key(recipe, model.tokenizer), 2) as found:
        for _ in found:
            pass
        yield found


def make(hook: str = PLACE, **changes: Any) -> Dictionary:
    """A random SAE that fires on something."""
    chance = torch.Generator().manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(64, D, generator=chance), dim=1)
    made = Dictionary("d", "standard", hook, rows.T.contiguous() * 0.5, torch.full((64,), -0.2), rows, torch.zeros(D))
    return replace(made, **changes)


def perfect(hook: str = PLACE) -> Dictionary:
    """Gives back what it is given."""
    both = torch.cat([torch.eye(D), -torch.eye(D)])
    return make(hook, W_enc=both.T.contiguous(), b_enc=torch.zeros(2 * D), W_dec=both)


def silent(hook: str = PLACE) -> Dictionary:
    return make(hook, b_enc=torch.full((64,), -1e6))


def run(model: LanguageModel, corpus: Corpus, *dictionaries: Dictionary, tokens: int = 10**9) -> list[Any]:
    return measure(model, dictionaries, corpus, tokens, bos=True, tick=lambda _: None)


@pytest.mark.parametrize("hook", [PLACE, "blocks.0.hook_resid_pre", "blocks.1.hook_mlp_out", "blocks.2.hook_resid_mid"])
def test_the_ends_of_the_scale(model: LanguageModel, corpus: Corpus, hook: str) -> None:
    best, worst = run(model, corpus, perfect(hook), silent(hook))
    assert best.fvu == pytest.approx(0, abs=1e-10)
    assert best.spliced == pytest.approx(best.loss, rel=1e-6)
    assert best.zeroed != pytest.approx(best.loss, rel=1e-4)
    assert worst.spliced == worst.zeroed == best.zeroed
    assert worst.fvu >= 1
    assert best.tokens == worst.tokens == corpus.end.tokens


def by_hand(inputs: Path, corpus: Corpus, d: Dictionary, bos: int) -> list[float]:
    """Window after window in transformers alone: errors and squares to add up, and losses of three kinds."""
    lm: Any = AutoModelForCausalLM.from_pretrained(inputs.parent / "model").eval()
    block, ys, made, losses = lm.model.layers[1], [], [], [[], [], []]
    for found in corpus.lookup(np.arange(corpus.end.windows)):
        for i in range(len(found)):
            ids = torch.tensor([[bos, *found.tokens(i).tolist()]])
            for kind in range(3):

                def put(_m: Any, _i: Any, out: Any, kind: int = kind) -> Any:
                    x = out[0] if isinstance(out, tuple) else out
                    if kind == 0:
                        ys.append(x[0, 1:].numpy().astype(np.float64))
                        return out
                    pre = x[0, 1:].double() @ d.W_enc.double() + d.b_enc.double()
                    new = pre.clamp_min(0) @ d.W_dec.double() + d.b_dec.double()
                    if kind == 1:
                        made.append(new.numpy())
                    put_there = new if kind == 1 else 0 * new
                    new = torch.cat([x[:, :1], put_there.float()[None]], 1)
                    return (new, *out[1:]) if isinstance(out, tuple) else new

                handle = block.register_forward_hook(put)
                with torch.no_grad():
                    logits = lm(ids).logits[0, :-1]
                handle.remove()
                losses[kind] += cross_entropy(logits, ids[0, 1:], reduction="none").tolist()
    y, new = np.concatenate(ys), np.concatenate(made)
    fvu = float(((y - new) ** 2).sum() / ((y - y.mean(0)) ** 2).sum())
    return [fvu, *map(float, map(np.mean, losses))]


def test_all_of_it_is_what_transformers_says(model: LanguageModel, corpus: Corpus, inputs: Path) -> None:
    d = make()
    (found,) = run(model, corpus, d)
    assert model.bos_id is not None
    fvu, loss, spliced, zeroed = by_hand(inputs, corpus, d, model.bos_id)
    assert found.fvu == pytest.approx(fvu, rel=1e-4)
    assert (found.loss, found.spliced, found.zeroed) == pytest.approx((loss, spliced, zeroed), rel=1e-4)
    assert found.recovered == pytest.approx((zeroed - spliced) / (zeroed - loss), rel=1e-3)


def test_a_transcoder_is_measured_where_it_writes(model: LanguageModel, corpus: Corpus) -> None:
    reads = {"kind": "transcoder", "hook_out": "blocks.1.hook_mlp_out"}
    one, other = run(model, corpus, make("blocks.1.ln2.hook_normalized", **reads), silent("blocks.1.hook_mlp_out"))
    assert one.zeroed == other.zeroed
    assert one.spliced not in {one.zeroed, one.loss}
    (inside,) = run(model, corpus, make("blocks.1.ln2.hook_normalized"))
    assert (inside.spliced, inside.zeroed, inside.recovered) == (None, None, None)
    assert inside.fvu > 0


def test_some_tokens_neurons_and_values_that_are_not_finite(model: LanguageModel, corpus: Corpus) -> None:
    (some,) = run(model, corpus, make(), tokens=100)
    assert 60 < some.tokens < 200
    broken = make(W_dec=torch.full((64, D), torch.inf))
    neurons = make(kind="neurons", W_enc=torch.zeros(D, 0), W_dec=torch.zeros(0, D))
    found, none = run(model, corpus, broken, neurons)
    assert (found, none) == (None, None)
    third = torch.tensor([3])
    partly = make(W_dec=make().W_dec.index_fill(0, third, 3e38), W_enc=make().W_enc.index_fill(1, third, 50.0))
    (found,) = run(model, corpus, partly)
    assert 0 < found.tokens < corpus.end.tokens
    assert np.isfinite([found.fvu, found.loss, found.spliced]).all()
