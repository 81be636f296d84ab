"""The estimated share of a rank is its real one, and a pipeline holds as many microbatches as its schedule says."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial

import pytest
import torch

from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe
from app.training.config.parallel_dims import ParallelDims, PipelineSchedule
from app.training.dryrun.flight import most_in_flight, order_of
from app.training.dryrun.held import Cut, Held, held
from tests.support.process_group import fork_server
from tests.training.parallel.test_initialization import DATA, RECIPE, alone

pytestmark = pytest.mark.usefixtures("warm_dry_run")
MIXTURE = ByteLMRecipe(ByteLMConfig(size="3m-a1m", sequence=16))


def cut(layout: ParallelDims, recipe: ByteLMRecipe = RECIPE) -> tuple[Held, ...]:
    with torch.device("meta"):
        model = recipe.build(DATA)
    return held(Cut(model, recipe.parallel_plan(DATA), layout, "cpu"))


@pytest.mark.parametrize(
    ("recipe", "layout"),
    [
        (
            RECIPE,
            ParallelDims(pp=2, dp_shard=2, tp=2, schedule="ZBVZeroBubble", microbatches=4, sequence_parallel=True),
        ),
        (MIXTURE, ParallelDims(pp=2, dp_shard=4, schedule="ZBVZeroBubble", microbatches=4, ep=2)),
    ],
    ids=["tp2", "ep2"],
)
def test_the_share_of_a_real_rank(recipe: ByteLMRecipe, layout: ParallelDims) -> None:
    first = (0, layout.workers // 2)
    with ProcessPoolExecutor(1, mp_context=fork_server(), max_tasks_per_child=1) as pool:
        shares = pool.map(partial(alone, layout, recipe), first)
        real = [sum(value.size for value in share.values()) for share in shares]
    found = cut(layout, recipe)
    assert [sum(stage.kept for stage in each.stages) for each in found] == real
    assert tuple(each.rank for each in found) == first
    assert [tuple(stage.index for stage in each.stages) for each in found] == [(0, 3), (1, 2)]


def test_shards_of_64_ranks() -> None:
    (one,) = cut(ParallelDims(dp_replicate=8, dp_shard=8))
    (stage,) = one.stages
    assert stage.kept == RECIPE.size.parameters // 8
    assert stage.whole == RECIPE.size.parameters
    assert stage.in_blocks == stage.blocks * stage.largest_block


@pytest.mark.parametrize(
    ("layout", "others"),
    [
        (ParallelDims(dp_shard=8, ep=8), 1),
        (ParallelDims(dp_shard=8, ep=2), 4),
        (ParallelDims(dp_replicate=2, dp_shard=4, ep=4), 1),
    ],
    ids=lambda value: f"ep={value.ep} of {value}" if isinstance(value, ParallelDims) else "",
)
def test_experts_are_shared_by_other_ranks_than_the_rest(layout: ParallelDims, others: int) -> None:
    """A rank keeps its share of an ep-th of the experts, and never gathers more of them than that."""
    (one,) = cut(layout, MIXTURE)
    (stage,) = one.stages
    size = MIXTURE.size
    experts = size.layers * size.experts * 3 * size.width * size.feed_forward
    rest = size.parameters - experts
    assert stage.kept == rest // layout.dp_shard + experts // layout.ep // others
    assert stage.whole == rest + experts // layout.ep
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
def test_microbatches_in_flight(schedule: PipelineSchedule, microbatches: int, expected: list[int]) -> None:
    ranks = cut(ParallelDims(pp=3, schedule=schedule, microbatches=microbatches))
    assert [most_in_flight(each.order, {stage.index: 1 for stage in each.stages}) for each in ranks] == expected


def test_stages_weigh_what_they_keep() -> None:
    assert most_in_flight(((0, 1), (3, 1), (3, -1), (0, 1), (0, -1), (0, -1)), {0: 2, 3: 5}) == 7


def test_without_a_pipeline_there_is_one_pass() -> None:
    assert most_in_flight(order_of(None), {0: 7}) == 7
