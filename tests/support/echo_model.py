"""A model of tensors for protocol tests ("models from code"): gives back what it took, one tensor of each datatype.

Its parameters have it wait before it answers (``wait_s``), or raise (``fail``).
"""

from __future__ import annotations

import time
from typing import Any

import mlflow
from mlflow.pyfunc.model import PythonModel


class Echo(PythonModel):
    """Outputs = inputs."""

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        """The tensors by name, as they came."""
        chosen = params or {}
        if chosen.get("fail"):
            raise ValueError("told to fail")
        time.sleep(chosen.get("wait_s", 0.0))
        return model_input


mlflow.models.set_model(Echo())
