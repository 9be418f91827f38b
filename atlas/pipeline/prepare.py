"""Everything that a collect pass needs, loaded and checked before anything expensive begins.

Weights are read and checked, then the model is fetched and loaded as far as it is run, then the corpus is
opened (its text is read while the pass runs already).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from atlas.config import Recipe
from atlas.corpus import Corpus, corpus_key, open_corpus
from atlas.corpus.fingerprint import fingerprint
from atlas.dictionaries.base import Dictionary, check_fits
from atlas.dictionaries.load import load_dictionary
from atlas.dictionaries.neurons import hook_of, is_neurons, neurons
from atlas.engines import Shape
from atlas.engines.plan import Plan, Size, choose_batch, make_plan
from atlas.errors import AtlasError
from atlas.model.device import pick_device
from atlas.model.fetch import FetchedModel, fetch_model
from atlas.model.footprint import footprint
from atlas.model.heap import keep_freed_memory
from atlas.model.lm import LanguageModel
from atlas.model.skeleton import skeleton
from atlas.paths import Places
from atlas.pipeline.report import Reporter

SECTIONS = ("model", "corpus", "dictionary", "collect")
PASS_FORMAT = "pass 8"  # noqa: S105 (not a password) -- raise it when the same inputs would give other bytes

MEMORY = 8 * 10**9
"""Bytes that a micro-batch is fitted into where the recipe does not say."""

MOST_WINDOWS = {"cpu": 32, "mps": 64, "cuda": 512}
"""Windows of a micro-batch beyond which a device of this kind gains nothing."""


@dataclass(frozen=True)
class Inputs:
    """What decides the result, as far as it is known before the model is loaded."""

    dictionaries: list[Dictionary]
    fetched: FetchedModel
    digest: str


@dataclass(frozen=True)
class Prepared:
    """All that a pass needs.

    Attributes:
        inputs: What decides the result.
        model: The model, on the first device, trimmed to what is run.
        devices: Where to run.
        size, plan: What it will cost.
        corpus: To be read in a `with` block.
        run: Digest of everything that decides the result to the last bit.
    """

    inputs: Inputs
    model: LanguageModel
    devices: list[torch.device]
    size: Size
    plan: Plan
    corpus: Corpus
    run: str

    @property
    def dictionaries(self) -> list[Dictionary]:
        """The dictionaries, in the recipe's order, on the CPU."""
        return self.inputs.dictionaries


def read_inputs(recipe: Recipe, places: Places, report: Reporter) -> Inputs:
    """Read the weights of all dictionaries and fetch the model.

    Raises:
        AtlasError: If anything is missing, damaged or not what it should be.
    """
    keep_freed_memory()  # before the first tensor: part of it has no effect afterwards
    dictionaries, fetched = read_weights(recipe, places.cache, report.say)
    own = (d.digest for d in dictionaries)
    return Inputs(
        dictionaries,
        fetched,
        digest(PASS_FORMAT, recipe.digest(*SECTIONS), fetched.digest, fingerprint(recipe), *own),
    )


def read_weights(recipe: Recipe, cache: Path, say: Callable[[str], None]) -> tuple[list[Dictionary], FetchedModel]:
    """The dictionaries, in the recipe's order, and the files of the model; neurons are counted off its configuration.

    Raises:
        AtlasError: If anything is missing, damaged or not what it should be.
    """
    read = {s.id: load_dictionary(s, recipe, cache) for s in recipe.dictionary if not is_neurons(s)}
    fetched = fetch_model(recipe.model, cache, say, recipe.resolve)
    rest = [section for section in recipe.dictionary if is_neurons(section)]
    if rest:
        model = skeleton(fetched.folder)
        read |= {s.id: neurons(s, model.width(model.hook(hook_of(s))), fetched.digest) for s in rest}
    return [read[section.id] for section in recipe.dictionary], fetched


def prepare(recipe: Recipe, places: Places, inputs: Inputs) -> Prepared:
    """Load the model, choose a batch, make the plan and open the corpus.

    Raises:
        AtlasError: If the parts do not fit one another, or do not fit into memory.
    """
    settings = recipe.collect
    if settings.threads:
        torch.set_num_threads(settings.threads)
    devices = pick_devices(settings.device, settings.workers)
    model = load_model(recipe, inputs, devices[0])
    if recipe.corpus.bos and model.bos_id is None:
        raise AtlasError("corpus.bos", f"the tokenizer of {recipe.model.name} has no BOS token", "set bos = false")
    size = measure(recipe, model, inputs.dictionaries)
    memory = settings.memory_bytes
    batch = settings.batch or choose_batch(size, memory or MEMORY, MOST_WINDOWS[devices[0].type])
    size = replace(size, batch=batch)
    shape = Shape.whole([d.width for d in inputs.dictionaries], len(recipe.corpus.part), settings.top, settings.sample)
    plan = make_plan(size, shape, memory, shipped=settings.engine == "ray")
    key = corpus_key(recipe, model.tokenizer)
    corpus = open_corpus(recipe, model.tokenizer, places.cache, places.work / "corpus", key, batch)
    run = digest(inputs.digest, key, str(batch), devices[0].type, str(torch.get_num_threads()))
    return Prepared(inputs, model, devices, size, plan, corpus, run)


def load_model(recipe: Recipe, inputs: Inputs, device: torch.device) -> LanguageModel:
    """The model on a device, without the blocks that no dictionary reads.

    Raises:
        AtlasError: If it does not fit, or a dictionary does not fit it.
    """
    model = LanguageModel.load(
        inputs.fetched.folder, recipe.model.dtype, "cpu", autocast=recipe.collect.autocast or None
    )
    places = {name: model.hook(name) for d in inputs.dictionaries for name in (d.hook_point, d.hook_out) if name}
    for dictionary in inputs.dictionaries:
        out = places[dictionary.hook_out or dictionary.hook_point]
        check_fits(dictionary, model.width(places[dictionary.hook_point]), model.width(out))
    model.trim(list(places.values()))  # what is written into is needed for logit effects
    model.to(device)
    if recipe.collect.compile:
        model.compile()
    return model


def pick_devices(wanted: str, workers: int) -> list[torch.device]:
    """The devices to run on: all GPUs where the recipe's choice means GPUs, else one; `workers` of them if it is set.

    More workers than devices share them: of use for tests alone.
    """
    first = pick_device(wanted)
    there = [torch.device("cuda", i) for i in range(torch.cuda.device_count())] if first.type == "cuda" else [first]
    return [there[i % len(there)] for i in range(workers or len(there))]


def measure(recipe: Recipe, model: LanguageModel, dictionaries: Sequence[Dictionary]) -> Size:
    """What decides the cost of a pass, read off the model and the recipe; `batch` is 1."""
    return Size(
        model=footprint(model),
        hooks=len({d.hook_point for d in dictionaries}),
        encoders=tuple((d.d_in, d.width) for d in dictionaries),
        tokens=recipe.corpus.tokens,
        window=recipe.corpus.window,
        batch=1,
        neurons=tuple(place for place, d in enumerate(dictionaries) if d.kind == "neurons"),
    )


def digest(*parts: str) -> str:
    """SHA-256 of texts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
