"""Plans: every block once, never above the budget, and told before anything runs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.engines import Shape
from atlas.engines.plan import Size, activation_bytes, block_bytes, choose_batch, fixed_bytes, make_plan, written_bytes
from atlas.errors import AtlasError
from atlas.model.footprint import Footprint

MODEL = Footprint(parameters=1000, weights=4000, blocks=2, attention=10, hidden=40, itemsize=4)
SIZE = Size(MODEL, hooks=2, encoders=((10, 1300), (10, 600)), tokens=5000, window=32, batch=4)
SHAPE = Shape.whole([1300, 600], 3, 20, 128)
LEAST = fixed_bytes(SIZE) + max(written_bytes(SHAPE, *where) for where in SHAPE.places())
"""What every pass needs."""


@given(st.integers(1, 400))
def test_every_block_is_counted_in_one_pass_and_no_pass_is_above_the_budget(megabytes: int) -> None:
    memory = megabytes * 10**6
    least = LEAST + max(block_bytes(SHAPE, *where) for where in SHAPE.places())
    if memory < least:
        with pytest.raises(AtlasError, match=r"collect\.memory"):
            make_plan(SIZE, SHAPE, memory)
        return
    plan = make_plan(SIZE, SHAPE, memory)
    blocks = [where for shape in plan.shapes for where in shape.places()]
    assert sorted(blocks) == sorted(SHAPE.places())
    assert plan.peak <= memory
    assert len(plan.state) == len(plan.shapes)


def test_less_memory_takes_more_passes_and_more_operations() -> None:
    whole = make_plan(SIZE, SHAPE, 0)
    assert len(whole.shapes) == 1
    assert whole.forward == 2 * 1000 + 4 * 32 * 10 * 2
    assert whole.encode == 2 * 10 * 1900
    assert whole.operations == 5000 * (whole.forward + whole.encode)
    tight = make_plan(SIZE, SHAPE, LEAST + max(whole.state) // 2)
    assert len(tight.shapes) > 1
    assert tight.operations == 5000 * (len(tight.shapes) * whole.forward + whole.encode)


def test_neurons_cost_no_products_and_no_weights() -> None:
    some = replace(SIZE, neurons=(1,))
    assert make_plan(some, SHAPE, 0).encode == 2 * 10 * 1300
    assert fixed_bytes(SIZE) - fixed_bytes(some) == 8 * 10 * 600
    assert make_plan(some, SHAPE, 0).state == make_plan(SIZE, SHAPE, 0).state


def test_states_that_are_sent_take_two_packed_copies_more() -> None:
    here, sent = make_plan(SIZE, SHAPE, 0), make_plan(SIZE, SHAPE, 0, shipped=True)
    packed = sum(written_bytes(SHAPE, *where) for where in SHAPE.places())
    assert sent.peak - here.peak == 2 * packed
    assert here.disk == 2 * packed + 8 * 5000


def test_a_budget_too_small_says_what_is_needed() -> None:
    with pytest.raises(AtlasError, match=r"collect\.memory: 0\.0 GB is too little; this job needs 0\.\d GB or more"):
        make_plan(SIZE, SHAPE, 1)


@given(st.integers(0, 10**9), st.sampled_from([1, 8, 512]))
def test_a_batch_is_the_greatest_power_of_two_that_fits_a_quarter_of_the_memory(memory: int, most: int) -> None:
    batch = choose_batch(SIZE, memory, most)
    assert batch in {2**i for i in range(10)}
    assert batch == 1 or activation_bytes(replace(SIZE, batch=batch)) <= memory // 4
    assert batch == most or activation_bytes(replace(SIZE, batch=2 * batch)) > memory // 4


def test_more_hook_points_take_more_memory() -> None:
    assert activation_bytes(replace(SIZE, hooks=26)) > activation_bytes(SIZE)


def test_the_command_tells_the_plan_and_keeps_nothing(tiny, tmp_path) -> None:
    command = [sys.executable, "-m", "atlas", "collect", str(tiny.recipe), "--plan", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = dict(line.split(None, 1) for line in done.stdout.splitlines() if not line.startswith(" "))
    assert said["read"].startswith("6,000 tokens in windows of 32, micro-batches of 2 windows")
    assert said["passes"].startswith("1 for 2 dictionaries with 624 features")
    assert {"work", "memory", "disk", "time"} <= said.keys()
    assert not (tmp_path / "tiny" / "store").exists()
