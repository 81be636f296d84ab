"""A model with parameters ("models from code"): sums the chosen columns and multiplies."""

from __future__ import annotations

from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel


class Scaled(PythonModel):
    """``total`` = ``factor`` · the sum of ``columns``; ``label`` is the text that came."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """One row of ``total`` and ``label`` per row."""
        assert params is not None
        total = model_input[list(params["columns"])].sum(axis=1) * params["factor"]
        return pd.DataFrame({"total": total, "label": model_input["label"]})


mlflow.models.set_model(Scaled())
