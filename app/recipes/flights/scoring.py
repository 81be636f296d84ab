"""The flights model as MLflow serves it ("models from code"): requests in, probabilities of a late arrival out.

Besides its packages it needs only the two files that travel with it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import torch
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from safetensors.torch import load_file


class FlightsModel(PythonModel):
    """A network and the encoding of its inputs."""

    def load_context(self, context: PythonModelContext) -> None:
        """Reads the artifacts ``config`` (JSON) and ``weights`` (safetensors)."""
        # Not at the top: MLflow also runs this script when it logs the model, without the model's code on the path.
        from flights_encoding import Encoder, Encoding  # type: ignore[import-not-found]
        from flights_network import FlightsNetwork  # type: ignore[import-not-found]

        torch.set_num_threads(1)  # a replica is given one core
        config = json.loads(Path(context.artifacts["config"]).read_text())
        self._encode = Encoder(Encoding.from_json(config["encoding"]))
        self._network = FlightsNetwork(config["network"])
        self._network.load_state_dict(load_file(context.artifacts["weights"]))
        self._network.eval()

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """``late_probability`` of each row."""
        columns = {str(name): column.to_numpy() for name, column in model_input.items()}  # quicker to look up
        categories, numbers = self._encode(columns)
        with torch.inference_mode():
            logits = self._network(torch.from_numpy(categories), torch.from_numpy(numbers))
        probability = torch.sigmoid(logits.double()).numpy()
        return pd.DataFrame({"late_probability": probability}, index=model_input.index)


mlflow.models.set_model(FlightsModel())
