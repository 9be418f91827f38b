"""Views for tests: one whole feature page with any text in every field."""

from __future__ import annotations

from atlas.render import shapes as s

WORDS = (  # noqa: SIM905 (a sentence reads better than a list)
    "Board holds up, the owners will have to pay for their nastiness. In a finding issued by its general "
    "counsel, the Labor Board ruled Wednesday that in his 1977 conviction a unanimous court"
).split()


def snippet(seed: int, text: str | None = None, tokens: int = 30) -> s.SnippetView:
    """A window of which about half fires; `text` replaces each token and label."""
    pieces = []
    for i in range(tokens):
        level = max(0, (seed * 7 + i * 11) % 19 - 9)
        word = " " + WORDS[(seed * 5 + i) % len(WORDS)] if text is None else text
        pieces.append(s.Piece(word, level, str(level * 53 + i) if level else "", i == tokens // 2))
    label = text or "NYT editorials"
    return s.SnippetView(text or "514", tuple(pieces), True, True, label, text or "nyt/12", seed % 3)


def feature(text: str | None = None, kind: str = "alive") -> s.FeatureView:
    """A realistic page, or with `text` one whose every free field holds it."""

    def t(default: str) -> str:
        return default if text is None else text

    dictionary = "gemma-3-270m/9-res-4k"
    effects = tuple(s.EffectView(t(f"␣lawmakers{i}"), t(f"+2.{i}"), 100 - 3 * i) for i in range(10))
    return s.FeatureView(
        path=f"{dictionary}/29",
        id=f"{dictionary}/29",
        model=s.Link("gemma-3-270m/", t("gemma-3-270m")),
        dictionary=s.Link(f"{dictionary}/", t("9-res-4k")),
        index=29,
        title=t("Official findings in the news"),
        lead=t("Fires on the words that carry an official announcement; pushes towards `␣lawmakers`."),
        kind=kind,
        named=t("by hand"),
        name_note=t("tells firing from other text 91% of the time"),
        facts=tuple(s.Fact(t(f"Fact {i}"), t("25,412 of 1.52M tokens"), t("A hint on the word")) for i in range(5)),
        top=tuple(snippet(i, text) for i in range(12)),
        top_note=t("12 windows, one each"),
        top_more=28,
        quantiles=tuple(
            s.GroupView(t(f"Rank {i}%"), t("activation 1-2"), tuple(snippet(3 * i + j, text) for j in range(3)), 7)
            for i in range(5)
        ),
        intervals=tuple(s.GroupView(t(f"{i}-{i + 1}"), t("1%"), (snippet(i, text),), 0) for i in range(8)),
        promotes=effects,
        suppresses=effects,
        moments=tuple(s.Fact(t(name), t("0.02"), "") for name in ("mean", "std", "skew", "kurtosis")),
        activations=s.BarsView(tuple(100 - 2 * i for i in range(40)), t("62.1"), t("514"), (10, 33.3), t("log count")),
        logits=s.BarsView(tuple(range(40)), t("-2"), t("2.8"), (42,), t("all tokens")),
        sources=tuple(s.ShareView(t("NYT editorials"), t("42.7%"), t("9%"), 100, 21) for _ in range(5)),
        neighbours=tuple(
            s.NeighbourGroup(
                t("in 9-res-4k"),
                tuple(
                    s.NeighbourView(f"{dictionary}/{i}/", t(str(i)), t("reported speech"), "0.70", "45%")
                    for i in range(5)
                ),
            )
            for _ in range(3)
        ),
        cofiring=(),
        previous=s.Link(f"{dictionary}/28", t("← 28")),
        next=s.Link(f"{dictionary}/30", t("30 →")),
        random=s.Link(f"{dictionary}/842", t("random")),
        map=s.Link("map", t("map")),
        bibtex=t("@misc{atlas-29,\n  title = {Feature 29}\n}"),
        citation=t("Feature 29 of 9-res-4k."),
        card=tuple(s.Fact(t(f"Digest {i}"), t("sha256 3f9ab2c1d4e5f607"), "") for i in range(8)),
        code=t("import atlas\nprint(atlas.__version__)\n"),
        concepts=(s.Link("c/law/", t("Law")), s.Link("c/news/", t("News"))),
    )


def row(text: str | None = None) -> s.Row:
    """A line of a table."""

    def t(default: str) -> str:
        return default if text is None else text

    return s.Row(
        "gemma-3-270m/9-res-4k/29/",
        t("9-res-4k/29"),
        29,
        t("Official findings"),
        t("by hand"),
        t("1.67%"),
        t("514"),
        t("NYT editorials"),
        t("␣lawmakers"),
        snippet(1, text),
    )


def dictionary(text: str | None = None, page: int = 2) -> s.DictionaryView:
    """A page of a dictionary."""

    def t(default: str) -> str:
        return default if text is None else text

    path = "gemma-3-270m/9-res-4k"
    return s.DictionaryView(
        path if page == 1 else f"{path}/p{page}",
        s.Link("gemma-3-270m/", t("gemma-3-270m")),
        t("9-res-4k"),
        t("After layer 9"),
        t("A top-k autoencoder."),
        (s.Fact(t("Features"), t("4,096"), t("hint")),),
        s.BarsView((1, 50, 100), t("0.001%"), t("12%"), (), t("by log density")),
        (row(text), row(text)),
        page,
        tuple(s.Link(f"{path}/p{n}/", str(n)) for n in range(1, 42)),
        f"{path}/features.json",
        (s.Fact(t("Digest"), t("sha256"), ""),),
    )


def home(text: str | None = None) -> s.HomeView:
    """The home page."""

    def t(default: str) -> str:
        return default if text is None else text

    line = s.DictionaryLine("gemma-3-270m/9-res-4k/", t("9-res-4k"), t("after layer 9"), t("1"), t("2"), t("3"), t("4"))
    return s.HomeView(
        t("What it learned to notice"),
        t("Features."),
        (line,),
        (row(text),),
        (t("layer:12 rhyme & more"),),
        (s.Fact(t("Tweets"), t("4,200"), t("origin")),),
        t("@misc{a}"),
        t("The atlas."),
        (concept_line(text),),
    )


def concept_line(text: str | None = None) -> s.ConceptLine:
    """A concept in a list."""
    return s.ConceptLine("c/law/", text or "Law", text or "Courts and what they say.", text or "2 features")


def concept(text: str | None = None) -> s.ConceptView:
    """A concept's page; its essay is HTML, so it stays what it is."""

    def t(default: str) -> str:
        return default if text is None else text

    entry = s.ConceptEntry(row(text), t("layer 9 of 18, residual"), t("The first of two."))
    essay = "<h2>How it was read</h2>\n<p>By <em>hand</em>.</p>"
    size, hash_ = t("2 features"), t("title=Law&gemma-3-270m/9-res-4k/29")
    return s.ConceptView(
        "c/law", t("Law"), t("Courts."), essay, (entry, entry), size, hash_, t("@misc{a}"), t("Law: 2 features.")
    )


def concepts(text: str | None = None) -> s.ConceptsView:
    """The page of all concepts."""
    return s.ConceptsView(text or "Concepts", text or "Features by idea.", (concept_line(text), concept_line(text)))


def lists(text: str | None = None) -> s.ListView:
    """The page of lists."""
    return s.ListView(text or "A list of features", text or "In an order of your own.", text or "gemma-3-270m")
