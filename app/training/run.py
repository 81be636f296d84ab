"""A training run from configuration to registered version: prepare, train on Ray Train, evaluate, register."""

from __future__ import annotations

import secrets
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import ray
import ray.train
import torch
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.entities import Metric
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2.api.config import CheckpointConfig, FailureConfig, RunConfig
from ray.train.v2.api.exceptions import TrainingFailedError

from app import registry
from app.settings import Settings
from app.training import checkpoint
from app.training.config import ConfigError, TrainConfig
from app.training.loop import Job, train_worker
from app.training.monitor import Started, StepReport, start_monitor
from app.training.provenance import code_digest, git_commit, machine, packages
from app.training.recipe import Data, Evaluation, Recipe
from app.training.schedule import Plan

DRAIN_EVERY_S = 1.0
PLACEMENT_WORD_S = 30.0
"""Seconds between words about workers that cannot be placed."""
PLACEMENT_TRIES = 10
"""How often Ray Train may fail to start the workers before the run ends; each try lasts up to a minute."""

Say = Callable[[str], None]


class TrainingError(RuntimeError):
    """The run did not end with a registered version; the message says at what it ended."""


@dataclass(frozen=True, slots=True)
class Trained:
    """The end of a run.

    Attributes:
        metrics: the recipe's metrics on the held-out rows.
        restarts: how often the worker group was started again from a checkpoint.
        seconds: whole run; train_seconds: from the first step to the last.
    """

    model: str
    version: str
    run_id: str
    steps: int
    restarts: int
    metrics: dict[str, float]
    seconds: float
    train_seconds: float


def train(config: TrainConfig, recipe: Recipe, settings: Settings, client: MlflowClient, say: Say = print) -> Trained:
    """Run ``config`` on the connected Ray cluster and register the result.

    Args:
        say: takes one line of progress.

    Raises:
        ConfigError: the data does not allow this configuration.
        TrainingError: training failed for good.
        RegistryError: MLflow went away.
    """
    started = time.monotonic()
    say(f"preparing the data of {recipe.name}")
    data = recipe.prepare()
    plan = _plan(config, data)
    say(f"{plan.rows} rows, {plan.steps} steps of {config.batch_size}, data {data.fingerprint[:12]}")

    mlflow.set_experiment(settings.mlflow.experiment)
    with mlflow.start_run(run_name=f"{config.model}-{time.strftime('%Y%m%d-%H%M%S')}") as run:
        _log_origin(config, recipe, data)
        watcher = _Watcher(client, run.info.run_id, plan, say)
        state = _fit(config, recipe, data, settings, watcher)
        model = recipe.build(data)
        model.load_state_dict(state.model)
        model.eval()
        with torch.no_grad():
            evaluation = recipe.evaluate(model, data.test)
        _log_results(evaluation, watcher.losses)
        say("  ".join(f"{name} {value:.4f}" for name, value in evaluation.metrics.items()))
        version = _register(config, recipe, model, data, evaluation)
    say(f"registered {config.model} version {version}")
    return Trained(
        model=config.model,
        version=version,
        run_id=run.info.run_id,
        steps=plan.steps,
        restarts=watcher.restarts,
        metrics=dict(evaluation.metrics),
        seconds=time.monotonic() - started,
        train_seconds=watcher.train_seconds,
    )


def _plan(config: TrainConfig, data: Data) -> Plan:
    rows = len(next(iter(data.train.values())))
    if rows < config.batch_size:
        raise ConfigError(
            f"batch_size = {config.batch_size}: accepted is at most {rows}, the number of training rows"
        )
    return Plan(rows, config.batch_size, config.epochs, config.seed)


def _fit(config: TrainConfig, recipe: Recipe, data: Data, settings: Settings, watcher: _Watcher) -> checkpoint.Saved:
    use_gpu = _use_gpu(config)
    job = Job(
        config=config,
        recipe=recipe,
        train={name: ray.put(array) for name, array in data.train.items()},
        test={name: ray.put(array) for name, array in data.test.items()},
        fingerprint=data.fingerprint,
        facts=data.facts,
        monitor=watcher.monitor,
    )
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={"job": job},
        torch_config=TorchConfig(backend="nccl" if use_gpu else "gloo"),
        scaling_config=ray.train.ScalingConfig(
            num_workers=config.workers,
            use_gpu=use_gpu,
            resources_per_worker={"CPU": 1, **({"GPU": 1} if use_gpu else {})},
        ),
        run_config=RunConfig(  # type: ignore[arg-type] # annotated with the class of Train v1
            name=f"{config.model}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}",
            storage_path=_storage(settings.training.storage),
            failure_config=FailureConfig(
                max_failures=settings.training.max_failures,
                controller_failure_limit=PLACEMENT_TRIES,  # one is a minute without room for the workers
            ),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
            worker_runtime_env={"env_vars": {"OMP_NUM_THREADS": "1"}},
        ),
    )
    try:
        with watcher:
            result = trainer.fit()
    except TrainingFailedError as error:
        raise TrainingError(f"training failed after {watcher.restarts} restarts: {_last_line(error)}") from error
    if result.checkpoint is None:
        raise TrainingError("training ended without a checkpoint")
    with result.checkpoint.as_directory() as folder:
        return checkpoint.load(Path(folder))


def _use_gpu(config: TrainConfig) -> bool:
    gpus = int(ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]
    if config.device == "gpu" and gpus == 0:
        raise ConfigError("device = 'gpu': the cluster has no GPU; accepted are cpu and auto")
    return config.device == "gpu" or (config.device == "auto" and gpus >= config.workers)


def _storage(storage: str) -> str:
    return storage if "://" in storage else str(Path(storage).resolve())


def _log_origin(config: TrainConfig, recipe: Recipe, data: Data) -> None:
    options = {f"options.{key}": value for key, value in config.options.items()}
    mlflow.log_params({**config.model_dump(exclude={"options"}), **options})
    mlflow.log_params({f"data.{name}": value for name, value in data.facts.items()})
    tags = {"tidegate.data": data.fingerprint, "tidegate.code": code_digest(type(recipe)), **machine()}
    commit = git_commit()
    if commit:
        tags["tidegate.git"] = commit
    mlflow.set_tags(tags)
    mlflow.log_text(packages(), "packages.txt")


def _log_results(evaluation: Evaluation, losses: list[tuple[int, float]]) -> None:
    mlflow.log_metrics({f"test.{name}": value for name, value in evaluation.metrics.items()})
    for name, figure in {**evaluation.figures, "loss": _loss_curve(losses)}.items():
        mlflow.log_figure(figure, f"plots/{name}.png")


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


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__


class _Watcher:
    """Drains the monitor while the trainer runs: a line of progress each second, step metrics to MLflow."""

    def __init__(self, client: MlflowClient, run_id: str, plan: Plan, say: Say) -> None:
        self.monitor: Any = start_monitor()
        self.losses: list[tuple[int, float]] = []
        self.restarts = 0
        self._client, self._run_id, self._plan, self._say = client, run_id, plan, say
        self._first_at = self._last_at = self._created_at = time.monotonic()
        self._started, self._dropped, self._next_word_s = False, 0, PLACEMENT_WORD_S
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="training-progress", daemon=True)

    @property
    def train_seconds(self) -> float:
        """From the first worker group's start to the last step seen, seconds."""
        return self._last_at - self._first_at

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=30)
        self._drain_safely()

    def _watch(self) -> None:
        while not self._stop.wait(DRAIN_EVERY_S):
            self._drain_safely()
            waited = time.monotonic() - self._created_at
            if not self._started and waited > self._next_word_s:
                free = ray.available_resources()  # type: ignore[no-untyped-call]
                room = ", ".join(f"{free.get(name, 0):g} {name}" for name in ("CPU", "GPU"))
                self._say(f"waiting for the workers to be placed ({waited:.0f} s); free on the cluster: {room}")
                self._next_word_s += PLACEMENT_WORD_S

    def _drain_safely(self) -> None:
        try:
            self._drain()
        except Exception as error:  # progress must never end a run
            self._say(f"progress is not available: {error}")

    def _drain(self) -> None:
        reports, dropped = ray.get(self.monitor.drain.remote(), timeout=10)
        if dropped > self._dropped:
            self._say(f"{dropped - self._dropped} reports of progress were dropped")
            self._dropped = dropped
        steps = []
        for report in reports:
            if isinstance(report, Started):
                self._group_started(report)
            else:
                steps.append(report)
                # A restarted group repeats steps since its checkpoint; the curve keeps the newest.
                while self.losses and self.losses[-1][0] >= report.step:
                    self.losses.pop()
                self.losses.append((report.step, report.loss))
        if steps:
            self._last_at = time.monotonic()
            self._say(self._line(steps[-1]))
            self._log(steps)

    def _group_started(self, report: Started) -> None:
        again, self._started = self._started, True
        self.restarts += again
        if not again:
            self._first_at = time.monotonic()
        what = f"a worker was lost; going on from step {report.step}" if again else "training"
        pids = ", ".join(map(str, report.pids))
        self._say(f"{what} with {report.workers} workers on {report.device} (pids {pids})")

    def _line(self, report: StepReport) -> str:
        plan, done = self._plan, report.step + 1
        left = (plan.steps - done) * plan.batch_size / max(report.rows_per_s, 1e-9)
        return (
            f"step {done}/{plan.steps}  epoch {plan.epoch_of(report.step) + 1}/{plan.epochs}  "
            f"loss {report.loss:.4f}  {report.rows_per_s:,.0f} rows/s  {left:.0f} s left"
        )

    def _log(self, reports: list[StepReport]) -> None:
        now = int(time.time() * 1000)
        metrics = [
            Metric(name, value, now, report.step)
            for report in reports
            for name, value in (
                ("train.loss", report.loss),
                ("train.learning_rate", report.learning_rate),
                ("train.gradient_norm", report.gradient_norm),
                ("train.rows_per_s", report.rows_per_s),
            )
        ]
        self._client.log_batch(self._run_id, metrics=metrics)
