"""The most memory that a rank takes while it trains, by layout."""

from __future__ import annotations

import resource
from pathlib import Path

import torch
import torch.distributed as dist
from torch.optim import AdamW

from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe
from app.training.config.layout import Layout
from app.training.config.schedule import Plan
from app.training.parallel.distributed_model import spread
from app.training.parallel.mesh import build_mesh
from app.training.recipe import Data
from app.training.worker.checkpoint import prepare
from app.training.worker.loader import Loader


def peak_bytes(data: Data, size: str, layout: Layout) -> int:
    """As one rank: resident memory at its peak over three steps, less that before there was a model."""
    before = _resident()
    recipe, cpu = ByteLMRecipe(ByteLMConfig(size=size, sequence=128)), torch.device("cpu")
    mesh = build_mesh(layout.degrees, "cpu", layout.ep)
    model = spread(recipe, data, layout, mesh, cpu, 0)
    optimizer = AdamW(model.parameter_groups())
    prepare(optimizer, 0)
    batch = 2 * layout.degrees.dp
    loader = Loader(data.train, Plan(len(data.train["tokens"]), batch, 1, 0), mesh.dp_rank, layout.degrees.dp, cpu)
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
