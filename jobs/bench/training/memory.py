"""The most memory that a rank takes while it trains, by layout."""

from __future__ import annotations

import resource
from pathlib import Path

import torch
import torch.distributed as dist

from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe
from app.training.config.parallel_dims import ParallelDims
from app.training.config.schedule import BatchPlan
from app.training.optimizer import ADAMW, RankOptimizer
from app.training.parallel.distributed_model import distribute_model
from app.training.parallel.mesh import build_mesh
from app.training.recipe import Data
from app.training.worker.loader import Loader


def peak_bytes(data: Data, size: str, layout: ParallelDims) -> int:
    """Returns the peak of this rank's resident memory over three steps, less that before there was a model."""
    before = _resident()
    recipe, cpu = ByteLMRecipe(ByteLMConfig(size=size, sequence=128)), torch.device("cpu")
    mesh = build_mesh(layout, "cpu")
    model = distribute_model(recipe, data, layout, mesh, cpu, 0)
    optimizer = RankOptimizer(ADAMW, model.parameter_groups(), 1e-3, 0.01)
    batch = 2 * layout.dp
    loader = Loader(data.train, BatchPlan(len(data.train["tokens"]), batch, 1, 0), mesh.dp_rank, layout.dp, cpu)
    for step in range(3):
        optimizer.zero_grad()
        model.backward(loader.batch(step))
        model.clip(1.0)
        optimizer.step()
    dist.barrier()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
