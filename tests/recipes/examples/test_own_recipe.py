"""The example of a recipe: trains in one process, and by the command of its README on the stack."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
import torch
from mlflow import MlflowClient

from app.recipes import find_recipe
from app.recipes.examples.own_recipe.recipe import WineConfig, WineRecipe
from app.settings import Settings
from app.training.config.train_config import read_config
from app.training.recipe import Recipe
from tests.recipes.examples.readme import request_of

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "app/recipes/examples/own_recipe/wine.yaml"


def test_configuration_names_the_recipe() -> None:
    config = read_config(CONFIG, [])
    recipe = find_recipe(config.recipe, config.options)
    assert isinstance(recipe, WineRecipe)
    assert recipe.prepare().fingerprint == WineRecipe(WineConfig()).prepare().fingerprint


def test_trained_model_is_packaged_and_answers_as_it_did(tmp_path: Path) -> None:
    recipe: Recipe = WineRecipe(WineConfig())
    data = recipe.prepare()
    torch.manual_seed(0)
    model = recipe.build(data)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    batch = {name: torch.from_numpy(array) for name, array in data.train.items()}
    for _ in range(100):
        optimizer.zero_grad()
        torch.autograd.backward(recipe.loss(model, batch))
        optimizer.step()
    assert recipe.evaluate(model.eval(), data.test).metrics["accuracy"] >= 0.95

    package = recipe.package(model, data, tmp_path)
    mlflow.pyfunc.save_model(
        str(tmp_path / "model"),
        python_model=str(package.script),
        code_paths=[str(path) for path in package.code],
        artifacts={name: str(path) for name, path in package.artifacts.items()},
        signature=package.signature,
        pip_requirements=list(package.requirements),
    )
    answer = mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(package.example)
    with torch.inference_mode():
        logits = model(torch.from_numpy(package.example.to_numpy(dtype="float32")))
    assert answer["grower"].tolist() == logits.argmax(dim=1).tolist()
    assert answer["probability"].tolist() == pytest.approx(logits.softmax(dim=1).max(dim=1).values.tolist(), rel=1e-5)


def test_request_of_the_readme_has_the_models_inputs(tmp_path: Path) -> None:
    recipe = WineRecipe(WineConfig())
    data = recipe.prepare()
    signature = recipe.package(recipe.build(data), data, tmp_path).signature
    [instance] = request_of(CONFIG.with_name("README.md"))
    assert list(instance) == signature.inputs.input_names()


def test_command_of_the_readme_trains_and_registers(settings: Settings, registry: MlflowClient) -> None:
    command = [sys.executable, "-m", "jobs.cli", "train", "--config", str(CONFIG.relative_to(ROOT))]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    trained = json.loads(ended.stdout.splitlines()[-1])
    assert trained["model"] == "wine"
    run = registry.get_run(trained["run_id"])
    accuracies = [value for name, value in run.data.metrics.items() if name.endswith("accuracy")]
    assert accuracies
    assert min(accuracies) >= 0.9
    assert registry.get_model_version("wine", trained["version"]).run_id == trained["run_id"]
