"""Logs the test model."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from app.registry import ModelPackage, log_version

SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("double", "x"), ColSpec("string", "user")]), outputs=Schema([ColSpec("double", "score")])
)
WITH_EXTRA = ModelSignature(
    inputs=Schema([ColSpec("double", "x"), ColSpec("string", "user"), ColSpec("double", "extra", required=False)]),
    outputs=Schema([ColSpec("double", "score")]),
)


def log_scorer(model: str, signature: ModelSignature = SIGNATURE) -> str:
    """Register the test model as a new version of ``model``."""
    package = ModelPackage(
        script=Path(__file__).parent / "scorer.py",
        code=(),
        artifacts={},
        signature=signature,
        example=pd.DataFrame({"x": [0.5], "user": ["warm"]}),
        requirements=("pandas",),
    )
    mlflow.set_experiment("tests")
    with mlflow.start_run():
        return log_version(package, model, {})
