"""Dictionaries by the names of SAELens, with a stand-in for SAELens; with the real one where it is installed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from atlas.config import DictionarySection, Recipe
from atlas.dictionaries import from_saelens
from atlas.dictionaries.base import Dictionary
from atlas.dictionaries.load import load_dictionary
from atlas.errors import AtlasError
from atlas.pipeline.inspect import inspect

ROOT = Path(__file__).parents[2]
D_IN, D_SAE = 6, 10
ADDRESS = "saelens:some-release/layer_20/width_16k/canonical"


class StandIn(torch.nn.Module):
    """As much of SAELens's SAE as is used, with the transposed views that some of its loaders leave."""

    asked: list[tuple[Any, ...]] = []  # noqa: RUF012 (of the class, and emptied for every test)
    warns, fails, loads = "", "", ""

    def __init__(self) -> None:
        super().__init__()
        self.W_enc = torch.nn.Parameter(torch.randn(D_SAE, D_IN).T)
        self.b_enc = torch.nn.Parameter(torch.randn(D_SAE))
        self.W_dec = torch.nn.Parameter(torch.randn(D_IN, D_SAE).T)
        self.b_dec = torch.nn.Parameter(torch.randn(D_IN))
        self.cfg = SimpleNamespace(metadata={"hook_name": "blocks.1.hook_resid_post", "sae_lens_version": "6.0.0"})

    @classmethod
    def from_pretrained(cls, release: str, sae_id: str, device: str, dtype: str) -> StandIn:
        cls.asked.append((release, sae_id, device, dtype))
        if cls.fails == "load":
            raise KeyError("w_enc")
        if cls.warns:
            warnings.warn_explicit(cls.warns, UserWarning, "site-packages/sae_lens/saes/sae.py", 1)
            warnings.warn_explicit("not from there", UserWarning, "site-packages/other.py", 1)
        if cls.loads:
            torch.load(cls.loads, weights_only=False)
        torch.manual_seed(3)
        return cls()

    def save_model(self, path: Path) -> None:
        if self.fails == "save":
            raise RuntimeError("Some tensors share memory")
        if self.fails == "disk":
            raise OSError(28, "No space left on device")
        path.mkdir()
        save_file(self.state_dict(), path / "sae_weights.safetensors")
        config = {"architecture": "standard", "d_in": D_IN, "d_sae": D_SAE, "metadata": self.cfg.metadata}
        (path / "cfg.json").write_text(json.dumps(config | {"normalize_activations": "none"}))


@pytest.fixture
def saelens(monkeypatch: pytest.MonkeyPatch) -> type[StandIn]:
    """SAELens 6.99, which knows one release."""
    known = {"some-release": SimpleNamespace(saes_map={"layer_20/width_16k/canonical": "a", "layer_21/x": "b"})}
    package, loading, directory = (ModuleType(name) for name in ("sae_lens", "loading", "directory"))
    package.SAE, directory.get_pretrained_saes_directory = StandIn, lambda: known  # type: ignore[attr-defined]
    for name, module in (("", package), (".loading", loading), (".loading.pretrained_saes_directory", directory)):
        monkeypatch.setitem(sys.modules, f"sae_lens{name}", module)
    installed(monkeypatch, "6.99")
    for name, value in (("asked", []), ("warns", ""), ("fails", ""), ("loads", "")):
        monkeypatch.setattr(StandIn, name, value)
    return StandIn


def installed(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    def found(name: str) -> str:
        if not version:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(from_saelens.importlib.metadata, "version", found)


def load(cache: Path, source: str = ADDRESS) -> Dictionary:
    section = DictionarySection(id="own", source=source)
    return load_dictionary(section, Recipe.model_construct(folder=Path("nowhere")), cache)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (ADDRESS, ("some-release", "layer_20/width_16k/canonical")),
        (
            "saelens:gpt2-small-res_sll-ajt/blocks.8.hook_resid_pre",
            ("gpt2-small-res_sll-ajt", "blocks.8.hook_resid_pre"),
        ),
        ("saelens:Qwen2.5-7b/0", ("Qwen2.5-7b", "0")),
    ],
)
def test_a_release_holds_no_slash_and_an_id_may(source: str, expected: tuple[str, str]) -> None:
    assert from_saelens.parse(source) == expected


@pytest.mark.parametrize("source", ["saelens:", "saelens:release", "saelens:release/", "saelens:/id", "saelens:a b/c"])
def test_another_form_is_refused_before_anything_is_looked_for(source: str, tmp_path: Path) -> None:
    with pytest.raises(AtlasError) as error:
        load(tmp_path, source)
    assert str(error.value) == f"{source}: not a name of SAELens's; write saelens:RELEASE/SAE_ID"


def test_without_saelens_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed(monkeypatch, "")
    with pytest.raises(AtlasError) as error:
        load(tmp_path)
    assert str(error.value) == f"{ADDRESS}: SAELens is not installed; pip install 'sae-atlas[saelens]'"


def test_saelens_loads_and_saves_and_our_format_reads(saelens: type[StandIn], tmp_path: Path) -> None:
    found = load(tmp_path)
    assert saelens.asked == [("some-release", "layer_20/width_16k/canonical", "cpu", "float32")]
    assert (found.source, found.format, found.hook_point) == (ADDRESS, "saelens", "blocks.1.hook_resid_post")
    assert (found.metadata["loaded_by"], found.metadata["sae_lens_version"]) == ("sae_lens 6.99", "6.0.0")
    assert "loading_warnings" not in found.metadata
    torch.manual_seed(3)
    assert torch.equal(found.W_enc, StandIn().W_enc)
    (folder,) = (tmp_path / "saelens").iterdir()
    assert folder.name.startswith("some-release-")
    assert sorted(path.name for path in folder.iterdir()) == ["cfg.json", "sae_weights.safetensors"]


def test_what_is_there_is_not_asked_for_again(
    saelens: type[StandIn], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = load(tmp_path).digest
    assert load(tmp_path).digest == digest
    assert len(saelens.asked) == 1
    installed(monkeypatch, "7.0")
    assert load(tmp_path).metadata["loaded_by"] == "sae_lens 7.0", "another version may load it otherwise"
    assert len(saelens.asked) == 2


def test_what_saelens_warns_of_is_kept(saelens: type[StandIn], tmp_path: Path) -> None:
    saelens.warns = "no factor is known;\n it is left out"
    assert load(tmp_path).metadata["loading_warnings"] == "no factor is known; it is left out"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("saelens:some-releese/x", "SAELens 6.99 knows no release some-releese; near are some-release"),
        ("saelens:zzz/x", "SAELens 6.99 knows no release zzz; its documentation lists them"),
        ("saelens:some-release/layer_21/y", "SAELens 6.99 knows no layer_21/y in the release some-release; near are"),
    ],
)
def test_a_name_that_is_not_known(saelens: type[StandIn], tmp_path: Path, source: str, said: str) -> None:
    with pytest.raises(AtlasError) as error:
        load(tmp_path, source)
    assert str(error.value).startswith(f"{source}: {said}")
    assert not saelens.asked


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        ("load", "SAELens 6.99 cannot load it (KeyError: 'w_enc')"),
        ("save", "SAELens cannot save it (RuntimeError: Some tensors share memory)"),
        ("disk", "cannot be written (No space left on device)"),
    ],
)
def test_a_failure_is_one_line_and_leaves_nothing(
    saelens: type[StandIn], tmp_path: Path, fails: str, said: str
) -> None:
    saelens.fails = fails
    with pytest.raises(AtlasError) as error:
        load(tmp_path)
    assert said in str(error.value)
    assert [path for path in tmp_path.rglob("*") if path.name != "saelens"] == []


class Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.folder,)


@pytest.mark.parametrize("before", [None, "0"])
def test_a_pickle_runs_no_code_even_where_saelens_would_let_it(
    saelens: type[StandIn], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    monkeypatch.setenv(from_saelens.FORCE_NOT, "1")
    monkeypatch.delenv(from_saelens.FORCE, raising=False)
    if before is not None:
        monkeypatch.setenv(from_saelens.FORCE, before)
    saelens.loads = str(tmp_path / "sae.pt")
    torch.save(Runs(tmp_path / "ran"), saelens.loads)
    with pytest.raises(AtlasError, match=r"cannot load it \(UnpicklingError"):
        load(tmp_path)
    assert not (tmp_path / "ran").exists()
    assert (os.environ.get(from_saelens.FORCE), os.environ[from_saelens.FORCE_NOT]) == (before, "1")


@pytest.mark.usefixtures("saelens")
def test_an_installation_that_does_not_import(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "sae_lens", None)
    with pytest.raises(AtlasError, match=r"SAELens 6\.99 cannot be imported \(.*; see what `python -c"):
        load(tmp_path)


def test_a_process_that_was_quicker_is_as_good(saelens: type[StandIn], tmp_path: Path) -> None:
    first = load(tmp_path)
    (folder,) = (tmp_path / "saelens").iterdir()
    from_saelens._write(ADDRESS, saelens(), folder)
    assert load(tmp_path).digest == first.digest
    assert list((tmp_path / "saelens").iterdir()) == [folder]


@pytest.mark.usefixtures("saelens")
def test_inspect_tells_who_loaded_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATLAS_OUT", str(tmp_path))
    told = dict(inspect(ADDRESS, DictionarySection(id="it", source=ADDRESS)))
    assert told["Loaded by"] == "sae_lens 6.99"
    assert (tmp_path / "cache" / "saelens").is_dir()


@pytest.mark.skipif(importlib.util.find_spec("sae_lens") is None, reason="pip install 'sae-atlas[saelens]'")
def test_the_real_one() -> None:
    command = [sys.executable, str(ROOT / "build" / "bench" / "releases.py"), "--python", sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
