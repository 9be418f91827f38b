"""The client's query function, run by node, against a slow reading of the same rule."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from search_support import CORE, client, entries, entry

from atlas.search import build_index, tokenise

NAMES = [
    "Chapter numbers in scripture",
    "Page numbers in citations",
    "Numbering of chapters",
    "getSystemVersion calls",
    "章节号 in headings",
    "<script>alert(1)</script>",
    "__proto__ and constructor",
    "crème brûlée",
    "",
]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    rows = entries((name, "bridge chapter" if place == 4 else "", "") for place, name in enumerate(NAMES))
    rows += [entry(650, "Bridges", "gate", "water"), entry(650, "dictionary", "", "gate gates", "5-res-2k")]
    build_index(rows, folder)
    return folder


@pytest.mark.parametrize(
    ("query", "docs"),
    [
        ("chapter num", [0]),  # the last word as a beginning, the others whole
        ("chapter", [0, 2, 4]),  # name, name by its beginning, tokens
        ("numb", [0, 1, 2]),
        ("chapters number", [2]),
        ("chapter numberings", [0, 2, 4]),  # nothing has both: any
        ("bridge", [9, 4]),  # the name by its beginning before the tokens
        ("gate", [9, 10]),  # tokens before promoted tokens
        ("650", [9, 10]),
        ("9-res-4k/650", [9]),
        ("gemma-3-270m/5-res-2k/650", [10]),
        ("5-RES-2k", [10]),
        ("9-res-4k/", [*range(10)]),
        ("get_system_version", [3]),
        ("system version", [3]),
        ("章节", [4]),
        ("章节号", [4]),
        ("号", [4]),
        ("creme BRULE", [7]),
        ("__proto__", [6]),
        ("constructor", [6]),
        ("<script>", [0, 5]),  # `script` is also how `scripture` begins; exact comes first
        ("toString", []),
        ("", []),
        (" \0 🌉 ", []),
        ("x" * 5000, []),
        ("\u4e00" * 300, []),
    ],
)
def test_queries(query: str, docs: list[int], small: Path) -> None:
    found = client(folder=str(small), queries=[query], limit=20)["found"][0]
    got = [result["doc"] for result in found["results"]]
    assert (sorted(got) if query == "<script>" else got) == docs
    assert found["total"] == len(docs)
    assert not found["about"]


def test_a_result_says_what_it_is_and_why(small: Path) -> None:
    found = client(folder=str(small), queries=["chapter", "chapter numberings"])["found"]
    assert found[0]["results"][2] == {
        "doc": 4,
        "path": "gemma-3-270m/9-res-4k/4",
        "id": "9-res-4k/4",
        "name": NAMES[4],
        "line": "line 4",
        "fields": ["tokens"],
    }
    assert [one["any"] for one in found] == [False, True]


Terms = dict[str, list[str]]


def brute(some: list[Terms], query: list[str]) -> list[int]:
    """Documents with all the terms, the last as a beginning, best first."""
    weights = {"name": (7, 6), "tokens": (5, 4), "promotes": (3, 2)}
    hits = []
    for doc, one in enumerate(some):
        scores = []
        for place, term in enumerate(query):
            score = 0
            for field, terms in one.items():
                if term in terms:
                    score = max(score, weights[field][0])
                elif place == len(query) - 1 and any(other.startswith(term) for other in terms):
                    score = max(score, weights[field][1])
            scores.append(score)
        if all(scores):
            hits.append((-sum(scores), doc))
    return [doc for _, doc in sorted(hits)]


def test_client_equals_brute_force(tmp_path: Path) -> None:
    rng = random.Random(3)  # noqa: S311 (repeatable, not secret)
    letters = "abc"
    vocabulary = ["".join(rng.choices(letters, k=rng.randint(1, 5))) for _ in range(3000)] + ["common"]
    weights = [*(1 / (i + 3) for i in range(3000)), 1]

    def text(most: int) -> str:
        return " ".join(rng.choices(vocabulary, weights, k=rng.randint(0, most)))

    some = entries([(text(3), text(4), text(6)) for _ in range(9000)])
    manifest = build_index(some, tmp_path)
    assert len(manifest.shards) > 5
    assert list((tmp_path / "p").iterdir())
    queries = [rng.choices(vocabulary, weights, k=rng.randint(1, 3)) for _ in range(80)]
    queries = [list(dict.fromkeys(query)) for query in queries]
    terms = [{field: tokenise(text) for field, text in one.fields.items()} for one in some]
    answers = client(folder=str(tmp_path), queries=[" ".join(query) for query in queries], limit=30)["found"]
    whole = 0
    for query, answer in zip(queries, answers, strict=True):
        expected = brute(terms, query)
        if answer["about"] or answer["any"] or not expected:
            continue
        assert [result["doc"] for result in answer["results"]] == expected[:30], query
        assert answer["total"] == len(expected)
        whole += 1
    assert whole > 30


def test_a_long_list_gives_its_best_and_says_about(tmp_path: Path) -> None:
    build_index(entries((f"rare{place}" if place % 100 else "both", "common", "") for place in range(9000)), tmp_path)
    one, two, wide = client(folder=str(tmp_path), queries=["common", "both common", "r"])["found"]
    assert (one["total"], one["about"]) == (9000, True)
    assert [result["doc"] for result in one["results"]] == [*range(8)]
    assert (two["total"], two["about"]) == (90, False)
    assert (wide["total"], wide["about"]) == (8910, True)


def test_marks_are_where_a_reader_sees_the_match() -> None:
    cases = [
        ("Chapter numbers", ["chapter", "num"], ["Chapter num"]),
        ("Page numbers", ["chapter", "num"], ["num"]),
        ("renumbered", ["num"], []),
        ("getSystemVersion", ["sys"], ["Sys"]),
        ("get_system", ["sys"], ["sys"]),
        ("crème brûlée", ["brul"], ["brûl"]),
        ("cre\u0301me", ["cre"], ["cre\u0301"]),
        ("🌉 bridge", ["bri"], ["bri"]),
        ("Straße", ["stras"], ["Straß"]),
        ("标题章节号", ["章节"], ["章节"]),
        ("<b>x</b>", ["b"], ["b", "b"]),
        ("", ["x"], []),
        ("anything", [], []),
    ]
    found = client(names=[[name, terms] for name, terms, _ in cases])["marks"]
    for (name, _, expected), ranges in zip(cases, found, strict=True):
        units = name.encode("utf-16-le")  # JavaScript counts UTF-16 units
        assert [units[2 * a : 2 * b].decode("utf-16-le") for a, b in ranges] == expected


def test_damaged_files_are_errors_never_hangs(small: Path, tmp_path: Path) -> None:
    rng = random.Random(1)  # noqa: S311 (repeatable, not secret)
    for trial in range(30):
        folder = tmp_path / str(trial)
        for source in small.rglob("*"):
            if source.is_file():
                data = bytearray(source.read_bytes())
                if source.name != "manifest.json" and data:
                    for _ in range(rng.randint(1, 4)):
                        data[rng.randrange(len(data))] = rng.randrange(256)
                    del data[rng.choice([len(data), rng.randrange(len(data))]) :]
                target = folder / source.relative_to(small)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
        for answer in client(folder=str(folder), queries=["chapter", "9", "gate bridge"])["found"]:
            assert answer.keys() in ({"error"}, {"results", "total", "about", "any", "terms"})


def test_another_version_is_refused(small: Path, tmp_path: Path) -> None:
    text = (small / "manifest.json").read_text().replace('"version":1', '"version":2')
    (tmp_path / "manifest.json").write_text(text)
    assert client(folder=str(tmp_path), queries=["a"])["found"] == [{"error": "the index is of another version"}]


def test_the_client_writes_no_html_and_stays_at_home() -> None:
    for name in ("search.js", "search-core.js"):
        source = CORE.with_name(name).read_text(encoding="utf-8")
        assert len(source.splitlines()) < 300
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "eval(",
            "Function(",
            "document.write",
            "http:",
            "https:",
        ):
            assert word not in source
