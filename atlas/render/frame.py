"""The frame that feature pages are stamped into, made by MkDocs; no other module knows MkDocs.

MkDocs needs 13 to 42 ms a page and its navigation is quadratic, so it renders the docs and one page per
URL depth, and no features. Algorithm:

1. Copy the package's Markdown pages to a working folder and lay the author's own over them.
2. Add a sentinel page at each depth: `index.md` (0) to `atlas-frame/1/2/index.md` (3). Each holds
   sentinels where the title, the description, more of the head, and the content go.
3. Run MkDocs, strict: one warning stops the build.
4. Put a Content-Security-Policy with the digests of its inline scripts into every page.
5. Split each sentinel page at its sentinels, once. A sentinel that is missing or repeated stops the
   build: an override of the theme, or another generator, has changed what the split rests on.
6. Remove the sentinel pages, the build dates and what a site without MkDocs's search does not need;
   copy what is left, and the atlas's own assets, into the site.

Stamping is then a join of the split text with a page's parts. Links in the frame are relative, which
is why each depth has its own.
"""

from __future__ import annotations

import base64
import hashlib
import html
import logging
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from atlas import paths
from atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEPTHS = 4
"""Home, model, dictionary, feature."""

_COUNTS = {
    "atlas-sentinel-title": 2,  # <title> and og:title
    "atlas-sentinel-description": 1,
    "<!--atlas-sentinel-head-->": 1,
    "<!--atlas-sentinel-body-->": 1,
}
_SPLIT = re.compile("(" + "|".join(map(re.escape, _COUNTS)) + ")")
_SCRIPT = re.compile(r"<script\b([^>]*)>(.*?)</script>", re.DOTALL | re.IGNORECASE)
_CHARSET = '<meta charset="utf-8">'
_FOLDER = "atlas-frame"
_MODULE = re.compile(r"""(["'])\./([\w.-]+\.js)\1""")


@dataclass(frozen=True, slots=True)
class Frame:
    """Split pages, one per depth, and the addresses of the assets from the site's root."""

    title: str
    parts: tuple[tuple[str, ...], ...]
    assets: Mapping[str, str]

    def stamp(self, depth: int, *, title: str, description: str, head: str, body: str) -> str:
        """A whole page.

        Args:
            depth: Folders between the page and the site's root.
            title: Plain text; escaped here.
            description: Plain text; escaped here.
            head: HTML for the end of the head.
            body: HTML of the content.
        """
        fill = {
            "atlas-sentinel-title": html.escape(title),
            "atlas-sentinel-description": html.escape(description),
            "<!--atlas-sentinel-head-->": head,
            "<!--atlas-sentinel-body-->": body,
        }
        # Odd places of a split by a captured pattern hold the sentinels.
        page = "".join(fill[part] if i % 2 else part for i, part in enumerate(self.parts[depth]))
        return page.replace("\0", "\ufffd")  # HTML has no NUL, not even escaped


def build_frame(
    site_dir: Path,
    *,
    title: str,
    description: str,
    extra_pages: Path | None,
    work: Path,
    links: Sequence[tuple[str, str]] = (),
) -> Frame:
    """Build the docs into `site_dir` and return the frame for everything else.

    Args:
        site_dir: Where the site is written; what is there already stays, unless it has the same name.
        title: Name of the atlas, in the header of every page.
        description: One sentence for search engines, on docs pages without their own.
        extra_pages: The author's own Markdown pages and pictures, or None.
        work: Folder for intermediate files; emptied first.
        links: Texts and addresses, from the site's root, that stand first in the header of every page.

    Raises:
        AtlasError: MkDocs warned or failed, or a sentinel is missing or repeated.
    """
    shutil.rmtree(work, ignore_errors=True)
    docs, built = work / "pages", work / "built"
    extra = _stage(docs, extra_pages)
    kept = work / "assets"  # not in `built`, which MkDocs empties
    assets = _copy_assets(kept)
    _run_mkdocs(docs, built, title=title, description=description, extra=extra, assets=assets, links=links)
    parts = []
    for depth in range(DEPTHS):
        page = built / _sentinel_path(depth) / "index.html"
        text = _with_policy(re.sub(r"\n\s+", "\n", page.read_text(encoding="utf-8")), f"frame at depth {depth}")
        parts.append(split(text, f"frame at depth {depth}"))
        page.unlink()
    shutil.rmtree(built / _FOLDER)
    _prune(built)
    for page in sorted(built.rglob("*.html")):
        name = page.relative_to(built).as_posix()
        page.write_text(_with_policy(page.read_text(encoding="utf-8"), name), encoding="utf-8")
    shutil.copytree(kept, built / "assets" / "atlas")
    shutil.copytree(built, site_dir, dirs_exist_ok=True)
    return Frame(title, tuple(parts), assets)


def split(page: str, where: str) -> tuple[str, ...]:
    """Cut a page at its sentinels: text, sentinel, text, ... with the sentinels at odd places.

    Raises:
        AtlasError: A sentinel is missing or repeated.
    """
    for sentinel, expected in _COUNTS.items():
        found = page.count(sentinel)
        if found != expected:
            name = re.sub(r"\W*atlas-sentinel-(\w+)\W*", r"\1", sentinel)
            raise AtlasError(
                where,
                f"the place of the {name} occurs {found} times, not {expected}",
                "restore site_src/theme/stamp.html or the version of mkdocs-material that it was written for",
            )
    return tuple(_SPLIT.split(page))


def policy(page: str) -> str:
    """Content-Security-Policy of a page: its own inline scripts by digest, and nothing from elsewhere."""
    digests = []
    for attributes, code in _SCRIPT.findall(page):
        data = re.search(r"type=[\"']?application/", attributes)  # not executed
        if "src=" not in attributes and not data:
            digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
            digests.append(f"'sha256-{digest}'")
    scripts = " ".join(["'self'", *dict.fromkeys(digests)])
    return (
        f"default-src 'self';script-src {scripts};style-src 'self' 'unsafe-inline';img-src 'self' data:;"
        "connect-src 'self';base-uri 'none';form-action 'self'"
    )


def _with_policy(page: str, where: str) -> str:
    """The page with its policy right after the character set, before anything is fetched."""
    before, found, after = page.partition(_CHARSET)
    if not found:
        raise AtlasError(where, f"no {_CHARSET}, after which the Content-Security-Policy belongs")
    return f'{before}{found}<meta http-equiv="Content-Security-Policy" content="{policy(page)}">{after}'


def _sentinel_path(depth: int) -> Path:
    """Folder of the sentinel page of a depth: "", "atlas-frame", "atlas-frame/1", ..."""
    return Path(*[_FOLDER, *map(str, range(1, depth))][:depth])


def _stage(docs: Path, extra_pages: Path | None) -> list[str]:
    """Fill the MkDocs source folder; returns the author's pages that the package's list lacks."""
    shutil.copytree(paths.data("site_src", "pages"), docs)
    added: list[str] = []
    if extra_pages is not None:
        if not extra_pages.is_dir():
            raise AtlasError(extra_pages, "the folder of extra pages does not exist")
        if (extra_pages / "index.md").exists():
            raise AtlasError(extra_pages / "index.md", "the home page is made from the store", "rename this page")
        names = sorted(p.relative_to(extra_pages).as_posix() for p in extra_pages.rglob("*.md"))
        added = [name for name in names if not (docs / name).exists()]
        shutil.copytree(extra_pages, docs, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
    text = (
        "---\ntemplate: stamp.html\ntitle: atlas-sentinel-title\ndescription: atlas-sentinel-description\n---\n"
        "<!--atlas-sentinel-body-->\n"
    )
    for depth in range(DEPTHS):
        page = docs / _sentinel_path(depth) / "index.md"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
    return added


def _copy_assets(target: Path) -> dict[str, str]:
    """Copy stylesheets and modules; returns their addresses with a digest, so that caches refresh.

    Modules import one another by name. Those names get the same digest, or an old module could be
    paired with a new one, and a module reached both ways would run twice.
    """
    source = paths.data("site_src", "assets")
    files = sorted(path for path in source.rglob("*") if path.is_file() and not path.name.startswith("."))
    total = hashlib.sha256()
    for path in files:
        total.update(path.relative_to(source).as_posix().encode() + b"\0" + path.read_bytes())
    version = total.hexdigest()[:8]
    addresses = {}
    for path in files:
        name = path.relative_to(source).as_posix()
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".js":
            text = path.read_text(encoding="utf-8")
            copy.write_text(_MODULE.sub(rf"\1./\2?v={version}\1", text), encoding="utf-8")
        else:
            shutil.copyfile(path, copy)
        addresses[name] = f"assets/atlas/{name}?v={version}"
    return addresses


class _Warnings(logging.Handler):
    """Keeps what MkDocs warns about, to say it in one line."""

    def __init__(self) -> None:
        """Start with none."""
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.lines.append(record.getMessage())


def _run_mkdocs(
    docs: Path,
    built: Path,
    *,
    title: str,
    description: str,
    extra: list[str],
    assets: Mapping[str, str],
    links: Sequence[tuple[str, str]],
) -> None:
    """Run MkDocs in this process; raises `AtlasError` with its warnings if there is one."""
    os.environ.setdefault("NO_MKDOCS_2_WARNING", "1")  # Material prints a banner on import otherwise
    # Here, so that reading a store or stamping into a kept frame does not wait for MkDocs.
    from mkdocs.commands.build import build  # noqa: PLC0415
    from mkdocs.config import load_config  # noqa: PLC0415
    from mkdocs.exceptions import MkDocsException  # noqa: PLC0415

    config_file = paths.data("mkdocs.yml")
    log, warnings = logging.getLogger("mkdocs"), _Warnings()
    log.addHandler(warnings)
    try:
        config = load_config(
            str(config_file),
            site_name=title,
            site_description=description,
            docs_dir=str(docs.resolve()),
            site_dir=str(built.resolve()),
            not_in_nav=f"/{_FOLDER}/",
            strict=True,
        )
        config.nav = [*(config.nav or []), *extra]
        config.extra["assets"] = dict(assets)
        config.extra["links"] = [*({"text": text, "href": href} for text, href in links), *config.extra["links"]]
        build(config)
    except MkDocsException as error:
        said = "; ".join(warnings.lines) or str(error)
        raise AtlasError(config_file.name, said, "mend the page; any warning of MkDocs stops the build") from error
    finally:
        log.removeHandler(warnings)


def _prune(built: Path) -> None:
    """Remove what MkDocs and Material write that this site does not serve."""
    for name in ("sitemap.xml", "sitemap.xml.gz"):  # no site_url: every address in it would be wrong
        (built / name).unlink(missing_ok=True)
    scripts = built / "assets" / "javascripts"
    for folder in ("lunr", "workers"):
        shutil.rmtree(scripts / folder, ignore_errors=True)
    for path in sorted((built / "assets").rglob("*.map")):
        path.unlink()
    shutil.rmtree(built / "assets" / "images", ignore_errors=True)  # Material's favicon
