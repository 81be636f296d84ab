"""A training run: progress shown, ended by a signal behind a checkpoint."""

from __future__ import annotations

from app.registry import connect
from app.settings import Settings
from app.terminal import Progress, console
from app.training.config.train_config import TrainConfig
from app.training.driver.run import Trained, train
from app.training.recipe import Recipe
from jobs.connect import cluster
from jobs.signals import stopped_by_signals


def run(config: TrainConfig, recipe: Recipe, settings: Settings, fresh: bool) -> Trained:
    """Train and register a version, until the end or a signal to stop.

    Args:
        fresh: begin anew, although this run was stopped before its end.

    Raises:
        ConfigError: the cluster or the data refuse the configuration.
        StoppedError: it was stopped behind a checkpoint.
        TrainingError, ExportError, RunTakenError, RegistryError, MlflowException, RayError, OSError: it failed.
    """
    client = connect(settings.mlflow)
    with cluster(settings.ray), stopped_by_signals() as stop, Progress(console()) as progress:
        return train(config, recipe, settings, client, progress.say, progress.show, stop, fresh)
