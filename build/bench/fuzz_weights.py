"""Mutated files of weights and settings in every layout: refused in one line or read whole, never anything else.

    python build/bench/fuzz_weights.py [--quick] [--cases 20000] [--seed 0]

Each case writes one of the layouts of `tests/dictionaries/layouts*.py`, changes one of its files and reads it
(`atlas.dictionaries.load`), in a child process with four gigabytes and ten seconds a case:

    bytes       bits flipped, runs overwritten, cut out, doubled or inserted, the file cut off, two files exchanged
    settings    a value of a configuration replaced by another kind of value, a huge one, or a path out of the folder
    tensors     one that decides the numbers left out, transposed, of integers, one shorter, or not finite
    pickles     an object that would run a command when it is loaded; an archive that unpacks to gigabytes

What may come of it: `AtlasError`, or a dictionary that is finite, float32 and of consistent shapes (a flipped bit of a
number is another number). `crashes` are other exceptions, processes that died, hangs, and commands that ran. `silent`
are dictionaries that are inconsistent, and those that came of a change to tensors or pickles, which have to be refused.

Last line: `cases=... crashes=0 silent=0`; exit status 1 if either is not 0. Cases are the same for the same seed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "dictionaries"))
from cases import CASES, Case

from atlas.dictionaries.base import Dictionary
from atlas.dictionaries.load import load_dictionary
from atlas.errors import AtlasError

QUICK, WHOLE = 2_000, 20_000
SECONDS, MEMORY = 10, 4 * 2**30
WEIGHTS = {".safetensors", ".pt", ".npz"}
RECIPE: Any = SimpleNamespace(resolve=Path)
HOSTILE: tuple[Any, ...] = (
    None, True, -1, 0, 2**63, 10**400, 1e308, float("nan"), "", "x" * 10_000, "../../../etc/passwd", "\0", "\u202e",
    [], [[]] * 50, {}, {"a": {"b": {}}}, "no", "1", 3.5, [1, "a"],
)  # fmt: skip
"""Values for a configuration."""


class Bomb:
    """Would run a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        """What pickle calls."""
        return os.system, (f"touch {self.mark}",)


def change_bytes(path: Path, chance: random.Random) -> bool:
    """Change some bytes; returns whether the file has to be refused, which nobody can say here."""
    data = bytearray(path.read_bytes())
    low = chance.randrange(min(len(data), 400) if chance.random() < 0.5 else len(data))  # headers are in front
    high = min(len(data), low + chance.choice([1, 2, 8, 100]))
    match chance.randrange(7):
        case 0:
            data[low] ^= 1 << chance.randrange(8)
        case 1:
            data[low:high] = chance.randbytes(high - low)
        case 2:
            data[low:high] = bytes([chance.choice([0, 255])]) * (high - low)
        case 3:
            del data[low:high]
        case 4:
            data[low:low] = data[low:high]
        case 5:
            data[low:low] = chance.randbytes(high - low)
        case _:
            del data[low:]
    path.write_bytes(data)
    return False


def change_settings(path: Path, chance: random.Random) -> bool:
    """Replace a value somewhere in a configuration, or give the file another form."""
    text = path.read_text("utf-8")
    if path.suffix != ".json" or chance.random() < 0.1:
        path.write_text(
            chance.choice(["[" * 100_000, "a: &a [*a]", "\ufeff{}", text * 2, "{}", "null", text[:-3]]), "utf-8"
        )
        return False
    data = json.loads(text)
    part = data
    while True:
        key = chance.choice(sorted(part))
        if isinstance(part[key], dict) and part[key] and chance.random() < 0.8:
            part = part[key]
            continue
        if chance.random() < 0.15:
            del part[key]
        else:
            part[key] = chance.choice(HOSTILE)
        break
    path.write_text(json.dumps(data), "utf-8")
    return False


def change_tensors(made: Case, path: Path, chance: random.Random) -> bool:
    """Spoil the matrix that the case names."""
    tensors = load(path)
    matrix = tensors[made.matrix]
    kind = chance.randrange(5)
    if kind == 0:
        del tensors[made.matrix]
    elif kind == 1:
        tensors[made.matrix] = matrix.T
    elif kind == 2:
        tensors[made.matrix] = matrix.long()
    elif kind == 3:
        tensors[made.matrix] = matrix[:, :-1] if made.width == matrix.shape[1] else matrix[:-1]
    else:
        spoilt = matrix.contiguous().clone()
        spoilt.view(-1)[chance.randrange(spoilt.numel())] = chance.choice([np.nan, np.inf, -np.inf])
        tensors[made.matrix] = spoilt
    store(path, tensors)
    return True


def change_pickle(path: Path, chance: random.Random, mark: Path) -> bool:
    """A command instead of a tensor, or content that is far larger than the file."""
    if path.suffix == ".npz" or chance.random() < 0.3:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(chance.choice(["W_enc.npy", "archive/data.pkl", "w_enc.npy"]), bytes(40_000_000))
        return True
    tensors = load(path)
    tensors[chance.choice(sorted(tensors))] = Bomb(mark)
    torch.save(tensors, path)
    return True


def load(path: Path) -> dict[str, Any]:
    """Tensors by name."""
    if path.suffix == ".npz":
        with np.load(path) as data:
            return {name: torch.from_numpy(data[name]) for name in data.files}
    return load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)


def store(path: Path, tensors: dict[str, Any]) -> None:
    """The same file with other tensors."""
    if path.suffix == ".npz":
        np.savez(path, **{name: tensor.numpy() for name, tensor in tensors.items()})
    elif path.suffix == ".safetensors":
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    else:
        torch.save(tensors, path)


def mutate(made: Case, folder: Path, chance: random.Random, mark: Path) -> tuple[str, bool]:
    """Change one file of a case; what was done, and whether it has to be refused."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    weights = [p for p in files if p.suffix in WEIGHTS]
    settings = [p for p in files if p.suffix in {".json", ".yaml"}]
    main = made.path / made.weights if made.weights else made.path
    ways: dict[str, Callable[[], bool]] = {"bytes": lambda: change_bytes(chance.choice(files), chance)}
    if settings:
        ways["settings"] = lambda: change_settings(chance.choice(settings), chance)
    ways["tensors"] = lambda: change_tensors(made, main, chance)
    if main.suffix != ".safetensors":
        ways["pickles"] = lambda: change_pickle(main, chance, mark)
    if len(weights) > 1 or settings:
        ways["exchanged"] = lambda: exchange(*chance.sample(files, 2))
    way = chance.choice(sorted(ways))
    return way, ways[way]()


def exchange(one: Path, other: Path) -> bool:
    """Two files under each other's names."""
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    return False


def faults(found: Dictionary) -> str:
    """What is inconsistent in a dictionary, if anything."""
    wanted = {
        "W_enc": (found.d_in, found.width), "b_enc": (found.width,), "W_dec": (found.width, found.d_out),
        "b_dec": (found.d_out,), "threshold": (found.width,), "W_skip": (found.d_in, found.d_out),
    }  # fmt: skip
    for name, tensor in found.tensors().items():
        if tuple(tensor.shape) != wanted[name]:
            return f"{name} is {tuple(tensor.shape)}"
        if tensor.dtype != torch.float32 or not torch.isfinite(tensor).all():
            return f"{name} is {tensor.dtype}, or not finite"
    if found.k is not None and not 1 <= found.k <= found.width:
        return f"k is {found.k}"
    if found.subtract_b_dec and found.d_in != found.d_out:
        return "b_dec cannot be subtracted"
    return "" if found.hook_point and len(found.digest) == 64 else "no hook point or digest"


def too_long(*_: object) -> None:
    """The alarm's handler."""
    raise TimeoutError


def run(number: int, seed: int, folder: Path) -> tuple[str, str]:
    """One case: what was changed, and what is wrong with what came of it (nothing, mostly)."""
    chance = random.Random(f"{seed}/{number}")  # noqa: S311 (no secret)
    name = sorted(CASES)[number % len(CASES)]
    made, mark = CASES[name](folder / "files"), folder / "executed"
    way, refuse = mutate(made, folder / "files", chance, mark)
    given = {"id": "x", "hook_point": "", "layer": None, "k": 0, "format": made.format, "floor": 0.0, "centre": False}
    given |= made.section
    if chance.random() < 0.5:
        given["format"] = ""
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS)
    try:
        found = load_dictionary(SimpleNamespace(source=str(made.path), **given), RECIPE)  # type: ignore[arg-type]
        wrong = f"silent: {faults(found)}" if faults(found) else "silent: it was read" if refuse else ""
    except AtlasError as error:
        wrong = "crash: more than a line" if "\n" in str(error) else ""
    except BaseException as error:  # noqa: BLE001 (what a user would see as a traceback)
        wrong = f"crash: {type(error).__name__}: {error}"[:200]
    finally:
        signal.alarm(0)
    return f"{name} {way}", "crash: a command ran" if mark.exists() else wrong


def child(first: int, step: int, count: int, seed: int, results: Any) -> None:
    """Every `step`th case from `first` on; tells the number of each before it begins."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY + 2**32, MEMORY + 2**32))  # torch itself maps gigabytes
    torch.set_num_threads(1)
    for number in range(first, count, step):
        results.put((number, None))
        with tempfile.TemporaryDirectory(prefix="atlas-fuzz-") as folder:
            results.put((number, run(number, seed, Path(folder))))


def main() -> None:
    """Run all cases in two processes; one that dies has crashed at the case that it had begun."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} cases")
    parser.add_argument("--cases", type=int, default=WHOLE)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    count, step = (QUICK if given.quick else given.cases), 2
    context, ways, wrong, begun = multiprocessing.get_context("spawn"), Counter[str](), [], {}
    results = context.SimpleQueue()
    workers = {i: context.Process(target=child, args=(i, step, count, given.seed, results)) for i in range(step)}
    for worker in workers.values():
        worker.start()
    done = 0
    while done < count:
        if results.empty():
            for i, worker in list(workers.items()):
                worker.join(0.05)
                if worker.exitcode and results.empty():
                    number = begun[i]
                    wrong.append(f"{number}: crash: the process died with {worker.exitcode}")
                    done += 1
                    workers[i] = context.Process(target=child, args=(number + step, step, count, given.seed, results))
                    workers[i].start()
            continue
        number, found = results.get()
        begun[number % step] = number
        if found is not None:
            done += 1
            ways[found[0].rpartition(" ")[2]] += 1
            wrong += [f"{number}: {found[0]}: {found[1]}"] if found[1] else []
    for worker in workers.values():
        worker.join()
    for line in wrong[:40]:
        print(line)
    print(", ".join(f"{way} {n:,}" for way, n in sorted(ways.items())))
    silent = sum("silent: " in line for line in wrong)
    print(f"cases={count} crashes={len(wrong) - silent} silent={silent}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
