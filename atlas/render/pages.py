"""Views of the pages that list features: home, model, dictionary."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson

from atlas.records import DictionaryRecord, FeatureRecord, NameMethod
from atlas.render import card, cite, numbers
from atlas.render.data import COLUMNS
from atlas.render.shapes import (
    BarsView,
    ConceptLine,
    DictionaryLine,
    DictionaryView,
    Fact,
    HomeView,
    Link,
    Row,
    SnippetView,
)
from atlas.render.snippets import ROW, snippet_view
from atlas.render.view import DENSE, Context, hook_label, peaks, title_of
from atlas.text import label, visible

PER_PAGE = 100
DATA = "features.json"


@dataclass(frozen=True, slots=True)
class Line:
    """What lists, tables and search know of a feature: made once, while its page is made."""

    path: str
    dictionary: str
    index: int
    name: str
    method: NameMethod
    count: int
    density: float
    max: float
    kurtosis: float
    source: str
    peaks: str
    promotes: str
    snippet: SnippetView | None
    text: str


def line(feature: FeatureRecord, context: Context) -> Line:
    """The line of a feature."""
    best = min(feature.sources, key=lambda s: (-feature.sources[s], s)) if feature.count else ""
    snippet = _one_line(snippet_view(feature.top[0], feature.max, context.labels, ROW)) if feature.top else None
    return Line(
        path=feature.path,
        dictionary=feature.dictionary,
        index=feature.index,
        name=title_of(feature.name, feature.dictionary, feature.index),
        method=feature.name.method,
        count=feature.count,
        density=feature.density,
        max=feature.max,
        kurtosis=feature.logits.kurtosis,
        source=context.labels.get(best, best),
        peaks=" ".join(peaks(feature, 8)),
        promotes=" ".join(label(e.piece)[:24].replace("␣", "") for e in feature.logits.top[:6]),
        snippet=snippet,
        text=_plain(snippet) if snippet else "",
    )


def row(line: Line) -> Row:
    """A line as a table shows it."""
    return Row(
        href=f"{line.path}/",
        id=f"{line.dictionary}/{line.index}",
        index=line.index,
        name=line.name,
        named=line.method,
        density=numbers.percent(line.density),
        max=numbers.activation(line.max),
        source=line.source,
        tokens=line.promotes,
        snippet=line.snippet,
    )


def columns(lines: Sequence[Line]) -> bytes:
    """`features.json`: all features of a dictionary by static rank, as columns."""
    table: dict[str, Any] = {
        "index": [x.index for x in lines],
        "name": [x.name for x in lines],
        "named": [x.method for x in lines],
        "density": [float(f"{x.density:.6g}") for x in lines],
        "max": np.array([x.max for x in lines], np.float32),
        "count": [x.count for x in lines],
        "source": [x.source for x in lines],
        "tokens": [x.promotes for x in lines],
        "kurtosis": [float(f"{x.kurtosis:.4g}") for x in lines],
    }
    return orjson.dumps({"format": 1, "columns": COLUMNS, **table}, option=orjson.OPT_SERIALIZE_NUMPY)


def dictionary_path(model: str, dictionary: str, page: int) -> str:
    """Path of a page of a dictionary's table, counted from 1."""
    return f"{model}/{dictionary}" if page == 1 else f"{model}/{dictionary}/page-{page}"


def dictionary_views(
    record: DictionaryRecord, lines: Sequence[Line], context: Context, map_path: str = ""
) -> list[DictionaryView]:
    """All pages of a dictionary's table; `lines` come in static rank; `map_path` is that of its map, or ""."""
    n = max(1, -(-len(lines) // PER_PAGE))
    links = tuple(Link(f"{dictionary_path(record.model, record.id, p)}/", str(p)) for p in range(1, n + 1))
    facts, bars = _facts(record, lines, context), _densities(lines)
    return [
        DictionaryView(
            path=dictionary_path(record.model, record.id, p),
            model=Link(f"{record.model}/", record.model),
            id=record.id,
            title=record.label or record.id,
            lead=_lead(record, context),
            facts=facts,
            densities=bars,
            rows=tuple(row(x) for x in lines[(p - 1) * PER_PAGE : p * PER_PAGE]),
            page=p,
            pages=links,
            data=f"{record.model}/{record.id}/{DATA}",
            card=card.card(context.manifest, record),
            map=map_path,
        )
        for p in range(1, n + 1)
    ]


def home_view(
    lines: Mapping[str, Sequence[Line]],
    featured: Sequence[Line],
    suggestions: Sequence[str],
    context: Context,
    concepts: Sequence[ConceptLine] = (),
) -> HomeView:
    """The home page, from the lines of every dictionary."""
    manifest, atlas = context.manifest, context.atlas
    total = sum(d.width for d in manifest.dictionaries)
    start = f"{numbers.count(total)} features of {len(manifest.dictionaries)} dictionaries of {manifest.model.name}"
    corpus = f"measured on {numbers.rounded_count(manifest.corpus.tokens)} tokens of text"
    return HomeView(
        title=atlas.title,
        lead=f"{atlas.description} {start}, {corpus}.",
        dictionaries=tuple(
            DictionaryLine(
                href=f"{d.model}/{d.id}/",
                id=d.id,
                where=f"layer {hook_label(d, manifest.model.layers)}" if d.layer is not None else d.hook_point,
                features=numbers.count(d.width),
                alive=numbers.percent(d.alive / d.width),
                l0=numbers.significant(d.l0),
                named=numbers.count(sum(x.method == "hand" for x in lines[d.id])),
            )
            for d in manifest.dictionaries
        ),
        featured=tuple(row(x) for x in featured),
        suggestions=tuple(suggestions),
        sources=tuple(
            Fact(s.label, f"{numbers.count(s.tokens)} tokens of {numbers.count(s.documents)} documents", s.licence)
            for s in manifest.corpus.sources
        ),
        bibtex=cite.bibtex(atlas, f"atlas-{atlas.id}", atlas.title, ""),
        citation=cite.plain(atlas, atlas.title, ""),
        concepts=tuple(concepts),
    )


def _lead(record: DictionaryRecord, context: Context) -> str:
    place = hook_label(record, context.manifest.model.layers)
    where = f"layer {place}" if record.layer is not None else place
    writes = f" and writes to `{record.hook_out}`" if record.hook_out else ""
    return f"{_what(record)} {context.manifest.model.name} at `{record.hook_point}` ({where}){writes}."


def _what(record: DictionaryRecord) -> str:
    """What it is, up to the verb; the model comes next."""
    width = numbers.count(record.width)
    if record.kind == "neurons":
        return f"{width} features, two for each of {numbers.count(record.width // 2)} neurons, of"
    called = "dictionary" if record.kind == "sae" else record.kind
    name = record.architecture.replace("_", " ")
    return f"{width} features of a {name if called in name else f'{name} {called}'} that reads"


def _facts(record: DictionaryRecord, lines: Sequence[Line], context: Context) -> tuple[Fact, ...]:
    dense = sum(x.density > DENSE for x in lines)
    named = sum(x.method == "hand" for x in lines)
    return (
        Fact("Features", numbers.count(record.width), "Width of the dictionary"),
        Fact("Alive", numbers.percent(record.alive / record.width), "Features that fired at least once"),
        Fact("Dense", numbers.count(dense), f"Features that fire on more than {DENSE:.0%} of tokens"),
        Fact("L0", numbers.significant(record.l0), "Mean number of features that fire on a token"),
        *_quality(record),
        Fact("Named by hand", numbers.count(named), "The rest are named from their own words, by rule"),
        Fact("Text", f"{numbers.rounded_count(context.manifest.corpus.tokens)} tokens", "What was read"),
    )


def _quality(record: DictionaryRecord) -> tuple[Fact, ...]:
    """Reconstruction and loss, where they were measured."""
    found = record.quality
    if found is None:
        return ()
    on = f"measured on {numbers.rounded_count(found.tokens)} tokens"
    unexplained = Fact("Unexplained", numbers.percent(found.fvu), f"Fraction of variance unexplained, {on}")
    if found.recovered is None or found.spliced is None or found.zeroed is None:
        return (unexplained,)
    nats = f"{found.loss:.2f} nats a token; {found.spliced:.2f} with its reconstruction, {found.zeroed:.2f} with zeros"
    return (unexplained, Fact("Loss recovered", numbers.percent(found.recovered), f"Loss {nats}; {on}"))


def _densities(lines: Sequence[Line]) -> BarsView:
    """Features by density, four bins a decade."""
    bins = [math.floor(4 * math.log10(x.density)) for x in lines if x.density > 0]
    if not bins:
        return BarsView((), "", "", (), "No feature fired")
    low, high = min(bins), max(bins) + 1
    counts = [bins.count(b) for b in range(low, high)]
    ends = (numbers.percent(10 ** (low / 4)), numbers.percent(10 ** (high / 4)))
    return BarsView(
        tuple(round(100 * c / max(counts)) for c in counts), ends[0], ends[1], (), "features by density, log scale"
    )


def _one_line(snippet: SnippetView) -> SnippetView:
    """A snippet for a single line: of several line ends one, of several blanks one."""
    pieces = (replace(p, text=re.sub(r"\n+", "\n", re.sub(r"[^\S\n]{2,}", " ", p.text))) for p in snippet.pieces)
    return replace(snippet, pieces=tuple(pieces))


def _plain(snippet: SnippetView) -> str:
    """The text of a snippet on one line."""
    text = visible("".join(p.text for p in snippet.pieces))
    return " ".join(text.split())
