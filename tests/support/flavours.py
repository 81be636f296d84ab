"""Logs one model of each kind that the protocols' clients ask: sklearn, pytorch, with parameters, of all types."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import torch
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

DTYPES = {
    **{
        name: np.dtype(name)
        for name in (
            *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
            *("float16", "float32", "float64"),
        )
    },
    "text": np.dtype(np.str_),
    "raw": np.dtype(np.bytes_),
}
"""Types of the tensors of the model of all types, by their name."""

_HERE = Path(__file__).parent


def iris() -> tuple[pd.DataFrame, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Measures of 150 flowers, and their species."""
    table, species = load_iris(return_X_y=True, as_frame=True)
    return table.rename(columns=lambda name: name.removesuffix(" (cm)").replace(" ", "_")), species.to_numpy()


def log_sklearn(model: str) -> tuple[str, LogisticRegression]:
    """A version in the sklearn flavour: columns in, one array without a name out."""
    table, species = iris()
    fitted = LogisticRegression(max_iter=500).fit(table, species)
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(
            fitted,
            name="model",
            signature=infer_signature(table, fitted.predict(table)),
            input_example=table.head(2),
            registered_model_name=model,
            pip_requirements=["scikit-learn"],
        )
    return str(info.registered_model_version), fitted


def log_pytorch(model: str) -> tuple[str, torch.nn.Module]:
    """A version in the pytorch flavour: one float32 tensor [rows, 4] in, one out."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Softmax(dim=1))
    shape = TensorSpec(np.dtype(np.float32), (-1, 4)), TensorSpec(np.dtype(np.float32), (-1, 3))
    with mlflow.start_run():
        info = mlflow.pytorch.log_model(
            module,
            name="model",
            signature=ModelSignature(inputs=Schema([shape[0]]), outputs=Schema([shape[1]])),
            input_example=np.zeros((2, 4), np.float32),  # torch.export makes a constant of a batch of one
            registered_model_name=model,
            pip_requirements=["torch"],
        )
    return str(info.registered_model_version), module


def log_scaled(model: str) -> str:
    """A version with parameters: columns in, a table out."""
    params = ParamSchema([ParamSpec("factor", "double", 1.0), ParamSpec("columns", "string", ["a"], (-1,))])
    columns = Schema([ColSpec("double", "a"), ColSpec("double", "b"), ColSpec("string", "label")])
    outputs = Schema([ColSpec("double", "total"), ColSpec("string", "label")])
    return _log_script(model, "scaled.py", ModelSignature(columns, outputs, params))


def log_all_types(model: str) -> str:
    """A version that gives back matrices of all types of ``DTYPES``."""
    tensors = Schema([TensorSpec(dtype, (-1, -1), name) for name, dtype in DTYPES.items()])
    return _log_script(model, "all_types.py", ModelSignature(inputs=tensors, outputs=tensors))


def _log_script(model: str, script: str, signature: ModelSignature) -> str:
    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(_HERE / script),
            signature=signature,
            registered_model_name=model,
            pip_requirements=["pandas"],
        )
    return str(info.registered_model_version)
