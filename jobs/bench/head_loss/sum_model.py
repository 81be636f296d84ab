"""The model of the scenario's training run ("models from code"): the sum that was learnt."""

from __future__ import annotations

from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel


class Sum(PythonModel):
    """``y = x1 + x2``."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """One number a row."""
        return pd.DataFrame({"y": model_input["x1"] + model_input["x2"]})


mlflow.models.set_model(Sum())
