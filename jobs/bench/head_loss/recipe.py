"""What the training run of the scenario learns: a sum, at a pace that is set, so that it lasts through the loss."""

from __future__ import annotations

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


class PacedConfig(BaseModel):
    """Rows, and the seconds that each step is made to last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int = 512
    step_s: float = 0.1


class PacedRecipe:
    """``y = x1 + x2`` by one layer."""

    Config = PacedConfig
    name = "paced"

    def __init__(self, config: PacedConfig) -> None:
        self.config = config

    def prepare(self) -> Data:
        """Uniform numbers and their sum."""
        x = np.random.default_rng(0).random((self.config.rows, 2), dtype=np.float32)
        train = {"x": x, "y": x.sum(axis=1)}
        return Data(train, {name: array[:64] for name, array in train.items()}, "0" * 64, {"rows": len(x)})

    def build(self, data: Data) -> nn.Module:
        """One layer."""
        return nn.Linear(2, 1)

    def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Mean squared error."""
        time.sleep(self.config.step_s)
        return nn.functional.mse_loss(model(batch["x"]).squeeze(-1), batch["y"])

    def evaluate(self, model: nn.Module, test: Columns) -> Evaluation:
        """Root mean squared error on the held-out rows."""
        predicted = model(torch.from_numpy(test["x"])).squeeze(-1).numpy()
        return Evaluation({"rmse": float(np.sqrt(np.mean((predicted - test["y"]) ** 2)))})

    def package(self, model: nn.Module, data: Data, folder: Path) -> ModelPackage:
        """A script that adds; nobody serves it."""
        return ModelPackage(
            script=Path(__file__).parent / "sum_model.py",
            code=(),
            artifacts={},
            signature=ModelSignature(
                inputs=Schema([ColSpec("double", "x1"), ColSpec("double", "x2")]),
                outputs=Schema([ColSpec("double", "y")]),
            ),
            example=pd.DataFrame({"x1": [0.5], "x2": [0.25]}),
            requirements=("pandas",),
        )
