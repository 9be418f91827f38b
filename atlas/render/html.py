"""Views to pages: Jinja2 templates, stamped into the frame.

Everything is escaped: templates by autoescape, snippets and histograms by the filters below, which
build their markup themselves because a template loop over tokens is half as fast. Nothing is
decided here; `atlas.render.view` has rounded, ordered and worded it.
"""

from __future__ import annotations

import re
from functools import partial
from html import escape
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from atlas import paths
from atlas.render.shapes import ConceptView

if TYPE_CHECKING:
    from atlas.render.frame import Frame
    from atlas.render.map import MapView
    from atlas.render.shapes import (
        BarsView,
        ConceptsView,
        DictionaryView,
        FeatureView,
        HomeView,
        Link,
        ListView,
        SnippetView,
    )

_LINE_END = "<i>↵</i> "
_OPEN = {(level, False): f"<b class=a{level}>" for level in range(1, 10)}
_OPEN |= {(level, True): f'<b class="a{level} k">' for level in range(1, 10)}
_OPEN |= {(0, False): "", (0, True): "<b class=k>"}
_SPACES = re.compile(" {2,}")
_STEP = 4  # width of a histogram's bar with its gap, in units of its drawing
_DESCRIPTION = 200  # characters that search engines show, about


class Renderer:
    """Turns views into whole pages; make one and keep it, since it compiles the templates once."""

    def __init__(self, frame: Frame) -> None:
        """Compile the templates.

        Args:
            frame: What pages are stamped into.
        """
        self.frame = frame
        self.env = Environment(
            loader=FileSystemLoader(paths.data("site_src", "templates")),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.env.filters.update(snippet=snippet, bars=bars, prose=prose)
        self.env.globals.update(nearby=nearby)
        self._templates = {
            name: self.env.get_template(f"{name}.html.jinja")
            for name in ("feature", "dead", "dictionary", "home", "concept", "concepts", "list", "map")
        }

    def feature(self, view: FeatureView) -> str:
        """A feature's page; a dead feature gets a short one."""
        name = "dead" if view.kind == "dead" else "feature"
        links = [
            f'<link rel="{rel}" href="{escape(page_link(view.path, link.href))}">'
            for rel, link in (("prev", view.previous), ("next", view.next))
            if link.href
        ]
        links.append('<link rel="alternate" type="application/json" href="feature.json">')
        return self._page(name, view.path, view, title=f"{view.title} · {view.id}", lead=view.lead, head="".join(links))

    def dictionary(self, view: DictionaryView) -> str:
        """A page of a dictionary's table."""
        page = f", page {view.page}" if view.page > 1 else ""
        head = self._module(view.path, "table.js")
        title = f"{view.title}{page} · {view.id}"
        return self._page("dictionary", view.path, view, title=title, lead=view.lead, head=head)

    def home(self, view: HomeView) -> str:
        """The home page."""
        return self._page("home", "", view, title=view.title, lead=view.lead)

    def model(self, view: HomeView, path: str) -> str:
        """The page of one model, at `path` from the site's root."""
        title = f"{view.title} · {path.strip('/')}"
        return self._page("home", path, view, title=title, lead=view.lead)

    def page(self, name: str, path: str, view: ConceptView | ConceptsView | ListView, script: str = "") -> str:
        """A page from the template `name`, at `path` from the site's root, with a module of its own if it has one."""
        lead = view.summary if isinstance(view, ConceptView) else view.lead
        head = self._module(path, script) if script else ""
        return self._page(name, path, view, title=f"{view.title} · {self.frame.title}", lead=lead, head=head)

    def map(self, view: MapView) -> str:
        """A map's page."""
        style = f'<link rel="stylesheet" href="{escape(relative(view.path, self.frame.assets["map.css"]))}">'
        head = style + self._module(view.path, "map.js")
        return self._page("map", view.path, view, title=view.title, lead=view.lead, head=head)

    def _page(self, template: str, path: str, view: object, *, title: str, lead: str, head: str = "") -> str:
        ways = {"to": partial(page_link, path), "to_file": partial(relative, path)}
        body = self._templates[template].render(view=view, path=path.strip("/"), **ways)
        description = lead.replace("`", "")
        if len(description) > _DESCRIPTION:
            description = description[:_DESCRIPTION].rsplit(" ", 1)[0] + "…"
        return self.frame.stamp(_depth(path), title=title, description=description, head=head, body=body)

    def _module(self, path: str, name: str) -> str:
        return f'<script type="module" src="{escape(relative(path, self.frame.assets[name]))}"></script>'


def _depth(path: str) -> int:
    """Folders between a page and the root."""
    return len([part for part in path.split("/") if part])


def relative(path: str, href: str) -> str:
    """The shortest way from the page at `path` to the file `href`, both counted from the site's root."""
    here = [part for part in path.split("/") if part]
    there = href.split("/")
    shared = 0
    while shared < min(len(here), len(there) - 1) and here[shared] == there[shared]:
        shared += 1
    return "../" * (len(here) - shared) + "/".join(there[shared:]) or "./"


def page_link(path: str, href: str) -> str:
    """The way to another page. It ends in a slash, or every click would cost a redirect."""
    return relative(path, f"{href.strip('/')}/" if href.strip("/") else "")


def snippet(view: SnippetView) -> Markup:
    """A snippet's paragraph: firing pieces in <b>, their values in order in one attribute of the <p>."""
    out: list[str] = []
    values: list[str] = []
    for piece in view.pieces:
        # The text of the first token mostly begins with a space, which would indent the line.
        text = escape(piece.text if out else piece.text.lstrip(" ") or piece.text, quote=False)
        if "  " in text:
            text = _SPACES.sub(lambda run: "\u00a0" * len(run[0]), text)  # indentation, which HTML collapses
        if "\n" in text:
            text = text.replace("\n", _LINE_END)
        opening = _OPEN[piece.level, piece.focus]
        if opening:
            values.append(piece.value or "0")
            out.append(f"{opening}{text}</b>")
        else:
            out.append(text)
    before, after = "…" if view.before else "", "…" if view.after else ""
    return Markup(f'<p dir=auto data-v="{escape(" ".join(values))}">{before}{"".join(out)}{after}</p>')  # noqa: S704 (escaped above)


def bars(view: BarsView) -> Markup:
    """A histogram: one path for all bars, one for the dashed marks, and the axis's ends."""
    wide = _STEP * len(view.heights)
    path = "".join(
        f"M{_STEP * i} 100v-{height}h{_STEP - 1}v{height}" for i, height in enumerate(view.heights) if height > 0
    )
    marks = "".join(f"M{wide * mark / 100:.4g} 0v100" for mark in view.marks)
    drawn = f'<path class=m d="{marks}"/>' if marks else ""
    return Markup(  # noqa: S704 (escaped above)
        f'<svg class=hist viewBox="0 0 {wide} 100" preserveAspectRatio=none role=img aria-label="{escape(view.label)}">'
        f'<path d="{path}"/>{drawn}</svg>'
        f"<p class=ends><span>{escape(view.low)}</span><span>{escape(view.high)}</span></p>"
    )


def prose(text: str) -> Markup:
    """A plain sentence in which `backticks` set off tokens and code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text, quote=False)))  # noqa: S704 (escaped above)


def nearby(pages: tuple[Link, ...], page: int, reach: int = 3) -> list[tuple[int, Link | None]]:
    """Page links to show: the first, the last and those around; None stands for those left out."""
    shown: list[tuple[int, Link | None]] = []
    for number, link in enumerate(pages, 1):
        if number in (1, len(pages)) or abs(number - page) <= reach:
            shown.append((number, link))
        elif shown and shown[-1][1] is not None:
            shown.append((number, None))
    return shown
