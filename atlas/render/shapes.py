"""What a template may place: strings and small numbers, already rounded, ordered and worded.

`atlas.render.view` makes these from records; templates and `feature.json` only place them. Links
(`href`) are relative to the site's root, without a leading slash and with the trailing one that folders
have; a template makes them relative to its own page. Sentences (`lead`) may set tokens in `backticks`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text in a snippet.

    `level` is the intensity of firing, 0 (silent) to 9, relative to the feature's maximum. `value` is
    the printed activation ("" when silent). `focus` marks the token that the snippet stands for.
    Text may hold line ends, which are shown as a grey arrow.
    """

    text: str
    level: int
    value: str
    focus: bool


@dataclass(frozen=True, slots=True)
class SnippetView:
    """A snippet, cut to the tokens shown; `before` / `after` say that the window goes on.

    `url` is an address of the web or empty, `licence` the document's own or empty.
    """

    value: str
    pieces: tuple[Piece, ...]
    before: bool
    after: bool
    source: str
    document: str
    repeats: int
    url: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class GroupView:
    """A rank quantile or an interval. `title` as "Rank 80-100%", `note` as "activation 134-514"."""

    title: str
    note: str
    snippets: tuple[SnippetView, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Fact:
    """One of the numbers under the title; `hint` explains the word on demand."""

    label: str
    value: str
    hint: str


@dataclass(frozen=True, slots=True)
class EffectView:
    """A promoted or suppressed token; `width` is its bar, 0 to 100."""

    token: str
    value: str
    width: int


@dataclass(frozen=True, slots=True)
class BarsView:
    """A histogram: bar heights 0 to 100, axis labels, and marks (0 to 100 along the axis)."""

    heights: tuple[int, ...]
    low: str
    high: str
    marks: tuple[float, ...]
    label: str


@dataclass(frozen=True, slots=True)
class ShareView:
    """Where a feature fires: its share in a source against the source's share of the corpus."""

    label: str
    value: str
    corpus: str
    width: int
    corpus_width: int


@dataclass(frozen=True, slots=True)
class NeighbourView:
    """A related feature; `together` "" where it is not known how often both fire."""

    href: str
    id: str
    name: str
    cosine: str
    together: str


@dataclass(frozen=True, slots=True)
class NeighbourGroup:
    """Related features of one dictionary."""

    title: str
    neighbours: tuple[NeighbourView, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A link with its text; `href` "" means that there is nothing to link to."""

    href: str
    text: str


@dataclass(frozen=True, slots=True)
class FeatureView:
    """A feature page. `kind` is "alive", "dense" or "dead"; `lead` one plain sentence."""

    path: str
    id: str
    model: Link
    dictionary: Link
    index: int
    title: str
    lead: str
    kind: str
    named: str
    name_note: str
    facts: tuple[Fact, ...]
    top: tuple[SnippetView, ...]
    top_note: str
    top_more: int
    quantiles: tuple[GroupView, ...]
    intervals: tuple[GroupView, ...]
    promotes: tuple[EffectView, ...]
    suppresses: tuple[EffectView, ...]
    moments: tuple[Fact, ...]
    activations: BarsView
    logits: BarsView
    sources: tuple[ShareView, ...]
    neighbours: tuple[NeighbourGroup, ...]
    cofiring: tuple[NeighbourGroup, ...]
    previous: Link
    next: Link
    random: Link
    map: Link
    bibtex: str
    citation: str
    card: tuple[Fact, ...]
    code: str
    concepts: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A feature in a table or list; `snippet` is its strongest text, cut short."""

    href: str
    id: str
    index: int
    name: str
    named: str
    density: str
    max: str
    source: str
    tokens: str
    snippet: SnippetView | None


@dataclass(frozen=True, slots=True)
class DictionaryView:
    """A page of a dictionary's table; `pages` are the links to all its pages, `page` counts from 1."""

    path: str
    model: Link
    id: str
    title: str
    lead: str
    facts: tuple[Fact, ...]
    densities: BarsView
    rows: tuple[Row, ...]
    page: int
    pages: tuple[Link, ...]
    data: str
    card: tuple[Fact, ...]
    map: str = ""


@dataclass(frozen=True, slots=True)
class DictionaryLine:
    """A dictionary in the table on the home and model pages."""

    href: str
    id: str
    where: str
    features: str
    alive: str
    l0: str
    named: str


@dataclass(frozen=True, slots=True)
class ConceptLine:
    """A concept in a list of concepts; `size` as "12 features"."""

    href: str
    title: str
    summary: str
    size: str


@dataclass(frozen=True, slots=True)
class ConceptEntry:
    """A feature on a concept's page; `facts` is one line of where it is and its numbers, `note` the author's."""

    row: Row
    facts: str
    note: str


@dataclass(frozen=True, slots=True)
class ConceptView:
    """A concept's page. `essay` alone is HTML, the author's own; `hash` opens the features as a list."""

    path: str
    title: str
    summary: str
    essay: str
    entries: tuple[ConceptEntry, ...]
    size: str
    hash: str
    bibtex: str
    citation: str


@dataclass(frozen=True, slots=True)
class ConceptsView:
    """The page of all concepts."""

    title: str
    lead: str
    concepts: tuple[ConceptLine, ...]


@dataclass(frozen=True, slots=True)
class ListView:
    """The page that shows a list of features out of its own address; `model` is what an id without one means."""

    title: str
    lead: str
    model: str


@dataclass(frozen=True, slots=True)
class HomeView:
    """The home page; also a model's page, with that model's dictionaries only."""

    title: str
    lead: str
    dictionaries: tuple[DictionaryLine, ...]
    featured: tuple[Row, ...]
    suggestions: tuple[str, ...]
    sources: tuple[Fact, ...]
    bibtex: str
    citation: str
    concepts: tuple[ConceptLine, ...] = ()
