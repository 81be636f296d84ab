"""The task as it travels from the driver to Ray Train's workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ray.train.torch
import torch

from app.training.config.train_config import TrainConfig
from app.training.driver.monitor import MonitorLink
from app.training.recipe import Recipe
from app.training.shared_data import Shared
from app.training.storage.run_folder import RunFolder
from app.training.worker.loop import Task, train_ranks


@dataclass(frozen=True, slots=True)
class Job:
    """The task that the driver sends to every worker, with references instead of data."""

    config: TrainConfig
    recipe: Recipe
    data: Shared
    folder: RunFolder
    link: MonitorLink


def train_worker(loop_config: dict[str, Any]) -> None:
    """Ray Train's training function: ``loop_config["job"]`` in ``loop_config["layout"]``."""
    job: Job = loop_config["job"]
    device = ray.train.torch.get_device()
    assert isinstance(device, torch.device)
    node = str(ray.get_runtime_context().get_node_id())
    task = Task(job.config, job.recipe, job.data.get(), job.folder, job.link, node)
    train_ranks(task, loop_config["layout"], device)
