"""The script that MLflow runs to load the model: a table of requests in, a table of answers out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import torch
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from safetensors.torch import load_file


class WineModel(PythonModel):
    """The network and the names of its measurements."""

    def load_context(self, context: PythonModelContext) -> None:
        """Reads the artifacts."""
        from wine_network import WineNetwork  # type: ignore[import-not-found]  # the file that travels along

        config = json.loads(Path(context.artifacts["config"]).read_text())
        self._columns: list[str] = config["columns"]
        self._network = WineNetwork.empty(len(self._columns), config["hidden"], config["classes"])
        self._network.load_state_dict(load_file(context.artifacts["weights"]))
        self._network.eval()

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """The likeliest grower of each row, and its probability."""
        rows = torch.tensor(model_input[self._columns].to_numpy(dtype="float32"))
        with torch.inference_mode():
            probability, grower = self._network(rows).softmax(dim=1).max(dim=1)
        return pd.DataFrame({"grower": grower.numpy(), "probability": probability.double().numpy()})


mlflow.models.set_model(WineModel())
