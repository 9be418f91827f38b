"""Dictionaries by the names that SAELens gives them: `saelens:RELEASE/SAE_ID`.

For weights in a form that no module of `formats` reads. SAELens is an optional package; here its own loader reads the
publisher's files, by its own rules, but for one: `torch.load` is held to `weights_only`. Nothing else of it is used:

1. Release and id are looked up in its directory, before anything is fetched.
2. It loads the dictionary on the CPU, in float32, and writes it in its own layout, safetensors and `cfg.json`, in whose
   metadata `loaded_by` names its version, and `loading_warnings` what it had to say.
3. `formats.saelens` reads that, as it reads any folder in the layout.

    <cache>/saelens/<release>-<digest12>/     cfg.json, sae_weights.safetensors

The digest is of the address and of SAELens's version: what is there is not fetched again. It is written under a
temporary name and renamed when whole.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import shutil
import tempfile
import warnings
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.errors import AtlasError
from atlas.sources import hub_quiet
from atlas.store.atomic import unwritable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SCHEME = "saelens:"
PACKAGE = "sae-lens"
FORCE, FORCE_NOT = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
"""What torch asks whenever it loads; one excludes the other."""

_ADDRESS = re.compile(r"saelens:(?P<release>[\w.-]+)/(?P<id>\S+)")


def parse(source: str) -> tuple[str, str]:
    """Release and id of `saelens:RELEASE/SAE_ID`; the id may hold slashes, the release holds none.

    Raises:
        AtlasError: If the address has another form.
    """
    found = _ADDRESS.fullmatch(source)
    if found is None:
        raise AtlasError(source, "not a name of SAELens's", "write saelens:RELEASE/SAE_ID")
    return found["release"], found["id"]


def fetch(source: str, cache: Path) -> Path:
    """The folder, in SAELens's layout, of the dictionary that SAELens knows by this name.

    Args:
        source: `saelens:RELEASE/SAE_ID`.
        cache: Folder under which `saelens/` lies.

    Raises:
        AtlasError: If SAELens is not installed, knows no such name or cannot load it, or the disk is full.
    """
    release, sae_id = parse(source)
    try:
        version = importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise AtlasError(source, "SAELens is not installed", "pip install 'sae-atlas[saelens]'") from None
    digest = hashlib.sha256(f"{source}\n{version}".encode()).hexdigest()[:12]
    folder = cache / "saelens" / f"{release}-{digest}"
    if not folder.is_dir():
        _write(source, _load(source, release, sae_id, version), folder)
    return folder


def _load(source: str, release: str, sae_id: str, version: str) -> Any:
    """SAELens's own object, ready to be saved."""
    with warnings.catch_warnings(record=True) as caught, hub_quiet():
        warnings.simplefilter("always")
        try:
            from sae_lens import SAE  # noqa: PLC0415  (optional, and many seconds to import)
            from sae_lens.loading.pretrained_saes_directory import (  # noqa: PLC0415  (as above)
                get_pretrained_saes_directory,
            )
        except Exception as error:
            # It imports much, and what does not fit the installed transformers or torch fails in many ways.
            wrong = f"SAELens {version} cannot be imported ({type(error).__name__}: {error})"
            raise AtlasError(source, wrong[:400], "see what `python -c 'import sae_lens'` says") from error
        known = get_pretrained_saes_directory()
        if release not in known:
            raise AtlasError(source, f"SAELens {version} knows no release {release}", _near(release, known))
        if sae_id not in known[release].saes_map:
            near = _near(sae_id, known[release].saes_map)
            raise AtlasError(source, f"SAELens {version} knows no {sae_id} in the release {release}", near)
        try:
            with _tensors_only():
                sae = SAE.from_pretrained(release, sae_id, device="cpu", dtype="float32")
        except Exception as error:
            # Loaders raise whatever their publisher's files make them: all of it means these files.
            wrong = f"SAELens {version} cannot load it ({type(error).__name__}: {error})"
            raise AtlasError(source, wrong[:400]) from error
        said = [w.message for w in caught if w.category is UserWarning and "sae_lens" in w.filename]
    sae.cfg.metadata["loaded_by"] = f"sae_lens {version}"
    if said:
        sae.cfg.metadata["loading_warnings"] = " ".join(" ".join(map(str, said)).split())
    return sae


@contextmanager
def _tensors_only() -> Iterator[None]:
    """Make every `torch.load` inside build tensors and nothing else, whatever it is called with and is the default."""
    before = {name: os.environ.pop(name, None) for name in (FORCE, FORCE_NOT)}
    os.environ[FORCE] = "1"
    try:
        yield
    finally:
        del os.environ[FORCE]
        os.environ.update({name: value for name, value in before.items() if value is not None})


def _write(source: str, sae: Any, folder: Path) -> None:
    """Save it; a second process that was quicker is as good."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise unwritable(folder, error) from error
    for weight in sae.parameters():
        weight.data = weight.data.contiguous()  # some loaders transpose, and safetensors takes no transposed views
    try:
        sae.save_model(room / "sae")
        os.sync()
        (room / "sae").rename(folder)
    except OSError as error:
        if not folder.is_dir():
            raise unwritable(folder, error) from error
    except Exception as error:
        wrong = f"SAELens cannot save it ({type(error).__name__}: {error})"
        raise AtlasError(source, wrong[:400]) from error
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _near(name: str, known: Iterable[str]) -> str:
    found = get_close_matches(name, list(known), n=3)
    return f"near are {', '.join(found)}" if found else "its documentation lists them"
