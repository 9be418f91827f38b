"""The command `atlas`: one sub-command a stage. The only module that prints or exits.

Heavy imports are inside the commands, so that `atlas --help` is instant and `atlas site` never
imports torch. A foreseeable failure is one line on stderr and exit code 2; `check` exits with 1 when a
site has problems.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from atlas.errors import AtlasError
from atlas.spin import wait_briefly
from atlas.version import __version__

if TYPE_CHECKING:
    from atlas.config import Recipe
    from atlas.paths import Places
    from atlas.terminal import Terminal

app = typer.Typer(
    help="Build, check and serve a static atlas of sparse-autoencoder features.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

RecipeArgument = Annotated[Path, typer.Argument(help="The recipe.", metavar="RECIPE")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder to build under instead of build/out.")]
Force = Annotated[bool, typer.Option("--force", help="Run even if nothing has changed.")]
RECIPE = Path("recipe.toml")
INTERRUPTED = 130
"""Exit code that typer makes of Ctrl-C, as shells do."""


def main() -> None:
    """Run the command line."""
    wait_briefly()
    try:
        app()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            print(
                "atlas: stopped; what is written down is kept, and the same command goes on from there", file=sys.stderr
            )
        raise
    except AtlasError as error:
        _fail(str(error))
    except MemoryError:
        _fail("memory: out of it; what is written down is kept: free some, or set collect.memory, and run it again")
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM}:
            raise
        _fail(f"{error.filename or 'disk'}: {error.strerror}; free space or choose another folder with --out")


def _fail(line: str) -> None:
    print(f"atlas: {line}", file=sys.stderr)
    sys.exit(2)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)] = False,
) -> None:
    if version:
        print(f"sae-atlas {__version__}")
        raise typer.Exit


@app.command()
def new(folder: Annotated[Path, typer.Argument(help="Folder to create.")]) -> None:
    """Write a recipe, names, a page and a small dictionary to start from."""
    from atlas.pipeline.start import new as write

    recipe = write(folder)
    print(f"Wrote {recipe}. Next:\n\n    cd {folder}\n    atlas build\n    atlas serve")


@app.command()
def collect(
    recipe: RecipeArgument = RECIPE,
    out: Out = None,
    force: Force = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only tell what it will cost.")] = False,
) -> None:
    """Run the model and its dictionaries over the corpus: recipe in, store out."""
    loaded = _load(recipe, out)
    if plan:
        _plan(*loaded)
    else:
        _collect(*loaded, force=force)


@app.command()
def name(recipe: RecipeArgument = RECIPE, out: Out = None, force: Force = False) -> None:
    """Give every feature a display name: yours from names.files, the others from their own words."""
    _name(*_load(recipe, out), force=force)


@app.command(name="map")
def map_(recipe: RecipeArgument = RECIPE, out: Out = None, force: Force = False) -> None:
    """Lay all features out on a map, by their decoder directions. Needs no torch."""
    _map(*_load(recipe, out), force=force)


@app.command()
def site(recipe: RecipeArgument = RECIPE, out: Out = None, force: Force = False) -> None:
    """Write the site: store in, folder of static files out. Needs no torch."""
    loaded = _load(recipe, out)
    _site(*loaded, force=force)
    _tell(*loaded)


@app.command()
def build(recipe: RecipeArgument = RECIPE, out: Out = None, force: Force = False) -> None:
    """Collect, name, map and site: all of them, each only if something it depends on has changed."""
    loaded = _load(recipe, out)
    for stage in (_collect, _name, _map, _site):
        stage(*loaded, force=force)
    _tell(*loaded)


@app.command()
def serve(
    folder: Annotated[Path | None, typer.Argument(help="The site; by default the only one there is.")] = None,
    port: Annotated[int, typer.Option(help="Port to listen at.", min=0, max=65535)] = 8000,
    bind: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
) -> None:
    """Show a site in the browser. Any static file server does the same."""
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    where = folder or _only("site")
    if not (where / "index.html").is_file():
        raise AtlasError(where, "no site here", "`atlas site RECIPE` makes one")
    try:
        server = ThreadingHTTPServer((bind, port), partial(SimpleHTTPRequestHandler, directory=str(where)))
    except OSError as error:
        raise AtlasError(f"{bind}:{port}", f"cannot listen ({error.strerror})", "choose another --port") from None
    with server:
        print(f"Serving {where} at http://{bind}:{server.server_port}/ (Ctrl+C stops)", flush=True)
        server.serve_forever()


@app.command()
def check(
    folder: Annotated[Path | None, typer.Argument(help="The site; by default the only one there is.")] = None,
    budget_mb: Annotated[int, typer.Option(help="Size that the host takes, in MB; 0 for any.", min=0)] = 0,
) -> None:
    """Check a site: links, pages of all alive features, nothing from other hosts, sizes, search index."""
    from atlas.publish.check import check_site
    from atlas.search import Reader

    where = folder or _only("site")
    report = check_site(where, budget_mb)
    try:
        Reader(where / "search").verify()
    except AtlasError as error:
        report.problems.append(str(error))
    for problem in report.problems:
        print(problem)
    print(
        f"pages={report.pages} links={report.links} largest_kb={report.largest / 1024:.1f} "
        f"largest_gzip_kb={report.largest_gzip / 1024:.1f} problems={len(report.problems)}"
    )
    if report.problems:
        raise typer.Exit(1)


@app.command()
def show(
    feature: Annotated[str, typer.Argument(help="dictionary/index, such as 9-res-4k/650.", metavar="ID")],
    store: Annotated[Path | None, typer.Option(help="The store; by default the only one there is.")] = None,
    top: Annotated[int, typer.Option(help="Snippets to show.", min=1)] = 10,
) -> None:
    """Show a feature in the terminal, highlighted."""
    from atlas.store import open_store
    from atlas.terminal import feature_text

    dictionary, _, index = feature.strip("/").rpartition("/")
    if not dictionary or not index.isascii() or not index.isdigit():
        raise AtlasError(feature, "not a feature", "write dictionary/index, such as 9-res-4k/650")
    record = open_store(store or _only("store")).feature(dictionary.rpartition("/")[2], int(index))
    Console(highlight=False).print(feature_text(record, top), soft_wrap=True)


@app.command()
def inspect(
    source: Annotated[str, typer.Argument(help="Folder, file, hf://... or saelens:RELEASE/ID.", metavar="PATH")],
    form: Annotated[str, typer.Option("--format", help="Take it for this format.")] = "",
    layer: Annotated[int | None, typer.Option("--layer", help="Which layer, where there are several.")] = None,
    k: Annotated[int, typer.Option("--k", help="How many features fire, where the weights do not say.")] = 0,
) -> None:
    """Say what a dictionary is: format, shapes, hook point, and what would be done with it."""
    from pydantic import ValidationError

    from atlas.config import DictionarySection

    try:
        section = DictionarySection(id="it", source=source, format=form, layer=layer, k=k)
    except ValidationError as error:
        raise AtlasError("atlas inspect", error.errors()[0]["msg"]) from None
    with _extra():
        from atlas.pipeline.inspect import inspect as run
    for what, finding in run(source, section):
        print(f"{what + ':':<14}{finding}")


@app.command()
def doctor() -> None:
    """Tell what is installed, which devices there are, and how much room."""
    from atlas.pipeline.start import doctor as examine

    console = Console(highlight=False)
    for what, finding, well in examine():
        console.print(Text.assemble(("ok  " if well else "!   ", "green" if well else "red"), f"{what:<18} {finding}"))


def _load(recipe: Path, out: Path | None) -> tuple[Recipe, Places, Terminal]:
    from atlas.config import load
    from atlas.paths import places
    from atlas.terminal import Terminal

    loaded = load(recipe)
    return loaded, places(loaded.atlas.id, out), Terminal(Console(highlight=False))


def _collect(recipe: Recipe, places: Places, terminal: Terminal, *, force: bool) -> None:
    with _extra():
        from atlas.pipeline.collect import collect as run
    run(recipe, places, terminal, force=force)


def _plan(recipe: Recipe, places: Places, terminal: Terminal) -> None:
    with _extra():
        from atlas.pipeline.plan import plan as run
    run(recipe, places, terminal)


@contextmanager
def _extra() -> Iterator[None]:
    """Say in one line that what collecting needs is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise AtlasError(
            "atlas collect", f"{error.name} is not installed", "pip install 'sae-atlas[collect]'"
        ) from None


def _name(recipe: Recipe, places: Places, terminal: Terminal, *, force: bool) -> None:
    from atlas.pipeline.name import name as run

    run(recipe, places, terminal, force=force)


def _map(recipe: Recipe, places: Places, terminal: Terminal, *, force: bool) -> None:
    from atlas.pipeline.map import draw_map as run

    run(recipe, places, terminal, force=force)


def _site(recipe: Recipe, places: Places, terminal: Terminal, *, force: bool) -> None:
    # MkDocs's theme prints a banner about its successor, which this project does not use
    os.environ.setdefault("NO_MKDOCS_2_WARNING", "1")
    from atlas.pipeline.site import site as run

    run(recipe, places, terminal, force=force)


def _tell(_recipe: Recipe, places: Places, terminal: Terminal) -> None:
    terminal.say(f"\nThe atlas is in {places.site}\nLook at it:  atlas serve {places.site}")


def _only(what: str) -> Path:
    """The only store or site under the output folder."""
    from atlas.paths import out_root

    marker = {"site": "site/atlas.json", "store": "store/manifest.json"}[what]
    found = sorted(out_root().glob(f"*/{marker}"))
    if len(found) != 1:
        wrong = f"no {what} here" if not found else f"{len(found)} atlases here"
        raise AtlasError(out_root(), wrong, f"say which {what}")
    return found[0].parent
