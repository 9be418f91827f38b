"""The reproducibility card: what a number depends on, and the code that computes it again."""

from __future__ import annotations

import json
from typing import NamedTuple

from atlas.records import DictionaryRecord, FeatureRecord
from atlas.render import numbers
from atlas.render.shapes import Fact
from atlas.store import Manifest
from atlas.store.manifest import ModelEntry

_DIGEST = 16
WEIGHTS = "sae_weights.safetensors"
_BY_SAELENS = "saelens:"


class _Hub(NamedTuple):
    repo: str
    path: str
    pinned: str


def card(manifest: Manifest, dictionary: DictionaryRecord) -> tuple[Fact, ...]:
    """What was run on what."""
    model, corpus = manifest.model, manifest.corpus
    window = corpus.window - corpus.bos
    amount = f"{numbers.count(corpus.tokens)} tokens, {numbers.count(corpus.windows)} windows"
    start = "BOS + " if corpus.bos else ""
    facts = [
        ("Model", f"{_pinned(model)} · sha256 {model.digest[:_DIGEST]}", "Weights, configuration and tokenizer"),
        ("Dictionary", f"{dictionary.architecture} · sha256 {dictionary.digest[:_DIGEST]}", _pinned(dictionary)),
        ("Hook point", dictionary.hook_point, "Where the dictionary reads"),
        *([("Writes to", dictionary.hook_out, "What a transcoder predicts")] if dictionary.hook_out else []),
        ("Tokenizer", f"sha256 {model.tokenizer_digest[:_DIGEST]}", ""),
        (
            "Corpus",
            f"{amount} · sha256 {corpus.digest[:_DIGEST]}",
            "Token ids, windows and documents",
        ),
        ("Window", f"{start}up to {window} tokens of one document; BOS, EOS and padding never count", ""),
        ("Precision", f"{model.dtype} on {manifest.run.get('device', '?')}; activations kept to 12 bits", ""),
        ("Built with", f"sae-atlas {manifest.version}, torch {manifest.run.get('torch', '?')}", ""),
    ]
    return tuple(Fact(*fact) for fact in facts)


def recompute(manifest: Manifest, dictionary: DictionaryRecord, feature: FeatureRecord) -> str:
    """Python that computes the page's top activation again from public weights; "" where none can be offered.

    Offered for SAEs on the residual stream after a block that is not the last, in SAELens's layout.
    """
    layer = dictionary.layer
    plain = (
        dictionary.hook_point.endswith("hook_resid_post") and layer is not None and layer + 1 < manifest.model.layers
    )
    plain = plain and (dictionary.format, dictionary.kind) == ("saelens", "sae")
    plain = plain and dictionary.metadata.get("normalize_activations", "none") == "none"
    plain = plain and "centre" not in dictionary.metadata
    if not plain or not feature.top or dictionary.architecture not in {"standard", "jumprelu"}:
        return ""
    bos = f"{manifest.corpus.bos_id}, " if manifest.corpus.bos_id is not None else ""
    at = f'{len(bos) > 0:d} + r["position"]' if bos else 'r["position"]'
    i = feature.index
    subtract = dictionary.metadata.get("apply_b_dec_to_input", "true").lower() != "false"
    x = '(x - w["b_dec"])' if subtract else "x"
    gate = f'pre * (pre > w["threshold"][{i}])' if dictionary.architecture == "jumprelu" else "pre.relu()"
    model = _on_hub(_pinned(manifest.model))
    load = f"{_quoted(model.repo)}{model.pinned}, dtype=torch.float32" if model else "MODEL, dtype=torch.float32"
    place = "" if model else f"MODEL = {manifest.model.source!r}  # the folder that `atlas collect` made of it\n"
    needs, constant, weights = _weights(_pinned(dictionary))
    return f"""import json, pathlib, torch
{needs}
from transformers import AutoModelForCausalLM

{place}{constant}r = json.loads(pathlib.Path("feature.json").read_text())["recompute"]
model = AutoModelForCausalLM.from_pretrained({load})
w = {{k: v.float() for k, v in {weights}.items()}}
ids = torch.tensor([[{bos}*r["ids"]]])
with torch.no_grad():
    x = model(ids, output_hidden_states=True).hidden_states[{(layer or 0) + 1}][0, {at}]
pre = {x} @ w["W_enc"][:, {i}] + w["b_enc"][{i}]
print(float({gate}))  # {numbers.activation(feature.max)}"""


def _pinned(found: DictionaryRecord | ModelEntry) -> str:
    """Where it came from, with the commit if the address names none."""
    known = not found.revision or "@" in found.source or not found.source.startswith("hf://")
    return found.source if known else f"{found.source}@{found.revision}"


def _weights(source: str) -> tuple[str, str, str]:
    """How Python gets at the weights: imports, a constant that says where they are, and an expression for them."""
    if source.startswith(_BY_SAELENS):
        release, _, sae_id = source.removeprefix(_BY_SAELENS).partition("/")
        return (
            "from sae_lens import SAE",
            "",
            f"SAE.from_pretrained({_quoted(release)}, {_quoted(sae_id)}).state_dict()",
        )
    hub = _on_hub(source)
    needs, place = "from safetensors.torch import load_file", repr(f"{source}/{WEIGHTS}")
    if hub:
        needs = f"from huggingface_hub import hf_hub_download\n{needs}"
        place = f"hf_hub_download({_quoted(hub.repo)}, {_quoted(hub.path + WEIGHTS)}{hub.pinned})"
    return needs, f"WEIGHTS = {place}\n", "load_file(WEIGHTS)"


def _on_hub(source: str) -> _Hub | None:
    """The parts of `hf://org/repo/path@revision`; None for any other source."""
    if not source.startswith("hf://"):
        return None
    place, _, revision = source.removeprefix("hf://").partition("@")
    org, repo, *path = place.strip("/").split("/")
    return _Hub(
        f"{org}/{repo}", "".join(f"{part}/" for part in path), f", revision={_quoted(revision)}" if revision else ""
    )


def _quoted(text: str) -> str:
    """A Python string in double quotes."""
    return json.dumps(text, ensure_ascii=False)
