"""Collect: corpus, model and dictionaries in, store out.

1. `prepare` loads and checks everything, and plans the passes.
2. Each pass runs on the engine that the recipe names, and ends as one part on disk. A pass that is done
   already, or in part, is not run again as far as it is done.
3. `deposit` turns the parts into the store, which replaces the old one when it is whole.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import replace

import pyarrow as pa
import torch

from atlas.config import EXECUTION, Recipe
from atlas.corpus import token_bytes
from atlas.dictionaries.base import Dictionary
from atlas.engines import Parts, State, Worker, run_local
from atlas.engines.deposit import Deposit, Keep, Outcome, deposit
from atlas.engines.quality import measure
from atlas.engines.ray import run_ray
from atlas.engines.ray_cluster import Crew, check_installed
from atlas.engines.relations import Wanted
from atlas.engines.state import Unfit
from atlas.errors import AtlasError
from atlas.model.heap import give_back_freed_memory
from atlas.model.hooks import layer_of
from atlas.model.lm import LanguageModel
from atlas.paths import Places
from atlas.pipeline.node import make_worker
from atlas.pipeline.prepare import Prepared, load_model, prepare, read_inputs
from atlas.pipeline.report import Reporter
from atlas.records import DictionaryRecord, QualityRecord, UnfitRecord
from atlas.store.atomic import atomic_folder, finish_removal, recover, remove_folder
from atlas.store.manifest import FORMAT, CorpusEntry, Manifest, ModelEntry, read_manifest, verify_files
from atlas.version import __version__

STAGE = "collect"


def collect(recipe: Recipe, places: Places, report: Reporter, *, force: bool = False) -> bool:
    """Run the stage if anything it depends on has changed; returns whether it ran.

    Raises:
        AtlasError: For anything foreseeable, before anything is replaced.
    """
    inputs = read_inputs(recipe, places, report)
    finish_removal(places.work)
    if not force and is_done(places, inputs.digest):
        _relabel(recipe, places)
        report.say(f"{STAGE}: nothing has changed")
        return False
    if recipe.collect.engine == "ray":
        check_installed()
    job = prepare(recipe, places, inputs)
    with job.corpus:
        passes = [_pass(recipe, places, job, number, report) for number in range(len(job.plan.shapes))]
        _make_room()
        settings = recipe.collect
        quality = _quality(recipe, job, report)
        related = Wanted(settings.neighbours, settings.across, settings.cofiring)
        keep = Keep(settings.groups, settings.per_group, settings.logits, related)
        pieces = token_bytes(job.model.tokenizer)
        pieces += [b""] * (job.model.vocab - len(pieces))  # rows of the unembedding that no token has
        width = sum(d.width for d in job.dictionaries)
        with (
            report.track("logit effects and neighbours", width, "features") as tick,
            atomic_folder(places.store) as folder,
        ):
            dictionaries = [d.to(job.devices[0]) for d in job.dictionaries]
            made = deposit(job.model, dictionaries, passes, job.corpus, keep, pieces, folder, lambda n: tick(n, False))
            _manifest(recipe, job, made, quality).done(STAGE, inputs.digest, **made.files).write(folder)
    for dictionary, outcome in zip(job.dictionaries, made.outcomes, strict=True):
        _tell_unfit(dictionary.id, outcome.unfit, report)
    remove_folder(places.work)
    return True


def _pass(recipe: Recipe, places: Places, job: Prepared, number: int, report: Reporter) -> Parts:
    """Run one pass, or what is left of it."""
    shape = job.plan.shapes[number]
    parts = Parts(places.work / f"pass-{number}", f"{job.run} {number}", shape)
    state = parts.load()
    for line in parts.refused:
        report.say(f"{line}: computed again")
    of = f" ({number + 1} of {len(job.plan.shapes)})" if len(job.plan.shapes) > 1 else ""
    with ExitStack() as stack:
        what, tokens, every = f"run the model and the dictionaries{of}", recipe.corpus.tokens, recipe.collect.checkpoint
        if recipe.collect.engine == "ray":
            make = make_worker(recipe, places, job, shape)
            crew = Crew(make.kind, make.threads, recipe.collect.workers)
            tick = stack.enter_context(report.track(what, tokens, "tokens"))
            run_ray(make, job.corpus, tokens, parts, state, every, tick, crew, report.say)
            return parts
        workers = []
        for place, device in enumerate(job.devices):
            model = job.model if place == 0 else load_model(recipe, job.inputs, device)
            own = [d.to(device) for d in job.dictionaries]
            worker = Worker(model, own, shape, bos=recipe.corpus.bos, state=state if place == 0 else State(shape))
            workers.append(stack.enter_context(worker))
        tick = stack.enter_context(report.track(what, tokens, "tokens"))
        run_local(workers, job.corpus, parts, every, tick)
    return parts


def _quality(recipe: Recipe, job: Prepared, report: Reporter) -> list[QualityRecord | None]:
    """Reconstruction and loss of each dictionary, on the whole model: loaded again if blocks of it were dropped."""
    tokens = recipe.collect.quality
    if not tokens:
        return [None] * len(job.dictionaries)
    model = job.model
    if not model.is_whole:
        autocast = recipe.collect.autocast or None
        model = LanguageModel.load(job.inputs.fetched.folder, recipe.model.dtype, job.devices[0], autocast=autocast)
    work = tokens * sum(d.kind != "neurons" for d in job.dictionaries)
    with report.track("measure reconstruction and loss", work, "tokens") as tick:
        return measure(
            model, job.dictionaries, job.corpus, tokens, bos=recipe.corpus.bos, tick=lambda n: tick(n, False)
        )


def _make_room() -> None:
    """Let go of what the passes have freed, and have Arrow make its tables in the same heap, not in one beside it.

    Otherwise the tables come on top of a pass's peak: 6 % of `build/bench/memory.py`'s, more with more text.
    """
    give_back_freed_memory()
    pa.set_memory_pool(pa.system_memory_pool())


def _tell_unfit(dictionary: str, unfit: Unfit, report: Reporter) -> None:
    if unfit.positions:
        some = ", ".join(map(str, unfit.first[:10])) + (", ..." if unfit.windows > 10 else "")  # noqa: PLR2004
        report.say(
            f"{dictionary}: {unfit.positions:,} positions in {unfit.windows:,} windows ({some}) are not finite and "
            'in no statistic; try model.dtype = "float32", or look at the weights'
        )


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


def _manifest(recipe: Recipe, job: Prepared, made: Deposit, quality: list[QualityRecord | None]) -> Manifest:
    model, end = job.model, job.corpus.end
    fold = model.final_norm_fold()
    skipped = {"device", "threads", *EXECUTION["collect"]}
    return Manifest(
        format=FORMAT,
        version=__version__,
        model=ModelEntry(
            id=recipe.model.id,
            name=recipe.model.name,
            source=job.inputs.fetched.source,
            fell_back=job.inputs.fetched.fell_back,
            digest=job.inputs.fetched.digest,
            tokenizer_digest=hashlib.sha256(model.tokenizer.backend_tokenizer.to_str().encode()).hexdigest(),
            dtype=recipe.model.dtype,
            layers=model.n_layers,
            d_model=model.d_model,
            vocabulary=model.vocab,
            final_norm="LayerNorm" if fold.centred else "RMSNorm",
            softcap=model.softcap,
            revision=job.inputs.fetched.revision,
        ),
        corpus=CorpusEntry(
            digest=end.digest,
            tokens=end.tokens,
            windows=end.windows,
            documents=end.documents,
            dropped=end.dropped,
            window=recipe.corpus.window,
            bos=recipe.corpus.bos,
            bos_id=model.bos_id if recipe.corpus.bos else None,
            seed=recipe.corpus.seed,
            sources=end.sources,
        ),
        dictionaries=[
            replace(_dictionary(recipe, place, dictionary, outcome), quality=quality[place])
            for place, (dictionary, outcome) in enumerate(zip(job.dictionaries, made.outcomes, strict=True))
        ],
        settings={k: v for k, v in recipe.collect.model_dump().items() if k not in skipped} | {"batch": job.size.batch},
        run={
            "device": job.devices[0].type,
            "threads": str(torch.get_num_threads()),
            "torch": str(torch.__version__),
        },
        stages={},
        files={},
    )


def _dictionary(recipe: Recipe, place: int, dictionary: Dictionary, outcome: Outcome) -> DictionaryRecord:
    return DictionaryRecord(
        model=recipe.model.id,
        id=dictionary.id,
        label=recipe.dictionary[place].label,
        hook_point=dictionary.hook_point,
        layer=layer_of(dictionary.hook_point),
        architecture=dictionary.architecture,
        width=dictionary.width,
        d_model=dictionary.d_in,
        tokens=outcome.tokens,
        firings=outcome.firings,
        alive=outcome.alive,
        unfit=UnfitRecord(outcome.unfit.positions, outcome.unfit.windows, tuple(outcome.unfit.first)),
        source=recipe.dictionary[place].source,
        digest=dictionary.digest,
        format=dictionary.format,
        kind=dictionary.kind,
        hook_out=dictionary.hook_out,
        revision=dictionary.revision,
        metadata={
            **dictionary.metadata,
            "apply_b_dec_to_input": str(dictionary.subtract_b_dec).lower(),
            "normalize_activations": dictionary.normalise,
        },
    )
