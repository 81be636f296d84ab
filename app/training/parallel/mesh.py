"""The device mesh: one for all kinds of parallelism, and the views of it that each kind needs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from app.training.config.parallel_dims import DIMENSIONS, Device, ParallelDims


@dataclass(frozen=True, slots=True)
class ExpertMesh:
    """This rank's place among those that hold experts.

    Attributes:
        exchange: ranks that hold different experts and send each other tokens, as one dimension.
        gradients: ranks that hold the same experts and sum their gradients: ("replicate",), ("shard",) or both.
    """

    exchange: DeviceMesh
    gradients: DeviceMesh


@dataclass(frozen=True, slots=True)
class Mesh:
    """This rank's place.

    Attributes:
        whole: all dimensions, outermost first as in ``DIMENSIONS``.
        gradients: ranks over which gradients are averaged: ("replicate",), ("shard",) or both; context ranks are
            among those that shard, or, where nothing is sharded, among those that replicate.
        losses: ranks whose losses make up the global one: all but tp, as one dimension.
        experts: None where every rank holds all experts.
    """

    dims: ParallelDims
    whole: DeviceMesh
    gradients: DeviceMesh
    losses: DeviceMesh
    experts: ExpertMesh | None = None

    @property
    def dp_rank(self) -> int:
        """Index of this rank's part of the global batch, from 0 to ``dims.dp`` - 1."""
        return self.whole.get_local_rank("dp_replicate") * self.dims.dp_shard + self.whole.get_local_rank("dp_shard")

    def rank(self, dimension: str) -> int:
        """This rank's place along a dimension."""
        return self.whole.get_local_rank(dimension)

    def group(self, dimension: str) -> dist.ProcessGroup:
        """The ranks that differ from this one along a dimension only."""
        return self.whole.get_group(dimension)


def build_mesh(dims: ParallelDims, device: Device) -> Mesh:
    """Builds the mesh over the default process group, whose size must be ``dims.workers``. A collective call.

    Args:
        dims: ``ep`` is a divisor of dp_shard·cp.
    """
    assert dist.get_world_size() == dims.workers
    whole = init_device_mesh(device, dims.mesh_shape, mesh_dim_names=DIMENSIONS)
    losses = whole["pp", "dp_replicate", "dp_shard", "cp"]._flatten("losses")
    return Mesh(dims, whole, _gradients(dims, whole), losses, _experts(dims, whole) if dims.ep > 1 else None)


def _gradients(dims: ParallelDims, whole: DeviceMesh) -> DeviceMesh:
    if dims.dp_shard == 1:
        return whole["dp_replicate", "dp_shard", "cp"]._flatten("replicate")
    shard = whole["dp_shard", "cp"]._flatten("shard")
    if dims.dp_replicate == 1:
        return shard
    with warnings.catch_warnings():  # torch announces another way for HSDP × CP but has none yet in 2.13
        warnings.filterwarnings("ignore", message="Slicing a flattened dim")
        return whole["dp_replicate", "shard"]


def _experts(dims: ParallelDims, whole: DeviceMesh) -> ExpertMesh:
    ep = dims.ep
    others = dims.dp_shard * dims.cp // ep
    inner = whole["dp_shard", "cp"]._flatten("shard")._unflatten(0, (others, ep), ("expert_shard", "ep"))
    outer = DeviceMesh._concatenate([whole["dp_replicate"], inner["expert_shard"]])
    if dims.dp_shard == 1:
        return ExpertMesh(inner["ep"], outer._flatten("expert_replicate"))
    return ExpertMesh(inner["ep"], outer if dims.dp_replicate > 1 else inner["expert_shard"])
