"""How to cite: BibTeX and plain text, for a feature and for the atlas."""

from __future__ import annotations

import re

from atlas.config import AtlasSection

_SPECIAL = str.maketrans(
    {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {c: f"\\{c}" for c in "{}%&#$_"}
)


def bibtex(atlas: AtlasSection, key: str, title: str, path: str) -> str:
    """A `@misc` entry; what is not known (authors, year, address) is left out, never made up."""
    fields = [
        ("title", f"{{{_escape(title)}}}"),
        ("author", " and ".join(_escape(a) for a in atlas.authors)),
        ("year", str(atlas.year or "")),
        ("howpublished", f"{_escape(atlas.title)}, release {_escape(atlas.release)}"),
        ("url", _url(atlas, path)),
    ]
    body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields if value)
    return f"@misc{{{re.sub('[^A-Za-z0-9:-]', '-', key)},\n{body}\n}}"


def plain(atlas: AtlasSection, title: str, path: str) -> str:
    """One line of plain text."""
    who = ", ".join(atlas.authors)
    parts = [who, f"({atlas.year})" if atlas.year else "", f"“{title}”,", f"{atlas.title}, release {atlas.release}."]
    return " ".join(" ".join([*parts, _url(atlas, path) or path]).split())


def _url(atlas: AtlasSection, path: str) -> str:
    return "/".join([atlas.url.rstrip("/"), *filter(None, [path]), ""]) if atlas.url else ""


def _escape(text: str) -> str:
    return " ".join(text.split()).translate(_SPECIAL)
