"""Bad input: one clear line on stderr, exit code 2, and nothing where a reader could find it."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ATLAS = [sys.executable, "-m", "atlas"]
ENV = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONWARNINGS": "ignore"}


@pytest.fixture
def copy(tiny, tmp_path):
    """A copy of the tiny atlas's inputs, without what was built."""
    folder = tmp_path / "copy"
    shutil.copytree(tiny.folder, folder, ignore=shutil.ignore_patterns("out"))
    return folder


def run(*arguments: object, cwd: Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ATLAS, *map(str, arguments)],
        cwd=cwd,
        env=ENV,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        **options,
    )


def edit(folder: Path, old: str, new: str) -> None:
    recipe = folder / "recipe.toml"
    text = recipe.read_text("utf-8")
    assert old in text
    recipe.write_text(text.replace(old, new), "utf-8")


def refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 2, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("atlas: ")
    for word in words:
        assert word in lines[0]


def test_an_unknown_key(copy):
    edit(copy, "window = 32", "windwo = 32")
    refused(run("build", "--out", "out", cwd=copy), "recipe.toml", "corpus.windwo", "unknown key")
    assert not (copy / "out").exists()


def test_a_missing_recipe(tmp_path):
    refused(run("build", "nothing.toml", cwd=tmp_path), "nothing.toml", "no such recipe", "atlas new")


def test_a_missing_text(copy):
    edit(copy, "texts/prose/*.txt", "texts/poems/*.txt")
    refused(run("collect", "--out", "out", cwd=copy), "poems", "no file matches")
    assert not (copy / "out/tiny/store").exists()


def test_a_missing_dictionary(copy):
    edit(copy, 'source = "wide"', 'source = "wider"')
    refused(run("collect", "--out", "out", cwd=copy), "wider")


def test_weights_of_the_wrong_shape(copy):
    config = copy / "wide/cfg.json"
    config.write_text(config.read_text("utf-8").replace('"d_sae": 600', '"d_sae": 601'), "utf-8")
    refused(run("collect", "--out", "out", cwd=copy), "sae_weights.safetensors", "W_enc", "601")
    assert not (copy / "out/tiny/store").exists()


def test_a_dictionary_of_another_model(copy):
    import torch
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "narrow/sae_weights.safetensors")
    weights |= {"W_enc": torch.zeros(16, 24), "W_dec": torch.zeros(24, 16), "b_dec": torch.zeros(16)}
    save_file(weights, copy / "narrow/sae_weights.safetensors")
    config = copy / "narrow/cfg.json"
    config.write_text(config.read_text("utf-8").replace('"d_in": 32', '"d_in": 16'), "utf-8")
    refused(run("collect", "--out", "out", cwd=copy), "width 16", "32")


def test_a_hook_point_that_the_model_lacks(copy):
    edit(copy, 'source = "narrow"', 'source = "narrow"\nhook_point = "blocks.9.hook_resid_post"')
    refused(run("collect", "--out", "out", cwd=copy), "blocks.9.hook_resid_post")


def test_an_index_out_of_range(tiny, copy):
    shutil.copytree(tiny.out, copy / "out")
    (copy / "names.toml").write_text('author = "x"\n[[name]]\nfeature = "0-res-24/24"\nname = "y"\n', "utf-8")
    refused(run("name", "--out", "out", cwd=copy), "names.toml", "0-res-24/24", "out of range")
    edit(copy, "[site]", '[site]\nfeatured = ["0-res-24/99"]')
    refused(run("site", "--out", "out", cwd=copy), "0-res-24/99", "no such feature")
    refused(run("show", "0-res-24/24", "--store", tiny.store, cwd=copy), "0-res-24/24", "0 to 23")


def test_a_concept_that_cannot_be(tiny, copy):
    shutil.copytree(tiny.out, copy / "out")
    concepts = copy / "concepts.toml"
    text = concepts.read_text("utf-8")
    concepts.write_text(text.replace("0-res-24/3", "0-res-24/24"), "utf-8")
    before = (copy / "out/tiny/site/atlas.json").read_bytes()
    refused(run("site", "--out", "out", cwd=copy), "concepts.toml", "bridges", "0-res-24/24", "out of range")
    assert (copy / "out/tiny/site/atlas.json").read_bytes() == before
    concepts.write_text(text, "utf-8")
    (copy / "bridges.md").unlink()
    refused(run("site", "--out", "out", cwd=copy), "bridges.md", "no such file")
    concepts.unlink()
    refused(run("site", "--out", "out", cwd=copy), "concepts.toml", "no such file of concepts")


def test_an_output_folder_that_cannot_be_written(copy):
    (copy / "taken").write_text("a file, not a folder")
    refused(run("collect", "--out", "taken", cwd=copy), "taken")


def test_a_disk_that_fills_up_while_writing(tiny, copy):
    """A limit on the size of files stands in for the full disk: the write fails part of the way."""
    shutil.copytree(tiny.out, copy / "out")
    site = copy / "out/tiny/site/index.html"
    before = site.read_bytes()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))

    refused(run("site", "--out", "out", "--force", cwd=copy, preexec_fn=limit), "cannot be written")
    assert site.read_bytes() == before
    refused(run("collect", "--out", "out", "--force", cwd=copy, preexec_fn=limit), "cannot be written")
    assert not list((copy / "out/tiny").rglob("*.partial"))
    assert run("check", copy / "out/tiny/site", cwd=copy).returncode == 0


def test_commands_without_an_atlas(tmp_path):
    refused(run("site", Path(__file__).parents[2] / "build/recipes/demo.toml", cwd=tmp_path), "no store here")
    refused(run("check", cwd=tmp_path), "no site here")
    refused(run("serve", tmp_path, cwd=tmp_path), "no site here")
    refused(run("show", "x", cwd=tmp_path), "dictionary/index")


def test_new_does_not_overwrite(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("years of work")
    refused(run("new", "mine", cwd=tmp_path), "mine", "not empty")
    assert (tmp_path / "mine/thesis.tex").read_text() == "years of work"


def test_new_writes_a_recipe_that_loads(tmp_path):
    from atlas.config import load

    assert run("new", "My atlas!", cwd=tmp_path).returncode == 0
    recipe = load(tmp_path / "My atlas!/recipe.toml")
    assert recipe.atlas.id == "my-atlas"
    assert recipe.resolve(recipe.dictionary[0].source).is_dir()
    assert recipe.resolve(recipe.names.files[0]).is_file()
