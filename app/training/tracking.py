"""What a run leaves in MLflow beside its step metrics: where it came from, how good it is, the version."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import mlflow
from matplotlib.figure import Figure
from mlflow import MlflowClient
from torch import nn

from app import registry
from app.training.config import TrainConfig
from app.training.probe import check_files
from app.training.profiler import TRACE
from app.training.progress import Say
from app.training.provenance import code_digest, git_commit, machine, packages
from app.training.recipe import Data, Evaluation, Recipe
from app.training.store import RunFolder, RunRecord

_GROUPS = ("options", "layout", "parameter_server")


def begin(
    config: TrainConfig,
    recipe: Recipe,
    data: Data,
    folder: RunFolder,
    told: str,
    client: MlflowClient,
    say: Say,
    fresh: bool,
) -> RunRecord:
    """Start the run in MLflow, or go on with that of a run that was stopped."""
    code = code_digest(type(recipe))
    record = folder.record()
    if record and not record.version and not fresh:
        step = newest.step if (newest := folder.newest()) else 0
        say(f"this run was stopped before its end; going on from step {step} (--fresh begins anew)")
        if record.code != code:
            say(f"it was begun with other code (digest {record.code[:12]}, now {code[:12]})")
        mlflow.start_run(run_id=record.mlflow_run)
        client.set_tag(record.mlflow_run, "tidegate.resumed", f"from step {step} with {config.workers} workers")
        return record
    folder.clear()
    run = mlflow.start_run(run_name=f"{config.model}-{time.strftime('%Y%m%d-%H%M%S')}")
    _log_origin(config, recipe, data, code)
    record = RunRecord(told, code, str(run.info.run_id))
    folder.write_record(record)
    return record


def log_results(evaluation: Evaluation, losses: list[tuple[int, float]], folder: RunFolder) -> None:
    """Metrics on the held-out rows, plots, and the profile if there is one."""
    mlflow.log_metrics({f"test.{name}": value for name, value in evaluation.metrics.items()})
    for name, figure in {**evaluation.figures, "loss": _loss_curve(losses)}.items():
        mlflow.log_figure(figure, f"plots/{name}.png")
    trace = folder.read_bytes(TRACE)
    if trace is not None:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / Path(TRACE).name
            path.write_bytes(trace)
            mlflow.log_artifact(str(path), "profile")


def register(
    config: TrainConfig, recipe: Recipe, model: nn.Module, data: Data, evaluation: Evaluation, folder: RunFolder
) -> str:
    """Log the model as a new version; returns its number.

    Raises:
        ExportError: the files of the package do not hold the trained model.
    """
    with tempfile.TemporaryDirectory() as scratch:
        package = recipe.package(model, data, Path(scratch))
        if config.strategy == "collective":  # the servers' model was never spread
            check_files(folder, recipe, data, package.artifacts.values(), config.layout.precision)
        tags = {"tidegate.recipe": recipe.name, "tidegate.data": data.fingerprint}
        tags |= {f"test.{name}": f"{value:.6f}" for name, value in evaluation.metrics.items()}
        return registry.log_version(package, config.model, tags)


def _log_origin(config: TrainConfig, recipe: Recipe, data: Data, code: str) -> None:
    told = config.model_dump()
    groups = {f"{group}.{key}": value for group in _GROUPS for key, value in told.pop(group).items()}
    mlflow.log_params(told | groups)
    mlflow.log_params({f"data.{name}": value for name, value in data.facts.items()})
    tags = {"tidegate.data": data.fingerprint, "tidegate.code": code, **machine()}
    commit = git_commit()
    if commit:
        tags["tidegate.git"] = commit
    mlflow.set_tags(tags)
    mlflow.log_text(packages(), "packages.txt")


def _loss_curve(losses: list[tuple[int, float]]) -> Figure:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([step for step, _ in losses], [loss for _, loss in losses])
    axes.set(xlabel="step", ylabel="training loss", title="Training loss over the global batch")
    return figure
