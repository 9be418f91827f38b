"""Reviews, editorials and tweets of the VADER study, from the source archive of `vaderSentiment` 0.5.

C.J. Hutto and E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social
Media Text", ICWSM 2014. The package, its data included, is under the MIT licence; the sentences are
short quotations: films from Rotten Tomatoes (Pang and Lee), products from Amazon (Hu and Liu), New York
Times editorials, and tweets.

The archive is fetched once by pip, which checks its digest before it looks inside; it is read in
place, never unpacked.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from atlas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUIREMENT = "vaderSentiment==0.5"
ARCHIVE = "vaderSentiment-0.5.zip"
SHA256 = "5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a"
INNER = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
LINES = 8
"""Snippets in a document, as the demo's SAEs were trained."""


def film_reviews(cache: Path) -> Iterator[tuple[str, str]]:
    """Sentences of film reviews from Rotten Tomatoes (MIT, as part of VADER).

    Raises:
        AtlasError: If the archive can be neither found nor fetched, or is not the expected one.
    """
    return _snippets(cache, "movieReviewSnippets")


def amazon_reviews(cache: Path) -> Iterator[tuple[str, str]]:
    """Sentences of product reviews from Amazon (MIT, as part of VADER); errors as `film_reviews`."""
    return _snippets(cache, "amazonReviewSnippets")


def editorials(cache: Path) -> Iterator[tuple[str, str]]:
    """Sentences of New York Times editorials (MIT, as part of VADER); errors as `film_reviews`."""
    return _snippets(cache, "nytEditorialSnippets")


def tweets(cache: Path) -> Iterator[tuple[str, str]]:
    """Tweets (MIT, as part of VADER); errors as `film_reviews`."""
    return _snippets(cache, "tweets")


def _snippets(cache: Path, name: str) -> Iterator[tuple[str, str]]:
    """Documents of eight snippets, a line each; the text is the last column of the table."""
    path = archive(cache)
    with zipfile.ZipFile(path) as outer, tarfile.open(fileobj=io.BytesIO(outer.read(INNER))) as inner:
        member = inner.extractfile(f"hutto_ICWSM_2014/{name}_GroundTruth.txt")
        if member is None:  # cannot happen with the right digest
            raise AtlasError(path, f"holds no {name}")
        table = member.read().decode("utf-8", "replace")
    snippets = [line.split("\t")[-1].strip() for line in table.split("\n") if line.strip()]
    for number, first in enumerate(range(0, len(snippets), LINES), start=1):
        yield f"{number:04d}", "\n".join(snippets[first : first + LINES])


def archive(cache: Path) -> Path:
    """Path of the archive in the cache, fetched by pip if it is not there yet.

    Raises:
        AtlasError: If pip fails, or the file is not the expected one.
    """
    path = cache / "text" / ARCHIVE
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".fetch-") as folder:
            _download(Path(folder), path)
            _check(Path(folder, ARCHIVE))
            Path(folder, ARCHIVE).replace(path)
    _check(path)
    return path


def _download(folder: Path, path: Path) -> None:
    # With a digest in a requirements file pip refuses another archive before it runs its setup.py.
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{REQUIREMENT} --hash=sha256:{SHA256}\n", "utf-8")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    pip += ["download", "--no-deps", "--no-binary", "vaderSentiment", "--dest", str(folder)]
    done = subprocess.run([*pip, "--requirement", str(wanted)], capture_output=True, text=True, check=False)  # noqa: S603 - constants and a path of ours
    if done.returncode or not (folder / ARCHIVE).is_file():
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        why = (errors or done.stderr.splitlines() or ["no message"])[-1]
        mend = f"go online, or put {ARCHIVE} at {path}"
        raise AtlasError(REQUIREMENT, f"`pip download` failed ({why})", mend)


def _check(path: Path) -> None:
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise AtlasError(path, f"is not the {REQUIREMENT} that was expected (SHA-256 differs)", "delete it")
