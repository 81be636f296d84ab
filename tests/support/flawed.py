"""The scorer of the serving tests with a flaw told by its artifact: ``raise_above`` (x), ``sleep_s``, ``shift``, or
``unloadable``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class Flawed(PythonModel):
    """``score`` = 2 x + shift."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the flaw."""
        self._flaw: dict[str, float] = json.loads(Path(context.artifacts["flaw"]).read_text())
        if "unloadable" in self._flaw:
            raise ValueError("this version cannot be loaded")

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """One row of ``score`` per row of ``x``."""
        if (model_input["x"] > self._flaw.get("raise_above", 1e9)).any():
            raise ValueError("x is too much for this version")
        time.sleep(self._flaw.get("sleep_s", 0.0))
        return pd.DataFrame({"score": model_input["x"] * 2.0 + self._flaw.get("shift", 0.0)})


mlflow.models.set_model(Flawed())
