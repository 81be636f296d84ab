"""Weights are made where they are needed: a rank holds its share, and the shares are those of one process."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.testing._internal.distributed.fake_pg import FakeStore

from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe
from app.training.config.parallel_dims import ParallelDims
from app.training.parallel.distributed_model import distribute_model
from app.training.parallel.initialization import generator
from app.training.parallel.mesh import build_mesh
from tests.recipes.bytelm.support import prose
from tests.support.process_group import fork_server

RECIPE = ByteLMRecipe(ByteLMConfig(sequence=16))
DATA = prose(sequence=16, words=100)
CPU = torch.device("cpu")


def alone(layout: ParallelDims, recipe: ByteLMRecipe, rank: int) -> dict[str, NDArray[np.float32]]:
    """Tensors of one rank, by name, made in a group whose others do not exist: nothing can come from them."""
    dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=layout.workers)
    model = distribute_model(recipe, DATA, layout, build_mesh(layout, "cpu"), CPU, seed=5)
    return {
        name: (value.to_local() if isinstance(value, DTensor) else value).detach().numpy()
        for part in model.parts
        for name, value in part.named_parameters()
    }


def shares(layout: ParallelDims, recipe: ByteLMRecipe = RECIPE) -> list[dict[str, Tensor]]:
    """Tensors of each rank. A process for each: torch remembers of a mesh which rank it first was."""
    with ProcessPoolExecutor(1, mp_context=fork_server(), max_tasks_per_child=1) as pool:
        ranks = pool.map(partial(alone, layout, recipe), range(layout.workers))
        return [{name: torch.from_numpy(value) for name, value in held.items()} for held in ranks]


def expected(name: str, shape: torch.Size, recipe: ByteLMRecipe = RECIPE) -> Tensor:
    whole = torch.empty(shape)
    recipe.initialise(name, whole, generator(5, name))
    return whole


@pytest.fixture(scope="module")
def shapes() -> dict[str, torch.Size]:
    """Shapes of the whole model's parameters, by name."""
    return {name: value.shape for name, value in RECIPE.build(DATA).named_parameters()}


def test_shards_together_are_the_whole(shapes: dict[str, torch.Size]) -> None:
    ranks = shares(ParallelDims(dp_shard=4))
    for name, shape in shapes.items():
        assert torch.equal(torch.cat([held[name] for held in ranks]), expected(name, shape)), name
    assert {sum(value.numel() for value in held.values()) for held in ranks} == {RECIPE.size.parameters // 4}


def test_tensor_parallel_shards_of_shards_together_are_the_whole(shapes: dict[str, torch.Size]) -> None:
    """FSDP2 over tensor parallel: rows are cut by tp first, then by dp_shard (ranks dp_shard·2 + tp)."""
    ranks = shares(ParallelDims(dp_shard=2, tp=2))
    column, row = "blocks.3.attention.query.weight", "blocks.3.attention.output.weight"
    assert torch.equal(torch.cat([ranks[rank][column] for rank in (0, 2, 1, 3)]), expected(column, shapes[column]))
    halves = [torch.cat([ranks[tp][row], ranks[2 + tp][row]]) for tp in (0, 1)]
    assert torch.equal(torch.cat(halves, dim=1), expected(row, shapes[row]))


def test_shards_of_experts_together_are_the_whole() -> None:
    """Cut by expert over ep, then by inner width over the other ranks (ranks shard·2 + ep)."""
    mixture = ByteLMRecipe(ByteLMConfig(size="3m-a1m", sequence=16))
    ranks = shares(ParallelDims(dp_shard=4, ep=2), mixture)
    name = "blocks.3.feed_forward.experts.down"
    halves = [torch.cat([ranks[ep][name], ranks[2 + ep][name]], dim=1) for ep in (0, 1)]
    assert torch.equal(torch.cat(halves), expected(name, torch.Size([8, 144, 128]), mixture))


def test_stages_share_the_names_and_the_values_of_the_whole(shapes: dict[str, torch.Size]) -> None:
    ranks = shares(ParallelDims(pp=2, schedule="ZBVZeroBubble", microbatches=4))
    assert not ranks[0].keys() & ranks[1].keys()
    held = ranks[0] | ranks[1]
    assert held.keys() == shapes.keys()
    assert all(torch.equal(value, expected(name, shapes[name])) for name, value in held.items())
    assert {"embedding.weight", "head.weight"} <= ranks[0].keys()  # the way down begins and the way up ends there
