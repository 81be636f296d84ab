"""Loads are those of the global batch in every layout: to the token, and each step once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import pytest
from torch import Tensor, nn

from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe
from app.training.config.parallel_dims import ParallelDims
from app.training.parallel.distributed_model import distribute_model
from app.training.parallel.mesh import build_mesh
from app.training.recipe import Data, ParallelPlan
from app.training.worker.loader import Loader
from tests.recipes.bytelm.support import prose
from tests.support.process_group import in_processes
from tests.training.layouts.run import CPU, Run

Loads = dict[str, list[int]]
"""Tokens by expert of one step after the other, by mixture."""


class Listening(ByteLMRecipe):
    """Writes loads down and changes nothing."""

    def __init__(self, config: ByteLMConfig) -> None:
        super().__init__(config)
        self.seen: Loads = {}

    def parallel_plan(self, data: Data) -> ParallelPlan:
        return replace(super().parallel_plan(data), balance=self._listen)

    def _listen(self, part: nn.Module, loads: Mapping[str, Tensor]) -> None:
        for name, counts in loads.items():
            self.seen.setdefault(name, []).extend(counts.tolist())


@pytest.fixture(scope="module")
def run() -> Run:
    return Run(Listening(ByteLMConfig(size="3m-a1m", sequence=32)), prose(sequence=32), steps=2, batch_size=8)


def loads(run: Run, layout: ParallelDims) -> Loads:
    """Loads that one rank counts. Weights and biases stay; a look at the output comes between the steps."""
    assert isinstance(run.recipe, Listening)
    mesh = build_mesh(layout, "cpu")
    model = distribute_model(run.recipe, run.data, layout, mesh, CPU, run.seed)
    loader = Loader(run.data.train, run.plan, mesh.dp_rank, layout.dp, CPU)
    for step in range(run.steps):
        model.backward(loader.batch(step))
        model.output(loader.batch(0))
    return run.recipe.seen


@pytest.mark.parametrize(
    "layout",
    [
        ParallelDims(dp_replicate=2, accumulation=2),
        ParallelDims(dp_shard=2, ep=2, accumulation=2, activation_checkpointing=True),
        ParallelDims(pp=2, schedule="ZBVZeroBubble", microbatches=4, accumulation=2, activation_checkpointing=True),
        ParallelDims(dp_replicate=2, cp=2, ep=2),
        ParallelDims(dp_replicate=2, dp_shard=2),
    ],
    ids=lambda layout: f"ep={layout.ep} of {layout}",
)
def test_every_token_counts_once(run: Run, layout: ParallelDims) -> None:
    (wanted,) = in_processes(1, partial(loads, run, ParallelDims()))
    assert all(sum(counts) == run.steps * 8 * 32 * 2 for counts in wanted.values())
    found: Loads = {}
    for rank in in_processes(layout.workers, partial(loads, run, layout)):
        assert all(found.get(name, counts) == counts for name, counts in rank.items())
        found |= rank
    assert found == wanted
