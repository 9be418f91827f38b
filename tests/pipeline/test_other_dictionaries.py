"""An atlas of other dictionaries than residual SAEs in SAELens's layout, and of other text than plain files.

Against transformers and plain arithmetic.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from atlas.config import load
from atlas.paths import places
from atlas.pipeline.collect import collect
from atlas.pipeline.name import name
from atlas.pipeline.report import Silent
from atlas.pipeline.site import site
from atlas.publish.check import check_site
from atlas.store import open_store

D, F, WINDOW = 32, 60, 32


@pytest.fixture(scope="module")
def built(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transcoder of Gemma Scope behind a norm, a SAELens SAE on the heads, and neurons; the folder of everything."""
    folder, chance = inputs.parent, np.random.default_rng(0)
    at = folder / "gemma-scope-tiny-transcoders/layer_1/width_1k/average_l0_9"
    at.mkdir(parents=True)
    encoder, decoder = (chance.standard_normal(shape).astype(np.float32) for shape in ((D, F), (F, D)))
    threshold = np.abs(chance.standard_normal(F)).astype(np.float32) + 6
    zeros = {"b_enc": np.zeros(F, np.float32), "b_dec": np.ones(D, np.float32)}
    np.savez(at / "params.npz", W_enc=encoder, W_dec=decoder, threshold=threshold, **zeros)
    heads = folder / "heads"
    heads.mkdir()
    weights = {"W_enc": encoder, "W_dec": decoder, **zeros}
    save_file({key: torch.from_numpy(value) for key, value in weights.items()}, heads / "sae_weights.safetensors")
    config = {"architecture": "topk", "k": 4, "d_in": D, "d_sae": F, "reshape_activations": "hook_z"}
    config["metadata"] = {"hook_name": "blocks.0.attn.hook_z"}
    (heads / "cfg.json").write_text(json.dumps(config))
    text = inputs.read_text("utf-8")
    for part, more in other_text(folder).items():
        assert f'source = "file:texts/{part}/*.txt"' in text
        text = text.replace(f'source = "file:texts/{part}/*.txt"', more)
    first, last = text.index("[[dictionary]]"), text.index("[collect]")
    own = f'[[dictionary]]\nid = "1-trans"\nsource = "{at}"\n\n[[dictionary]]\nid = "0-heads"\nsource = "heads"\n\n'
    own += '[[dictionary]]\nid = "2-neurons"\nsource = "neurons"\nlayer = 2\nfloor = 0.01\n\n'
    recipe = folder / "formats.toml"
    rest = text[last:].replace('files = ["names.toml"]', "files = []").replace('concepts = "concepts.toml"', "")
    recipe.write_text(text[:first] + own + rest, "utf-8")
    out = tmp_path_factory.mktemp("formats")
    where = places("tiny", out)
    assert collect(load(recipe), where, Silent())
    assert name(load(recipe), where, Silent())
    assert site(load(recipe), where, Silent())
    return out / "tiny"


def other_text(folder: Path) -> dict[str, str]:
    """Prose again, as rows that say where they are from, and code as token ids; what recipes say of either."""
    rows = [
        {"text": path.read_text("utf-8"), "meta": {"url": f"https://a.example/{path.stem}?a&b"}, "by": "CC0 <ours>"}
        for path in sorted((folder / "texts/prose").glob("*.txt"))
    ]
    rows[0]["meta"]["url"] = "javascript:alert(9)"
    (folder / "prose.jsonl").write_text("\n".join(map(json.dumps, rows)))
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    ids = [tokenizer(p.read_text("utf-8"))["input_ids"] for p in sorted((folder / "texts/code").glob("*.txt"))]
    pq.write_table(pa.table({"input_ids": ids}), folder / "code.parquet")
    return {
        "prose": 'source = "file:prose.jsonl"\nurl_column = "meta.url"\nlicence_column = "by"',
        "code": 'source = "file:code.parquet"\nkind = "tokens"\ncolumn = "input_ids"',
    }


def seen(model: torch.nn.Module, path: str, ids: list[int]) -> torch.Tensor:
    """What a module is handed."""
    found: list[torch.Tensor] = []
    module = model.get_submodule(path)
    hook = module.register_forward_pre_hook(lambda _module, given: found.append(given[0]))
    with torch.no_grad():
        model(torch.tensor([ids]))
    hook.remove()
    return found[0][0]


def test_activations_are_those_of_the_publisher(built, inputs):
    store = open_store(built / "store")
    model = AutoModelForCausalLM.from_pretrained(inputs.parent / "model").eval()
    weights = np.load(next(inputs.parent.glob("gemma-scope-tiny-*/*/*/*/params.npz")))
    encoder, threshold = torch.from_numpy(weights["W_enc"]), torch.from_numpy(weights["threshold"])
    bos, checked = store.manifest.corpus.bos_id, Counter()
    assert bos is not None
    for feature in (f for d in ("1-trans", "0-heads", "2-neurons") for f in store.features(d)):
        for snippet in feature.top[:2]:
            ids = [bos, *snippet.ids]
            if feature.dictionary == "1-trans":
                x = seen(model, "model.layers.1.pre_feedforward_layernorm", ids)
                x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
                pre = x @ encoder
                acts = torch.where(pre > threshold, pre, 0)
            elif feature.dictionary == "2-neurons":
                x = seen(model, "model.layers.2.mlp.down_proj", ids)
                acts = torch.cat([x, -x], 1)
                acts = torch.where(acts > 0.01, acts, 0)
            else:
                pre = (seen(model, "model.layers.0.self_attn.o_proj", ids) - 1) @ encoder
                acts = torch.zeros_like(pre).scatter(1, *reversed(torch.topk(pre, 4))).clamp_min(0)
            column = acts[1:, feature.index].numpy()
            assert snippet.value == pytest.approx(float(column.max()), rel=1e-3)
            assert snippet.position == int(column.argmax())
            checked[feature.dictionary] += 1
    assert min(checked.values()) > 20


def test_logit_effects_are_of_what_is_written(built, inputs):
    store = open_store(built / "store")
    model = AutoModelForCausalLM.from_pretrained(inputs.parent / "model").eval()
    decoder = torch.from_numpy(np.load(next(inputs.parent.glob("gemma-scope-tiny-*/*/*/*/params.npz")))["W_dec"])
    gain = 1 + model.model.norm.weight.detach()
    after = [1 + layer.post_attention_layernorm.weight.detach() for layer in model.model.layers]
    through = model.model.layers[0].self_attn.o_proj.weight.detach()
    down = model.model.layers[2].mlp.down_proj.weight.detach()
    one = down.T * (1 + model.model.layers[2].post_feedforward_layernorm.weight.detach())
    written = ("1-trans", decoder), ("0-heads", decoder @ through.T * after[0]), ("2-neurons", torch.cat([one, -one]))
    for dictionary, rows in written:
        effects = (rows * gain) @ model.lm_head.weight.detach().T
        for feature in store.features(dictionary):
            best = effects[feature.index].topk(3)
            found = feature.logits.top[:3]
            assert [e.value for e in found] == pytest.approx(best.values.tolist(), rel=1e-3)
            assert [e.id for e in found] == best.indices.tolist()


def test_the_two_sides_of_a_neuron_never_fire_together(built):
    features = list(open_store(built / "store").features("2-neurons"))
    half = len(features) // 2
    seen = 0
    for feature in features:
        other = (feature.index + half) % len(features)
        for n in feature.cofiring:
            assert n.dictionary == "2-neurons"
            assert n.index not in {other, feature.index}
            assert 0 < n.jaccard <= 1
            if n.here is not None and n.there is not None:
                seen += 1
                # two estimates of how often both fire
                both = n.here * feature.count, n.there * features[n.index].count
                assert both[0] == pytest.approx(both[1], rel=0.5)
    assert seen > 100


def test_the_pages_say_where_it_writes_and_are_whole(built):
    page = (built / "site/tiny-gemma/1-trans/index.html").read_text("utf-8")
    assert "blocks.1.ln2.hook_normalized" in page
    assert "writes to" in page
    assert "layer 1 of 3, normalised residual" in page
    assert "blocks.1.hook_mlp_out" in page
    assert "60 features of a jumprelu transcoder that reads Tiny Gemma" in page
    half = open_store(built / "store").manifest.dictionaries[2].width // 2
    page = (built / "site/tiny-gemma/2-neurons/index.html").read_text("utf-8")
    assert f"{2 * half} features, two for each of {half} neurons, of Tiny Gemma" in page
    page = (built / f"site/tiny-gemma/2-neurons/{half + 3}/index.html").read_text("utf-8")
    assert "3, below zero" in page
    assert "Its other side is feature 3" in page
    found = check_site(built / "site")
    assert not found.problems, found.problems[:3]


def test_addresses_and_licences_of_documents_come_to_the_page(built):
    store = open_store(built / "store")
    of = {s.document: s for f in store.features("1-trans") for s in f.top if s.source == "prose"}
    assert len(of) > 1
    assert {s.licence for s in of.values()} == {"CC0 <ours>"}
    pages = [page.read_text("utf-8") for page in (built / "site/tiny-gemma/1-trans").glob("*/index.html")]
    linked = set().union(
        *(re.findall(r'<a href="(https://a\.example/[^"]*)" rel="external nofollow"', p) for p in pages)
    )
    assert linked
    assert linked <= {s.url.replace("&", "&amp;") for s in of.values()}
    assert any("<span> · CC0 &lt;ours&gt;</span>" in page for page in pages)
    assert not any("javascript:" in page for page in pages)
    files = [json.loads(path.read_text()) for path in (built / "site/windows").glob("*.json")]
    assert {url for file in files for url in file["url"]} >= {s.url for s in of.values()} - {"javascript:alert(9)"}
    assert not any("javascript:" in url for file in files for url in file["url"])


def test_token_ids_are_read_as_the_text_that_they_stand_for(built, inputs):
    store = open_store(built / "store")
    text = {p.read_text("utf-8") for p in (inputs.parent / "texts/code").glob("*.txt")}
    found = {
        b"".join(s.pieces).decode("utf-8", "replace")
        for f in store.features("1-trans")
        for s in f.top
        if s.source == "code"
    }
    assert found
    assert all(any(window.strip("\ufffd") in whole for whole in text) for window in found)
