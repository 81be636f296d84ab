"""The time that training waits for a checkpoint: saved beside it, and saved while it stands still."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
import torch.distributed as dist

from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe
from app.training.config.parallel_dims import ParallelDims
from app.training.config.schedule import BatchPlan
from app.training.optimizer import ADAMW, RankOptimizer
from app.training.parallel.distributed_model import distribute_model
from app.training.parallel.mesh import build_mesh
from app.training.recipe import Data
from app.training.storage.run_folder import RunFolder
from app.training.worker.checkpoint import Checkpointer, Retention
from app.training.worker.loader import Loader

STEPS_BETWEEN = 3


@dataclass(frozen=True, slots=True)
class Saving:
    """Seconds that training waited for each checkpoint, and the bytes of one."""

    asynchronous: tuple[float, ...]
    synchronous: tuple[float, ...]
    size: int

    @property
    def ratio(self) -> float:
        """Median stall of the one over that of the other."""
        return median(self.asynchronous) / median(self.synchronous)


def measure_saving(data: Data, size: str, saves: int, folder: Path) -> Saving:
    """Saves checkpoints of both kinds in turns, as one rank of those that shard a decoder of ``size``."""
    recipe, cpu = ByteLMRecipe(ByteLMConfig(size=size, sequence=128)), torch.device("cpu")
    layout = ParallelDims(dp_shard=dist.get_world_size())
    mesh = build_mesh(layout, "cpu")
    model = distribute_model(recipe, data, layout, mesh, cpu, 0)
    optimizer = RankOptimizer(ADAMW, model.parameter_groups(), 1e-3, 0.01)
    run = RunFolder(str(folder))
    checkpoints = Checkpointer(run, model, optimizer, dist.new_group(backend="gloo"), Retention(1, 0), lambda _: None)
    loader = Loader(data.train, BatchPlan(len(data.train["tokens"]), 4, 1, 0), mesh.dp_rank, layout.dp, cpu)
    stalls: dict[bool, list[float]] = {True: [], False: []}
    for save in range(2 * (saves + 1)):
        for step in range(STEPS_BETWEEN):
            optimizer.zero_grad()
            model.backward(loader.batch(step))
            optimizer.step()
        waiting = bool(save % 2)
        checkpoints.finish()
        dist.barrier()
        started = time.perf_counter()
        checkpoints.save(save + 1, 0.0)
        if waiting:
            checkpoints.finish()
        if save > 1:  # the first of each kind makes buffers and imports
            stalls[waiting].append(time.perf_counter() - started)
    checkpoints.finish()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Saving(tuple(stalls[False]), tuple(stalls[True]), 12 * parameters)
