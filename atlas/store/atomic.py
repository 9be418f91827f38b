"""Writing so that nothing half-written is ever read: temporary name, fsync, rename."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from atlas.errors import AtlasError

_PARTIAL = ".partial"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, moved onto it when the block ends well and removed otherwise.

    Raises:
        AtlasError: If the file cannot be written (no space, no permission).
    """
    partial = path.with_name(path.name + _PARTIAL)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        _sync(partial)
        partial.replace(path)
        _sync(path.parent)
    except OSError as error:
        _discard(partial)
        raise unwritable(path, error) from error
    except BaseException:
        _discard(partial)
        raise


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A fresh temporary folder beside `path` that replaces it when the block ends well.

    The folder that was there is moved aside, then removed; `recover` undoes a kill between the two
    moves. Files are synced once, before the first move.
    """
    partial, old = path.with_name(path.name + _PARTIAL), path.with_name(path.name + ".old")
    try:
        recover(path)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        os.sync()
        if path.exists():
            path.rename(old)
        partial.rename(path)
        _sync(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        recover(path)
        raise unwritable(path, error) from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def recover(path: Path) -> None:
    """Put back the folder that an interrupted `atomic_folder` had moved aside."""
    old = path.with_name(path.name + ".old")
    if old.exists() and not path.exists():
        old.rename(path)
    elif old.exists():
        shutil.rmtree(old, ignore_errors=True)


def remove_folder(path: Path) -> None:
    """Remove a folder, if it is there; after a kill no part of it is left under its name."""
    finish_removal(path)
    if path.exists():
        path.rename(_gone(path))
        finish_removal(path)


def finish_removal(path: Path) -> None:
    """Remove what a killed `remove_folder` has left."""
    shutil.rmtree(_gone(path), ignore_errors=True)


def _gone(path: Path) -> Path:
    return path.with_name(path.name + ".gone")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file atomically."""
    with atomic(path) as partial:
        partial.write_bytes(data)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unwritable(path: Path, error: OSError) -> AtlasError:
    """The one line for a file or folder that cannot be written."""
    reason = error.strerror or str(error)
    return AtlasError(path, f"cannot be written ({reason})", "free space or choose another folder with ATLAS_OUT")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _discard(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # the folder itself may be what cannot be written
        return
