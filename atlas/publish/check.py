"""`atlas check`: is a site whole? Works on the folder alone, with nothing but files.

1. Every relative link, script, style and image of every page leads to a file of the folder.
2. Every feature that `atlas.json` calls alive has its page and its data; every dictionary its table; the windows that
   features show, the concepts and the page of lists are there.
3. No page loads anything from another host (links that a reader may follow are fine).
4. Feature pages are within budget: 32 KB of HTML, 9 KB compressed.
5. The search index is whole: each file has the content that its name promises.

Pages are read with one regular expression instead of an HTML parser: they are ours, text is escaped,
so a "<" is always a tag, and a parser would take minutes over ten thousand pages.
"""

from __future__ import annotations

import gzip
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from atlas.errors import AtlasError

PAGE_BYTES, PAGE_GZIP = 32 * 1024, 9 * 1024
LEVEL, QUICK = 6, 1
INDEX = "atlas.json"
TABLES = ("index.html", "features.json")

_TAG = re.compile(
    r"<(a|link|script|img|source|video|audio|track|iframe|object|embed|form|use)\b([^>]*)>", re.IGNORECASE
)
_ADDRESS = re.compile(r"""\b(href|src|action|data|srcset)=("[^"]*"|'[^']*'|[^\s>]+)""", re.IGNORECASE)
_REL = re.compile(r"""\brel=("[^"]*"|'[^']*'|[^\s>]+)""", re.IGNORECASE)
_IMPORT = re.compile(r"""url\(\s*["']?(https?:)?//|@import\s+["']?(https?:)?//""", re.IGNORECASE)
_FOLLOWED = {"a", "form"}
_LOADED_LINKS = ("stylesheet", "icon", "preload", "modulepreload", "prefetch", "preconnect", "manifest")


@dataclass
class Report:
    """What was looked at and what is wrong; each problem begins with the page it is on."""

    pages: int = 0
    links: int = 0
    largest: int = 0
    largest_gzip: int = 0
    problems: list[str] = field(default_factory=list)


def check_site(site: Path, budget_mb: int = 0) -> Report:
    """Check a finished site.

    Raises:
        AtlasError: If the folder is no site of ours.
    """
    index = read_index(site)
    files = {p.relative_to(site).as_posix() for p in site.rglob("*") if p.is_file()}
    report = Report()
    try:
        features = set(_features(index))
    except (KeyError, TypeError):
        raise AtlasError(site / INDEX, "is not what a site of ours holds", "build the site again") from None
    needed = [f"{path}/{name}" for path in sorted(features) for name in ("index.html", "feature.json")]
    needed += [f"{index['model']}/{d['id']}/{name}" for d in index["dictionaries"] for name in TABLES]
    needed += [*index.get("pages", ()), *index.get("windows", ())]
    report.problems += [f"{name}: missing" for name in needed if name not in files]
    for name in sorted(files):
        if name.endswith(".html"):
            _page(site, name, files, report, is_feature=name.removesuffix("/index.html") in features)
        elif name.endswith(".css") and _IMPORT.search((site / name).read_text("utf-8")):
            report.problems.append(f"{name}: loads from another host")
    size = sum((site / name).stat().st_size for name in files)
    budget = budget_mb or int(index.get("host_budget_mb", 0))
    if budget and size > budget * 10**6:
        report.problems.append(f"{site}: {size / 1e6:.0f} MB, more than the {budget} MB that the host takes")
    return report


def read_index(site: Path) -> dict[str, Any]:
    """`atlas.json`, which says what a site must hold.

    Raises:
        AtlasError: If it is missing or damaged.
    """
    try:
        data: dict[str, Any] = orjson.loads((site / INDEX).read_bytes())
    except FileNotFoundError:
        raise AtlasError(site, "no site here (it has no atlas.json)", "`atlas site RECIPE` makes one") from None
    except (OSError, orjson.JSONDecodeError) as error:
        raise AtlasError(site / INDEX, f"cannot be read ({error})", "build the site again") from None
    return data


def _features(index: dict[str, Any]) -> Iterator[str]:
    for d in index["dictionaries"]:
        dead = set(d["dead"])
        yield from (f"{index['model']}/{d['id']}/{i}" for i in range(d["width"]) if i not in dead)


def _page(site: Path, name: str, files: set[str], report: Report, *, is_feature: bool) -> None:
    data = (site / name).read_bytes()
    report.pages += 1
    if is_feature:
        packed = len(gzip.compress(data, LEVEL))
        report.largest, report.largest_gzip = max(report.largest, len(data)), max(report.largest_gzip, packed)
        if not within_budget(data):
            report.problems.append(f"{name}: {len(data)} bytes ({packed} compressed), above the budget")
    for tag, address in addresses(data.decode("utf-8")):
        report.links += 1
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            if tag not in _FOLLOWED and parts.scheme != "data":
                report.problems.append(f"{name}: loads {address} from another host")
            continue
        target = _target(name, parts.path)
        if target is None or (target not in files and f"{target}/index.html".lstrip("/") not in files):
            report.problems.append(f"{name}: link to {address} leads nowhere")


def within_budget(page: bytes) -> bool:
    """Whether a feature page is small enough: 32 KB, and 9 KB compressed."""
    # HTML like ours shrinks to less than half, and the quickest way of compressing settles nearly all the others
    return len(page) <= PAGE_BYTES and (
        len(page) <= 2 * PAGE_GZIP
        or len(gzip.compress(page, QUICK)) <= PAGE_GZIP
        or len(gzip.compress(page, LEVEL)) <= PAGE_GZIP
    )


def addresses(page: str) -> Iterator[tuple[str, str]]:
    """(tag, address) of everything that a page links to or loads."""
    for match in _TAG.finditer(page):
        tag, attributes = match[1].lower(), match[2]
        if tag == "link":
            rel = _REL.search(attributes)
            if not rel or not any(kind in rel[1].lower() for kind in _LOADED_LINKS):
                tag = "a"  # rel=prev, next, canonical, alternate: followed, not loaded
        for attribute in _ADDRESS.finditer(attributes):
            value = html.unescape(attribute[2].strip("\"'"))
            if value and not value.startswith("#"):
                yield tag, value


def _target(page: str, path: str) -> str | None:
    """The file or folder that a relative path leads to, from the site's root; None if it leaves the site."""
    here = page.split("/")[:-1] if not path.startswith("/") else []
    for part in unquote(path).split("/"):
        if part == "..":
            if not here:
                return None
            here.pop()
        elif part not in {"", "."}:
            here.append(part)
    return "/".join(here)
