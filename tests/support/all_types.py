"""A model that gives back the tensors it took, whatever their type ("models from code")."""

from __future__ import annotations

from typing import Any

import mlflow
from mlflow.pyfunc.model import PythonModel


class AllTypes(PythonModel):
    """Outputs have the inputs' names."""

    def predict(
        self, context: Any, model_input: dict[str, Any], params: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The inputs."""
        return model_input


mlflow.models.set_model(AllTypes())
