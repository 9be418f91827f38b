"""Nothing half-written is ever read: whatever happens while writing, a reader sees the old or the new whole."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from atlas.errors import AtlasError
from atlas.store.atomic import (
    atomic,
    atomic_folder,
    file_digest,
    finish_removal,
    recover,
    remove_folder,
    write_bytes,
)

KILLED = 9


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_then_raise(
    context: AbstractContextManager[Path], write: Callable[[Path], object], error: BaseException
) -> None:
    """A block that fails half-way."""
    with context as partial:
        write(partial)
        raise error


def make(path: Path, text: str) -> Path:
    """A folder of two files."""
    path.mkdir(parents=True)
    (path / "a.txt").write_text(text)
    (path / f"{text}.txt").write_text("only here")
    return path


def whole(path: Path) -> str:
    """What a folder holds, provided that it is whole."""
    text = (path / "a.txt").read_text()
    assert names(path) == sorted(["a.txt", f"{text}.txt"])
    return text


def test_a_file_is_written_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "file"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert names(path.parent) == ["file"]


def test_the_old_file_is_there_until_the_new_one_is_whole_and_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    seen: list[tuple[str, bytes]] = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (seen.append(("sync", path.read_bytes())), sync(handle)))
    monkeypatch.setattr(Path, "replace", lambda a, b: (seen.append(("move", path.read_bytes())), replace(a, b))[1])
    with atomic(path) as partial:
        partial.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert seen == [("sync", b"old"), ("move", b"old"), ("sync", b"new")]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), AtlasError("x", "y")])
def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(type(error)) as caught:
        write_then_raise(atomic(path), lambda partial: partial.write_bytes(b"half"), error)
    assert caught.value is error
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(("owner", "call"), [(os, "fsync"), (Path, "write_bytes"), (Path, "replace"), (Path, "mkdir")])
def test_a_full_disk_is_one_line_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, call: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(owner, call, no_space)
        with pytest.raises(AtlasError) as caught:
            write_bytes(path, b"new")
    line = f"{path}: cannot be written (No space left on device); free space or choose another folder with ATLAS_OUT"
    assert str(caught.value) == line
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    for path in (tmp_path / "file" / "below", tmp_path / "file" / "further" / "below"):
        with pytest.raises(AtlasError, match="cannot be written"):
            write_bytes(path, b"new")
        with pytest.raises(AtlasError, match="cannot be written"), atomic_folder(path):
            pytest.fail("the block should not run")
    assert (tmp_path / "file").read_bytes() == b"in the way"


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = make(tmp_path / "site", "old")
    (tmp_path / "site.partial").mkdir()
    (tmp_path / "site.partial" / "left by a killed build").touch()
    with atomic_folder(path) as partial:
        (partial / "a.txt").write_text("new")
        (partial / "new.txt").touch()
        assert whole(path) == "old"
    assert whole(path) == "new"
    assert names(tmp_path) == ["site"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), AtlasError("x", "y")])
def test_an_exception_leaves_the_old_folder_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = make(tmp_path / "site", "old")
    with pytest.raises(type(error)) as caught:
        write_then_raise(atomic_folder(path), lambda partial: (partial / "a.txt").write_text("half"), error)
    assert caught.value is error
    assert whole(path) == "old"
    assert names(tmp_path) == ["site"]


@pytest.mark.parametrize("failing", [0, 1])
def test_a_move_that_fails_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    path = make(tmp_path / "site", "old")
    rename, moves = Path.rename, iter(range(9))
    monkeypatch.setattr(Path, "rename", lambda a, b: no_space() if next(moves) == failing else rename(a, b))
    with (
        pytest.raises(AtlasError, match=r"site: cannot be written \(No space left on device\)"),
        atomic_folder(path) as partial,
    ):
        (partial / "a.txt").write_text("new")
    assert whole(path) == "old"
    assert names(tmp_path) == ["site"]


def test_a_disk_that_fills_up_in_the_block_is_one_line(tmp_path: Path) -> None:
    path = make(tmp_path / "site", "old")
    with pytest.raises(AtlasError, match="No space left on device"), atomic_folder(path):
        no_space()
    assert whole(path) == "old"
    assert names(tmp_path) == ["site"]


KILL = """
import os, pathlib, shutil, sys
from atlas.store.atomic import atomic_folder
path, when = pathlib.Path(sys.argv[1]), sys.argv[2]
calls, rename, rmtree = 0, pathlib.Path.rename, shutil.rmtree
def counted(a, b):
    global calls
    calls += 1
    if when == f"before move {calls}":
        os._exit(9)
    return rename(a, b)
pathlib.Path.rename = counted
with atomic_folder(path) as partial:
    (partial / "a.txt").write_text("new")
    if when == "in the block":
        os._exit(9)
    (partial / "new.txt").touch()
    if when == "before the old one is removed":
        shutil.rmtree = lambda *_, **__: os._exit(9)
"""


@pytest.mark.parametrize(
    ("when", "left"),
    [
        ("in the block", "old"),
        ("before move 1", "old"),
        ("before move 2", "old"),
        ("before the old one is removed", "new"),
    ],
)
def test_a_kill_at_any_moment_leaves_a_whole_folder(
    tmp_path: Path, when: str, left: str, request: pytest.FixtureRequest
) -> None:
    path = make(tmp_path / "first" / "site", "old")
    done = subprocess.run([sys.executable, "-c", KILL, str(path), when], cwd=request.config.rootpath, check=False)
    assert done.returncode == KILLED
    if path.exists():
        assert whole(path) == left
    again = shutil.copytree(path.parent, tmp_path / "second") / "site"
    recover(path)
    assert whole(path) == left
    assert not (path.parent / "site.old").exists()
    with atomic_folder(again) as partial:
        assert whole(again) == left
        (partial / "a.txt").write_text("third")
        (partial / "third.txt").touch()
    assert whole(again) == "third"
    assert names(again.parent) == ["site"]


def test_recovering_where_there_is_nothing_to_recover_does_nothing(tmp_path: Path) -> None:
    path = make(tmp_path / "site", "old")
    recover(path)
    recover(tmp_path / "nothing")
    assert names(tmp_path) == ["site"]
    assert whole(path) == "old"


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert file_digest(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_folder_goes_as_a_whole_and_what_a_kill_leaves_goes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "work", "one")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # killed before anything is removed
        remove_folder(path)
    assert names(tmp_path) == ["work.gone"]
    make(path, "two")
    remove_folder(path)
    assert names(tmp_path) == []
    remove_folder(path)
    make(tmp_path / "work.gone", "three")
    finish_removal(path)
    assert names(tmp_path) == []
