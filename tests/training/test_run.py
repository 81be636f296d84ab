"""Training on a real Ray cluster: registered at the end, the same after a killed worker, clear when it cannot be."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from torch import Tensor, nn

from app.settings import Settings
from app.training.config import ConfigError, TrainConfig
from app.training.run import Trained, TrainingError, train
from tests.support.tiny import TinyConfig, TinyRecipe

CONFIG = TrainConfig(
    recipe="tests.support.tiny:TinyRecipe",
    model="tiny",
    workers=2,
    device="cpu",
    epochs=10,
    batch_size=32,
    learning_rate=0.01,
    checkpoint_every=16,
)
KILLED = re.compile(r"^training with 2 workers on cpu \(pids (\d+), (\d+)\)$")


def weights(client: MlflowClient, trained: Trained, folder: Path) -> list[object]:
    uri = f"models:/{trained.model}/{trained.version}"
    path = download_artifacts(f"{uri}/artifacts/weights.json", dst_path=str(folder))
    loaded: list[object] = json.loads(Path(path).read_text())
    return loaded


def test_a_killed_worker_changes_nothing_but_the_time(
    driver: Settings, registry: MlflowClient, tmp_path: Path
) -> None:
    """Tolerance: none. The replayed steps see the same rows and the same dropout, so the weights are bit-equal."""
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = train(CONFIG, TinyRecipe(TinyConfig()), driver, registry, say=lambda line: None)

    lines: list[str] = []

    def kill_half_way(line: str) -> None:
        lines.append(line)
        step = re.match(r"step (\d+)/80 ", line)
        found = next((match for seen in lines if (match := KILLED.match(seen))), None)
        if step and 24 <= int(step[1]) < 70 and found and "killed" not in lines:
            lines.append("killed")
            os.kill(int(found[2]), signal.SIGKILL)

    killed = train(CONFIG, TinyRecipe(TinyConfig(step_s=0.1)), driver, registry, say=kill_half_way)

    assert "killed" in lines
    assert (whole.restarts, killed.restarts) == (0, 1)
    assert any(
        re.match(r"a worker was lost; going on from step (16|32|48|64) with 2 workers", line) for line in lines
    )
    assert killed.metrics == whole.metrics
    assert weights(registry, killed, tmp_path / "killed") == weights(registry, whole, tmp_path / "whole")


def test_what_a_run_leaves_in_the_registry(driver: Settings, registry: MlflowClient) -> None:
    trained = train(CONFIG.model_copy(update={"epochs": 1}), TinyRecipe(TinyConfig()), driver, registry, say=print)
    run = registry.get_run(trained.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["workers"] == "2"
    assert run.data.params["data.rows"] == "256"
    assert run.data.metrics["test.rmse"] == trained.metrics["rmse"]
    assert run.data.tags["tidegate.data"] == "0" * 64
    assert re.fullmatch(r"[0-9a-f]{64}", run.data.tags["tidegate.code"])
    assert [metric.step for metric in registry.get_metric_history(trained.run_id, "train.loss")] == list(range(8))
    artifacts = {entry.path for entry in registry.list_artifacts(trained.run_id)}
    assert "packages.txt" in artifacts
    assert {entry.path for entry in registry.list_artifacts(trained.run_id, "plots")} == {"plots/loss.png"}
    version = registry.get_model_version("tiny", trained.version)
    assert version.run_id == trained.run_id
    assert version.tags["tidegate.recipe"] == "tiny"


def test_one_worker_and_two_follow_the_same_curve(driver: Settings, registry: MlflowClient) -> None:
    """Tolerance: 1e-5 relative after 80 steps, without dropout (its masks are a rank's own)."""
    recipe = TinyRecipe(TinyConfig(dropout=0))
    two = train(CONFIG, recipe, driver, registry, say=lambda line: None)
    one = train(CONFIG.model_copy(update={"workers": 1}), recipe, driver, registry, say=lambda line: None)
    assert two.metrics["rmse"] == pytest.approx(one.metrics["rmse"], rel=1e-5)


class FailingRecipe(TinyRecipe):
    """Raises at the first step."""

    def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        raise ArithmeticError("the loss is not a number")


def test_a_recipe_that_raises_ends_the_run_with_its_reason(driver: Settings, registry: MlflowClient) -> None:
    with pytest.raises(TrainingError, match="the loss is not a number"):
        train(CONFIG, FailingRecipe(TinyConfig()), driver, registry, say=lambda line: None)
    newest = registry.search_runs([registry.get_experiment_by_name(driver.mlflow.experiment).experiment_id])[0]  # type: ignore[union-attr]
    assert newest.info.status == "FAILED"


def test_more_rows_per_step_than_there_are(driver: Settings, registry: MlflowClient) -> None:
    with pytest.raises(ConfigError, match="batch_size = 512: accepted is at most 256"):
        train(CONFIG.model_copy(update={"batch_size": 512}), TinyRecipe(TinyConfig()), driver, registry)
