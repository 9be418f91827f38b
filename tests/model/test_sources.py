"""Addresses on the Hub, and its failures in one line."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import TYPE_CHECKING

import huggingface_hub
import pytest
from huggingface_hub import errors

from atlas.errors import AtlasError
from atlas.sources import HubAddress, hub_file, hub_snapshot, parse_hub, sha256_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("hf://google/gemma-3-270m", HubAddress("google/gemma-3-270m")),
        ("hf://google/gemma-3-270m/", HubAddress("google/gemma-3-270m")),
        ("hf://a/b@v1.0", HubAddress("a/b", "", "v1.0")),
        ("hf://a/b@refs/pr/3", HubAddress("a/b", "", "refs/pr/3")),
        ("hf://a/b/layer_9/width_1k@main", HubAddress("a/b", "layer_9/width_1k", "main")),
        ("hf://a/b/c/", HubAddress("a/b", "c")),
    ],
)
def test_addresses(address: str, place: HubAddress) -> None:
    assert parse_hub(address) == place


@pytest.mark.parametrize(
    "address", ["hf://", "hf://a", "a/b", "hf://a/b/../c", "hf://a/b//c", "hf://a/b@", "hf://a/b c@ x"]
)
def test_bad_addresses(address: str) -> None:
    with pytest.raises(AtlasError, match="not a Hub address"):
        parse_hub(address)


def _answer(kind: type[errors.HfHubHTTPError]) -> errors.HfHubHTTPError:
    return kind("no", response=SimpleNamespace(headers={}, request=None))  # type: ignore[arg-type]  # a stand-in


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (_answer(errors.GatedRepoError), "gated on the Hub; accept its terms"),
        (_answer(errors.RepositoryNotFoundError), "no such repository"),
        (_answer(errors.RevisionNotFoundError), "no such revision"),
        (errors.LocalEntryNotFoundError("no"), "out of reach"),
        (errors.OfflineModeIsEnabled("no"), "out of reach"),
        (_answer(errors.RemoteEntryNotFoundError), "no such file"),
        (errors.HFValidationError("odd"), "not a name that the Hub accepts"),
        (_answer(errors.HfHubHTTPError), "the download failed"),
        (errors.HfHubHTTPError.__bases__[0]("no route"), "the download failed .*no route"),
        (OSError(28, "No space left"), "the download failed"),
    ],
)
def test_failures_of_the_hub(monkeypatch: pytest.MonkeyPatch, error: Exception, says: str) -> None:
    def fail(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(AtlasError, match=f"hf://a/b.*{says}"):
        hub_file("hf://a/b/c", "cfg.json")
    with pytest.raises(AtlasError, match=f"hf://a/b.*{says}"):
        hub_snapshot("hf://a/b", ["*.json"])


def test_a_bug_stays_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(ZeroDivisionError):
        hub_file("hf://a/b/c", "cfg.json")


def test_what_is_asked_of_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[object, ...]] = []

    def download(repo: str, name: str, *, revision: str | None) -> str:
        asked.append((repo, name, revision))
        return str(tmp_path / name)

    def snapshot(repo: str, **options: object) -> str:
        asked.append((repo, options))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert hub_file("hf://a/b/c/d@r", "cfg.json") == tmp_path / "c/d/cfg.json"
    hub_file("hf://a/b", "cfg.json")
    assert hub_snapshot("hf://a/b@r", ["*.json"]) == tmp_path
    assert asked == [
        ("a/b", "c/d/cfg.json", "r"),
        ("a/b", "cfg.json", None),
        ("a/b", {"revision": "r", "allow_patterns": ["*.json"], "ignore_patterns": ["*/*"]}),
    ]
    with pytest.raises(AtlasError, match="a model is a whole repository"):
        hub_snapshot("hf://a/b/c", ["*.json"])


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert sha256_of(tmp_path / "f") == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(AtlasError, match="cannot be read"):
        sha256_of(tmp_path / "g")
