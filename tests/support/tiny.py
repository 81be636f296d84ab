"""A small recipe: learn a sum of two numbers. Quick to train, and exact enough to compare runs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from app.registry import ModelPackage
from app.training.recipe import Columns, Data, Evaluation


class TinyConfig(BaseModel):
    """Rows, seconds that each step is made to last, and dropout."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int = 256
    step_s: float = 0.0
    dropout: float = 0.1


class TinyRecipe:
    """``y = x1 + x2`` by a two-layer network with dropout (so that random states matter)."""

    Config = TinyConfig
    name = "tiny"

    def __init__(self, config: TinyConfig) -> None:
        self.config = config

    def prepare(self) -> Data:
        """Uniform numbers and their sum."""
        x = np.random.default_rng(0).random((self.config.rows, 2), dtype=np.float32)
        train = {"x": x, "y": x.sum(axis=1)}
        return Data(train, {name: array[:64] for name, array in train.items()}, "0" * 64, {"rows": len(x)})

    def build(self, data: Data) -> nn.Module:
        """Two layers."""
        return nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Dropout(self.config.dropout), nn.Linear(16, 1))

    def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Mean squared error."""
        time.sleep(self.config.step_s)
        return nn.functional.mse_loss(model(batch["x"]).squeeze(-1), batch["y"])

    def evaluate(self, model: nn.Module, test: Columns) -> Evaluation:
        """Root mean squared error on the held-out rows."""
        assert not model.training
        predicted = model(torch.from_numpy(test["x"])).squeeze(-1).numpy()
        return Evaluation({"rmse": float(np.sqrt(np.mean((predicted - test["y"]) ** 2)))})

    def package(self, model: nn.Module, data: Data, folder: Path) -> ModelPackage:
        """The test model of the serving tests stands in; the weights are kept as a plain list."""
        weights = folder / "weights.json"
        weights.write_text(json.dumps([parameter.tolist() for parameter in model.parameters()]))
        return ModelPackage(
            script=Path(__file__).parent / "scorer.py",
            code=(),
            artifacts={"weights": weights},
            signature=ModelSignature(
                inputs=Schema([ColSpec("double", "x")]), outputs=Schema([ColSpec("double", "score")])
            ),
            example=pd.DataFrame({"x": [0.5]}),
            requirements=("pandas",),
        )
