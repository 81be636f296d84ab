"""The parts of a rank's memory, for a recipe with a plan and for one without."""

from __future__ import annotations

import pytest

from app.training.config.parallel_dims import ParallelDims
from app.training.dryrun import estimate
from app.training.optimizer import ADAMW
from tests.support.tiny import TinyConfig, TinyRecipe
from tests.training.parallel.test_initialization import DATA, RECIPE

PARAMETERS = RECIPE.size.parameters


def test_ddp_has_everything_and_a_copy_of_the_gradients_to_send() -> None:
    found = estimate(RECIPE, DATA, ParallelDims(dp_replicate=2), 8, "cpu", ADAMW)
    (rank,) = found.ranks
    assert (found.parameters, found.rows) == (PARAMETERS, 4)
    assert (rank.parameters, rank.gradients, rank.optimizer) == (4 * PARAMETERS, 8 * PARAMETERS, 8 * PARAMETERS)
    assert rank.gathered == 0
    assert rank.total == rank.parameters + rank.gradients + rank.optimizer + rank.activations


@pytest.mark.usefixtures("warm_dry_run")
def test_pipeline_ranks_share_the_parameters_and_the_first_holds_most_microbatches() -> None:
    found = estimate(RECIPE, DATA, ParallelDims(pp=2, schedule="1F1B", microbatches=4), 8, "cpu", ADAMW)
    first, second = found.ranks
    assert first.parameters + second.parameters == 4 * PARAMETERS
    assert first.activations > second.activations
    assert found.fullest is first


@pytest.mark.usefixtures("warm_dry_run")
def test_a_recipe_without_a_plan_is_counted() -> None:
    """Two inputs, 16 hidden, one output: 65 parameters, of which FSDP2 gathers all."""
    recipe = TinyRecipe(TinyConfig())
    found = estimate(recipe, recipe.prepare(), ParallelDims(dp_shard=2), 8, "cpu", ADAMW)
    (rank,) = found.ranks
    assert found.parameters == 65
    # Rows are what is sharded: the output's single one stays with the first rank.
    assert rank.parameters == 4 * (8 * 2 + 8 + 16 + 1)
    assert rank.activations > 4 * 4 * (2 + 16)
    assert rank.gathered > 4 * 65
