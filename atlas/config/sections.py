"""The sections of a recipe: every key with its default and its meaning (`description`)."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=80)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
SIZE = r"([0-9]+(?:\.[0-9]+)?) ?([MGT])B"
Size = Annotated[str, StringConstraints(pattern=f"^(?:{SIZE})?$", strip_whitespace=True)]

Share = Annotated[float, Field(gt=0, le=1e6)]


class Section(BaseModel):
    """Base of every section: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AtlasSection(Section):
    """What the atlas is called and how it is cited."""

    id: Slug = Field(description="Folder name under `build/out/`.")
    title: Text = Field(description="Title of the site.")
    description: Text = Field("An atlas of sparse-autoencoder features.", description="One sentence for the home page.")
    url: str = Field("", description="Where the site will live; used in citations. Links never depend on it.")
    authors: tuple[Text, ...] = Field((), description="Who to cite.")
    year: int | None = Field(None, description="Year of publication, for citations.", ge=1900, le=9999)
    release: Slug = Field("v1", description="Version of this atlas, named in citations.")


class ModelSection(Section):
    """The language model."""

    id: Slug = Field(description="First part of every feature's address.")
    name: Text = Field(description="The name that people know, shown on pages.")
    source: Text = Field(
        description="`hf://org/repo[@revision]`, `pip:package`, a local folder, or a `.gguf` file, here or on the Hub."
    )
    fallback: str = Field(
        "", description="Another source, tried when the first is not to be had; the manifest says so."
    )
    dtype: Literal["float32", "bfloat16", "float16"] = Field("float32", description="Precision of the forward pass.")


class PartSection(Section):
    """One part of the corpus."""

    id: Slug = Field(description="Source id, kept with every snippet.")
    label: Text = Field(description="What pages call it.")
    licence: Text = Field(description="Licence note, shown beside its text.")
    source: Text = Field(
        description="`demo:NAME` (text from pip packages, see `atlas.corpus.demo`), `file:GLOB` (text, JSONL or "
        "Parquet), `python:module:function` or `hf://datasets/org/name[@revision]`."
    )
    share: Share = Field(1.0, description="Weight of this part in the token budget.")
    subset: str = Field("", description="Configuration of a Hugging Face dataset, such as `sample-10BT`.")
    split: Text = Field("train", description="Split of a Hugging Face dataset.")
    column: Text = Field("text", description="Column or JSONL key that holds the text; `a.b` is `b` within `a`.")
    kind: Literal["text", "tokens", "chat"] = Field(
        "text",
        description="What the column holds: text; `tokens`, ids of this model's tokenizer; or `chat`, a list of "
        "messages with `role` and `content`, which the tokenizer's chat template turns into text.",
    )
    id_column: str = Field(
        "", description="Column with the id of a document. By default `id`, if a file's rows have it, else the row."
    )
    url_column: str = Field("", description="Column with the address of a document, for a link on pages.")
    licence_column: str = Field("", description="Column with the licence of a document, shown beside its text.")
    shortest: int = Field(0, description="Leave out texts of fewer characters.", ge=0)
    longest: int = Field(0, description="Leave out texts of more characters; 0 for no limit.", ge=0)
    languages: tuple[Text, ...] = Field((), description="Leave out texts in other languages; codes such as `en`.")
    near_duplicates: float = Field(
        0,
        description="Leave out a text whose estimated Jaccard similarity to one before it (of runs of 5 words) is "
        "this or more; 0.8 is common. 0 keeps them.",
        ge=0,
        le=0.95,
    )

    @model_validator(mode="after")
    def _fitting(self) -> PartSection:
        if self.kind == "tokens" and (self.shortest or self.longest or self.languages or self.near_duplicates):
            msg = 'kind = "tokens" has no text to filter; remove shortest, longest, languages and near_duplicates'
            raise ValueError(msg)
        return self


class CorpusSection(Section):
    """The text that is read."""

    tokens: int = Field(250_000, description="Token budget; a corpus that ends earlier is read whole.", ge=100)
    window: int = Field(128, description="Tokens in a window, BOS included.", ge=8, le=8192)
    bos: bool = Field(default=True, description="Whether a window begins with the tokenizer's BOS token.")
    per_document: int = Field(0, description="Windows read of one document, chosen by hash; 0 reads all of it.", ge=0)
    seed: int = Field(0, description="Seed of the sampling of documents.", ge=0, lt=2**63)
    held_out: float = Field(
        0,
        description="Share of documents kept back, chosen by hash: text to try names on that no snippet shows.",
        ge=0,
        lt=1,
    )
    part: tuple[PartSection, ...] = Field(description="The parts (`[[corpus.part]]`).", min_length=1)


class DictionarySection(Section):
    """One SAE or transcoder."""

    id: Slug = Field(description="Second part of every feature's address, such as `9-res-4k`.")
    source: Text = Field(
        description="Folder or file, `hf://org/repo/path[@revision]`, `saelens:RELEASE/SAE_ID` or `neurons` of `layer`."
    )
    label: str = Field("", description="A longer name for pages.")
    hook_point: str = Field("", description="Overrides the hook point that the weights name.")
    format: Literal[
        "",
        "saelens",
        "gemma_scope",
        "gemma_scope_2",
        "llama_scope",
        "sparsify",
        "dictionary_learning",
        "openai",
        "qwen_scope",
        "circuit_tracer",
    ] = Field("", description="The format of the weights; by default it is recognised by the names of the files.")
    layer: int | None = Field(None, description="Which layer, where the source holds several.", ge=0)
    k: int = Field(0, description="How many features fire on a token, where the weights do not say.", ge=0)
    floor: float = Field(0, description="Activations up to this count as silence.", ge=0)
    centre: bool = Field(
        default=False,
        description="Whether each vector's mean is taken from it first: for SAEs trained in TransformerLens on a model "
        "with LayerNorm, such as GPT-2, whose `center_writing_weights` does that.",
    )


class CollectSection(Section):
    """How the corpus is read, what is kept, and on what it runs."""

    batch: int = Field(
        0,
        description="Full windows in a micro-batch, the unit of computation; one of shorter windows holds more. "
        "0 chooses it from `memory`, the model and the kind of device.",
        ge=0,
        le=4096,
    )
    top: int = Field(20, description="Top snippets kept a feature.", ge=1, le=100)
    sample: int = Field(128, description="Size of the uniform sample of firings, a feature.", ge=25, le=10_000)
    groups: int = Field(5, description="Rank quantiles, and intervals, to cut the sample into.", ge=1, le=20)
    per_group: int = Field(5, description="Snippets kept a group.", ge=1, le=20)
    logits: int = Field(20, description="Top and bottom tokens kept of the logit effects.", ge=1, le=100)
    neighbours: int = Field(10, description="Nearest features kept of the same dictionary.", ge=0, le=100)
    across: int = Field(
        5, description="Nearest features kept of every other dictionary of the same width of model.", ge=0
    )
    cofiring: int = Field(
        10, description="Features kept that fire most with each, of every dictionary at its hook point.", ge=0, le=100
    )
    quality: int = Field(
        2048, description="Tokens on which reconstruction and loss are measured for each dictionary; 0 for none.", ge=0
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="Where to run; `auto` takes a GPU if any."
    )
    threads: int = Field(0, description="CPU threads; 0 leaves the choice to torch.", ge=0)
    autocast: Literal["", "bfloat16", "float16"] = Field(
        "", description="Run the forward pass in this precision, with weights in `model.dtype`."
    )
    compile: bool = Field(default=False, description="Compile the model's blocks with `torch.compile`.")
    memory: Size = Field(
        "",
        description="Memory that the pass may use, such as `8GB`: dictionaries are split over several passes "
        "where one does not fit. Empty: one pass.",
    )
    checkpoint: float = Field(60, description="Seconds between two checkpoints.", gt=0)
    engine: Literal["local", "ray"] = Field(
        "local", description="`local`: all GPUs of this machine, or its CPU. `ray`: a Ray cluster."
    )
    workers: int = Field(
        0, description="Workers to run: devices of this machine, or actors of the cluster; 0 takes all there are.", ge=0
    )

    @property
    def memory_bytes(self) -> int:
        """`memory` in bytes, 0 if it is not set."""
        number, unit = re.fullmatch(SIZE, self.memory or "0MB").groups()  # type: ignore[union-attr]  # validated
        return int(float(number) * {"M": 1e6, "G": 1e9, "T": 1e12}[unit])


class NamesSection(Section):
    """Where names come from. Hand-written names win over the lexical ones."""

    files: tuple[str, ...] = Field((), description="TOML files of names written by hand.")
    lexical: bool = Field(default=True, description="Name the rest from what sets their tokens apart.")


class MapSection(Section):
    """The map: features in the plane, by their decoder directions."""

    make: bool = Field(default=True, description="Whether to draw one; it takes the packages of the extra `map`.")
    seed: int = Field(0, description="Seed of the layout.", ge=0, lt=2**32)
    closest: float = Field(
        0.1, description="How close points may lie (`min_dist` of UMAP): less packs clusters more densely.", ge=0, le=1
    )
    smallest: int = Field(
        0,
        description="Features that a cluster has at least; 0 is a quarter of the root of their number, 5 or more.",
        ge=0,
    )


class SiteSection(Section):
    """The site."""

    pages: str = Field("", description="Folder of Markdown pages of your own, added to the site's.")
    featured: tuple[str, ...] = Field((), description="`dictionary/index` of features for the home page.")
    suggestions: tuple[Text, ...] = Field((), description="Searches that the home page suggests.")
    concepts: str = Field("", description="TOML file of concepts: lists of features with an essay each, under `c/`.")
    host_budget_mb: int = Field(0, description="If not 0, `atlas check` complains above this size.", ge=0)
