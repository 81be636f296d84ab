"""Logs the test models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

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


def log_flawed(model: str, folder: Path, **flaw: float) -> str:
    """Register a version of ``model`` with a flaw (``flawed.py``), or with none.

    Args:
        folder: where its artifact is written; empty.
    """
    file = folder / "flaw.json"
    file.write_text(json.dumps(flaw))
    package = ModelPackage(
        script=Path(__file__).parent / "flawed.py",
        code=(),
        artifacts={"flaw": file},
        signature=SIGNATURE,
        example=pd.DataFrame({"x": [0.5], "user": ["warm"]}),
        requirements=("pandas",),
    )
    mlflow.set_experiment("tests")
    with mlflow.start_run():
        return log_version(package, model, {})


ECHO_DTYPES: dict[str, np.dtype[Any]] = {
    "bool": np.dtype(np.bool_),
    **{f"{sign}{bits}": np.dtype(f"{sign}{bits}") for sign in ("int", "uint") for bits in (8, 16, 32, 64)},
    "fp16": np.dtype(np.float16),
    "fp32": np.dtype(np.float32),
    "fp64": np.dtype(np.float64),
    "text": np.dtype(np.str_),
    "bytes": np.dtype(np.bytes_),
}
"""The tensors of the echo model, ``[rows, columns]``, each named for its datatype."""


def log_echo(model: str, *names: str) -> str:
    """Register the echo model as a new version of ``model``, with the tensors named, or with all."""
    tensors = Schema([TensorSpec(ECHO_DTYPES[name], (-1, -1), name) for name in names or ECHO_DTYPES])
    mlflow.set_experiment("tests")
    with mlflow.start_run():
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).parent / "echo_model.py"),
            signature=ModelSignature(
                inputs=tensors,
                outputs=tensors,
                params=ParamSchema([ParamSpec("wait_s", "double", 0.0), ParamSpec("fail", "boolean", False)]),
            ),
            pip_requirements=["numpy"],
            registered_model_name=model,
        )
    return str(logged.registered_model_version)
