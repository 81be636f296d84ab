"""Memory of every kind of rank, before there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from app.training.config.parallel_dims import Device, ParallelDims
from app.training.dryrun.activations import Kept, kept
from app.training.dryrun.flight import most_in_flight
from app.training.dryrun.gathered import cast, gathered
from app.training.dryrun.held import Cut, Held, Stage, held
from app.training.dryrun.saved import saved_bytes
from app.training.optimizer import OptimizerKind
from app.training.recipe import Data, ParallelPlan, ParallelRecipe, Recipe


@dataclass(frozen=True, slots=True)
class RankMemory:
    """Bytes on the first rank of a pipeline rank; its peers hold as much, but for rounding.

    Attributes:
        rank: in the whole group.
        stages: pipeline stages that it holds, (0,) without a pipeline.
        parameters: exact, float32; gradients: as large, and DDP has a copy to send; optimizer: its states, exact.
        activations: estimated (``activations``), of the microbatches in flight and one block at work; for a recipe
            without a plan counted.
        gathered: estimated (``gathered``): weights and gradients beyond the rank's own.
    """

    pipeline_rank: int
    rank: int
    stages: tuple[int, ...]
    parameters: int
    gradients: int
    optimizer: int
    activations: int
    gathered: int

    @property
    def total(self) -> int:
        """The sum: a peak, at the first backward pass of a step. Not in it: the device's own context, communication
        buffers, what the allocator cannot use, and the copy in the host's memory that checkpoints are written from,
        as large as parameters and optimizer."""
        return self.parameters + self.gradients + self.optimizer + self.activations + self.gathered


@dataclass(frozen=True, slots=True)
class Estimate:
    """A layout's memory.

    Attributes:
        parameters: of the whole model, in elements.
        rows: that a rank computes with at once (a microbatch of an accumulated part).
        ranks: one for each pipeline rank.
    """

    layout: ParallelDims
    parameters: int
    rows: int
    ranks: tuple[RankMemory, ...]

    @property
    def fullest(self) -> RankMemory:
        """The rank that needs most."""
        return max(self.ranks, key=lambda rank: rank.total)


def estimate(
    recipe: Recipe, data: Data, layout: ParallelDims, batch_size: int, device: Device, optimizer: OptimizerKind
) -> Estimate:
    """Estimates the memory of each rank. Takes seconds, whatever the model's size and the number of workers.

    Args:
        layout: one that ``validation`` accepts.
        batch_size: rows per step over all ranks.
        device: the kind that is meant; none is needed here.

    Raises:
        RuntimeError: the model cannot be cut so after all.
    """
    rows = batch_size // layout.rows_quantum
    if isinstance(recipe, ParallelRecipe):
        plan: ParallelPlan | None = recipe.parallel_plan(data)
        with torch.device("meta"):
            model = recipe.build(data)
    else:
        plan, model = None, recipe.build(data).to("meta")
    parameters = sum(value.numel() for value in model.parameters())
    counted = 0 if plan else _counted(recipe, model, data, rows)
    pass_ = kept(plan.shape, layout, device, rows) if plan else Kept(0, 0, 0, counted, 0)
    ranks = tuple(_memory(rank, layout, pass_, optimizer) for rank in held(Cut(model, plan, layout, device)))
    return Estimate(layout, parameters, rows, ranks)


def _counted(recipe: Recipe, model: nn.Module, data: Data, rows: int) -> int:
    batch = {name: torch.from_numpy(column[:rows]).to("meta") for name, column in data.train.items()}

    def loss() -> Tensor:
        return recipe.loss(model, batch)

    return saved_bytes(model, loss)


def _memory(rank: Held, layout: ParallelDims, microbatch: Kept, optimizer: OptimizerKind) -> RankMemory:
    own = sum(stage.kept for stage in rank.stages)
    passes: Mapping[int, int] = {stage.index: _pass(stage, layout, microbatch) for stage in rank.stages}
    casts: Mapping[int, int] = {stage.index: cast(stage, layout) for stage in rank.stages}
    copies = max(casts.values()) if layout.activation_checkpointing else most_in_flight(rank.order, casts)
    return RankMemory(
        pipeline_rank=rank.pipeline_rank,
        rank=rank.rank,
        stages=tuple(passes),
        parameters=4 * own,
        gradients=4 * own * (2 if layout.uses_ddp else 1),
        optimizer=optimizer.state_bytes * own,
        activations=most_in_flight(rank.order, passes) + _beside(rank, layout, microbatch),
        gathered=gathered(rank.stages, layout) + copies,
    )


def _pass(stage: Stage, layout: ParallelDims, microbatch: Kept) -> int:
    """Bytes that one microbatch keeps in a stage."""
    ends = (microbatch.first if stage.index == 0 else 0) + (
        microbatch.last if stage.index == layout.stages - 1 else microbatch.boundary
    )
    return stage.blocks * microbatch.block + ends


def _beside(rank: Held, layout: ParallelDims, microbatch: Kept) -> int:
    """The block that is computed again, and a pipeline's buffers: one for each microbatch that a stage receives,
    and one for each gradient."""
    again = microbatch.inside if layout.activation_checkpointing else 0
    received = sum((stage.index > 0) + (stage.index < layout.stages - 1) for stage in rank.stages)
    return again + received * layout.microbatches * microbatch.boundary
