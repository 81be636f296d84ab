"""The training loop over a recipe's rows, in any layout: the code that every worker runs."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from app.training.config.parallel_dims import ParallelDims
from app.training.config.schedule import BatchPlan, dropout_seed, learning_rate
from app.training.config.train_config import TrainConfig
from app.training.optimizer import RankOptimizer, find_optimizer
from app.training.parallel.distributed_model import DistributedModel, distribute_model
from app.training.parallel.mesh import Mesh, build_mesh
from app.training.parallel.parallelize import device_type
from app.training.recipe import Data, Recipe, row_count
from app.training.storage.run_folder import RunFolder
from app.training.worker.checkpoint import Checkpointer, Retention, check_shared
from app.training.worker.command_channel import CommandChannel
from app.training.worker.loader import Loader
from app.training.worker.probe import save_probe_batch
from app.training.worker.profiler import Steps, profiling
from app.training.worker.protocol import DriverLink, Heartbeat, Report, Started, StepReport, WorkerCommand

HEARTBEAT_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Task:
    """The task of every rank of a group.

    Attributes:
        folder: where the run keeps its checkpoints.
        link: to the run's driver; used by the first rank.
        node: id of the node that this rank is on, as its driver names nodes; empty without one.
    """

    config: TrainConfig
    recipe: Recipe
    data: Data
    folder: RunFolder
    link: DriverLink
    node: str = ""


def train_ranks(task: Task, layout: ParallelDims, device: torch.device) -> None:
    """Trains as one rank of the default process group, from the newest checkpoint to the end or until it is to leave.

    Raises:
        CheckpointError: a checkpoint cannot be written or read, or the ranks do not share the folder.
    """
    torch.set_num_threads(1)
    mesh = build_mesh(layout, device_type(device))
    _Rank(task, layout, mesh, device).run()


class _Rank:
    """One rank of a worker group."""

    def __init__(self, task: Task, layout: ParallelDims, mesh: Mesh, device: torch.device) -> None:
        config, data = task.config, task.data
        self._task, self._config, self._layout, self._device = task, config, layout, device
        self._rank = dist.get_rank()
        self._plan = BatchPlan(row_count(data.train), config.batch_size, config.epochs, config.seed)
        self._model: DistributedModel = distribute_model(task.recipe, data, layout, mesh, device, config.seed)
        self._optimizer = RankOptimizer(
            find_optimizer(config.optimizer),
            self._model.parameter_groups(),
            config.learning_rate,
            config.weight_decay,
        )
        self._loader = Loader(data.train, self._plan, mesh.dp_rank, layout.dp, device)
        # Ranks that hold parts of the same activations, along tp, must drop the same.
        self._dropout_rank = mesh.dp_rank * layout.cp + mesh.rank("cp")
        self._checkpoints = Checkpointer(
            task.folder,
            self._model,
            self._optimizer,
            _cpu_group(),
            Retention(config.keep_checkpoints, config.keep_best),
            self._tell,
        )

    def run(self) -> None:
        """The loop."""
        check_shared(self._task.folder, _cpu_group())
        first = self._checkpoints.restore()
        self._report_start(first)
        for part in self._model.parts:
            part.train()
        with CommandChannel(self._task.link, self._rank, _cpu_group()) as signals, self._profile(first) as profiler:
            losses, since = torch.zeros((), device=self._device), first
            reported_at, reported_step, beat_at = time.monotonic(), first, 0.0
            for step in range(first, self._plan.steps):
                seen, norm = self._step(step)
                losses += seen
                profiler.step()
                agreed, last = signals.exchange(), step == self._plan.steps - 1
                if agreed & WorkerCommand.REPORT or step % _report_interval(self._plan) == 0 or last:
                    mean = float(self._model.mean_loss(seen))
                    now = time.monotonic()
                    speed = (step + 1 - reported_step) * self._config.batch_size / max(now - reported_at, 1e-9)
                    reported_at, reported_step = now, step + 1
                    stall_s = self._checkpoints.take_stall_s()
                    self._tell(StepReport(step, mean, self._rate(step), float(norm), speed, stall_s))
                if time.monotonic() - beat_at >= HEARTBEAT_EVERY_S:
                    beat_at = time.monotonic()
                    self._tell(Heartbeat(step))
                leave = bool(agreed & WorkerCommand.LEAVE)
                if last:
                    # Before the checkpoint: one at the last step must not be without it.
                    save_probe_batch(self._task.folder, self._model, self._loader.batch(0))
                if (step + 1) % self._config.checkpoint_every == 0 or last or leave:
                    self._checkpoints.save(step + 1, float(self._model.mean_loss(losses)) / (step + 1 - since))
                    losses, since = torch.zeros((), device=self._device), step + 1
                if leave and not last:
                    self._checkpoints.finish()
                    return
        self._checkpoints.finish()

    def _step(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """One update; returns what this rank saw of the loss, and the gradients' norm."""
        self._optimizer.set_learning_rate(self._rate(step))
        torch.manual_seed(dropout_seed(self._config.seed, step, self._dropout_rank))
        self._optimizer.zero_grad()
        seen = self._model.backward(self._loader.batch(step))
        norm = self._model.clip(self._config.clip_norm)
        self._optimizer.step()
        return seen, norm

    def _rate(self, step: int) -> float:
        return learning_rate(step, self._plan.steps, self._config.learning_rate, self._config.warmup_share)

    def _tell(self, report: Report) -> None:
        if self._rank == 0:
            self._task.link.send(report)

    def _profile(self, first: int) -> AbstractContextManager[Steps]:
        return profiling(self._config.profile, first, self._rank, self._task.folder)

    def _report_start(self, first: int) -> None:
        mine = os.getpid(), self._task.node
        everyone: list[tuple[int, str] | None] = [None] * dist.get_world_size()
        dist.all_gather_object(everyone, mine)
        pids, nodes = zip(*(each for each in everyone if each is not None), strict=True)
        name = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else ""
        layout = f"{self._layout}, accumulation {self._layout.accumulation}"
        self._tell(Started(first, len(pids), layout, pids, nodes, str(self._device), name))


def _cpu_group() -> dist.ProcessGroup:
    """All ranks, talking past the GPUs, apart from the default group."""
    found: dist.ProcessGroup = dist.new_group(backend="gloo")
    return found


def _report_interval(plan: BatchPlan) -> int:
    return max(1, plan.steps // 200)
