"""What every worker runs: the data-parallel loop over a recipe's rows."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
import torch
import torch.distributed as dist
from torch import nn
from torch.optim import AdamW

from app.training import checkpoint
from app.training.config import TrainConfig
from app.training.degrees import Degrees
from app.training.layout import Layout
from app.training.loader import Loader
from app.training.mesh import build_mesh
from app.training.monitor import Started, StepReport
from app.training.parallelize import device_type
from app.training.recipe import Columns, Data, Recipe
from app.training.schedule import Plan, dropout_seed, learning_rate
from app.training.spread import spread


@dataclass(frozen=True, slots=True)
class Job:
    """What the driver hands to every worker. The arrays travel as object references, without copies on a node.

    Attributes:
        train: object reference by column name.
        test: the same for the held-out rows; constants may come from either.
        monitor: the monitor actor.
    """

    config: TrainConfig
    recipe: Recipe
    train: Mapping[str, Any]
    test: Mapping[str, Any]
    fingerprint: str
    facts: Mapping[str, str | int | float]
    monitor: Any

    def data(self) -> Data:
        """The recipe's data, arrays read in place from the object store."""
        return Data(_fetched(self.train), _fetched(self.test), self.fingerprint, self.facts)


def train_worker(loop_config: dict[str, Job]) -> None:
    """Train ``loop_config["job"]`` from the start, or from the newest checkpoint, to the end."""
    job = loop_config["job"]
    config, recipe = job.config, job.recipe
    context = ray.train.get_context()
    rank, ranks = context.get_world_rank(), context.get_world_size()
    device = ray.train.torch.get_device()
    assert isinstance(device, torch.device)
    torch.set_num_threads(1)

    data = job.data()
    plan = Plan(_rows(data.train), config.batch_size, config.epochs, config.seed)
    layout = Layout(Degrees(dp_replicate=ranks))
    mesh = build_mesh(layout.degrees, device_type(device))
    model = spread(recipe, data, layout, mesh, device, config.seed)
    (plain,) = model.parts
    optimizer = AdamW(model.parameter_groups(), lr=config.learning_rate, weight_decay=config.weight_decay)
    first = _resume(plain, optimizer)
    loader = Loader(data.train, plan, mesh.dp_rank, layout.degrees.dp, device)
    pids = _gather_pids(ranks)
    if rank == 0:
        job.monitor.tell.remote(Started(first, ranks, pids, str(device)))

    plain.train()
    reported_at, reported_step = time.monotonic(), first
    for step in range(first, plan.steps):
        rate = learning_rate(step, plan.steps, config.learning_rate, config.warmup_share)
        for group in optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(dropout_seed(config.seed, step, rank))
        optimizer.zero_grad(set_to_none=True)
        seen = model.backward(loader.batch(step))
        norm = model.clip(config.clip_norm)
        optimizer.step()

        last = step == plan.steps - 1
        if step % _report_interval(plan) == 0 or last:
            mean = float(model.mean_loss(seen))
            if rank == 0:
                now = time.monotonic()
                speed = (step + 1 - reported_step) * config.batch_size / max(now - reported_at, 1e-9)
                job.monitor.tell.remote(StepReport(step, mean, rate, float(norm), speed))
                reported_at, reported_step = now, step + 1
        if (step + 1) % config.checkpoint_every == 0 or last:
            _checkpoint(rank, plain, optimizer, step + 1)


def _fetched(references: Mapping[str, Any]) -> Columns:
    return dict(zip(references, ray.get(list(references.values())), strict=True))


def _rows(columns: Columns) -> int:
    return len(next(iter(columns.values())))


def _report_interval(plan: Plan) -> int:
    return max(1, plan.steps // 200)


def _resume(model: nn.Module, optimizer: AdamW) -> int:
    found = ray.train.get_checkpoint()
    if found is None:
        return 0
    with found.as_directory() as folder:
        saved = checkpoint.load(Path(folder))
    model.load_state_dict(saved.model)
    optimizer.load_state_dict(saved.optimizer)
    return saved.next_step


def _checkpoint(rank: int, model: nn.Module, optimizer: AdamW, next_step: int) -> None:
    metrics = {"next_step": next_step}
    if rank != 0:
        ray.train.report(metrics)
        return
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save(Path(folder), model, optimizer, next_step)
        ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


def _gather_pids(ranks: int) -> tuple[int, ...]:
    if ranks == 1:
        return (os.getpid(),)
    pids: list[int | None] = [None] * ranks
    dist.all_gather_object(pids, os.getpid())
    return tuple(pid for pid in pids if pid is not None)
