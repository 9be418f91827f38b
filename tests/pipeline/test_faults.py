"""Kills, a full disk, too little memory, an interrupted pass: told in one line, and the next run is none the worse.

Commands run in forks of one process (`build/bench/faults_forks.py`), which imports torch once for all of them.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import atlas

BENCH = Path(__file__).parents[2] / "build" / "bench"


class Forks:
    """Commands of `atlas`, each in a fork of a process that is warm."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, BENCH / "faults_forks.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, *argv: object, cwd: Path, fault: str = "") -> tuple[int, str, str]:
        """Exit code (negative: a signal), stdout, stderr."""
        request = {"argv": [*map(str, argv)], "cwd": str(cwd), "fault": fault}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return answer["code"], answer["out"], answer["err"]

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@pytest.fixture(scope="module")
def forks():
    made = Forks()
    yield made
    made.close()


@pytest.fixture
def copy(tiny, tmp_path):
    """The tiny atlas's inputs; a checkpoint after every micro-batch."""
    folder = tmp_path / "copy"
    shutil.copytree(tiny.folder, folder, ignore=shutil.ignore_patterns("out"))
    recipe = folder / "recipe.toml"
    recipe.write_text(recipe.read_text("utf-8").replace("[collect]", "[collect]\ncheckpoint = 1e-6"), "utf-8")
    return folder


def tables(store: Path) -> dict[str, bytes]:
    """All tables of the first stage."""
    found = {p.relative_to(store).as_posix(): p.read_bytes() for p in store.rglob("*.parquet")}
    return {name: data for name, data in found.items() if name not in {"names.parquet", "map.parquet"}}


def one_line(code: int, err: str) -> str:
    assert code == 2, err
    (line,) = [line for line in err.splitlines() if line.strip()]
    assert line.startswith("atlas: ")
    return line


def goes_on(forks: Forks, folder: Path, tiny) -> int:
    """The next run comes to the same store; returns how many tokens it found done."""
    code, out, err = forks.run("collect", "--out", "out", cwd=folder)
    assert code == 0, err
    assert tables(folder / "out/tiny/store") == tables(tiny.store)
    assert [p.name for p in (folder / "out/tiny").iterdir()] == ["store"]
    found = re.search(r"(\d+) of them found done", out.replace(",", ""))
    return int(found[1]) if found else 0


def nothing_half_written(folder: Path) -> None:
    assert not list((folder / "out").rglob("*.partial"))
    assert not (folder / "out/tiny/store").exists()


def test_builds_that_are_killed_anywhere_come_to_the_same_bytes():
    done = subprocess.run(
        [sys.executable, BENCH / "faults.py", "--kills", "8"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(r"kills=8 identical=8 seconds=\d+", done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("fault", "where", "found"),
    [
        ("disk full in the corpus", "chunk-000000.sealed", False),
        ("disk full in the pass", "part-0000.sealed", True),
        ("disk full in the deposit", ".parquet", True),
    ],
)
def test_a_disk_that_fills_up_is_one_line_and_the_next_run_goes_on(forks, tiny, copy, fault, where, found):
    code, _, err = forks.run("collect", "--out", "out", cwd=copy, fault=fault)
    line = one_line(code, err)
    assert where in line
    assert "cannot be written" in line
    assert line.endswith("free space or choose another folder with ATLAS_OUT")
    nothing_half_written(copy)
    assert bool(goes_on(forks, copy, tiny)) == found


def test_memory_that_does_not_suffice_is_one_line_and_the_next_run_goes_on(forks, tiny, copy):
    code, _, err = forks.run("collect", "--out", "out", cwd=copy, fault="no memory in the pass")
    line = one_line(code, err)
    assert re.search(r"micro-batch of \d+ windows on cpu: out of memory; lower collect.batch, or set", line)
    nothing_half_written(copy)
    assert goes_on(forks, copy, tiny) > 0


@pytest.mark.parametrize(
    ("fault", "expected", "told"),
    [
        (
            "Ctrl-C in the pass",
            130,
            "atlas: stopped; what is written down is kept, and the same command goes on from there\n",
        ),
        ("SIGTERM in the pass", -15, ""),
    ],
)
def test_an_interrupted_pass_ends_without_a_traceback_and_goes_on_later(forks, tiny, copy, fault, expected, told):
    code, _, err = forks.run("collect", "--out", "out", cwd=copy, fault=fault)
    assert code == expected
    assert err == told
    assert not (copy / "out/tiny/store").exists()
    assert goes_on(forks, copy, tiny) > 0


def rewrite(folder: Path, texts: dict[str, str], **corpus: int) -> None:
    """Other texts, all in one part."""
    shutil.rmtree(folder / "texts")
    (folder / "texts/prose").mkdir(parents=True)
    for name, text in texts.items():
        (folder / "texts/prose" / name).write_text(text, "utf-8")
    recipe = (folder / "recipe.toml").read_text("utf-8")
    for part in ("code", "other"):
        recipe = re.sub(rf'\[\[corpus.part\]\]\nid = "{part}".*?\n\n', "", recipe, flags=re.DOTALL)
    for key, value in corpus.items():
        recipe = re.sub(rf"\n{key} = \d+", f"\n{key} = {value}", recipe)
    (folder / "recipe.toml").write_text(recipe, "utf-8")


def test_an_atlas_of_one_window_of_eight_tokens(forks, copy):
    rewrite(copy, {"a.txt": "0123456789"}, window=9, tokens=100)
    code, _, err = forks.run("build", "--out", "out", cwd=copy)
    assert code == 0, err
    corpus = atlas.open_store(copy / "out/tiny/store").manifest.corpus
    assert (corpus.tokens, corpus.windows, corpus.documents) == (8, 1, 1)
    assert forks.run("check", "out/tiny/site", cwd=copy)[0] == 0


def test_an_atlas_of_two_documents_of_which_one_is_empty(forks, copy):
    rewrite(copy, {"a.txt": "In the beginning God created the heaven and the earth.\n" * 4, "b.txt": ""})
    code, _, err = forks.run("build", "--out", "out", cwd=copy)
    assert code == 0, err
    corpus = atlas.open_store(copy / "out/tiny/store").manifest.corpus
    assert corpus.documents == 1
    assert corpus.dropped["empty"] == 1
    assert forks.run("check", "out/tiny/site", cwd=copy)[0] == 0
