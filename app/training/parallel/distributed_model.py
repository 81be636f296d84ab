"""A recipe's model distributed over the processes of a run, which the loop holds instead of a plain model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import loss_parallel
from torch.nn.parallel import DistributedDataParallel

from app.training.config.parallel_dims import ParallelDims
from app.training.parallel.balance import Balancer
from app.training.parallel.clipping import clip
from app.training.parallel.context_parallel import gather_positions, positions_of, ring_attention, shard_positions
from app.training.parallel.mesh import Mesh
from app.training.parallel.parallelize import device_type, parallelize, shard, synchronise
from app.training.parallel.pipeline import Pipeline, take_parts
from app.training.parallel.tensors import by_mesh
from app.training.recipe import Data, ParallelPlan, ParallelRecipe, Recipe

OUTPUT_ROWS = 4
"""Rows of a model's output that are compared."""

Batch = Mapping[str, Tensor]
Backward = Callable[[Batch], list[Tensor]]
"""Forward and backward over one accumulated part; the losses of this rank, each its share of the rank's mean."""
Output = Callable[[Batch], Tensor | None]
"""The model's output for one accumulated part, on the ranks that hold the last stage."""


@dataclass(frozen=True, slots=True)
class Passes:
    """Passes of an accumulated part on this rank."""

    backward: Backward
    output: Output


@dataclass(frozen=True, slots=True)
class DistributedModel:
    """This rank's share of the model.

    Attributes:
        parts: plain or sharded modules, one for each pipeline stage that this rank holds, with the names that their
            parameters have in the whole model.
        called: what is called instead of each (DDP's wrapper, or the part itself).
        balancer: None where the recipe balances no experts.
    """

    parts: tuple[nn.Module, ...]
    called: tuple[nn.Module, ...]
    layout: ParallelDims
    mesh: Mesh
    _passes: Passes
    balancer: Balancer | None = None

    def backward(self, batch: Batch) -> Tensor:
        """Gradients of the mean loss over the global batch, added to those that there are. Afterwards the recipe
        balances its experts by their loads in this batch.

        Args:
            batch: this data-parallel rank's rows (``Loader.batch``).

        Returns:
            What this rank saw of the loss, a scalar; ``mean_loss`` makes the global one of it.
        """
        parts = _split(batch, self.layout.accumulation)
        device = next(self.parts[0].parameters()).device
        total = torch.zeros((), device=device)
        for index, part in enumerate(parts):
            with self._synchronised(index == len(parts) - 1):
                for loss in self._passes.backward(part):
                    total += _plain(loss.detach())
        if self.balancer is not None:
            self.balancer.step()
        return total

    def output(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor] | None:
        """Output for some rows of a batch, to compare with another layout's: the rows and the output, for all
        positions and classes; of a recipe without a plan, the mean loss. Leaves gradients behind. A
        collective call.

        Returns:
            None on ranks that do not hold the output, or hold the same as another.
        """
        part = _split(batch, self.layout.accumulation)[0]
        if self.layout.pp == 1:  # a pipeline takes as many rows as always
            part = {name: column[:OUTPUT_ROWS] for name, column in part.items()}
        for each in self.parts:
            each.eval()
        output = self._passes.output(part)
        for each in self.parts:
            each.train()
        first = self.mesh.dp_rank == self.mesh.rank("cp") == self.mesh.rank("tp") == 0
        return (part, output) if first and output is not None else None

    def mean_loss(self, seen: Tensor) -> Tensor:
        """The mean loss over the global batch, a scalar, the same on every rank. A collective call, apart from
        ``backward`` because not every step is reported."""
        total = seen.clone()
        dist.all_reduce(total, group=self.mesh.losses.get_group())
        return total / (self.layout.dp * self.layout.cp)

    def clip(self, largest: float) -> Tensor:
        """Clips by the global norm; returns the norm before, a scalar, the same on every rank."""
        pipeline = self.mesh.group("pp") if self.layout.pp > 1 else None
        return clip(self.parameters(), largest, pipeline)

    def parameters(self) -> list[nn.Parameter]:
        """This rank's parameters."""
        return [parameter for part in self.parts for parameter in part.parameters()]

    def parameter_groups(self) -> list[dict[str, list[nn.Parameter]]]:
        """The same as an optimizer takes them: one group for each mesh that they are on."""
        return [{"params": group} for group in by_mesh(self.parameters())]

    def _synchronised(self, last: bool) -> AbstractContextManager[object]:
        """Ranks exchange gradients with the last accumulated part only. A pipeline does so by itself, each time."""
        if self.layout.pp > 1:
            return nullcontext()
        (called,) = self.called
        if isinstance(called, FSDPModule):
            called.set_requires_gradient_sync(last)
        elif isinstance(called, DistributedDataParallel) and not last:
            held: AbstractContextManager[object] = called.no_sync()
            return held
        return nullcontext()


def distribute_model(
    recipe: Recipe, data: Data, layout: ParallelDims, mesh: Mesh, device: torch.device, seed: int
) -> DistributedModel:
    """Builds the recipe's model in a layout that ``validation.check_layout`` accepted. A collective call.

    A recipe with a plan is built on the meta device and filled shard by shard; any other is built whole on every
    rank, by torch's global seed.
    """
    # A linear layer's output is a view. That nothing changes it in place, the comparison with one process shows.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    if isinstance(recipe, ParallelRecipe):
        return _by_plan(recipe, data, layout, mesh, device, seed)
    torch.manual_seed(seed)
    whole = recipe.build(data).to(device)
    if layout.uses_fsdp2:
        shard(whole, [], layout, mesh)
    called = synchronise(whole, layout, mesh, device)

    def backward(batch: Batch) -> list[Tensor]:
        loss = recipe.loss(called, batch) / layout.accumulation
        loss.backward()  # type: ignore[no-untyped-call]
        return [loss]

    def output(batch: Batch) -> Tensor:
        with torch.no_grad():
            return recipe.loss(called, batch)

    return DistributedModel((whole,), (called,), layout, mesh, Passes(backward, output))


@dataclass(frozen=True, slots=True)
class _LocalModel:
    """This rank's share of a recipe's model, with all that its passes need.

    Attributes:
        called: what is called instead of each part; indices: the pipeline stage of each.
    """

    recipe: ParallelRecipe
    plan: ParallelPlan
    layout: ParallelDims
    mesh: Mesh
    device: torch.device
    called: tuple[nn.Module, ...]
    indices: tuple[int, ...]


def _by_plan(
    recipe: ParallelRecipe, data: Data, layout: ParallelDims, mesh: Mesh, device: torch.device, seed: int
) -> DistributedModel:
    plan = recipe.parallel_plan(data)
    with torch.device("meta"):
        model = recipe.build(data)
    indices, parts = take_parts(model, plan, layout, mesh.rank("pp"))
    called = tuple(parallelize(part, recipe, plan, layout, mesh, device, seed) for part in parts)
    held = _LocalModel(recipe, plan, layout, mesh, device, called, indices)
    passes = _in_context(_pipelined(held) if layout.pp > 1 else _whole(held), held)
    balancer = None
    if plan.balance is not None:
        times = layout.accumulation * layout.microbatches
        balancer = Balancer(parts, plan.experts, plan.balance, times, mesh.gradients)
    return DistributedModel(parts, called, layout, mesh, passes, balancer)


def _whole(held: _LocalModel) -> Passes:
    (model,) = held.called

    def output(batch: Batch) -> Tensor:
        found: Tensor = model(batch[held.plan.input], **_shared(batch))
        return found

    def backward(batch: Batch) -> list[Tensor]:
        loss = held.recipe.criterion(output(batch), batch[held.plan.target]) / held.layout.accumulation
        loss.backward()  # type: ignore[no-untyped-call]
        return [loss]

    return Passes(backward, output)


def _pipelined(held: _LocalModel) -> Passes:
    shares = held.layout.microbatches * held.layout.accumulation

    def criterion(output: Tensor, target: Tensor) -> Tensor:
        return held.recipe.criterion(output, target) / shares

    pipeline = Pipeline(held.called, held.indices, held.layout, held.mesh.group("pp"), held.device, criterion)

    def arguments(batch: Batch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        return batch[held.plan.input], batch[held.plan.target], _shared(batch)

    return Passes(
        lambda batch: pipeline.backward(*arguments(batch)), lambda batch: pipeline.output(*arguments(batch))
    )


def _in_context(passes: Passes, held: _LocalModel) -> Passes:
    """The same on this rank's positions, with logits sharded where the layout says so."""
    layout, mesh, plan, kind = held.layout, held.mesh, held.plan, device_type(held.device)
    # Also where ranks share no sequence: a later stage may see a part of the positions only (sequence parallel).
    positions = None
    if plan.attention:
        ranks, ring = layout.cp, layout.ring(kind)
        positions = positions_of(mesh.rank("cp"), ranks, plan.shape.sequence, ring).to(held.device)

    @contextmanager
    def here(batch: Batch) -> Iterator[Batch]:
        logits = loss_parallel() if layout.loss_parallel else nullcontext()
        with ring_attention(layout, mesh, kind), logits:
            yield batch if positions is None else shard_positions(batch, positions)

    def backward(batch: Batch) -> list[Tensor]:
        with here(batch) as part:
            return passes.backward(part)

    def output(batch: Batch) -> Tensor | None:
        with here(batch) as part:
            found = passes.output(part)
        if found is None or positions is None:
            return found
        return gather_positions(_plain(found.detach()), positions, mesh.group("cp"))

    return Passes(backward, output)


def _shared(batch: Batch) -> dict[str, Tensor]:
    return {"positions": batch["positions"]} if "positions" in batch else {}


def _split(batch: Batch, parts: int) -> list[dict[str, Tensor]]:
    chunks = {name: column.chunk(parts) for name, column in batch.items()}
    return [{name: pieces[index] for name, pieces in chunks.items()} for index in range(parts)]


def _plain(loss: Tensor) -> Tensor:
    return loss.full_tensor() if isinstance(loss, DTensor) else loss
