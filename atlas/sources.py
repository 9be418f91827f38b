"""Where weights come from: addresses on the Hugging Face Hub, their download, and files' digests.

Shared by `atlas.model` and `atlas.dictionaries`, which do not know one another. Downloads go to the Hub's
own cache, so that a model that the author already has is not fetched twice; nothing that is fetched is
ever executed (safetensors, JSON and tokenizer files only).
"""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCHEME = "hf://"
_ADDRESS = re.compile(
    r"hf://(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:/(?P<path>[^@]+?))?/?(?:@(?P<revision>[\w./-]+))?"
)


@dataclass(frozen=True, slots=True)
class HubAddress:
    """A place on the Hub: a repository, a folder in it (empty: its root), and a revision (None: the newest)."""

    repo: str
    path: str = ""
    revision: str | None = None


def parse_hub(address: str) -> HubAddress:
    """Read `hf://org/repo[/path][@revision]`.

    Raises:
        AtlasError: If the address has another form, or its path tries to leave the repository.
    """
    match = _ADDRESS.fullmatch(address)
    path = (match["path"] or "") if match else ""
    if match is None or any(part in ("", ".", "..") for part in path.split("/") if path):
        raise AtlasError(address, "not a Hub address", "write hf://org/repo[/path][@revision]")
    return HubAddress(match["repo"], path, match["revision"])


def hub_snapshot(address: str, patterns: Sequence[str]) -> Path:
    """Download the top-level files of a repository that match the patterns.

    Args:
        address: `hf://org/repo[@revision]`.
        patterns: Shell-like patterns of the files to fetch; files in sub-folders are never fetched.

    Returns:
        The folder of the snapshot in the Hub's cache.

    Raises:
        AtlasError: If the repository is missing, gated or out of reach.
    """
    import huggingface_hub  # noqa: PLC0415  (slow to import, and most recipes need no Hub)

    place = parse_hub(address)
    if place.path:
        raise AtlasError(address, "a model is a whole repository", "write hf://org/repo[@revision]")
    try:
        with hub_quiet():
            found = huggingface_hub.snapshot_download(
                place.repo, revision=place.revision, allow_patterns=list(patterns), ignore_patterns=["*/*"]
            )
    except Exception as error:
        plain = _plain(address, error)
        if plain is None:
            raise
        raise plain from error
    return Path(str(found))


def hub_file(address: str, name: str) -> Path:
    """Download one file of the folder that the address names.

    Raises:
        AtlasError: If the repository, revision or file is missing, gated or out of reach.
    """
    import huggingface_hub  # noqa: PLC0415  (as above)

    place = parse_hub(address)
    inside = f"{place.path}/{name}" if place.path else name
    try:
        with hub_quiet():
            found = huggingface_hub.hf_hub_download(place.repo, inside, revision=place.revision)
    except Exception as error:
        plain = _plain(f"{address} ({inside})", error)
        if plain is None:
            raise
        raise plain from error
    return Path(str(found))


def hub_files(address: str, depth: int) -> list[str]:
    """Names of the files at an address, relative to it; of a single file its own name. Nothing is fetched.

    Args:
        address: `hf://org/repo[/path][@revision]`.
        depth: How many folders below it are looked into.

    Raises:
        AtlasError: If there is no such place, or the Hub is out of reach and nothing of it in its cache.
    """
    import huggingface_hub  # noqa: PLC0415  (as above)

    place = parse_hub(address)
    missing = AtlasError(address, "no such file or folder in the repository")
    try:
        with hub_quiet():
            names = _listed(huggingface_hub.HfApi(), place)
    except Exception as error:
        plain = _plain(address, error)
        if plain is None:
            raise
        names, missing = _cached(place), plain  # what is not in the cache may well be in the repository
        if not names:
            raise plain from error
    lead = f"{place.path}/" if place.path else ""
    inside = [name.removeprefix(lead) for name in names if name.startswith(lead)]
    if not inside and place.path in names:
        return [place.path.rpartition("/")[2]]
    if not inside:
        raise missing
    return [name for name in inside if name.count("/") <= depth]


def revision_of(path: Path) -> str:
    """The commit that a file in the Hub's cache belongs to; "" for any other file."""
    found = re.search(r"/snapshots/([0-9a-f]{40})/", path.as_posix())
    return found[1] if found else ""


def _listed(api: Any, place: HubAddress) -> list[str]:
    """What the Hub says lies at an address, with paths from the repository's root."""
    if place.path:
        (entry, *_) = api.get_paths_info(place.repo, [place.path], revision=place.revision) or [None]
        if entry is None:
            return []
        if hasattr(entry, "size"):  # a file
            return [str(entry.path)]
    tree = api.list_repo_tree(place.repo, place.path or None, recursive=True, revision=place.revision)
    return [str(entry.path) for entry in tree if hasattr(entry, "size")]


def _cached(place: HubAddress) -> list[str]:
    """What the Hub's cache holds of a repository, with paths from its root."""
    import huggingface_hub  # noqa: PLC0415  (as above)

    try:
        with hub_quiet():
            root = Path(huggingface_hub.snapshot_download(place.repo, revision=place.revision, local_files_only=True))
    except Exception:  # noqa: BLE001  (nothing is there, whatever it is that says so)
        return []
    return [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits.

    Raises:
        AtlasError: If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AtlasError(path, f"cannot be read ({error.strerror or error})") from error


@contextmanager
def hub_quiet() -> Iterator[None]:
    """Silence the Hub's bars and its log of retries: only `atlas.cli` writes to the terminal."""
    from huggingface_hub import utils as untyped  # noqa: PLC0415  (as above)

    utils: Any = untyped
    bars, level = utils.are_progress_bars_disabled(), utils.logging.get_verbosity()
    utils.disable_progress_bars()
    utils.logging.set_verbosity_error()
    try:
        yield
    finally:
        utils.logging.set_verbosity(level)
        if not bars:
            utils.enable_progress_bars()


def _plain(where: str, error: Exception) -> AtlasError | None:
    """What went wrong on the way to the Hub, in one line; None for a bug, which keeps its traceback."""
    from huggingface_hub import errors  # noqa: PLC0415  (as above)

    # Order matters: gated is a kind of missing repository, and "not in the cache while offline" a kind of missing file.
    known: tuple[tuple[tuple[type[Exception], ...], str, str], ...] = (
        ((errors.GatedRepoError,), "gated on the Hub", "accept its terms there, then log in with `hf auth login`"),
        ((errors.RepositoryNotFoundError,), "no such repository on the Hub, or a private one", "check it, or log in"),
        ((errors.RevisionNotFoundError,), "no such revision of the repository", ""),
        (
            (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled),
            "the Hub is out of reach and the files are not in its cache",
            "go online once",
        ),
        ((errors.EntryNotFoundError,), "no such file in the repository", ""),
        ((errors.HFValidationError,), f"not a name that the Hub accepts ({error})", ""),
        # Among the bases is whatever the Hub's HTTP library of the day raises (it has changed).
        (
            (*errors.HfHubHTTPError.__bases__, OSError),
            f"the download failed ({type(error).__name__}: {error})"[:300],
            "try again",
        ),
    )
    for kinds, wrong, mend in known:
        if isinstance(error, kinds):
            return AtlasError(where, wrong, mend)
    return None
