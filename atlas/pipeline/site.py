"""Site: store in, folder of static files out. No torch on this side.

1. MkDocs builds the docs and the frame into a fresh folder.
2. Every feature's page and data are stamped, a row group of the store at a time, on all cores; each
   leaves a line behind: what tables, lists and search need to know of it.
3. The windows that features show are written once for all of them.
4. The lines are put in static rank; maps, dictionary pages, the home page and the search index follow.
5. `atlas.json` says what the site holds; then the folder takes the old one's place.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path

import orjson

from atlas import paths
from atlas.config import AtlasSection, Concept, Recipe
from atlas.errors import AtlasError
from atlas.paths import Places
from atlas.pipeline.concepts import concepts_of, entries
from atlas.pipeline.map_pages import is_mapped, write_maps
from atlas.pipeline.report import Reporter
from atlas.publish.check import INDEX, within_budget
from atlas.records import Name
from atlas.render.concepts import FOLDER, concept_line, concept_pages, memberships
from atlas.render.data import feature_json, window_files
from atlas.render.frame import Frame, build_frame
from atlas.render.html import Renderer
from atlas.render.map import HOME, map_path
from atlas.render.pages import DATA, Line, columns, dictionary_views, home_view, line
from atlas.render.shapes import Link
from atlas.render.view import AMOUNTS, Context, Steps, feature_view
from atlas.search import Entry, Ranked, build_index, static_rank
from atlas.store import Store, open_store
from atlas.store.atomic import atomic_folder, recover
from atlas.store.schema import ROWS
from atlas.version import __version__

STAGE = "site"
FEATURED = 8
_FEW = 2 * ROWS  # below this many features, starting further processes costs more than it saves


@dataclass(frozen=True)
class Task:
    """Stamp the features `start` to `stop` of a dictionary; sent to a process of its own."""

    store: Path
    site: Path
    frame: Frame
    atlas: AtlasSection
    dictionary: str
    start: int
    stop: int
    concepts: dict[str, tuple[Link, ...]]
    map: str


def site(recipe: Recipe, places: Places, report: Reporter, *, force: bool = False) -> bool:
    """Run the stage if anything it depends on has changed; returns whether it ran.

    Raises:
        AtlasError: If the store is missing, the docs have a fault, or the folder cannot be written.
    """
    store = open_store(places.store)
    extra = recipe.resolve(recipe.site.pages) if recipe.site.pages else None
    if extra is not None and not extra.is_dir():
        raise AtlasError(extra, "no such folder of pages", "mend site.pages in the recipe")
    concepts = concepts_of(recipe, store)
    inputs = _inputs(recipe, store, extra, concepts)
    recover(places.site)
    if not force and _built(places.site) == inputs:
        report.say(f"{STAGE}: nothing has changed")
        return False
    for entry in recipe.site.featured:
        dictionary, _, index = entry.rpartition("/")
        if int(index) >= store.dictionaries[dictionary].width:
            raise AtlasError(f"site.featured {entry}", f"no such feature in {dictionary}")
    mapped = is_mapped(recipe, store)
    with atomic_folder(places.site) as folder:
        report.say("building the frame")
        frame = build_frame(
            folder,
            title=recipe.atlas.title,
            description=recipe.atlas.description,
            extra_pages=extra,
            work=places.base / "frame",
            links=[*([("Concepts", f"{FOLDER}/")] if concepts else []), *([("Map", f"{HOME}/")] if mapped else [])],
        )
        total = sum(d.width for d in store.manifest.dictionaries)
        lines: dict[str, list[Line]] = {d: [] for d in store.dictionaries}
        with report.track("write feature pages", total, "pages") as tick:
            for dictionary, done in _stamped(store, folder, frame, recipe.atlas, memberships(concepts), mapped):
                lines[dictionary] += done
                tick(len(done), False)
        windows = _windows(store, folder)
        report.say("writing tables and the search index")
        pages = _lists(recipe, store, lines, concepts, Renderer(frame), folder)
        (folder / INDEX).write_bytes(_index(recipe, store, lines, pages, windows, inputs))
        (folder / ".nojekyll").touch()  # GitHub Pages would leave out what begins with an underscore
    return True


def _stamped(
    store: Store, folder: Path, frame: Frame, atlas: AtlasSection, concepts: dict[str, tuple[Link, ...]], mapped: bool
) -> Iterator[tuple[str, list[Line]]]:
    map_ = HOME if mapped else ""
    tasks = [
        Task(store.folder, folder, frame, atlas, d.id, start, min(start + ROWS, d.width), concepts, map_)
        for d in store.manifest.dictionaries
        for start in range(0, d.width, ROWS)
    ]
    workers = min(os.cpu_count() or 1, len(tasks))
    if workers == 1 or sum(t.stop - t.start for t in tasks) <= _FEW:
        yield from ((task.dictionary, stamp(task)) for task in tasks)
        return
    # spawned, not forked: Arrow has threads, and a fork of them may hang
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for task, done in zip(tasks, pool.map(stamp, tasks), strict=True):
            yield task.dictionary, done


def stamp(task: Task) -> list[Line]:
    """Write the pages and data of some features; returns their lines."""
    store = _store(task.store, (task.store / "manifest.json").stat().st_mtime_ns)
    context = _context(task.atlas, store, task.concepts)
    renderer = Renderer(task.frame)
    record = store.dictionaries[task.dictionary]
    alive = store.alive(task.dictionary)
    lines = []
    for feature in store.features(task.dictionary, task.start, task.stop):
        steps = _steps(feature.index, record.width, alive, task.map)
        for amount in AMOUNTS:
            view = feature_view(feature, context, steps, amount)
            page = renderer.feature(view).encode()
            if within_budget(page):
                break
        folder = task.site / feature.path
        folder.mkdir(parents=True)
        (folder / "index.html").write_bytes(page)
        (folder / "feature.json").write_bytes(feature_json(feature, record, view.lead))
        lines.append(line(feature, context))
    return lines


def _windows(store: Store, folder: Path) -> list[str]:
    """Write the windows that features show; returns the files' paths."""
    paths = []
    for path, data in window_files(store.windows):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(data)
        paths.append(path)
    return paths


@lru_cache(maxsize=1)
def _store(folder: Path, _written: int) -> Store:
    """A process opens the store once; another build's store has another time."""
    return open_store(folder)


def _context(atlas: AtlasSection, store: Store, concepts: dict[str, tuple[Link, ...]]) -> Context:
    names, unnamed = store.names, Name("", "none")
    return Context(atlas, store.manifest, lambda dictionary, index: names.get((dictionary, index), unnamed), concepts)


def _steps(index: int, width: int, alive: Sequence[int], map_: str) -> Steps:
    """Links to the neighbours by number, and to an alive feature chosen by a hash: a random walk without a script."""
    pick = int.from_bytes(hashlib.blake2b(str(index).encode(), digest_size=8).digest(), "big")
    target = alive[pick % len(alive)] if alive else index
    return Steps(index - 1 if index else None, index + 1 if index + 1 < width else None, target, map_)


def _lists(
    recipe: Recipe,
    store: Store,
    lines: dict[str, list[Line]],
    concepts: Sequence[Concept],
    renderer: Renderer,
    folder: Path,
) -> list[str]:
    """Maps, dictionary, model and home pages, concepts, search index; returns the pages of lists and concepts."""
    context = _context(recipe.atlas, store, {})
    every = [x for group in lines.values() for x in group]
    order = {d: i for i, d in enumerate(lines)}
    ranked = [
        Ranked(order[x.dictionary], x.index, x.count > 0, x.method, x.count, x.density, x.kurtosis) for x in every
    ]
    best = [every[place] for place in static_rank(ranked)]
    mapped = is_mapped(recipe, store)
    if mapped:
        write_maps(store, best, sum(1 for _ in entries(concepts)), renderer, folder)
    for record in store.manifest.dictionaries:
        own = [x for x in best if x.dictionary == record.id]
        for view in dictionary_views(record, own, context, map_path(record.id) if mapped else ""):
            _write(folder / view.path / "index.html", renderer.dictionary(view))
        (folder / record.model / record.id / DATA).write_bytes(columns(own))
    featured = _featured(recipe, best)
    suggestions = recipe.site.suggestions or tuple(x.name for x in featured[:3] if x.method == "hand")
    home = home_view(lines, featured, suggestions, context, [concept_line(x) for x in concepts])
    _write(folder / "index.html", renderer.home(home))
    _write(folder / recipe.model.id / "index.html", renderer.model(home, recipe.model.id))
    pages = dict(concept_pages(concepts, lines, renderer, context))
    for path, text in pages.items():
        _write(folder / path / "index.html", text)
    build_index(chain(entries(concepts), (_entry(x) for x in best)), folder / "search")
    return [f"{path}/index.html" for path in pages]


def _featured(recipe: Recipe, best: Sequence[Line]) -> list[Line]:
    if recipe.site.featured:
        by_id = {f"{x.dictionary}/{x.index}": x for x in best}
        return [by_id[entry] for entry in recipe.site.featured]
    return [x for x in best if x.count][:FEATURED]


def _entry(x: Line) -> Entry:
    fields = {"name": x.name, "tokens": x.peaks, "promotes": x.promotes}
    return Entry(x.path, f"{x.dictionary}/{x.index}", x.name, x.text, fields)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _index(
    recipe: Recipe, store: Store, lines: dict[str, list[Line]], pages: list[str], windows: list[str], inputs: str
) -> bytes:
    """`atlas.json`: what the site holds, for `atlas check` and for anyone who reads it by program."""
    return orjson.dumps(
        {
            "format": 1,
            "title": recipe.atlas.title,
            "release": recipe.atlas.release,
            "version": __version__,
            "inputs": inputs,
            "model": recipe.model.id,
            "host_budget_mb": recipe.site.host_budget_mb,
            "dictionaries": [
                {
                    "id": d.id,
                    "width": d.width,
                    "hook_point": d.hook_point,
                    "dead": [x.index for x in lines[d.id] if not x.count],
                }
                for d in store.manifest.dictionaries
            ],
            "pages": pages,
            "windows": windows,
        },
        option=orjson.OPT_INDENT_2,
    )


def _built(folder: Path) -> str:
    """Inputs of the site that is there; "" if there is none."""
    try:
        return str(orjson.loads((folder / INDEX).read_bytes()).get("inputs", ""))
    except (OSError, orjson.JSONDecodeError, AttributeError):
        return ""


def _inputs(recipe: Recipe, store: Store, extra: Path | None, concepts: Sequence[Concept]) -> str:
    """Digest of all that decides the site: store, names, recipe, pages, concepts, templates, the code that places."""
    digest = hashlib.sha256()
    for stage in ("collect", "name", "map"):
        digest.update(f"{stage} {store.manifest.stages.get(stage)}\n".encode())
    digest.update(recipe.digest("atlas", "map", "site").encode())
    digest.update(orjson.dumps(concepts))
    shown = store.manifest.model_dump(mode="json", include={"model", "corpus", "dictionaries"})
    digest.update(orjson.dumps(shown, option=orjson.OPT_SORT_KEYS))
    package = Path(__file__).parents[1]
    roots = [paths.data("site_src"), *(package / name for name in ("names", "render", "search", "pipeline"))]
    for root in [*roots, *([extra] if extra else [])]:
        for file in sorted(p for p in root.rglob("*") if p.is_file() and p.suffix != ".pyc"):
            digest.update(f"{file.relative_to(root).as_posix()}\n".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    digest.update(paths.data("mkdocs.yml").read_bytes())
    return digest.hexdigest()
