"""Pipeline parallelism: a model cut into stages, and one pass of a batch's microbatches through all of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage
from torch.distributed.pipelining.schedules import PipelineScheduleMulti, get_schedule_class

from app.training.config.parallel_dims import ParallelDims
from app.training.parallel.stages import cut, stages_of
from app.training.recipe import ParallelPlan

Criterion = Callable[[Tensor, Tensor], Tensor]


def take_stage(model: nn.Module, chain: Sequence[str], kept: Collection[str]) -> nn.Module:
    """A copy of ``model`` (on the meta device: it costs nothing) without the modules of other stages. Names do not
    change, so that checkpoints and initial weights do not know of stages."""
    stage = copy.deepcopy(model)
    for name in chain:
        if name not in kept:
            parent, _, child = name.rpartition(".")
            holder = stage.get_submodule(parent)
            if isinstance(holder, nn.ModuleDict):
                del holder[child]
            else:
                setattr(holder, child, None)
    return stage


def take_parts(
    model: nn.Module, plan: ParallelPlan, layout: ParallelDims, rank: int
) -> tuple[tuple[int, ...], tuple[nn.Module, ...]]:
    """The stages of pipeline rank ``rank`` by index, and the part of ``model`` (on the meta device) that each is."""
    if layout.pp == 1:
        return (0,), (model,)
    indices = stages_of(rank, layout)
    names = cut(plan.chain, plan.blocks, layout.stages)
    return indices, tuple(take_stage(model, plan.chain, names[index]) for index in indices)


class Pipeline:
    """The stages of this rank and their schedule."""

    def __init__(
        self,
        parts: Sequence[nn.Module],
        indices: Sequence[int],
        layout: ParallelDims,
        group: dist.ProcessGroup,
        device: torch.device,
        criterion: Criterion,
    ) -> None:
        assert layout.schedule is not None
        stages = [
            PipelineStage(part, index, layout.stages, device, group=group)
            for part, index in zip(parts, indices, strict=True)
        ]
        kind = get_schedule_class(layout.schedule)
        # The criterion gives each microbatch its share of the mean, so gradients need no scaling afterwards.
        self._schedule = kind(
            stages if issubclass(kind, PipelineScheduleMulti) else stages[0],
            n_microbatches=layout.microbatches,
            loss_fn=criterion,
            scale_grads=False,
        )
        self._first = 0 in indices
        self._last = layout.stages - 1 in indices

    def backward(self, given: Tensor, target: Tensor, shared: Mapping[str, Tensor]) -> list[Tensor]:
        """Forward and backward over all microbatches; gradients accumulate.

        Args:
            given: the model's input; target: the criterion's; first dimension rows, which microbatches share.
            shared: keyword arguments of every stage.

        Returns:
            The criterion of each microbatch on the rank with the last stage, else nothing.
        """
        losses: list[Tensor] = []
        self._step(given, target, shared, losses, return_outputs=False)
        return losses

    def output(self, given: Tensor, target: Tensor, shared: Mapping[str, Tensor]) -> Tensor | None:
        """The last stage's output on the rank that holds it, first dimension rows. Takes what ``backward`` takes, and
        goes backward too: every schedule can do both, not every one only the first half."""
        found: Tensor | None = self._step(given, target, shared, [], return_outputs=True)
        return found if self._last else None

    def _step(
        self, given: Tensor, target: Tensor, shared: Mapping[str, Tensor], losses: list[Tensor], return_outputs: bool
    ) -> Any:
        return self._schedule.step(
            *((given,) if self._first else ()),
            target=target if self._last else None,
            losses=losses if self._last else None,
            return_outputs=return_outputs,
            **shared,
        )
