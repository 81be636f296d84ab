"""The MLflow run beside its step metrics: origin, evaluation, registered version."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import mlflow
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from torch import nn

from app import registry
from app.training.config.train_config import TrainConfig
from app.training.recipe import Data, Evaluation, Recipe
from app.training.storage.run_folder import RunFolder, RunRecord
from app.training.tracking.progress import Say
from app.training.tracking.provenance import code_digest, git_commit, machine, packages
from app.training.worker.probe import check_files
from app.training.worker.profiler import TRACE

_GROUPS = ("options", "layout", "parameter_server")


def begin(
    config: TrainConfig, recipe: Recipe, data: Data, folder: RunFolder, step: int, client: MlflowClient, say: Say
) -> RunRecord:
    """Starts the run in MLflow, or goes on with that of a run that was stopped.

    Args:
        step: where the folder's checkpoints go on from; 0: there are none, and what is in the folder is removed.
    """
    code = code_digest(type(recipe))
    record = folder.record()
    if step:
        say(f"this run was stopped before its end; going on from step {step} (--fresh begins anew)")
        if record and record.code != code:
            say(f"it was begun with other code (digest {record.code[:12]}, now {code[:12]})")
        if record and _resumed(record.mlflow_run, client):
            client.set_tag(record.mlflow_run, "tidegate.resumed", f"from step {step} with {config.workers} workers")
            return record
        say("its run in MLflow is gone; it goes on in a new one")
    run = mlflow.start_run(run_name=f"{config.model}-{time.strftime('%Y%m%d-%H%M%S')}")
    _log_origin(config, recipe, data, code)
    if not step:
        folder.clear()
    record = RunRecord(code, str(run.info.run_id))
    folder.write_record(record)
    return record


def _resumed(run_id: str, client: MlflowClient) -> bool:
    """Goes on with a run; returns False if MLflow no longer has it."""
    try:
        if client.get_run(run_id).info.lifecycle_stage != LifecycleStage.ACTIVE:
            return False
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        return False
    mlflow.start_run(run_id=run_id)
    return True


def log_results(evaluation: Evaluation, client: MlflowClient, run_id: str, folder: RunFolder) -> None:
    """Logs the metrics on the held-out rows, the plots, and the profile if there is one."""
    mlflow.log_metrics({f"test.{name}": value for name, value in evaluation.metrics.items()})
    for name, figure in {**evaluation.figures, "loss": _loss_curve(client, run_id)}.items():
        mlflow.log_figure(figure, f"plots/{name}.png")
    trace = folder.read_bytes(TRACE)
    if trace is not None:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / Path(TRACE).name
            path.write_bytes(trace)
            mlflow.log_artifact(str(path), "profile")


def register(
    config: TrainConfig,
    recipe: Recipe,
    model: nn.Module,
    data: Data,
    evaluation: Evaluation,
    client: MlflowClient,
    run_id: str,
) -> str:
    """Logs the model as a new version; returns its number. A run has one version, however often this is called.

    Raises:
        ExportError: the files of the package do not hold the trained model.
    """
    registered = client.search_model_versions(f"run_id = '{run_id}'")
    if registered:  # by a driver that was lost before it recorded it
        return str(registered[0].version)
    with tempfile.TemporaryDirectory() as scratch:
        package = recipe.package(model, data, Path(scratch))
        if config.strategy == "collective":  # the servers' model was never distributed
            check_files(model, package.artifacts.values())
        tags = {"tidegate.recipe": recipe.name, "tidegate.data": data.fingerprint}
        tags |= {f"test.{name}": f"{value:.6f}" for name, value in evaluation.metrics.items()}
        return registry.log_version(package, config.model, tags)


def _log_origin(config: TrainConfig, recipe: Recipe, data: Data, code: str) -> None:
    values = config.model_dump()
    groups = {f"{group}.{key}": value for group in _GROUPS for key, value in values.pop(group).items()}
    mlflow.log_params(values | groups)
    mlflow.log_params({f"data.{name}": value for name, value in data.facts.items()})
    tags = {"tidegate.data": data.fingerprint, "tidegate.code": code, **machine()}
    commit = git_commit()
    if commit:
        tags["tidegate.git"] = commit
    mlflow.set_tags(tags)
    mlflow.log_text(packages(), "packages.txt")


def _loss_curve(client: MlflowClient, run_id: str) -> Figure:
    """Plots the losses of all submissions of a run; of a step that was made again, the newest."""
    history = client.get_metric_history(run_id, "train.loss")
    losses = {metric.step: metric.value for metric in sorted(history, key=lambda metric: metric.timestamp)}
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(sorted(losses), [losses[step] for step in sorted(losses)])
    axes.set(xlabel="step", ylabel="training loss", title="Training loss over the global batch")
    return figure
