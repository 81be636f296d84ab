"""A training run from configuration to registered version: prepare, train on Ray Train, evaluate, register."""

from __future__ import annotations

import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlflow
import ray
import torch
from matplotlib.figure import Figure
from mlflow import MlflowClient

from app import registry
from app.settings import Settings
from app.training.checkpoint import load_whole
from app.training.config import ConfigError, TrainConfig
from app.training.identity import digest, folder_of, take
from app.training.loop import Job
from app.training.probe import check_probe
from app.training.profiler import TRACE
from app.training.progress import Progress, Say, Unit
from app.training.provenance import code_digest, git_commit, machine, packages
from app.training.recipe import Data, Evaluation, Recipe, SpreadRecipe
from app.training.schedule import Plan
from app.training.sizes import layouts
from app.training.store import RunFolder, RunRecord
from app.training.supervisor import StoppedError, Supervisor


@dataclass(frozen=True, slots=True)
class Trained:
    """The end of a run.

    Attributes:
        metrics: the recipe's metrics on the held-out rows.
        restarts: how often the run went on after a lost worker group.
        seconds: whole run; startup_seconds: from its beginning to the first step; train_seconds: from there to the
            last step; finish_seconds: from there to the registered version.
        difference: of the consolidated model's outputs from the trained one's, relative to the largest.
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
    difference: float


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
    """Run ``config`` on the connected Ray cluster and register the result.

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
    plan = _plan(config, data)
    say(f"{plan.rows} rows, {plan.steps} steps of {config.batch_size}, data {data.fingerprint[:12]}")
    seams = recipe.spread_plan(data) if isinstance(recipe, SpreadRecipe) else None
    use_gpu = _use_gpu(config)
    possible = layouts(config, seams, "cuda" if use_gpu else "cpu")

    told = digest(config, data.fingerprint)
    folder = folder_of(config, told, settings.training.storage)
    monitor = take(folder)
    mlflow.set_experiment(settings.mlflow.experiment)
    run_id = _begin(config, recipe, data, folder, told, client, say, fresh)
    progress = Progress(
        monitor,
        client,
        run_id,
        plan,
        Unit("tokens", seams.shape.sequence) if seams else Unit(),
        say,
        show or say,
    )
    status = "FAILED"
    try:
        supervisor = Supervisor(
            _job(config, recipe, data, folder, monitor),
            plan.steps,
            possible,
            use_gpu,
            f"{folder.url}/ray-train",
            settings.training.max_failures,
            settings.training.stop_timeout_s,
            progress,
            stop or threading.Event(),
        )
        supervisor.run()
        trained_at = time.monotonic()
        say("training is done; consolidating the checkpoint")
        model = recipe.build(data)
        load_whole(folder, plan.steps, model)
        difference = check_probe(folder, recipe, data, model, config.layout.precision)
        say(f"the consolidated model's outputs differ from the trained one's by {difference:.1e} of the largest")
        with torch.no_grad():
            evaluation = recipe.evaluate(model, data.test)
        _log_results(evaluation, progress.losses, folder)
        say("  ".join(f"{name} {value:.4f}" for name, value in evaluation.metrics.items()))
        version = _register(config, recipe, model, data, evaluation)
        folder.write_record(RunRecord(told, code_digest(type(recipe)), run_id, version))
        status = "FINISHED"
    except StoppedError:
        status = "KILLED"
        raise
    finally:
        mlflow.end_run(status)
    ended = time.monotonic()
    startup_s = progress.startup_s or 0.0
    trained = Trained(
        model=config.model,
        version=version,
        run_id=run_id,
        steps=plan.steps,
        restarts=progress.restarts,
        metrics=dict(evaluation.metrics),
        seconds=ended - started,
        startup_seconds=startup_s,
        train_seconds=progress.train_seconds,
        finish_seconds=ended - trained_at,
        difference=difference,
    )
    client.log_batch(
        run_id,
        metrics=[
            mlflow.entities.Metric(f"run.{name}", value, int(time.time() * 1000), 0)
            for name, value in asdict(trained).items()
            if name.endswith("seconds")
        ],
    )
    say(
        f"registered {config.model} version {version}; start to first step {startup_s:.1f} s, "
        f"training {progress.train_seconds:.1f} s, end to registered {trained.finish_seconds:.1f} s"
    )
    return trained


def _plan(config: TrainConfig, data: Data) -> Plan:
    rows = len(next(iter(data.train.values())))
    if rows < config.batch_size:
        raise ConfigError(
            f"batch_size = {config.batch_size}: accepted is at most {rows}, the number of training rows"
        )
    return Plan(rows, config.batch_size, config.epochs, config.seed)


def _job(config: TrainConfig, recipe: Recipe, data: Data, folder: RunFolder, monitor: Any) -> Job:
    return Job(
        config=config,
        recipe=recipe,
        train={name: ray.put(array) for name, array in data.train.items()},
        test={name: ray.put(array) for name, array in data.test.items()},
        fingerprint=data.fingerprint,
        facts=data.facts,
        folder=folder,
        monitor=monitor,
    )


def _use_gpu(config: TrainConfig) -> bool:
    gpus = int(ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]
    if config.device == "gpu" and gpus == 0:
        raise ConfigError("device = 'gpu': the cluster has no GPU; accepted are cpu and auto")
    return config.device == "gpu" or (config.device == "auto" and gpus >= config.fewest)


def _begin(
    config: TrainConfig,
    recipe: Recipe,
    data: Data,
    folder: RunFolder,
    told: str,
    client: MlflowClient,
    say: Say,
    fresh: bool,
) -> str:
    """Start the run in MLflow, or go on with that of a stopped one; returns its id."""
    code = code_digest(type(recipe))
    record = folder.record()
    if record and not record.version and not fresh:
        step = newest.step if (newest := folder.newest()) else 0
        say(f"this run was stopped before its end; going on from step {step} (--fresh begins anew)")
        if record.code != code:
            say(f"it was begun with other code (digest {record.code[:12]}, now {code[:12]})")
        mlflow.start_run(run_id=record.mlflow_run)
        client.set_tag(record.mlflow_run, "tidegate.resumed", f"from step {step} with {config.workers} workers")
        return record.mlflow_run
    folder.clear()
    run = mlflow.start_run(run_name=f"{config.model}-{time.strftime('%Y%m%d-%H%M%S')}")
    _log_origin(config, recipe, data, code)
    folder.write_record(RunRecord(told, code, run.info.run_id))
    return str(run.info.run_id)


def _log_origin(config: TrainConfig, recipe: Recipe, data: Data, code: str) -> None:
    groups = {
        f"{group}.{key}": value
        for group in ("options", "layout")
        for key, value in config.model_dump()[group].items()
    }
    mlflow.log_params({**config.model_dump(exclude={"options", "layout"}), **groups})
    mlflow.log_params({f"data.{name}": value for name, value in data.facts.items()})
    tags = {"tidegate.data": data.fingerprint, "tidegate.code": code, **machine()}
    commit = git_commit()
    if commit:
        tags["tidegate.git"] = commit
    mlflow.set_tags(tags)
    mlflow.log_text(packages(), "packages.txt")


def _log_results(evaluation: Evaluation, losses: list[tuple[int, float]], folder: RunFolder) -> None:
    mlflow.log_metrics({f"test.{name}": value for name, value in evaluation.metrics.items()})
    for name, figure in {**evaluation.figures, "loss": _loss_curve(losses)}.items():
        mlflow.log_figure(figure, f"plots/{name}.png")
    trace = folder.read_bytes(TRACE)
    if trace is not None:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / Path(TRACE).name
            path.write_bytes(trace)
            mlflow.log_artifact(str(path), "profile")


def _loss_curve(losses: list[tuple[int, float]]) -> Figure:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([step for step, _ in losses], [loss for _, loss in losses])
    axes.set(xlabel="step", ylabel="training loss", title="Training loss over the global batch")
    return figure


def _register(config: TrainConfig, recipe: Recipe, model: torch.nn.Module, data: Data, evaluation: Evaluation) -> str:
    with tempfile.TemporaryDirectory() as folder:
        package = recipe.package(model, data, Path(folder))
        tags = {"tidegate.recipe": recipe.name, "tidegate.data": data.fingerprint}
        tags |= {f"test.{name}": f"{value:.6f}" for name, value in evaluation.metrics.items()}
        return registry.log_version(package, config.model, tags)
