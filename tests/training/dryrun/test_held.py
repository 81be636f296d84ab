"""What a rank would hold is what it does hold, and a pipeline holds as many microbatches as its schedule says."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial

import pytest
import torch

from app.training.degrees import Degrees
from app.training.dryrun.flight import most_in_flight, order_of
from app.training.dryrun.held import Cut, Held, held
from app.training.layout import Layout, Schedule
from jobs.bench.processes import fork_server
from tests.training.test_initial import DATA, RECIPE, alone


def cut(layout: Layout) -> tuple[Held, ...]:
    with torch.device("meta"):
        model = RECIPE.build(DATA)
    return held(Cut(model, RECIPE.spread_plan(DATA), layout, "cpu"))


def test_the_share_of_a_real_rank() -> None:
    layout = Layout(Degrees(pp=2, dp_shard=2, tp=2), "ZBVZeroBubble", 4, sequence_parallel=True)
    with ProcessPoolExecutor(1, mp_context=fork_server(), max_tasks_per_child=1) as pool:
        real = [sum(value.size for value in share.values()) for share in pool.map(partial(alone, layout), (0, 4))]
    found = cut(layout)
    assert [sum(stage.kept for stage in each.stages) for each in found] == real
    assert [each.rank for each in found] == [0, 4]
    assert [tuple(stage.index for stage in each.stages) for each in found] == [(0, 3), (1, 2)]


def test_shards_of_64_ranks() -> None:
    (one,) = cut(Layout(Degrees(dp_replicate=8, dp_shard=8)))
    (stage,) = one.stages
    assert stage.kept == RECIPE.size.parameters // 8
    assert stage.whole == RECIPE.size.parameters
    assert stage.in_blocks == stage.blocks * stage.largest_block


@pytest.mark.parametrize(
    ("schedule", "microbatches", "expected"),
    [
        ("GPipe", 8, [8, 8, 8]),
        ("1F1B", 8, [3, 2, 1]),
        ("1F1B", 3, [3, 2, 1]),
        # Narayanan et al. 2021, "Efficient Large-Scale Language Model Training", section 2.2: a round for each stage
        # of the rank but one, and two for each rank after it.
        ("Interleaved1F1B", 6, [8, 6, 4]),
    ],
)
def test_microbatches_in_flight(schedule: Schedule, microbatches: int, expected: list[int]) -> None:
    ranks = cut(Layout(Degrees(pp=3), schedule, microbatches))
    assert [most_in_flight(each.order, {stage.index: 1 for stage in each.stages}) for each in ranks] == expected


def test_stages_weigh_what_they_keep() -> None:
    assert most_in_flight(((0, 1), (3, 1), (3, -1), (0, 1), (0, -1), (0, -1)), {0: 2, 3: 5}) == 7


def test_without_a_pipeline_there_is_one_pass() -> None:
    assert most_in_flight(order_of(None), {0: 7}) == 7
