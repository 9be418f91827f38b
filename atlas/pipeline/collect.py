"""Collect: corpus, model and dictionaries in, store out.

Everything that can be wrong with the recipe is found before anything expensive begins: weights are read
and checked, then the model is fetched, then the corpus is cut, then the pass runs.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace

import torch

from atlas.config import Recipe
from atlas.corpus import make_windows, token_bytes
from atlas.corpus.fingerprint import fingerprint
from atlas.dictionaries.base import Dictionary, check_fits
from atlas.dictionaries.load import load_dictionary
from atlas.engines import Job, ShardStore, run_local
from atlas.engines.deposit import Keep, deposit
from atlas.errors import AtlasError
from atlas.model.fetch import FetchedModel, fetch_model
from atlas.model.hooks import layer_of
from atlas.model.lm import LanguageModel, pick_device
from atlas.paths import Places
from atlas.pipeline.report import Reporter
from atlas.records import DictionaryRecord
from atlas.stats import Accumulator
from atlas.store.atomic import atomic_folder, recover
from atlas.store.manifest import FORMAT, CorpusEntry, Manifest, ModelEntry, read_manifest, verify_files
from atlas.version import __version__

STAGE = "collect"
SECTIONS = ("model", "corpus", "dictionary", "collect")
PASS_FORMAT = "pass 2"  # noqa: S105 (not a password) -- raise it when the same inputs would give other bytes


def collect(recipe: Recipe, places: Places, report: Reporter, *, force: bool = False) -> bool:
    """Run the stage if anything it depends on has changed; returns whether it ran.

    Raises:
        AtlasError: For anything foreseeable, before anything is replaced.
    """
    dictionaries = [load_dictionary(section, recipe, places.cache) for section in recipe.dictionary]
    fetched = fetch_model(recipe.model, places.cache, report.say, recipe.resolve)
    inputs = _digest(
        PASS_FORMAT, recipe.digest(*SECTIONS), fetched.digest, fingerprint(recipe), *(d.digest for d in dictionaries)
    )
    if not force and is_done(places, inputs):
        _relabel(recipe, places)
        report.say(f"{STAGE}: nothing has changed")
        return False
    if recipe.collect.threads:
        torch.set_num_threads(recipe.collect.threads)
    device = pick_device(recipe.collect.device)
    model = LanguageModel.load(fetched.folder, recipe.model.dtype, device)
    for dictionary in dictionaries:
        check_fits(dictionary, model.d_model)
        model.hook(dictionary.hook_point)
    dictionaries = [d.to(device) for d in dictionaries]
    if recipe.corpus.bos and model.bos_id is None:
        raise AtlasError("corpus.bos", f"the tokenizer of {recipe.model.name} has no BOS token", "set bos = false")

    with report.track("read the corpus", recipe.corpus.tokens, "tokens") as tick:
        seen = 0

        def progress(done: int, _total: int) -> None:
            nonlocal seen
            tick(done - seen, False)
            seen = done

        windows = make_windows(recipe, model.tokenizer, places.cache, progress)
    settings = recipe.collect
    job = Job(
        model, dictionaries, windows, recipe.corpus.bos, settings.batch, settings.shard, settings.top, settings.sample
    )
    run = _digest(inputs, windows.digest(), device.type, str(torch.get_num_threads()))
    with report.track("run the model and the dictionaries", len(windows.ids), "tokens") as tick:
        accumulators = run_local(job, ShardStore(places.work, run), tick)

    keep = Keep(settings.groups, settings.per_group, settings.logits, settings.neighbours, settings.across)
    pieces = token_bytes(model.tokenizer)
    pieces += [b""] * (model.vocab - len(pieces))  # rows of the unembedding that no token has
    with (
        report.track("logit effects and neighbours", sum(d.width for d in dictionaries), "features") as tick,
        atomic_folder(places.store) as folder,
    ):
        files = deposit(job, accumulators, keep, pieces, folder, lambda n: tick(n, False))
        manifest = _manifest(recipe, fetched, job, accumulators, device)
        manifest.done(STAGE, inputs, **files).write(folder)
    shutil.rmtree(places.work, ignore_errors=True)
    return True


def is_done(places: Places, inputs: str) -> bool:
    """Whether the store holds the result for these inputs, undamaged."""
    recover(places.store)
    try:
        manifest = read_manifest(places.store)
    except AtlasError:
        return False
    return manifest.stages.get(STAGE) == inputs and not verify_files(places.store, manifest)


def _relabel(recipe: Recipe, places: Places) -> None:
    """Bring what only pages say (`config.PRESENTATION`) up to date, without measuring anything again."""
    manifest = read_manifest(places.store)
    parts = {part.id: part for part in recipe.corpus.part}
    sources = [replace(s, label=parts[s.id].label, licence=parts[s.id].licence) for s in manifest.corpus.sources]
    dictionaries = [
        replace(d, label=section.label) for d, section in zip(manifest.dictionaries, recipe.dictionary, strict=True)
    ]
    changed = manifest.model_copy(
        update={
            "model": manifest.model.model_copy(update={"name": recipe.model.name}),
            "corpus": manifest.corpus.model_copy(update={"sources": sources}),
            "dictionaries": dictionaries,
        }
    )
    if changed != manifest:
        changed.write(places.store)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _manifest(
    recipe: Recipe, fetched: FetchedModel, job: Job, accumulators: list[Accumulator], device: torch.device
) -> Manifest:
    model, windows = job.model, job.windows
    fold = model.final_norm_fold()
    return Manifest(
        format=FORMAT,
        version=__version__,
        model=ModelEntry(
            id=recipe.model.id,
            name=recipe.model.name,
            source=fetched.source,
            fell_back=fetched.fell_back,
            digest=fetched.digest,
            tokenizer_digest=hashlib.sha256(model.tokenizer.backend_tokenizer.to_str().encode()).hexdigest(),
            dtype=recipe.model.dtype,
            layers=model.n_layers,
            d_model=model.d_model,
            vocabulary=model.vocab,
            final_norm="LayerNorm" if fold.centred else "RMSNorm",
            softcap=model.softcap,
        ),
        corpus=CorpusEntry(
            digest=windows.digest(),
            tokens=len(windows.ids),
            windows=len(windows),
            documents=len(windows.documents),
            dropped=windows.dropped,
            window=recipe.corpus.window,
            bos=recipe.corpus.bos,
            bos_id=model.bos_id if recipe.corpus.bos else None,
            seed=recipe.corpus.seed,
            sources=list(windows.sources),
        ),
        dictionaries=[
            _dictionary(recipe, place, dictionary, accumulator)
            for place, (dictionary, accumulator) in enumerate(zip(job.dictionaries, accumulators, strict=True))
        ],
        settings={k: v for k, v in recipe.collect.model_dump().items() if k not in {"device", "threads"}},
        run={"device": device.type, "threads": str(torch.get_num_threads()), "torch": str(torch.__version__)},
        stages={},
        files={},
    )


def _dictionary(recipe: Recipe, place: int, dictionary: Dictionary, accumulator: Accumulator) -> DictionaryRecord:
    return DictionaryRecord(
        model=recipe.model.id,
        id=dictionary.id,
        label=recipe.dictionary[place].label,
        hook_point=dictionary.hook_point,
        layer=layer_of(dictionary.hook_point),
        architecture=dictionary.architecture,
        width=dictionary.width,
        d_model=dictionary.d_model,
        tokens=accumulator.tokens,
        firings=int(accumulator.totals.count.sum()),
        alive=int((accumulator.totals.count > 0).sum()),
        source=recipe.dictionary[place].source,
        digest=dictionary.digest,
        metadata={**dictionary.metadata, "apply_b_dec_to_input": str(dictionary.subtract_b_dec).lower()},
    )
