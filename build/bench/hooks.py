"""Every hook point of every model family beside TransformerLens, on the same weights and the same tokens.

    python build/bench/hooks.py [--quick] [--into FILE] [--python FILE]

1. A tiny random model of each family (`tests/model/tiny_models.py`) is written as `save_pretrained()` does.
2. Ours: `LanguageModel` reads it and keeps what passes at every hook point that the family has.
3. In the peers' environment (made on first use) TransformerLens reads the same files, folding and centring nothing,
   and keeps what passes at the hook points of the same names (`hooks_transformerlens.py`).
4. Of each pair the largest difference is divided by the largest value. Where TransformerLens means something else by
   a name, `AGAIN` says why and at which module of the model its value is found: that has to be the same instead.

`--quick` takes three families. `--into` puts the table between the `hooks` comments of a page. `--python` takes another
interpreter that has TransformerLens, such as version 3.

Last line: families=... hooks=... compared=... differs=... failed=0. `hooks` counts names without the block's number,
`compared` pairs of tensors, `differs` those that `AGAIN` explains; exit status 1 if anything failed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "tests" / "model"), str(Path(__file__).parent)]
from peers_inputs import environment, offline
from tiny_models import VOCAB, make_folder

from atlas.errors import AtlasError
from atlas.model.families import FAMILIES
from atlas.model.hooks import SITES
from atlas.model.lm import LanguageModel
from atlas.model.quiet import quiet

QUICK = ("gemma3_text", "gpt_neox", "qwen3")

AFTER = "TransformerLens before 3 has gain and bias of a LayerNorm in it (its RMS norms and version 3 do not)"
AGAIN = {
    ("gpt2", "ln1.hook_normalized"): ("h.{}.ln_1", AFTER),
    ("gpt2", "ln2.hook_normalized"): ("h.{}.ln_2", AFTER),
    ("gpt_neox", "ln1.hook_normalized"): ("layers.{}.input_layernorm", AFTER),
    ("gpt_neox", "ln2.hook_normalized"): ("layers.{}.post_attention_layernorm", AFTER),
}
"""(family, hook point without its block): the module whose output TransformerLens has there, and why."""

SAME = 1e-5
"""Largest difference of what is called the same, beside the largest value; float32 and four blocks leave about 1e-6."""

BEGIN, END = "<!-- hooks: begin -->", "<!-- hooks: end -->"
IDS = torch.randint(3, VOCAB, (3, 24), generator=torch.Generator().manual_seed(5))
IDS[:, 0] = 2


def offered(lm: LanguageModel, family: str) -> list[str]:
    """The hook points that this model has, every block's, and the modules that `AGAIN` names."""
    names = ["hook_embed"]
    names += [path.format(i) for (of, _), (path, _) in AGAIN.items() if of == family for i in range(lm.n_layers)]
    for block in range(lm.n_layers):
        for site in SITES:
            name = f"blocks.{block}.{site}"
            try:
                lm.hook(name)
            except AtlasError:  # nothing lies between sublayers that run in parallel
                continue
            names.append(name)
    return names


def ours(family: str, folder: Path) -> dict[str, np.ndarray]:
    """What passes at each hook point, float32 [windows, tokens, width]."""
    make_folder(family, folder)
    lm = LanguageModel.load(folder)
    points = [lm.hook(name) for name in offered(lm, family)]
    found = lm.run(IDS, torch.ones_like(IDS, dtype=torch.bool), points)
    spell_out(folder / "config.json")
    return {name: value.float().numpy() for name, value in found.items()}


def spell_out(path: Path) -> None:
    """Settings under the names of published files, where transformers 5 writes others or none: older readers ask."""
    config = json.loads(path.read_text("utf-8"))
    rope = config.get("rope_parameters") or {}
    older = {"n_ctx": config.get("n_positions"), "rope_theta": rope.get("rope_theta")}
    older |= {"rotary_pct": rope.get("partial_rotary_factor")}
    path.write_text(json.dumps(config | {key: value for key, value in older.items() if value is not None}), "utf-8")


def theirs(
    python: Path | None, scratch: Path, folders: dict[str, str], names: dict[str, list[str]]
) -> dict[str, np.ndarray]:
    """What TransformerLens has at them, as `hooks_transformerlens.py` says."""
    (scratch / "job.json").write_text(json.dumps({"ids": IDS.tolist(), "models": folders, "hooks": names}), "utf-8")
    interpreter = python.absolute() if python else environment(ROOT / "build" / "out" / "bench" / "peers-venv")
    script = Path(__file__).with_name("hooks_transformerlens.py")
    subprocess.run(  # noqa: S603 (ours)
        [str(interpreter), str(script), "job.json", "result.npz"], check=True, cwd=scratch, env=offline()
    )
    with np.load(scratch / "result.npz") as data:
        return {key: data[key] for key in data.files}


def apart(mine: np.ndarray, other: np.ndarray | None) -> float:
    """Largest difference, as a part of the largest value; infinite where there is nothing of that shape."""
    if other is None or mine.shape != other.shape:
        return float("inf")
    return float(np.abs(mine - other).max() / np.abs(other).max())


@dataclass
class Found:
    """What the comparison has shown so far; `worst` is by family and hook point without its block."""

    worst: dict[tuple[str, str], float] = field(default_factory=dict)
    again: dict[tuple[str, str], str] = field(default_factory=dict)
    compared: int = 0
    differs: int = 0
    failed: int = 0

    def compare(self, family: str, mine: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
        """All blocks of a family."""
        before_3 = int(str(other["version"]).partition(".")[0]) < 3
        for name, value in mine.items():
            block, site = name.split(".", 2)[1:] if name.startswith("blocks.") else ("", name)
            if site not in ("hook_embed", *SITES):
                continue
            path, why = AGAIN.get((family, site), ("", "")) if before_3 else ("", "")
            there = other.get(f"{family}/{name}")
            distance = apart(mine[path.format(block)] if path else value, there)
            self.worst[family, site] = max(self.worst.get((family, site), 0.0), distance)
            self.compared += 1
            if path:
                self.again[family, site] = why
                self.differs += 1
            if distance > SAME:
                print(f"{family} {name}: {distance:.1e} apart{' where AGAIN says it is the same' if path else ''}")
                self.failed += 1
            if path and apart(value, there) <= SAME:
                print(f"{family} {name}: does not differ, against AGAIN: {why}")
                self.failed += 1


def table(found: Found, families: list[str], version: str) -> str:
    """The largest differences as Markdown: a row a hook point, a column a family."""
    lines = [f"| Hook point | {' | '.join(families)} |", f"|---|{'---|' * len(families)}"]
    for site in ("hook_embed", *SITES):
        cells = []
        for key in ((family, site) for family in families):
            mark = " (1)" if key in found.again else ""
            cells.append(f"{found.worst[key]:.0e}{mark}".replace("0e+00", "0") if key in found.worst else "none")
        lines.append(f"| `{site}` | {' | '.join(cells)} |")
    notes = [f"(1) {why}: compared with the output of the norm." for why in sorted(set(found.again.values()))]
    return "\n".join([*lines, "", f"TransformerLens {version}, float32.", *notes])


def main() -> int:
    """Make, run, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}")
    parser.add_argument("--into", type=Path, help="put the table into this page")
    parser.add_argument("--python", type=Path, help="an interpreter that has TransformerLens; by default the peers'")
    args = parser.parse_args()
    families = sorted(QUICK if args.quick else FAMILIES)
    with tempfile.TemporaryDirectory(prefix="atlas-hooks-") as made, quiet():
        scratch = Path(made)
        # Numbers, not names: TransformerLens takes a path with "llama" or "gemma" in it for a published model.
        folders = {family: str(i) for i, family in enumerate(families)}
        mine = {family: ours(family, scratch / folder) for family, folder in folders.items()}
        other = theirs(args.python, scratch, folders, {family: list(values) for family, values in mine.items()})
    found = Found()
    for family in families:
        if f"{family}/error" in other:
            print(f"{family}: TransformerLens does not load it: {other[f'{family}/error']}")
            found.failed += 1
        else:
            found.compare(family, mine[family], other)
    text = table(found, families, str(other["version"]))
    print(text)
    if args.into:
        before, _, rest = args.into.read_text("utf-8").partition(BEGIN)
        args.into.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", "utf-8")
    hooks = len({site for _, site in found.worst})
    counts = f"compared={found.compared} differs={found.differs} failed={found.failed}"
    print(f"families={len(families)} hooks={hooks} {counts}")
    return int(bool(found.failed))


if __name__ == "__main__":
    sys.exit(main())
