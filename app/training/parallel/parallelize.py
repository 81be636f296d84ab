"""Distributes one plain, single-device part of a model over its mesh, from the outside.

The order matters: tensor parallelism decides what a matrix is, checkpointing and compilation wrap the result, and
data parallelism shards or replicates what they leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn
from torch.distributed._composable.replicate_with_fsdp import replicate
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import Shard
from torch.distributed.tensor.parallel import parallelize_module
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from app.training.config.parallel_dims import Device, ParallelDims
from app.training.parallel.context_parallel import share_attention
from app.training.parallel.expert_parallel import share_experts
from app.training.parallel.initialization import materialise
from app.training.parallel.mesh import Mesh
from app.training.recipe import ParallelPlan, ParallelRecipe


def parallelize(
    part: nn.Module,
    recipe: ParallelRecipe,
    plan: ParallelPlan,
    layout: ParallelDims,
    mesh: Mesh,
    device: torch.device,
    seed: int,
) -> nn.Module:
    """Distributes ``part`` (on the meta device: a pipeline stage, or the whole model) and fills it.

    Returns:
        The module that is called instead of it.
    """
    partition(part, plan, layout, mesh, device_type(device))
    materialise(part, recipe, seed, device)
    return synchronise(part, layout, mesh, device)


def partition(part: nn.Module, plan: ParallelPlan, layout: ParallelDims, mesh: Mesh, device: Device) -> None:
    """Cuts ``part`` to this rank's share, in place. It stays on the meta device: nothing is allocated, and there need
    not be a ``device`` of that kind."""
    modules = dict(part.named_modules())
    blocks = [modules[name] for name in plan.blocks if name in modules]
    if layout.tp > 1:
        assert plan.tensor is not None
        styles = plan.tensor(layout.sequence_parallel, layout.loss_parallel)
        here = {name: style for name, style in styles.items() if name in modules}
        parallelize_module(part, mesh.whole["tp"], here)
    if layout.cp > 1 and not layout.ring(device):
        for name in plan.attention:
            if name in modules:
                share_attention(modules[name], mesh.group("cp"))
    experts = [modules[name] for name in plan.experts if name in modules]
    for module in experts:
        if layout.ep > 1:
            assert mesh.experts is not None, "build_mesh was not given the layout's ep"
            share_experts(module, mesh.experts.exchange)
        if layout.compile:
            # Each gets another number of tokens each time: they would be compiled again and again.
            module.forward = torch.compiler.disable(module.forward)  # type: ignore[no-untyped-call]
    for block in blocks:
        if layout.activation_checkpointing:
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)
        if layout.compile:
            block.compile()
    if layout.uses_fsdp2:
        shard(part, blocks, layout, mesh, experts if layout.ep > 1 else ())


def shard(
    part: nn.Module, blocks: Sequence[nn.Module], layout: ParallelDims, mesh: Mesh, experts: Sequence[nn.Module] = ()
) -> None:
    """FSDP2: block by block, then what is left. Replicas, or shards (of replicas: HSDP).

    Args:
        experts: those that ``share_experts`` has cut; fewer ranks hold the same of them, on a mesh of their own.
    """
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    if layout.precision == "float32":
        policy = MixedPrecisionPolicy()

    def distribute(module: nn.Module, over: DeviceMesh, dimension: int) -> None:
        if layout.dp_shard == 1:
            replicate(module, mesh=over, mp_policy=policy)
            return
        fully_shard(
            module,
            mesh=over,
            # In a pipeline a stage's weights are used by one microbatch after the other: gather them once.
            reshard_after_forward=layout.pp == 1,
            shard_placement_fn=lambda _: Shard(dimension),
            mp_policy=policy,
        )

    for module in experts:
        assert mesh.experts is not None
        # By inner width: along the first dimension they are cut already.
        distribute(module, mesh.experts.gradients, 1)
    for module in (*blocks, part):
        distribute(module, mesh.gradients, 0)


def synchronise(part: nn.Module, layout: ParallelDims, mesh: Mesh, device: torch.device) -> nn.Module:
    """DDP where the layout uses it, and autocast where no FSDP2 casts. The weights are equal on all ranks already."""
    if layout.precision == "bfloat16" and not layout.uses_fsdp2:
        part.forward = torch.autocast(device.type, torch.bfloat16)(part.forward)
    if not layout.uses_ddp:
        return part
    return DistributedDataParallel(part, process_group=mesh.gradients.get_group(), init_sync=False)


def device_type(device: torch.device) -> Device:
    """The kind of device, as layouts know it."""
    return "cuda" if device.type == "cuda" else "cpu"
