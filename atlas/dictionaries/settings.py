"""Settings beside weights: JSON or YAML in which every value is checked where it is asked for.

An error names the file and the key. What is read here was written by others: files are limited in size, YAML is
loaded without building objects, and metadata stays text.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from atlas.errors import AtlasError

LARGEST = 4 * 2**20
"""Bytes; the largest that is published has some kilobytes."""


class _Plain(yaml.SafeLoader):
    """YAML that builds no objects and follows no aliases, with which a few bytes can stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)


class Settings:
    """A mapping in a file, or a part of one.

    Args:
        path: The file; a text that begins with "(" stands for settings that have none.
        data: What it holds.
        lead: Key of this part in the file, for messages.
    """

    def __init__(self, path: Path | str, data: dict[str, Any], lead: str = "") -> None:
        self.path, self._data, self._lead = path, data, lead

    @staticmethod
    def read(path: Path) -> Settings:
        """Read a JSON or, by its suffix, a YAML file.

        Raises:
            AtlasError: If it is missing, too large, or not a mapping.
        """
        try:
            if path.stat().st_size > LARGEST:
                raise AtlasError(path, f"is larger than {LARGEST >> 20} MB, which no settings are")
            text = path.read_text("utf-8")
            yes = path.suffix in {".yaml", ".yml"}
            data = yaml.load(text, _Plain) if yes else json.loads(text)  # noqa: S506 (a safe loader that can do less)
        except FileNotFoundError:
            raise AtlasError(path, "no such file") from None
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            kind = "YAML" if path.suffix in {".yaml", ".yml"} else "JSON"
            raise AtlasError(path, f"not {kind} ({' '.join(str(error).split())[:200]})") from error
        if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
            raise AtlasError(path, "not a mapping of names to values")
        return Settings(path, data)

    def has(self, key: str) -> bool:
        """Whether there is such a key with a value."""
        return self._data.get(key) is not None

    def get(self, key: str) -> Any:
        """The value as it is; None if there is none."""
        return self._data.get(key)

    def text(self, key: str, default: str | None = None) -> str:
        """A text."""
        value = self._value(key, default)
        if not isinstance(value, str):
            raise self.wrong(key, value, "a text")
        return value

    def count(self, key: str, default: int | None = None) -> int:
        """A whole number from 1."""
        value = self._value(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.wrong(key, value, "a positive number")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e300:  # noqa: PLR2004 (NaN is not either)
            raise self.wrong(key, value, "a finite number")
        return float(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self._value(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, value, "true or false")
        return value

    def part(self, key: str, *, default: bool = False) -> Settings:
        """A mapping inside; an empty one for a missing one with `default`."""
        value = self._value(key, {} if default else None)
        if not isinstance(value, dict):
            raise AtlasError(self.path, f"{self._lead}{key} is not a mapping of names to values")
        return Settings(self.path, {str(k): v for k, v in value.items()}, f"{self._lead}{key}.")

    def flat(self, skip: frozenset[str] = frozenset()) -> dict[str, str]:
        """All values as text, mappings flattened to `outer.inner`, sorted, nothing that is null."""
        return dict(sorted(_flatten({k: v for k, v in self._data.items() if k not in skip}, "")))

    def wrong(self, key: str, value: Any, wanted: str) -> AtlasError:
        """The error for a value that is not what it should be."""
        return AtlasError(self.path, f"{self._lead}{key} is {str(value)[:80]!r}, not {wanted}")

    def _value(self, key: str, default: Any) -> Any:
        value = self._data.get(key)
        value = default if value is None else value
        if value is None:
            raise AtlasError(self.path, f"key {self._lead + key!r} is missing")
        return value


def _flatten(data: dict[Any, Any], lead: str) -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    for key, value in data.items():
        name = f"{lead}{key}"
        if isinstance(value, dict):
            out += _flatten(value, f"{name}.")
        elif value is not None:
            out.append((name, value if isinstance(value, str) else json.dumps(value, default=str)))
    return out
