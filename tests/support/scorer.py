"""A small model for serving tests ("models from code"): doubles x, raises below -1000, takes 50 ms from 500
on, hangs for 8 s above 1000."""

from __future__ import annotations

import time
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel


class Scorer(PythonModel):
    """``score`` = 2 x, as far as it goes."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """One row of ``score`` per row of ``x``."""
        if (model_input["x"] < -1000).any():
            raise ValueError("x below -1000")
        if "extra" in model_input and (model_input["extra"] < 0).any():
            raise ValueError("extra below 0")  # only a version that takes ``extra`` can raise this
        if (model_input["x"] > 1000).any():
            time.sleep(8)
        elif (model_input["x"] >= 500).any():
            time.sleep(0.05)
        return pd.DataFrame({"score": model_input["x"] * 2.0})


mlflow.models.set_model(Scorer())
