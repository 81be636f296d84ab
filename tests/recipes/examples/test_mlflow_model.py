"""The example of a model that was logged elsewhere: logged, released and asked by the commands of its README."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import mlflow
import pytest
from mlflow import MlflowClient
from sklearn.datasets import load_diabetes

from app.settings import Settings
from tests.recipes.examples.readme import request_of

ROOT = Path(__file__).parents[3]
EXAMPLE = Path("app/recipes/examples/mlflow_model")


def run(*arguments: str, **environment: str) -> str:
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_commands_of_the_readme_release_a_model_that_answers(settings: Settings, registry: MlflowClient) -> None:
    printed = run(str(EXAMPLE / "log_model.py"), MLFLOW_TRACKING_URI=settings.mlflow.tracking_uri)
    version = printed.split()[-1]
    plan = str(EXAMPLE / "release.yaml")
    run(
        *("-m", "jobs.cli", "release", "begin", "--model", "diabetes", "--version", version),
        *("--plan", plan, "--follow"),
    )
    rows = load_diabetes(as_frame=True, scaled=False).data.head(3)
    answer = httpx.post(
        f"{settings.gateway.url}/v1/models/diabetes:predict",
        json={"instances": rows.to_dict(orient="records")},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    asked = httpx.post(
        f"{settings.gateway.url}/v1/models/diabetes:predict",
        json={"instances": request_of(ROOT / EXAMPLE / "README.md")},
        timeout=60,
    )
    assert asked.status_code == 200, asked.text
    pipeline = mlflow.sklearn.load_model(f"models:/diabetes/{version}")
    assert answer.json()["predictions"] == pytest.approx(pipeline.predict(rows).tolist())
