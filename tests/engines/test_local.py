"""The pass against a plain loop: one window at a time, transformers' own hidden states, SAE by hand."""

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import atlas
from atlas.config import load
from atlas.corpus import read_all


@pytest.fixture(scope="module")
def plain(tiny, tmp_path_factory):
    """Activations of every dictionary on every window, float64 sums aside: [windows][tokens, width]."""
    model = AutoModelForCausalLM.from_pretrained(tiny.folder / "model", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny.folder / "model")
    (windows,) = read_all(load(tiny.recipe), tokenizer, tiny.out / "cache", tmp_path_factory.mktemp("corpus"), 2)
    acts = {"1-res-600": [], "0-res-24": []}
    margins = {"1-res-600": 0, "0-res-24": 0}
    weights = {
        name: load_file(tiny.folder / folder / "sae_weights.safetensors")
        for name, folder in (("1-res-600", "wide"), ("0-res-24", "narrow"))
    }
    for w in range(len(windows)):
        ids = torch.tensor([[2, *windows.tokens(w).tolist()]])
        with torch.no_grad():
            hidden = model(ids, output_hidden_states=True).hidden_states
        for name, layer in (("1-res-600", 1), ("0-res-24", 0)):
            x, sae = hidden[layer + 1][0, 1:].numpy(), weights[name]
            pre = (x - sae["b_dec"]) @ sae["W_enc"] + sae["b_enc"]
            bar = sae.get("threshold", np.zeros(1, np.float32))
            margins[name] += int((np.abs(pre - bar) < 1e-4).sum())
            acts[name].append(np.where(pre > bar, pre, 0))
    return windows, acts, margins


@pytest.mark.parametrize("dictionary", ["1-res-600", "0-res-24"])
def test_counts_maxima_and_top_snippets_are_those_of_a_plain_loop(tiny, plain, dictionary):
    windows, acts, margins = plain
    store = atlas.open_store(tiny.store)
    whole = np.concatenate(acts[dictionary])
    assert store.dictionaries[dictionary].tokens == len(whole)
    wrong = 0
    for feature in store.features(dictionary):
        column = whole[:, feature.index]
        wrong += abs(int((column > 0).sum()) - feature.count)
        assert feature.max == pytest.approx(float(column.max()), rel=1e-3)
        assert sum(feature.sources.values()) == feature.count == sum(feature.histogram.counts)
        if feature.top:
            top = feature.top[0]
            here = acts[dictionary][top.window][:, feature.index]
            assert list(top.ids) == windows.tokens(top.window).tolist()
            assert here[top.position] == pytest.approx(top.value, rel=1e-3)
            assert np.allclose(here, top.values, rtol=1e-3, atol=2e-4)
    assert wrong <= margins[dictionary]


def test_one_source_fires_what_the_others_do_not(tiny, plain):
    windows, acts, _ = plain
    store = atlas.open_store(tiny.store)
    sources = [s.id for s in store.manifest.corpus.sources]
    for feature in store.features("0-res-24"):
        for place, source in enumerate(sources):
            n = sum(
                int((acts["0-res-24"][w][:, feature.index] > 0).sum())
                for w in range(len(windows))
                if windows.source[w] == place
            )
            assert abs(n - feature.sources[source]) <= 1
