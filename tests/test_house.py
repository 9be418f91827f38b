"""Rules of the house that no linter checks."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = [
    p
    for folder, suffix in (
        ("atlas", "py"),
        ("tests", "py"),
        ("build/bench", "py"),
        ("site_src/assets", "js"),
        ("site_src/assets", "css"),
    )
    for p in sorted((ROOT / folder).rglob(f"*.{suffix}"))
]


@pytest.mark.parametrize("path", CODE, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_files_stay_small(path):
    assert len(path.read_text("utf-8").splitlines()) <= 300, "split it by what it does"


def test_only_the_command_line_prints_or_exits():
    calls = {"print", "exit", "quit", "sys.exit", "os._exit"}
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "atlas").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in calls
    }
    assert found <= {"atlas/cli.py", "atlas/pipeline/reference.py"}


def test_only_the_frame_knows_mkdocs():
    found = [
        p.name
        for p in sorted((ROOT / "atlas").rglob("*.py"))
        if re.search(r"^\s*(from|import) mkdocs", p.read_text("utf-8"), re.MULTILINE)
    ]
    assert found == ["frame.py"]


def test_importing_the_package_is_free_of_torch():
    stages = "import sys, atlas, atlas.cli, atlas.pipeline.site"
    code = f"{stages}; print(sorted({{'torch', 'transformers'}} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_committed_names_this_machine():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    private = re.compile(r"(?<![\w.>])/(work|root|farm)/|files\.pythonhosted|registry\.npmjs")
    bad = []
    for name in filter(None, tracked):
        path = ROOT / name
        if (
            path.suffix in {".py", ".md", ".toml", ".js", ".css", ".html", ".jinja", ".yml", ".txt", ""}
            and path.is_file()
        ):
            text = path.read_text("utf-8", errors="ignore")
            if name != "tests/test_house.py" and private.search(text):
                bad.append(name)
    assert bad == []
