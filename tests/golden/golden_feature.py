"""A feature made up by hand, with everything that has gone wrong in somebody's viewer before."""

from atlas.config import AtlasSection
from atlas.records import (
    DictionaryRecord,
    FeatureRecord,
    Histogram,
    LogitEffects,
    Name,
    Neighbour,
    Snippet,
    SnippetGroup,
    SourceRecord,
    TokenEffect,
)
from atlas.render.shapes import Link
from atlas.render.view import Context
from atlas.store.manifest import CorpusEntry, Manifest, ModelEntry

WINDOWS = [
    ["Jer", "1", "9", ":", "8", " And", " I", " will", "\n", "make"],
    [" <script>", "alert", "(1)</", "script>", " {{ x }}", ' "quoted"', " & more", "\x00", "\u202e", "."],
    ["敏", "捷", "的", " 👩", "\u200d", "👧", " नम", "स्ते", " سلام", " end"],
]


def snippet(row: int, position: int, value: float, repeats: int = 0) -> Snippet:
    pieces = [t.encode() for t in WINDOWS[row]]
    if row == 2:  # a character cut in two, as byte-level tokens cut it
        pieces[0:2] = [pieces[0][:2], pieces[0][2:] + pieces[1]]
    values = [0.0] * len(pieces)
    values[position] = value
    values[position - 1] = round(value / 3, 3)
    return Snippet(
        row,
        f"texts/{row}",
        ("kjv", "web")[row % 2],
        127 * row,
        tuple(range(len(pieces))),
        tuple(pieces),
        tuple(values),
        position,
        value,
        repeats,
        ("", "javascript:alert(1)", "https://a.example/?a=1&b=2")[row],
        ("", "<b>CC BY</b>", "MIT")[row],
    )


def group(kind, low, high, share, *snippets) -> SnippetGroup:
    return SnippetGroup(kind, low, high, share, snippets)


FEATURE = FeatureRecord(
    model="tiny",
    dictionary="9-res-4k",
    index=650,
    count=1234,
    tokens=200_123,
    max=514.25,
    top=(snippet(0, 1, 514.25, repeats=3), snippet(1, 3, 402.5), snippet(2, 1, 99.875)),
    quantiles=(group("quantile", 61.5, 80.0, 0.5, snippet(2, 5, 61.5)), group("quantile", 80.5, 514.25, 0.5)),
    intervals=(group("interval", 0.0, 257.125, 0.97, snippet(1, 2, 80.0)), group("interval", 257.125, 514.25, 0.0)),
    histogram=Histogram((56.0, 60.0, 64.0, 72.0, 80.0), (3, 0, 1200, 31)),
    sources={"kjv": 1200, "web": 34},
    logits=LogitEffects(
        (TokenEffect(5, b" lawmakers", 2.8125), TokenEffect(6, b"<b>`", 2.75), TokenEffect(7, b"\xe6\x95", 0.004)),
        (TokenEffect(8, "非常的".encode(), -2.03125), TokenEffect(9, b"", -0.5)),
        Histogram((-2.0, 0.0, 2.0), (70, 30)),
        0.0125,
        0.5,
        -0.25,
        0.75,
    ),
    neighbours=(Neighbour("9-res-4k", 3, 0.7031, 0.25, 0.5, 1.0), Neighbour("5-res-2k", 12, -0.0625)),
    cofiring=(
        Neighbour("9-res-4k", 4, 0.125, 0.453, 0.9, 0.46),
        Neighbour("9-res-4k", 5, -0.5, 0.0501),
        Neighbour("9-res-4k", 6, 0.5, 0.0498),
    ),
    name=Name("Chapter numbers & <i>verses</i>", "hand", "A. Author", "Only in {{ scripture }}."),
)

MANIFEST = Manifest(
    format=1,
    version="0.0.0",
    model=ModelEntry(
        id="tiny",
        name="Tiny 1",
        source="hf://org/tiny",
        fell_back=False,
        digest="a" * 64,
        tokenizer_digest="b" * 64,
        dtype="float32",
        layers=18,
        d_model=640,
        vocabulary=100,
        final_norm="RMSNorm",
        softcap=None,
    ),
    corpus=CorpusEntry(
        digest="c" * 64,
        tokens=200_123,
        windows=1600,
        documents=80,
        dropped={"windows shorter than 8 tokens": 2},
        window=128,
        bos=True,
        bos_id=2,
        seed=0,
        sources=[
            SourceRecord("kjv", "King James Bible", "public domain", 60, 1200, 150_000),
            SourceRecord("web", "The <web>", "unknown", 20, 400, 50_123),
        ],
    ),
    dictionaries=[
        DictionaryRecord(
            "tiny",
            d,
            "",
            f"blocks.{layer}.hook_resid_post",
            layer,
            "jumprelu",
            width,
            640,
            200_123,
            6_400_000,
            width - 2,
            f"hf://org/saes/{d}",
            "d" * 64,
            {"hook_name": "x"},
        )
        for d, layer, width in (("9-res-4k", 9, 4096), ("5-res-2k", 5, 2048))
    ],
    settings={"top": 20},
    run={"device": "cpu", "threads": "2", "torch": "2.0"},
    stages={"collect": "e" * 64},
    files={},
)

CONTEXT = Context(
    AtlasSection(
        id="golden", title="A 100% {golden} atlas", authors=("A. Author", "B_C"), year=2026, url="https://x.org/a/"
    ),
    MANIFEST,
    lambda dictionary, _index: Name("Numbers", "lexical") if dictionary == "9-res-4k" else Name("", "none"),
    {"9-res-4k/650": (Link("c/numbers/", "Numbers & <b>signs</b>"), Link("c/scripture/", "Scripture"))},
)
