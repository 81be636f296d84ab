"""Layouts for real, in gloo processes: a few steps must follow one process in losses and in gradient norms.

``tidegate bench layouts`` does so for all of them, over more steps.
"""

from __future__ import annotations

import pytest

from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe
from app.training.config.parallel_dims import ParallelDims
from app.training.recipe import Data
from tests.recipes.bytelm.support import prose
from tests.support.process_group import GroupError
from tests.support.tiny import TinyConfig, TinyRecipe
from tests.training.layouts.curve import Curve, compare
from tests.training.layouts.run import Run, measure_layout, reference


@pytest.fixture(scope="module")
def run() -> Run:
    """Three steps of the smallest decoder over text that needs no installation's files."""
    recipe = ByteLMRecipe(ByteLMConfig(size="1m", sequence=32))
    return Run(recipe, prose(sequence=32), steps=3, batch_size=8)


@pytest.fixture(scope="module")
def one_process(run: Run) -> Curve:
    """The same by a plain loop."""
    return reference(run)


@pytest.mark.parametrize(
    "layout",
    [
        ParallelDims(dp_replicate=2, accumulation=2),
        ParallelDims(dp_shard=2, activation_checkpointing=True),
        ParallelDims(dp_replicate=2, dp_shard=2),
        ParallelDims(tp=2),
        ParallelDims(tp=2, sequence_parallel=True, loss_parallel=True),
        ParallelDims(pp=2, schedule="1F1B", microbatches=2, accumulation=2),
        ParallelDims(pp=2, schedule="ZBVZeroBubble", microbatches=4, activation_checkpointing=True),
        ParallelDims(cp=2),
        ParallelDims(dp_shard=2, tp=2, sequence_parallel=True),
        ParallelDims(dp_shard=2, cp=2),
        ParallelDims(pp=2, tp=2, schedule="DualPipeV", microbatches=4, sequence_parallel=True, loss_parallel=True),
        ParallelDims(pp=2, dp_shard=2, tp=2, schedule="Interleaved1F1B", microbatches=2),
    ],
    ids=lambda layout: f"{layout} {layout.schedule or ''}".strip(),
)
def test_layout_follows_one_process(run: Run, one_process: Curve, layout: ParallelDims) -> None:
    comparison = compare(measure_layout(run, layout), one_process)
    assert comparison.agrees, comparison


@pytest.fixture(scope="module")
def mixture() -> Run:
    """The same with experts."""
    recipe = ByteLMRecipe(ByteLMConfig(size="3m-a1m", sequence=32))
    return Run(recipe, prose(sequence=32), steps=3, batch_size=8, learning_rate=3e-4)


@pytest.fixture(scope="module")
def one_process_of_mixture(mixture: Run) -> Curve:
    return reference(mixture)


@pytest.mark.parametrize(
    "layout",
    [
        ParallelDims(dp_shard=2, ep=2, accumulation=2, activation_checkpointing=True),
        ParallelDims(dp_replicate=2, cp=2, ep=2),
        ParallelDims(pp=2, dp_shard=2, schedule="ZBVZeroBubble", microbatches=4, ep=2),
    ],
    ids=lambda layout: f"ep={layout.ep} of {layout}",
)
def test_experts_of_other_ranks_follow_one_process(
    mixture: Run, one_process_of_mixture: Curve, layout: ParallelDims
) -> None:
    comparison = compare(measure_layout(mixture, layout), one_process_of_mixture)
    assert comparison.agrees, comparison


@pytest.mark.parametrize(
    "layout",
    [ParallelDims(dp_replicate=2, accumulation=2), ParallelDims(dp_shard=2)],
    ids=lambda layout: str(layout),
)
def test_a_recipe_without_a_plan_gets_data_parallelism(layout: ParallelDims) -> None:
    recipe = TinyRecipe(TinyConfig(dropout=0.0))
    run = Run(recipe, recipe.prepare(), steps=5, batch_size=32, learning_rate=0.01)
    comparison = compare(measure_layout(run, layout), reference(run))
    assert comparison.agrees, comparison


def test_run_over_other_rows_does_not_agree(run: Run, one_process: Curve) -> None:
    """The comparison can fail: the same model, another order of the rows."""
    other = Run(run.recipe, run.data, run.steps, run.batch_size, seed=1)
    assert not compare(reference(other), one_process).agrees


def test_a_process_that_fails_ends_the_group(run: Run) -> None:
    broken = Run(run.recipe, Data({}, {}, ""), run.steps, run.batch_size)
    with pytest.raises(GroupError, match=r"(?s)rank [01]: .*StopIteration"):
        measure_layout(broken, ParallelDims(dp_replicate=2), timeout_s=60)
