"""Pages of concepts, the page of lists, and what feature pages say of the concepts that they belong to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote
from xml.etree.ElementTree import Element

from markdown import Markdown
from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor

from atlas.config import Concept
from atlas.render import cite, numbers
from atlas.render.html import Renderer, page_link
from atlas.render.pages import Line, row
from atlas.render.shapes import ConceptEntry, ConceptLine, ConceptsView, ConceptView, Link, ListView
from atlas.render.view import Context, hook_label

FOLDER, LISTS = "c", "list"
SHOWN = 6
"""Concepts that a feature page names at most; one that is in more leads to the page of all."""

_EXTENSIONS = ("attr_list", "fenced_code", "sane_lists", "tables")
_SHORT = re.compile(r"([a-z0-9][a-z0-9._-]*)/(?:0|[1-9][0-9]{0,8})")


def path_of(concept: Concept) -> str:
    """Where a concept's page lies, from the site's root."""
    return f"{FOLDER}/{concept.id}"


def memberships(concepts: Sequence[Concept]) -> dict[str, tuple[Link, ...]]:
    """Links to the concepts of each feature that is in any, by `dictionary/index`."""
    found: dict[str, list[Link]] = {}
    for concept in concepts:
        for feature in concept.features:
            found.setdefault(feature.id, []).append(Link(f"{path_of(concept)}/", concept.title))
    return {
        feature: tuple(links if len(links) <= SHOWN else [*links[: SHOWN - 1], Link(f"{FOLDER}/", "others")])
        for feature, links in found.items()
    }


def concept_pages(
    concepts: Sequence[Concept], lines: Mapping[str, Sequence[Line]], renderer: Renderer, context: Context
) -> Iterator[tuple[str, str]]:
    """The page of lists, and the pages of concepts where there are any: their paths and what they hold."""
    yield LISTS, renderer.page("list", LISTS, _lists(context), script="list.js")
    if not concepts:
        return
    lead = "Features under one idea each, chosen, ordered and written about by the authors of this atlas."
    view = ConceptsView("Concepts", lead, tuple(concept_line(x) for x in concepts))
    yield FOLDER, renderer.page("concepts", FOLDER, view)
    for concept in concepts:
        yield path_of(concept), renderer.page("concept", path_of(concept), concept_view(concept, lines, context))


def concept_line(concept: Concept) -> ConceptLine:
    """A concept as a list shows it."""
    return ConceptLine(f"{path_of(concept)}/", concept.title, concept.summary, _size(len(concept.features)))


def concept_view(concept: Concept, lines: Mapping[str, Sequence[Line]], context: Context) -> ConceptView:
    """Everything that a concept's page says; `lines` are those of each dictionary, by index."""
    atlas, path = context.atlas, path_of(concept)
    cited = f"{concept.title}: {_size(len(concept.features))} of {context.manifest.model.name}"
    return ConceptView(
        path=path,
        title=concept.title,
        summary=concept.summary,
        essay=essay(concept, context),
        entries=tuple(
            ConceptEntry(row(lines[x.dictionary][x.index]), _facts(lines[x.dictionary][x.index], context), x.note)
            for x in concept.features
        ),
        size=_size(len(concept.features)),
        hash=list_hash(concept.title, [f"{context.manifest.model.id}/{x.id}" for x in concept.features]),
        bibtex=cite.bibtex(atlas, f"atlas-{atlas.id}-{concept.id}", cited, path),
        citation=cite.plain(atlas, cited, path),
    )


def list_hash(title: str, paths: Sequence[str]) -> str:
    """What stands behind `list/#` to show these features (`list.js` reads it)."""
    return "&".join([f"title={quote(title, safe='')}", ",".join(paths)])


def essay(concept: Concept, context: Context) -> str:
    """An essay's HTML. It is trusted as the author's own pages are: HTML stays, and the page's policy stops scripts."""
    made = Markdown(extensions=[*_EXTENSIONS, _Essay(path_of(concept), context)], output_format="html")
    return str(made.convert(concept.essay))


class _Essay(Extension):  # type: ignore[misc]  # the library has no types
    """Fits an essay into its page."""

    def __init__(self, path: str, context: Context) -> None:
        """Remember the page at `path`."""
        super().__init__()
        self.path, self.context = path, context

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 (the library's name)
        """Add the step that fits, after all that makes elements."""
        md.treeprocessors.register(_Fit(self.path, self.context), "atlas", 0)


class _Fit(Treeprocessor):  # type: ignore[misc]  # the library has no types
    """Links written `dictionary/index` lead to that feature, and headings begin below the page's title."""

    def __init__(self, path: str, context: Context) -> None:
        """Remember the page at `path`."""
        super().__init__()
        self.path, self.model = path, context.manifest.model.id
        self.dictionaries = {d.id for d in context.manifest.dictionaries}

    def run(self, root: Element) -> None:
        """Change the tree in place."""
        for element in root.iter():
            if element.tag == "h1":
                element.tag = "h2"
            short = _SHORT.fullmatch(element.get("href", ""))
            if short and short[1] in self.dictionaries:
                element.set("href", page_link(self.path, f"{self.model}/{short[0]}"))


def _facts(line: Line, context: Context) -> str:
    record = context.dictionary(line.dictionary)
    place = hook_label(record, context.manifest.model.layers)
    where = f"layer {place}" if record.layer is not None else place
    if not line.count:
        return f"{where} · never fired on the text that was read"
    return f"{where} · density {numbers.percent(line.density)} · maximum {numbers.activation(line.max)}"


def _size(features: int) -> str:
    return "1 feature" if features == 1 else f"{numbers.count(features)} features"


def _lists(context: Context) -> ListView:
    lead = (
        "Features in an order of your own, to read side by side and to send to others. "
        "The list is in the address of this page and nowhere else."
    )
    return ListView("A list of features", lead, context.manifest.model.id)
