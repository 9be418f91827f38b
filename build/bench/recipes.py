"""What every recipe costs: arithmetic on published shapes, by the planner that `atlas collect --plan` uses.

    python build/bench/recipes.py [--into site_src/pages/docs/recipes.md] [--write] [--measure build/out/demo]

1. The model is built on torch's meta device from its published configuration and trimmed to the recipe's hook points;
   `atlas.engines.plan` gives operations, memory and disk of the pass (`recipes_published.py` has the shapes).
2. To download: parameters x bytes of a value on disk, for the model, and 2 x d_in x width x bytes for a dictionary.
   Biases, tokenizers and text are left out; text is `CHARACTERS_PER_TOKEN` bytes a token at most.
3. On a GPU: the model, dictionaries with what their products take, one micro-batch (`Plan.fixed`). Beside it, in the
   host's memory: dictionaries as they were read, and the statistics (`Plan.state`).
4. Store and site: bytes a feature, as `--measure` counted them in a build of the demo (`Measured`). Features are never
   alike, and corpora differ: take it for a half to twice as much.
5. After the pass: logit effects are 2 x d_model x vocabulary x features operations, neighbours 2 x d_model x
   features^2 if dictionaries are compared with one another, else the squares of each one's features.

Nothing of it was measured with real weights. `--into` replaces what lies between two `recipes` comments of a page,
`--write` the lines under `# Cost` in the recipes; a test compares both with what is computed. Last line:
recipes=... features=... failed=0; exit status 1 if a recipe's shapes are not known.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from recipes_published import MODELS, RELEASES, shaped

from atlas.config import Recipe, load
from atlas.corpus.rows import CHARACTERS_PER_TOKEN
from atlas.dictionaries.neurons import hook_of, is_neurons
from atlas.engines import Shape
from atlas.engines.plan import Plan, Size, choose_batch, make_plan
from atlas.model.footprint import footprint
from atlas.pipeline.prepare import MEMORY, MOST_WINDOWS
from atlas.sources import parse_hub

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "build" / "recipes"
BEGIN, END = "<!-- recipes: begin -->", "<!-- recipes: end -->"
COST = re.compile(r"^# Cost.*?\n(?=#\n)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Measured:
    """Counted by `--measure` in a build of `demo.toml` with 200,000 tokens: 9,216 features."""

    store: float = 2_846  # bytes a feature
    site: float = 49_103
    files: float = 2.052


@dataclass(frozen=True)
class Cost:
    """What a recipe costs; bytes unless said otherwise.

    Attributes:
        plan: The pass.
        size: What it was planned for.
        after: Operations of logit effects and neighbours.
        model, dictionaries, text: To download.
        host: In memory beside a GPU.
        features: Features, and so pages.
    """

    plan: Plan
    size: Size
    after: int
    model: int
    dictionaries: int
    text: int
    host: int
    features: int


def names() -> list[str]:
    """Recipes that read from the Hub."""
    return [path.stem for path in sorted(RECIPES.glob("*.toml")) if path.stem != "demo"]


def cost(recipe: Recipe) -> Cost:
    """What this recipe costs.

    Raises:
        KeyError: If a shape is not known.
    """
    published = MODELS[parse_hub(recipe.model.source).repo]
    model = shaped(published, recipe.model.dtype)
    assert sum(p.numel() for p in model.lm.parameters()) == published.parameters, recipe.model.source
    hooks, encoders, own, fetched = [], [], [], 0
    for place, section in enumerate(recipe.dictionary):
        if is_neurons(section):
            hooks.append(hook_of(section))
            width = model.width(model.hook(hooks[-1]))
            encoders.append((width, 2 * width))
            own.append(place)
            continue
        address = parse_hub(section.source)
        release = RELEASES[address.repo]
        hooks.append(section.hook_point or release.hook(address.path))
        encoders.append((model.width(model.hook(hooks[-1])), release.width(address.path)))
        fetched += 2 * encoders[-1][0] * encoders[-1][1] * release.itemsize
    model.trim([model.hook(name) for name in hooks])
    size = Size(
        footprint(model), len(set(hooks)), tuple(encoders), recipe.corpus.tokens, recipe.corpus.window, 1, tuple(own)
    )
    batch = recipe.collect.batch or choose_batch(size, recipe.collect.memory_bytes or MEMORY, MOST_WINDOWS["cuda"])
    size = replace(size, batch=batch)
    features = sum(width for _, width in encoders)
    shape = Shape.whole([w for _, w in encoders], len(recipe.corpus.part), recipe.collect.top, recipe.collect.sample)
    plan = make_plan(size, shape, recipe.collect.memory_bytes)
    pairs = features**2 if recipe.collect.across else sum(width**2 for _, width in encoders)
    read = sum(8 * d_in * width for place, (d_in, width) in enumerate(encoders) if place not in own)
    return Cost(
        plan=plan,
        size=size,
        after=2 * model.d_model * (features * model.vocab + pairs),
        model=published.parameters * published.itemsize,
        dictionaries=fetched,
        text=recipe.corpus.tokens * CHARACTERS_PER_TOKEN,
        host=read + max(plan.state),
        features=features,
    )


def header(found: Cost) -> str:
    """The lines of a recipe's comment, `# Cost` first."""
    plan, here = found.plan, Measured()
    passes = f" in {len(plan.shapes)} passes" if len(plan.shapes) > 1 else ""
    lines = {
        "work": f"{plan.operations:.1e} operations{passes}, then {found.after:.1e} for logit effects and neighbours",
        "download": f"{giga(found.model + found.dictionaries)}: model {giga(found.model)}, "
        f"dictionaries {giga(found.dictionaries)}; text as it is read, {giga(found.text, 2)} at most",
        "memory": f"{giga(plan.fixed)} of a GPU and {giga(found.host)} beside it",
        "disk": f"store {giga(found.features * here.store)}, site {giga(found.features * here.site)} "
        f"in {found.features * here.files:,.0f} files; {giga(plan.disk)} more while it runs",
        "pages": f"{found.features:,}, a feature each",
    }
    return "\n".join(
        ["# Cost, computed by build/bench/recipes.py:", *(f"#   {name:<10}{what}" for name, what in lines.items()), ""]
    )


def table(costs: dict[str, tuple[Recipe, Cost]]) -> str:
    """The costs of all recipes as Markdown."""
    here = Measured()
    head = ["Recipe", "Model", "Dictionaries", "Features", "Operations", "Download", "GPU", "Host", "Store", "Site"]
    rows = [head, ["---"] * len(head)]
    for name, (recipe, found) in costs.items():
        plan = found.plan
        amounts = [found.model + found.dictionaries, plan.fixed, found.host]
        amounts += [found.features * each for each in (here.store, here.site)]
        count = f"{len(recipe.dictionary)}"
        work = f"{plan.operations + found.after:.1e}"
        rows.append([f"`{name}`", recipe.model.name, count, f"{found.features:,}", work, *map(giga, amounts)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def giga(size: float, digits: int = 1) -> str:
    """Bytes for people."""
    return f"{size / 1e9:,.{digits}f} GB"


def measure(base: Path) -> str:
    """Bytes and files a feature in the store and site of a build."""
    features = sum(1 for _ in (base / "site").glob("*/*/*/feature.json"))
    store, site = (
        [path.stat().st_size for path in (base / part).rglob("*") if path.is_file()] for part in ("store", "site")
    )
    return (
        f"features={features} store={sum(store) / features:.0f} site={sum(site) / features:.0f} "
        f"files={len(site) / features:.3f}"
    )


def main() -> int:
    """Compute, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, help="put the table into this page")
    parser.add_argument("--write", action="store_true", help="put costs into the recipes' comments")
    parser.add_argument("--measure", type=Path, metavar="BUILD", help="count bytes a feature in a build, and end")
    args = parser.parse_args()
    if args.measure:
        print(measure(args.measure))
        return 0
    costs, failed = {}, 0
    for name in names():
        path = RECIPES / f"{name}.toml"
        recipe = load(path)
        try:
            costs[name] = recipe, cost(recipe)
        except KeyError as error:
            failed += 1
            print(f"{name}: no shape is known of {error}")
            continue
        if args.write:
            path.write_text(COST.sub(header(costs[name][1]), path.read_text("utf-8"), count=1), "utf-8")
    text = table(costs)
    if args.into:
        page = args.into.read_text("utf-8")
        before, _, rest = page.partition(BEGIN)
        args.into.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", "utf-8")
    print(text)
    print(f"recipes={len(costs)} features={sum(found.features for _, found in costs.values())} failed={failed}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
