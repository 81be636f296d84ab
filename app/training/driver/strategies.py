"""The two ways to train: ranks that exchange gradients, in any layout; and servers that hold the parameters."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from matplotlib.figure import Figure
from torch import nn

from app.settings import TrainingSettings
from app.training.config.parallel_dims import ParallelDims
from app.training.config.schedule import BatchPlan
from app.training.config.train_config import ConfigError, TrainConfig
from app.training.driver.job import Job
from app.training.driver.monitor import MonitorLink
from app.training.driver.supervisor import LOOK_EVERY_S, StoppedError, Supervisor, TrainingError
from app.training.parameter_server import checkpoints
from app.training.parameter_server.failures import ParameterServerError
from app.training.parameter_server.job import Optimization, ServerJob
from app.training.parameter_server.train import ServerResult, Summary, train_with_servers
from app.training.recipe import Data, Recipe
from app.training.shared_data import Shared
from app.training.storage.run_folder import RunFolder
from app.training.tracking.progress import RunProgress
from app.training.worker.checkpoint import CheckpointError, load_whole
from app.training.worker.probe import check_probe


@dataclass(frozen=True, slots=True)
class Run:
    """The parts of a run on its driver.

    Attributes:
        monitor: the run's monitor actor.
        layouts: by number of workers; stop: set to stop the run.
    """

    config: TrainConfig
    recipe: Recipe
    data: Data
    plan: BatchPlan
    layouts: Mapping[int, ParallelDims]
    use_gpu: bool
    folder: RunFolder
    settings: TrainingSettings
    monitor: Any
    progress: RunProgress
    stop: threading.Event


def resume_step(config: TrainConfig, folder: RunFolder) -> int:
    """Step that a run goes on from by the newest complete checkpoint in its folder, 0 without one."""
    if config.strategy == "parameter_server":
        return max(checkpoints.complete(_servers_folder(folder)), default=0)
    newest = folder.newest()
    return newest.step if newest else 0


def check_storage(config: TrainConfig, folder: RunFolder) -> None:
    """Refuses a folder that the strategy cannot use.

    Raises:
        ConfigError: parameter servers, and an address of a store.
    """
    if config.strategy == "parameter_server" and "://" in folder.url:
        raise ConfigError(
            f"strategy = 'parameter_server': servers write their checkpoints to a local folder that all nodes reach, "
            f"not to {folder.url}; accepted is another TIDEGATE_TRAINING_STORAGE"
        )


def trained_model(run: Run) -> tuple[nn.Module, float | None]:
    """Trains to the last step.

    Returns:
        The plain model on the CPU, and the largest difference of its outputs from the distributed model's (relative
        to the largest output; None where it never was distributed).

    Raises:
        StoppedError, TrainingError, ExportError: see :func:`app.training.driver.run.train`.
    """
    if run.config.strategy == "parameter_server":
        return _by_servers(run), None
    return _by_ranks(run)


def _by_ranks(run: Run) -> tuple[nn.Module, float]:
    job = Job(run.config, run.recipe, Shared.put(run.data), run.folder, MonitorLink(run.monitor))
    Supervisor(job, run.plan.steps, run.layouts, run.use_gpu, run.settings, run.progress, run.stop).run()
    run.progress.say("training is done; consolidating the checkpoint")
    model = run.recipe.build(run.data)
    try:
        load_whole(run.folder, run.plan.steps, model)
    except CheckpointError as error:
        raise TrainingError(str(error)) from error
    difference = check_probe(run.folder, run.recipe, run.data, model, run.config.layout.precision)
    run.progress.say(f"the consolidated model's outputs are within {difference:.1e} of the trained one's")
    return model, difference


def _by_servers(run: Run) -> nn.Module:
    config = run.config
    job = ServerJob(
        run.recipe,
        run.data,
        run.plan,
        config.max_workers,
        Optimization(
            config.learning_rate, config.warmup_share, config.weight_decay, config.clip_norm, config.optimizer
        ),
        config.checkpoint_every,
        run.settings.max_failures,
        run.settings.node_labels,
    )
    run.progress.group_begins()
    result = _train_with_servers(run, job)
    if result.state is None:
        raise StoppedError(resume_step(config, run.folder))
    _log_summary(result.summary)
    run.progress.say(_summary_line(result.summary))
    model = run.recipe.build(run.data)
    model.load_state_dict(result.state)
    return model


def _train_with_servers(run: Run, job: ServerJob) -> ServerResult:
    """Trains in a thread that a second Ctrl-C leaves behind; shows the progress meanwhile."""
    result: Future[ServerResult] = Future()
    folder, tell = _servers_folder(run.folder), run.monitor.add.remote

    def train() -> None:
        try:
            result.set_result(train_with_servers(job, run.config.parameter_server, folder, tell, run.stop.is_set))
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=train, name="parameter-server", daemon=True).start()
    stopping_since: float | None = None
    while wait([result], timeout=LOOK_EVERY_S).not_done:
        run.progress.poll()
        if run.stop.is_set():
            stopping_since = stopping_since or time.monotonic()
            if time.monotonic() - stopping_since > run.settings.stop_timeout_s:
                raise TrainingError(
                    f"the servers did not stop within {run.settings.stop_timeout_s:.0f} s; the last checkpoint is at "
                    f"step {resume_step(run.config, run.folder)}"
                )
    run.progress.poll()
    try:
        return result.result()
    except ParameterServerError as error:
        raise TrainingError(f"training failed: {error}") from error


def _servers_folder(folder: RunFolder) -> Path:
    return Path(folder.url) / "servers"


def _summary_line(summary: Summary) -> str:
    lost = f"{summary.worker_restarts} workers replaced, {summary.server_restarts} returns to a checkpoint"
    return (
        f"{summary.updates} updates in {summary.steps} steps; staleness at most {max(summary.staleness, default=0)} "
        f"updates, lead at most {max(summary.lead, default=0)} steps; {lost}"
    )


def _log_summary(summary: Summary) -> None:
    """The histograms of staleness and lead as a plot and as JSON."""
    counts = {"staleness": summary.staleness, "lead": summary.lead}
    mlflow.log_dict(
        {name: {str(key): n for key, n in found.items()} for name, found in counts.items()}, "staleness.json"
    )
    figure = Figure(figsize=(8, 4), layout="constrained")
    for axes, (name, found) in zip(figure.subplots(1, 2), counts.items(), strict=True):
        axes.bar([str(key) for key in found], list(found.values()))
        axes.set(xlabel={"staleness": "updates between pull and push", "lead": "steps ahead of the slowest"}[name])
        axes.set(ylabel="gradients", title=name)
    mlflow.log_figure(figure, "plots/staleness.png")
