"""What only a GPU shows; skipped without one. `build/bench/gpu.py` measures, these tests compare."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from atlas.config import load
from atlas.dictionaries.base import Dictionary
from atlas.engines.encode import BLOCK, Buffers, Encoder
from atlas.engines.line import Line
from atlas.engines.product import Product
from atlas.paths import places
from atlas.pipeline.collect import collect
from atlas.pipeline.report import Silent
from atlas.stats import Batch, Firings, round_significant
from atlas.store import open_store

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
GPU = torch.device("cuda")
D, WIDTH = 96, 9000


def dictionary(seed: int) -> Dictionary:
    chance = torch.Generator(GPU).manual_seed(seed)
    weights = torch.randn(D, WIDTH, generator=chance, device=GPU)
    threshold = torch.rand(WIDTH, generator=chance, device=GPU) * 20 + 10
    zero = torch.zeros(WIDTH, device=GPU)
    return Dictionary(
        str(seed), "jumprelu", "x", weights, zero, weights.T, torch.zeros(D, device=GPU), threshold, None, False
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_is_read_before_it_is_written_or_after_it_is_overwritten(dtype):
    """Dictionaries one after the other through one line and two buffers, against one step at a time."""
    dictionaries, line, buffers = [dictionary(seed) for seed in range(3)], Line(GPU), Buffers.on(GPU)
    taken: dict[tuple[int, int, int], tuple[bytes, bytes]] = {}
    expected = dict(taken)
    with torch.inference_mode(), ThreadPoolExecutor(4) as pool:
        encoders = [Encoder(d, buffers, pool, list(range(-(-WIDTH // BLOCK))), line) for d in dictionaries]
        pending: list[Future[None]] = []
        for turn in range(6):
            n = 500 + 700 * (turn % 3)
            x = torch.randn(n, D, generator=torch.Generator(GPU).manual_seed(turn), device=GPU).to(dtype)
            ids = np.arange(n, dtype=np.int32)[None]
            batch = Batch.of(np.array([turn]), np.zeros(1, np.int64), ids, np.ones(ids.shape, bool))
            for place, encoder in enumerate(encoders):

                def take(block: int, found: Firings, _: Batch, key: tuple[int, int] = (turn, place)) -> None:
                    taken[*key, block] = found.cells.tobytes(), found.value.tobytes()

                pending += encoder.run(x, batch, take)
                product = Product(dictionaries[place].W_enc, dictionaries[place].b_enc)
                for first in range(0, WIDTH, 4096):
                    pre = torch.empty(min(4096, WIDTH - first), n, device=GPU)
                    product.into(pre, first, product.operand(x))
                    host = pre.cpu().numpy()
                    for low in range(0, len(host), BLOCK):
                        part = host[low : low + BLOCK].reshape(-1)
                        bars = dictionaries[place].bar[first + low : first + low + BLOCK].cpu().numpy()
                        cells = np.flatnonzero(part > np.repeat(bars, n)).astype(np.int32)
                        key = (turn, place, (first + low) // BLOCK)
                        expected[key] = cells.tobytes(), round_significant(part[cells]).tobytes()
        for done in pending + line.drain():
            done.result()
    assert len(taken) == 6 * 3 * -(-WIDTH // BLOCK)
    assert sum(len(cells) for cells, _ in expected.values()) > 10**6
    assert taken == expected


def test_the_split_product_is_as_exact_as_float32():
    d = dictionary(0)
    x = torch.randn(2000, D, generator=torch.Generator(GPU).manual_seed(1), device=GPU).bfloat16()
    exact = (x.double() @ d.W_enc.double()).T
    product, errors = Product(d.W_enc, d.b_enc), []
    for operand in (x.float(), product.operand(x)):
        out = torch.empty(WIDTH, len(x), device=GPU)
        product.into(out, 0, operand)
        errors.append(float((out.double() - exact).abs().max()))
    assert errors[0] > 0
    assert errors[1] < 2 * errors[0]


@pytest.fixture(scope="module")
def stores(inputs):
    """Stores of the tiny recipe by what was changed in it."""
    folder, made = inputs.parent, {}
    recipe = inputs.read_text("utf-8")

    def make(device: str = "cuda", dtype: str = "float32", **settings: object) -> Path:
        name = "-".join([device, dtype, *(f"{k}{v}" for k, v in settings.items())])
        if name not in made:
            text = recipe.replace('device = "cpu"', f'device = "{device}"')
            text = text.replace('source = "model"', f'source = "model"\ndtype = "{dtype}"')
            text = text.replace("threads = 1", "\n".join(f"{k} = {v}" for k, v in ({"threads": 1} | settings).items()))
            changed = folder / f"{name}.toml"
            changed.write_text(text, "utf-8")
            collect(load(changed), places("tiny", folder / name), Silent())
            made[name] = places("tiny", folder / name).store
        return made[name]

    return make


def tables(store: Path) -> dict[str, bytes]:
    return {str(p.relative_to(store)): p.read_bytes() for p in sorted(store.rglob("*.parquet"))}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("settings", [{"threads": 4}, {"workers": 2}, {"checkpoint": 0.01}, {"memory": '"2GB"'}])
def test_the_same_bytes_on_the_same_gpu(stores, dtype, settings):
    assert tables(stores(dtype=dtype, **settings)) == tables(stores(dtype=dtype))


def test_the_gpu_finds_what_the_cpu_finds(stores):
    cpu, gpu = open_store(stores("cpu")), open_store(stores("cuda"))
    for dictionary_id in cpu.dictionaries:
        pairs = zip(cpu.features(dictionary_id), gpu.features(dictionary_id), strict=True)
        for one, other in pairs:
            assert abs(one.count - other.count) <= 1 + one.count // 100
            assert other.max == pytest.approx(one.max, rel=1e-3, abs=1e-5)
            assert [s.window for s in one.top][:3] == [s.window for s in other.top][:3]


@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of torch
def test_compiled_blocks_find_the_same(stores):
    plain, made = open_store(stores()), open_store(stores(compile="true"))
    for dictionary_id in plain.dictionaries:
        for one, other in zip(plain.features(dictionary_id), made.features(dictionary_id), strict=True):
            assert abs(one.count - other.count) <= 1 + one.count // 100
