"""The engine by torchrun, in an environment that lacks Ray, MLflow, Redis and whatever else the platform needs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient
from safetensors.torch import load_file

from app.exit_codes import NOT_UNDERSTOOD
from app.settings import Settings
from app.training.config.shipped import find_config
from app.training.config.train_config import read_config
from app.training.driver.run import train
from app.training.worker.__main__ import main
from tests.recipes.bytelm.support import ProseRecipe

ROOT = Path(__file__).parents[3]
MISSING = (
    "ray",
    "mlflow",
    "redis",
    "fastapi",
    "rich",
    "pandas",
    "pyarrow",
    "matplotlib",
    "httpx",
    "pydantic_settings",
)
OVERRIDES = (
    "recipe=tests.recipes.bytelm.support:ProseRecipe",
    "options.sequence=32",
    "checkpoint_every=10",
    "device=cpu",
)
SET = tuple(part for override in OVERRIDES for part in ("--set", override))
WITHOUT = f"""
import sys
from importlib.machinery import PathFinder

class Without:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] not in {MISSING!r}:
            return PathFinder.find_spec(name, path, target)

sys.meta_path[:] = [Without if finder is PathFinder else finder for finder in sys.meta_path]
"""


@dataclass(frozen=True, slots=True)
class Trained:
    """The end of a run by torchrun."""

    output: str
    found: dict[str, Any]


def environment(folder: Path) -> dict[str, str]:
    """One in which ``MISSING`` cannot be imported."""
    (folder / "sitecustomize.py").write_text(WITHOUT)
    return os.environ | {
        "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT))),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }


def command(workers: int, *options: str) -> tuple[str, ...]:
    start = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(workers))
    return (*start, "-m", "app.training.worker", *options)


def torchrun(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(2, *options),
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """bytelm-1m over a little prose, on two ranks."""
    folder = tmp_path_factory.mktemp("torchrun")
    ended = torchrun(folder, "--config", "bytelm-1m", *SET, "--storage", "runs", "--json", "losses.json")
    assert ended.returncode == 0, ended.stderr
    return Trained(ended.stdout, json.loads((folder / "losses.json").read_text()))


@pytest.mark.parametrize("name", MISSING[:3])
def test_environment_lacks_the_platform(name: str, tmp_path: Path) -> None:
    command = (sys.executable, "-c", f"import {name}")
    ended = subprocess.run(
        command, env=environment(tmp_path), capture_output=True, text=True, timeout=60, check=False
    )
    assert f"No module named '{name}'" in ended.stderr


def test_losses_are_printed_written_and_fall(trained: Trained) -> None:
    losses = {each["step"]: each["loss"] for each in trained.found["losses"]}
    steps = trained.found["steps"]
    assert sorted(losses) == list(range(steps))
    assert losses[steps - 1] < losses[0] - 1
    for step, loss in losses.items():
        assert f"step {step + 1}/{steps}  loss {loss:.6f}  " in trained.output


def test_checkpoints_and_consolidated_weights_lie_in_the_folder(trained: Trained) -> None:
    weights = Path(trained.found["weights"])
    names = sorted(path.name for path in (weights.parent / "checkpoints").iterdir())
    assert names == ["000000020", f"{trained.found['steps']:09d}"]
    config = read_config(find_config("bytelm-1m"), OVERRIDES)
    recipe = ProseRecipe(ProseRecipe.Config.model_validate(config.options))
    data = recipe.prepare()
    model = recipe.build(data)
    model.load_state_dict(load_file(weights))
    with torch.no_grad():
        evaluation = recipe.evaluate(model.eval(), {name: rows[:64] for name, rows in data.test.items()})
    assert evaluation.metrics["bits_per_byte"] < 5


def test_another_number_of_processes_is_refused_with_the_possible_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1}.items():
        monkeypatch.setenv(name, str(value))
    assert main(["--config", "bytelm-1m", *SET, "--storage", str(tmp_path)]) == NOT_UNDERSTOOD
    sentence = "workers = '2': torchrun started 1 processes; accepted are 2, or --set workers=1\n"
    assert capsys.readouterr().err == sentence


def test_process_without_torchrun_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert main(["--config", "bytelm-1m"]) == NOT_UNDERSTOOD
    assert capsys.readouterr().err.startswith("started without torchrun; accepted is torchrun --nproc-per-node N -m ")


def test_sigterm_leaves_a_checkpoint_that_the_same_command_goes_on_from(tmp_path: Path) -> None:
    options = ("--config", "bytelm-1m", *SET, "--set", "workers=1", "--set", "batch_size=4", "--storage", "runs")
    env = environment(tmp_path)
    with subprocess.Popen(command(1, *options), cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if line.startswith("step 3/"):
                running.send_signal(signal.SIGTERM)
                break
        rest = running.stdout.read()
    stopped = re.search(r"^stopped; the same command goes on from step (\d+)$", rest, re.M)
    assert stopped is not None, rest
    with subprocess.Popen(command(1, *options), cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        first = next(line for line in running.stdout if line.startswith("step "))
        running.send_signal(signal.SIGTERM)
        running.stdout.read()
    assert first.startswith(f"step {stopped[1]}: 1 workers on cpu (one process")


def test_losses_are_those_under_ray_train(
    trained: Trained, driver: Settings, registry: MlflowClient, tmp_path: Path
) -> None:
    """Tolerance: none. The same ranks, rows and order of additions, whoever starts the processes."""
    config = read_config(find_config("bytelm-1m"), OVERRIDES)
    recipe = ProseRecipe(ProseRecipe.Config.model_validate(config.options))
    settings = driver.model_copy(
        update={"training": driver.training.model_copy(update={"storage": str(tmp_path / "runs")})}
    )
    under_ray = train(config, recipe, settings, registry, say=lambda line: None)
    logged = {each.step: each.value for each in registry.get_metric_history(under_ray.run_id, "train.loss")}
    assert logged == {each["step"]: each["loss"] for each in trained.found["losses"]}
    assert all(earlier < later for earlier, later in pairwise(logged))
