"""Every format: recognised, read, and computing what its publisher's code computes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from cases import CASES, Case
from safetensors.torch import load_file, save_file

from atlas.dictionaries import load
from atlas.dictionaries.base import Dictionary
from atlas.dictionaries.formats import ALL
from atlas.errors import AtlasError

RECIPE: Any = SimpleNamespace(resolve=Path)


def read(made: Case, path: Path | None = None, **section: Any) -> Dictionary:
    given = {"id": "own", "hook_point": "", "layer": None, "k": 0, "format": "", "floor": 0.0, "centre": False}
    given |= made.section | section
    return load.load_dictionary(SimpleNamespace(source=str(path or made.path), **given), RECIPE)  # type: ignore[arg-type]


@pytest.fixture(params=CASES)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    return CASES[request.param](tmp_path)


def inputs(d_in: int, n: int = 64) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((n, d_in)) * 2


def test_it_is_recognised_and_says_what_it_is(made: Case) -> None:
    found = read(made)
    assert (found.format, found.kind, found.hook_point, found.hook_out) == (made.format, made.kind, made.hook, made.out)
    assert (found.width, found.d_in, len(found.digest)) == (made.width, made.d_in, 64)
    assert all(t.dtype == torch.float32 and t.is_contiguous() for t in found.tensors().values())
    assert read(made, format=made.format).digest == found.digest
    assert read(made, hook_point="blocks.0.hook_resid_pre").hook_point == "blocks.0.hook_resid_pre"


def test_it_computes_what_its_publisher_computes(made: Case) -> None:
    found, x = read(made), inputs(made.d_in)
    expected = made.encode(x)
    fires = (expected > 0).mean()
    assert 0.01 < fires < 0.9, "the case should hold features that fire and features that do not"
    acts = found.encode(torch.from_numpy(x).float())
    np.testing.assert_allclose(acts.numpy(), expected, rtol=1e-5, atol=2e-5)
    assert np.array_equal(acts.numpy() > 0, expected > 0)
    rebuilt = found.decode(torch.from_numpy(x).float(), acts)
    np.testing.assert_allclose(rebuilt.numpy(), made.decode(x, expected), rtol=1e-5, atol=1e-4)


def file_of(made: Case) -> Path:
    return made.path / made.weights if made.weights else made.path


def tensors_of(path: Path) -> dict[str, Any]:
    if path.suffix == ".npz":
        with np.load(path) as data:
            return {k: torch.from_numpy(data[k]) for k in data.files}
    return load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)


def store(path: Path, tensors: dict[str, Any]) -> None:
    if path.suffix == ".npz":
        np.savez(path, **{k: v.numpy() for k, v in tensors.items()})
    elif path.suffix == ".safetensors":
        save_file({k: v.contiguous() for k, v in tensors.items()}, path)
    else:
        torch.save(tensors, path)


def matrices(tensors: dict[str, Any]) -> list[str]:
    """Names of what decides the numbers."""
    statistics = ("stats_", "latents_", "k", "group_sizes")
    return [
        name
        for name, t in tensors.items()
        if isinstance(t, torch.Tensor) and t.is_floating_point() and t.numel() > 1 and not name.startswith(statistics)
    ]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_by_name(made: Case, value: float) -> None:
    path = file_of(made)
    for name in matrices(tensors_of(path)):
        tensors = tensors_of(path)
        tensors[name] = tensors[name].contiguous().clone()
        tensors[name].view(-1)[3] = value
        store(path, tensors)
        with pytest.raises(AtlasError, match="not finite") as error:
            read(made)
        assert name in str(error.value)
        assert path.name in str(error.value)
        tensors[name].view(-1)[3] = 0.5
        store(path, tensors)


def test_a_tensor_that_is_missing_or_of_another_shape_is_refused_by_name(made: Case) -> None:
    path = file_of(made)
    whole = tensors_of(path)
    for name in matrices(whole):
        if "skip" in name.lower() or "scaling" in name or "log_jumprelu" in name or "threshold" in name:
            continue  # may be left out in some
        store(path, {k: v for k, v in whole.items() if k != name})
        with pytest.raises(AtlasError, match="missing") as error:
            read(made)
        assert path.name in str(error.value)
        # a transcoder may read vectors of another width than it writes: the model will tell
        shorter = [] if made.kind == "transcoder" and name == made.matrix else [whole[name][:-1]]
        for wrong in (*shorter, whole[name].reshape(-1)[None], whole[name].long()):
            store(path, whole | {name: wrong})
            with pytest.raises(AtlasError):
                read(made)
    store(path, whole | {made.matrix: whole[made.matrix].T})
    with pytest.raises(AtlasError, match=r" is \[\d+.*\], (but|not a matrix|which does not fit)"):
        read(made)


def test_a_file_that_is_cut_off_or_empty_or_text_is_refused(made: Case) -> None:
    path = file_of(made)
    whole = path.read_bytes()
    for part in (whole[: len(whole) // 2], whole[:-7], b"", b"not weights at all", whole[:4]):
        path.write_bytes(part)
        with pytest.raises(AtlasError) as error:
            read(made)
        assert path.name in str(error.value)


def test_a_folder_of_nothing_known_says_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(AtlasError, match=r"in no format that is known; it holds notes\.txt") as error:
        load.load_dictionary(
            SimpleNamespace(id="x", source=str(tmp_path), hook_point="", layer=None, k=0, format="", floor=0.0), RECIPE
        )  # type: ignore[arg-type]
    assert all(form.NAME in str(error.value) for form in ALL)


def test_files_of_two_formats_have_to_be_told_apart(tmp_path: Path) -> None:
    made = CASES["saelens_standard"](tmp_path)
    (tmp_path / "params.npz").write_bytes(b"")
    with pytest.raises(AtlasError, match='could be saelens, gemma_scope; say which: format = "saelens"'):
        read(made)
    assert read(made, format="saelens").format == "saelens"


def test_a_pickle_is_not_executed(tmp_path: Path) -> None:
    made = CASES["openai_relu"](tmp_path)
    mark = tmp_path / "executed"

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (mark,)

    torch.save({"encoder.weight": Bomb()}, made.path)
    with pytest.raises(AtlasError, match="cannot be read as weights"):
        read(made)
    assert not mark.exists()


def test_an_array_of_objects_is_not_unpickled(tmp_path: Path) -> None:
    made = CASES["gemma_scope_residual"](tmp_path)
    np.savez(made.path / "params.npz", w_enc=np.array([object()], dtype=object))
    with pytest.raises(AtlasError, match="cannot be read as weights"):
        read(made)


def test_a_file_that_would_unpack_to_far_more_is_refused_before_it_does(tmp_path: Path) -> None:
    made = CASES["gemma_scope_residual"](tmp_path)
    np.savez_compressed(made.path / "params.npz", w_enc=np.zeros((4000, 4000), np.float32))
    with pytest.raises(AtlasError, match="would unpack to far more"):
        read(made)


def test_a_view_that_repeats_one_number_is_refused(tmp_path: Path) -> None:
    made = CASES["qwen_scope"](tmp_path)
    tensors = tensors_of(made.path)
    tensors["W_enc"] = torch.zeros(1).expand(10**5, 10**5)
    torch.save(tensors, made.path)
    with pytest.raises(AtlasError, match=r"claims .100000, 100000., more than the file holds"):
        read(made)


def test_scales_that_leave_the_range_of_float32_are_refused(tmp_path: Path) -> None:
    made = CASES["saelens_topk_rescaled"](tmp_path)
    path = file_of(made)
    tensors = tensors_of(path)
    tensors["W_enc"][0, 0] = 3e38
    tensors["W_dec"] *= 1e3
    store(path, tensors)
    with pytest.raises(AtlasError, match="W_enc is not finite once the scales of the format are worked in"):
        read(made)


@pytest.mark.parametrize("name", ["saelens_standard", "saelens_jumprelu", "saelens_topk"])
def test_a_floor_silences_what_does_not_exceed_it(name: str, tmp_path: Path) -> None:
    made = CASES[name](tmp_path)
    x = torch.from_numpy(inputs(made.d_in)).float()
    acts = read(made).encode(x)
    floor = float(acts[acts > 0].median())
    assert torch.equal(read(made, floor=floor).encode(x), torch.where(acts > floor, acts, 0))


def test_a_setting_that_is_a_list_is_refused(tmp_path: Path) -> None:
    made = CASES["saelens_standard"](tmp_path)
    path = made.path / "cfg.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"normalize_activations": [[]]}))
    with pytest.raises(AtlasError, match=r"cfg\.json: normalize_activations is '\[\[\]\]', not one of"):
        read(made)


def test_mutated_files_are_refused_or_read_whole() -> None:
    script = Path(__file__).parents[2] / "build/bench/fuzz_weights.py"
    done = subprocess.run([sys.executable, script, "--cases", "250"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "cases=250 crashes=0 silent=0"


GOLDEN = Path(__file__).parent / "golden" / "saelens.npz"
with np.load(GOLDEN) as _data:
    SAELENS = {key: _data[key] for key in _data.files}


@pytest.mark.parametrize("name", sorted({key.partition("/")[0] for key in SAELENS}))
def test_it_computes_what_saelens_computes_where_both_read_it(name: str, tmp_path: Path) -> None:
    """`build/bench/formats.py --golden` wrote down what SAELens made of the same files."""
    made = CASES[name](tmp_path)
    found, x = read(made), torch.from_numpy(inputs(made.d_in)).float()
    acts = found.encode(x)
    np.testing.assert_allclose(acts.numpy(), SAELENS[f"{name}/acts"], rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(found.decode(x, acts).numpy(), SAELENS[f"{name}/out"], rtol=1e-4, atol=2e-4)
