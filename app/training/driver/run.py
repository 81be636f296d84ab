"""A training run from configuration to registered version: prepare, train, evaluate, register."""

from __future__ import annotations

import dataclasses
import threading
import time
from dataclasses import dataclass

import mlflow
import torch
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from app.settings import Settings
from app.training.config.train_config import ConfigError, TrainConfig
from app.training.config.validation import batch_plan
from app.training.config.world_sizes import layouts
from app.training.driver.mlflow_run import begin, log_results, register
from app.training.driver.nodes import gpus
from app.training.driver.run_lock import acquire_run
from app.training.driver.strategies import Run, check_storage, resume_step, trained_model
from app.training.driver.supervisor import StoppedError
from app.training.recipe import ParallelRecipe, Recipe, row_count
from app.training.storage.run_identity import digest, folder_of
from app.training.tracking.gauges import Gauges
from app.training.tracking.metric_log import MetricLog
from app.training.tracking.progress import RunProgress, Say, Unit


@dataclass(frozen=True, slots=True)
class Trained:
    """The end of a run.

    Attributes:
        metrics: the recipe's metrics on the held-out rows.
        restarts: how often the run went on after a loss.
        seconds: whole run; startup_seconds: from its beginning to the first step; train_seconds: from there to the
            last step; finish_seconds: from there to the registered version.
        difference: of the registered model's outputs from those of the model as it was spread, relative to the
            largest; None for a model that never was (parameter servers).
    """

    model: str
    version: str
    run_id: str
    steps: int
    restarts: int
    metrics: dict[str, float]
    seconds: float
    startup_seconds: float
    train_seconds: float
    finish_seconds: float
    difference: float | None


def train(
    config: TrainConfig,
    recipe: Recipe,
    settings: Settings,
    client: MlflowClient,
    say: Say = print,
    show: Say | None = None,
    stop: threading.Event | None = None,
    fresh: bool = False,
) -> Trained:
    """Runs ``config`` on the connected Ray cluster and registers the result.

    A run that was stopped, or whose driver was lost, goes on from its newest checkpoint.

    Args:
        say: takes a line that stays; show: takes the line of the moment, once a second (None: as ``say``).
        stop: set it, and the run stops behind a checkpoint.
        fresh: begin anew, whatever an earlier submission left.

    Raises:
        ConfigError: the data or the cluster does not allow this configuration.
        StoppedError: ``stop`` was set.
        TrainingError: training failed for good.
        RunTakenError: another job runs just this.
        ExportError: the consolidated model is not the trained one.
        RegistryError: MLflow went away.
    """
    started = time.monotonic()
    say(f"preparing the data of {recipe.name}")
    data = recipe.prepare()
    plan = batch_plan(config, row_count(data.train))
    say(f"{plan.rows} rows, {plan.steps} steps of {config.batch_size}, data {data.fingerprint[:12]}")
    parallel_plan = recipe.parallel_plan(data) if isinstance(recipe, ParallelRecipe) else None
    use_gpu = _use_gpu(config)
    possible = layouts(config, parallel_plan, "cuda" if use_gpu else "cpu")

    folder = folder_of(config, digest(config, data.fingerprint), settings.training.storage)
    check_storage(config, folder)
    monitor = acquire_run(folder)
    record = folder.record()
    finished = record is not None and record.version
    step = 0 if fresh or finished else resume_step(config, folder)
    unit = Unit()
    if parallel_plan:
        unit = Unit("tokens", parallel_plan.shape.sequence, parallel_plan.flops_per_row, config.layout.precision)
    mlflow.set_experiment(settings.mlflow.experiment)
    status, stopping = "FAILED", stop or threading.Event()
    try:
        record = begin(config, recipe, data, folder, step, client, say)
        metrics = MetricLog(client, record.mlflow_run, say)
        try:
            progress = RunProgress(monitor, metrics, plan, unit, Gauges(config.model), started, say, show or say)
            run = Run(
                config=config,
                recipe=recipe,
                data=data,
                plan=plan,
                layouts=possible,
                use_gpu=use_gpu,
                folder=folder,
                settings=settings.training,
                monitor=monitor,
                progress=progress,
                stop=stopping,
            )
            model, difference = trained_model(run)
        finally:
            metrics.close()
        model.eval()
        with torch.no_grad():
            evaluation = recipe.evaluate(model, data.test)
        log_results(evaluation, client, record.mlflow_run, folder)
        say("  ".join(f"{name} {value:.4f}" for name, value in evaluation.metrics.items()))
        version = register(config, recipe, model, data, evaluation, client, record.mlflow_run)
        folder.write_record(dataclasses.replace(record, version=version))
        status = "FINISHED"
    except StoppedError:
        status = "KILLED"
        raise
    finally:
        _end(status, say)
    ended = time.monotonic()
    startup_s = progress.startup_s or 0.0
    trained = Trained(
        model=config.model,
        version=version,
        run_id=record.mlflow_run,
        steps=plan.steps,
        restarts=progress.restarts,
        metrics=dict(evaluation.metrics),
        seconds=ended - started,
        startup_seconds=startup_s,
        train_seconds=progress.train_seconds,
        finish_seconds=ended - started - startup_s - progress.train_seconds,
        difference=difference,
    )
    _log_times(client, trained, say)
    say(
        f"registered {config.model} version {version}; start to first step {startup_s:.1f} s, "
        f"training {trained.train_seconds:.1f} s, end to registered {trained.finish_seconds:.1f} s"
    )
    return trained


def _use_gpu(config: TrainConfig) -> bool:
    found = gpus()
    if config.device == "gpu" and found == 0:
        raise ConfigError("device = 'gpu': the cluster has no GPU and cannot add one; accepted are cpu and auto")
    if config.strategy == "parameter_server":
        return False
    return config.device == "gpu" or (config.device == "auto" and found >= config.min_workers)


def _end(status: str, say: Say) -> None:
    """Ends the run in MLflow. MLflow's silence does not change the run's own result."""
    try:
        mlflow.end_run(status)
    except MlflowException as error:
        say(f"MLflow does not know that the run is {status}: {error}")


def _log_times(client: MlflowClient, trained: Trained, say: Say) -> None:
    now = int(time.time() * 1000)
    times = {
        "run.startup_s": trained.startup_seconds,
        "run.train_s": trained.train_seconds,
        "run.finish_s": trained.finish_seconds,
    }
    try:
        client.log_batch(trained.run_id, metrics=[Metric(name, value, now, 0) for name, value in times.items()])
    except MlflowException as error:
        say(f"MLflow did not take the run's times: {error}")
