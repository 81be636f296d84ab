"""A model over a looked-up feature for serving tests ("models from code"): x plus the feature, or -1 without."""

from __future__ import annotations

from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel


class Summer(PythonModel):
    """``total`` = ``x`` + ``user_spent``; with the parameter ``scale``, that many times as much."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """One row of ``total`` per row."""
        scale = (params or {}).get("scale", 1.0)
        return pd.DataFrame({"total": (model_input["x"] + model_input["user_spent"].fillna(-1.0)) * scale})


mlflow.models.set_model(Summer())
