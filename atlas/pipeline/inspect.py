"""What lies at an address: which format, which shapes, and what would be done with it."""

from __future__ import annotations

from pathlib import Path

from atlas.config import DictionarySection
from atlas.dictionaries.base import Dictionary
from atlas.dictionaries.files import find_files
from atlas.dictionaries.formats import Wanted
from atlas.dictionaries.load import find_format

STATED = ("average_l0", "l0", "model_name", "lm_name", "trainer.lm_name")
"""Keys of metadata that say which model it belongs to and how sparse it is."""

BY_SAELENS = {"loaded_by": "Loaded by", "loading_warnings": "Warning"}
"""Keys that `dictionaries.from_saelens` adds."""


def inspect(source: str, section: DictionarySection) -> list[tuple[str, str]]:
    """Read a dictionary and say what it is: (what, finding), in the order in which to tell.

    Args:
        source: A folder or file, relative to the current folder, `hf://org/repo/path[@revision]`, or
            `saelens:RELEASE/SAE_ID`.
        section: What a recipe would say beside it.

    Raises:
        AtlasError: If nothing is there, or it cannot be read.
    """
    files = find_files(source, lambda path: Path.cwd() / path)
    form = find_format(files, section.format)
    found = form.read(files, Wanted(section.id, section.hook_point, section.layer, section.k))
    described = form.__doc__ or form.NAME
    facts = [
        ("Format", f"{form.NAME}: {described.splitlines()[0].rstrip(':.')}"),
        ("Files", ", ".join(sorted(files.used))),
        ("Architecture", f"{found.architecture}, {found.kind}"),
        ("Shapes", _shapes(found)),
        ("Reads", f"{found.hook_point} [{found.d_in}]{_before(found)}"),
        ("Fires", _fires(found)),
        ("Writes", f"{found.hook_out or found.hook_point} [{found.d_out}]{_after(found)}"),
    ]
    model = next((found.metadata[key] for key in STATED[2:] if key in found.metadata), "")
    sparsity = next((f"L0 {found.metadata[key]}" for key in STATED[:2] if key in found.metadata), "")
    facts += [("Model", model or "not said"), ("Sparsity", sparsity or "not said")]
    facts += [(what, found.metadata[key]) for key, what in BY_SAELENS.items() if key in found.metadata]
    facts += [("Revision", found.revision)] if found.revision else []
    return [*facts, ("SHA-256", found.digest)]


def _shapes(found: Dictionary) -> str:
    return ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in found.tensors().items())


def _before(found: Dictionary) -> str:
    steps = {"layer_norm": "made a unit normal vector", "constant_norm": "scaled to length sqrt(d)"}
    done = [steps[found.normalise]] if found.normalise in steps else []
    done += ["b_dec taken off"] if found.subtract_b_dec else []
    return f", {', '.join(done)}" if done else ""


def _fires(found: Dictionary) -> str:
    bars = []
    if found.k is not None:
        bars.append(f"the {found.k} highest of a token")
    if found.threshold is not None:
        low, high = float(found.threshold.min()), float(found.threshold.max())
        bars.append(f"above a threshold of {low:.4g}" + (f" to {high:.4g}" if high != low else ""))
    return " and ".join(bars) or "above 0"


def _after(found: Dictionary) -> str:
    return ", with a skip connection" if found.W_skip is not None else ""
