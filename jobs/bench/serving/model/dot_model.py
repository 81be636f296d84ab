"""The model as MLflow serves it ("models from code"): the dot product of ``dot``, which travels with it."""

from __future__ import annotations

from typing import Any

import mlflow
from mlflow.pyfunc.model import PythonModel


class Dot(PythonModel):
    """Tensor ``x`` of the shape (rows, 4) in, tensor ``y`` of the shape (rows,) out."""

    def load_context(self, context: Any) -> None:
        """Import the arithmetic."""
        # Not at the top: MLflow also runs this script when it logs the model, without the model's code on the path.
        from dot import score  # type: ignore[import-not-found]

        self._score = score

    def predict(self, context: Any, model_input: dict[str, Any], params: dict[str, Any] | None = None) -> Any:
        """One number a row."""
        return {"y": self._score(model_input["x"])}


mlflow.models.set_model(Dot())
