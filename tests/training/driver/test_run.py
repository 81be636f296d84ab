"""Training on a real Ray cluster: registered at the end, the same after a killed worker, clear when it cannot be."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import re
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import ray
import torch
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from ray.util.state import list_actors
from torch import Tensor, nn

from app.settings import Settings
from app.training.config.schedule import BatchPlan, dropout_seed, learning_rate
from app.training.config.train_config import ConfigError, TrainConfig
from app.training.driver import run_lock
from app.training.driver.run import Trained, train
from app.training.driver.run_lock import RunTakenError, acquire_run
from app.training.driver.supervisor import StoppedError, TrainingError
from app.training.recipe import Columns, Evaluation
from app.training.storage.run_folder import RunFolder
from app.training.storage.run_identity import digest, folder_of
from cluster.local.programs import NODE_LABEL
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
ON_THE_HEAD = {NODE_LABEL: "!ray-node-1"}
KILLED = re.compile(r"^training with 2 workers on cpu \(.*; pids (\d+), (\d+)\)$")


@pytest.fixture(scope="module")
def whole_said() -> list[str]:
    """Lines that the undisturbed run printed."""
    return []


@pytest.fixture(scope="module")
def whole(
    driver: Settings, registry: MlflowClient, tmp_path_factory: pytest.TempPathFactory, whole_said: list[str]
) -> Trained:
    """A run that nothing disturbed, on one node, with its checkpoints at an fsspec address."""
    profiled = CONFIG.model_copy(update={"profile": "3:5"})
    elsewhere = with_training(driver, storage=f"local://{tmp_path_factory.mktemp('runs')}", node_labels=ON_THE_HEAD)
    return train(profiled, TinyRecipe(TinyConfig()), elsewhere, registry, say=whole_said.append)


def with_training(settings: Settings, **changed: Any) -> Settings:
    return settings.model_copy(update={"training": settings.training.model_copy(update=changed)})


def nodes_of_workers(said: list[str]) -> list[str | None]:
    """The label of the node of each worker, dead or alive, whose process id a run told; the head has none."""
    names = {node["NodeID"]: node["Labels"].get(NODE_LABEL) for node in ray.nodes()}  # type: ignore[no-untyped-call]
    pids = next(match for line in said if (match := KILLED.match(line))).groups()
    return [names[list_actors(filters=[("pid", "=", int(pid))])[0].node_id] for pid in pids]


def weights(client: MlflowClient, trained: Trained, folder: Path) -> list[list[float]]:
    path = download_artifacts(
        f"models:/{trained.model}/{trained.version}/artifacts/weights.json", dst_path=str(folder)
    )
    loaded: list[list[float]] = json.loads(Path(path).read_text())
    return loaded


def steps_exposed() -> list[float]:
    """The run's steps on the metrics endpoint of the driver's node, as Prometheus reads it."""
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    (here,) = [node for node in nodes if node["NodeID"] == ray.get_runtime_context().get_node_id()]
    text = httpx.get(f"http://127.0.0.1:{here['MetricsExportPort']}/metrics").text
    return [float(step) for step in re.findall(r'^ray_tidegate_train_step{[^}]*model="tiny"[^}]*} (\S+)', text, re.M)]


def test_killed_worker_leaves_the_weights_bit_equal(
    whole: Trained, driver: Settings, registry: MlflowClient, tmp_path: Path
) -> None:
    """Tolerance: none. The replayed steps see the same rows and the same dropout, so the weights are bit-equal."""
    lines: list[str] = []
    exposed: list[float] = []

    def kill_half_way(line: str) -> None:
        lines.append(line)
        step = re.match(r"step (\d+)/80 ", line)
        found = next((match for seen in lines if (match := KILLED.match(seen))), None)
        if step and 40 <= int(step[1]) < 75 and found and "killed" not in lines:
            lines.append("killed")
            os.kill(int(found[2]), signal.SIGKILL)

    over = threading.Event()

    def scrape() -> None:  # Ray's agents take seconds to expose what a worker says
        while not over.wait(0.5):
            exposed.extend(steps_exposed())

    scraping = threading.Thread(target=scrape, daemon=True)
    scraping.start()
    try:
        killed = train(CONFIG, TinyRecipe(TinyConfig(step_s=0.15)), driver, registry, say=kill_half_way)
    finally:
        over.set()
        scraping.join(timeout=30)

    assert "killed" in lines
    assert exposed
    assert max(exposed) <= 80
    assert (whole.restarts, killed.restarts) == (0, 1)
    resumed = next(line for line in lines if line.startswith("a worker was lost"))
    assert re.match(r"a worker was lost; going on from step (16|32|48|64) with 2 workers", resumed), resumed
    assert killed.metrics == whole.metrics
    for run in ("whole", "killed"):
        (tmp_path / run).mkdir()
    assert weights(registry, killed, tmp_path / "killed") == weights(registry, whole, tmp_path / "whole")


def test_workers_run_on_nodes_with_the_labels(whole: Trained, whole_said: list[str]) -> None:
    assert nodes_of_workers(whole_said) == [None, None]


def test_two_workers_follow_a_plain_loop(whole: Trained, registry: MlflowClient, tmp_path: Path) -> None:
    """Tolerance: 1e-4 relative on every loss, against a loop written out here, on one process without Ray."""
    recipe = TinyRecipe(TinyConfig())
    data = recipe.prepare()
    plan = BatchPlan(rows=256, batch_size=CONFIG.batch_size, epochs=CONFIG.epochs, seed=CONFIG.seed)
    torch.manual_seed(CONFIG.seed)
    model = recipe.build(data)
    optimizer = torch.optim.AdamW(model.parameters(), lr=CONFIG.learning_rate, weight_decay=CONFIG.weight_decay)
    losses = []
    for step in range(plan.steps):
        optimizer.param_groups[0]["lr"] = learning_rate(step, plan.steps, CONFIG.learning_rate, CONFIG.warmup_share)
        optimizer.zero_grad()
        parts = []
        for rank in range(2):
            torch.manual_seed(dropout_seed(CONFIG.seed, step, rank))
            rows = plan.shard(plan.order(plan.epoch_of(step)), step, rank, 2)
            parts.append(recipe.loss(model, {name: torch.from_numpy(a[rows]) for name, a in data.train.items()}))
        loss = (parts[0] + parts[1]) / 2
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), CONFIG.clip_norm)
        optimizer.step()
        losses.append(float(loss))
    logged = [metric.value for metric in registry.get_metric_history(whole.run_id, "train.loss")]
    np.testing.assert_allclose(logged, losses, rtol=1e-4)


def test_mlflow_run_has_parameters_metrics_plots_and_profile(
    whole: Trained, registry: MlflowClient, tmp_path: Path
) -> None:
    run = registry.get_run(whole.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["workers"] == "2"
    assert run.data.params["data.rows"] == "256"
    assert run.data.metrics["test.rmse"] == whole.metrics["rmse"]
    assert run.data.tags["tidegate.data"] == "0" * 64
    assert re.fullmatch(r"[0-9a-f]{64}", run.data.tags["tidegate.code"])
    assert [metric.step for metric in registry.get_metric_history(whole.run_id, "train.loss")] == list(range(80))
    assert "packages.txt" in {entry.path for entry in registry.list_artifacts(whole.run_id)}
    assert {entry.path for entry in registry.list_artifacts(whole.run_id, "plots")} == {"plots/loss.png"}
    profile = download_artifacts(f"runs:/{whole.run_id}/profile/rank0.json.gz", dst_path=str(tmp_path))
    trace = json.loads(gzip.decompress(Path(profile).read_bytes()))["traceEvents"]
    assert {event["name"] for event in trace} >= {"ProfilerStep#3", "ProfilerStep#4"}
    version = registry.get_model_version("tiny", whole.version)
    assert version.run_id == whole.run_id
    assert version.tags["tidegate.recipe"] == "tiny"


class FailingRecipe(TinyRecipe):
    """Raises at the first step."""

    def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        raise ArithmeticError("the loss is not a number")


def test_a_recipe_that_raises_ends_the_run_with_its_reason(driver: Settings, registry: MlflowClient) -> None:
    once = driver.model_copy(update={"training": driver.training.model_copy(update={"max_failures": 0})})
    with pytest.raises(TrainingError, match="the loss is not a number"):
        train(CONFIG, FailingRecipe(TinyConfig()), once, registry, say=lambda line: None)
    experiment = registry.get_experiment_by_name(driver.mlflow.experiment)
    assert experiment is not None
    assert registry.search_runs([experiment.experiment_id])[0].info.status == "FAILED"


def test_batch_larger_than_the_data_is_refused(driver: Settings, registry: MlflowClient) -> None:
    with pytest.raises(ConfigError, match="batch_size = 512: accepted is at most 256"):
        train(CONFIG.model_copy(update={"batch_size": 512}), TinyRecipe(TinyConfig()), driver, registry)


def test_run_with_parameter_servers_is_registered_with_its_staleness(
    driver: Settings, registry: MlflowClient
) -> None:
    """Two servers, stale-synchronous: registered like any other run, with the histogram of the staleness."""
    config = TrainConfig.model_validate(
        CONFIG.model_dump()
        | {
            "model": "tiny-served",
            "strategy": "parameter_server",
            "parameter_server": {"servers": 2, "mode": "stale_synchronous", "staleness": 1},
            "epochs": 2,
        }
    )
    lines: list[str] = []
    placed = with_training(driver, node_labels=ON_THE_HEAD)
    trained = train(config, TinyRecipe(TinyConfig()), placed, registry, say=lines.append)
    assert nodes_of_workers(lines) == [None, None]
    assert registry.get_model_version("tiny-served", trained.version).run_id == trained.run_id
    histogram = json.loads(
        Path(
            download_artifacts(f"runs:/{trained.run_id}/staleness.json", tracking_uri=driver.mlflow.tracking_uri)
        ).read_text()
    )
    gradients = 2 * 16 * 2  # of two workers, in 16 steps, on two servers
    assert sum(histogram["staleness"].values()) == sum(histogram["lead"].values()) == gradients
    assert set(histogram["lead"]) <= {"0", "1"}
    assert any(line.startswith("32 updates in 16 steps; staleness at most ") for line in lines), lines


def test_profile_beyond_the_last_step_is_refused(driver: Settings, registry: MlflowClient) -> None:
    with pytest.raises(ConfigError, match="profile = '79:81': accepted is up to 80, the number of steps"):
        train(CONFIG.model_copy(update={"profile": "79:81"}), TinyRecipe(TinyConfig()), driver, registry)


class FailingAtTheEnd(TinyRecipe):
    """Raises when it is to judge the trained model, as often as it is told."""

    failures = 0

    def evaluate(self, model: nn.Module, test: Columns) -> Evaluation:
        if FailingAtTheEnd.failures:
            FailingAtTheEnd.failures -= 1
            raise ArithmeticError("no evaluation")
        return super().evaluate(model, test)


def test_trained_model_is_registered_by_the_next_submission(driver: Settings, registry: MlflowClient) -> None:
    """After the driver was lost between the last step and the version; then MLflow's run was deleted as well, and the
    folder's record was lost."""
    config = CONFIG.model_copy(update={"model": "tiny-again", "epochs": 2})
    recipe = FailingAtTheEnd(TinyConfig())
    FailingAtTheEnd.failures = 2
    for _ in range(2):
        with pytest.raises(ArithmeticError):
            train(config, recipe, driver, registry, say=lambda line: None)
    folder = folder_of(config, digest(config, recipe.prepare().fingerprint), driver.training.storage)
    record = folder.record()
    assert record is not None
    registry.delete_run(record.mlflow_run)
    lines: list[str] = []
    trained = train(config, recipe, driver, registry, say=lines.append)
    assert "this run was stopped before its end; going on from step 16 (--fresh begins anew)" in lines
    assert "its run in MLflow is gone; it goes on in a new one" in lines
    assert not any(line.startswith("training with") for line in lines)
    assert trained.run_id != record.mlflow_run
    assert registry.get_model_version("tiny-again", trained.version).run_id == trained.run_id
    finished = folder.record()
    assert finished is not None
    folder.write_record(dataclasses.replace(finished, version=""))  # as if the driver had been lost just before
    again = train(config, recipe, driver, registry, say=lines.append)
    assert (again.version, again.run_id) == (trained.version, trained.run_id)


def test_run_that_waits_for_room_stops_at_once(driver: Settings, registry: MlflowClient) -> None:
    """No worker could write a checkpoint yet, and none is needed."""
    config = CONFIG.model_copy(update={"model": "tiny-waits", "workers": "32", "batch_size": 64})
    stop = threading.Event()
    threading.Timer(3, stop.set).start()
    with pytest.raises(StoppedError, match="goes on from step 0"):
        train(config, TinyRecipe(TinyConfig()), driver, registry, say=lambda line: None, stop=stop)


def test_second_driver_of_a_run_is_refused(driver: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run_lock, "TAKEN_TIMEOUT_S", 0.5)
    folder = RunFolder(str(tmp_path / "tiny-0123456789ab"))
    monitor = acquire_run(folder)
    with pytest.raises(RunTakenError, match="the run tiny-0123456789ab is going on already on this cluster"):
        acquire_run(folder)
    ray.kill(monitor)
    monkeypatch.setattr(run_lock, "TAKEN_TIMEOUT_S", 30)
    acquire_run(folder)
