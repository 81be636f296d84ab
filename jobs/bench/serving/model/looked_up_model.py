"""The same model over a table whose numbers are features ("models from code"): the caller names a user only."""

from __future__ import annotations

from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel


class LookedUp(PythonModel):
    """Columns ``user`` and the view's four numbers in, column ``y`` out."""

    def load_context(self, context: Any) -> None:
        """Import the arithmetic."""
        # Not at the top: MLflow also runs this script when it logs the model, without the model's code on the path.
        from dot import score  # type: ignore[import-not-found]

        self._score = score

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> Any:
        """One number a row."""
        return {"y": self._score(model_input.drop(columns="user").to_numpy())}


mlflow.models.set_model(LookedUp())
