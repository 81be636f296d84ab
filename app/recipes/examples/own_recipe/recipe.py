"""The recipe: what the training engine asks of a model. ``app.training.recipe.Recipe`` says what each method owes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import save_file
from sklearn.datasets import load_wine
from torch import Tensor, nn

from app.recipes.examples.own_recipe.wine_network import WineNetwork
from app.recipes.fingerprint import fingerprint
from app.registry import ModelPackage
from app.training.recipe import Columns, Data, Evaluation

FOLDER = Path(__file__).parent


class WineConfig(BaseModel):
    """The ``options`` of the configuration file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: int = Field(32, ge=1, description="Units of the hidden layer")
    test_share: float = Field(0.25, gt=0, lt=1, description="Share of the rows that are held out")


class WineRecipe:
    """The grower of a wine, one of three, from 13 measurements."""

    Config = WineConfig
    name = "wine"

    def __init__(self, config: WineConfig) -> None:
        self.config = config

    def prepare(self) -> Data:
        """Named arrays, the same each time: a resumed run compares the fingerprint."""
        table, grower = load_wine(return_X_y=True, as_frame=True)
        order = np.random.default_rng(0).permutation(len(table))
        held_out = int(len(table) * self.config.test_share)
        columns = {"measurements": table.to_numpy(dtype=np.float32), "grower": grower.to_numpy(dtype=np.int64)}
        test = {name: array[order[:held_out]] for name, array in columns.items()}
        train = {name: array[order[held_out:]] for name, array in columns.items()}
        return Data(
            train, test, fingerprint({"train": train, "test": test}), facts={"train_rows": len(order) - held_out}
        )

    def build(self, data: Data) -> WineNetwork:
        """Constants come from the training rows only."""
        rows = torch.from_numpy(data.train["measurements"])
        classes = int(data.train["grower"].max()) + 1
        return WineNetwork(rows.mean(dim=0), rows.std(dim=0), self.config.hidden, classes)

    def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Mean over the rows of a batch, whose tensors have the names of ``prepare``."""
        return nn.functional.cross_entropy(model(batch["measurements"]), batch["grower"])

    def evaluate(self, model: nn.Module, test: Columns) -> Evaluation:
        """Metrics that are logged with the run, and that offline gates can compare."""
        with torch.inference_mode():
            found = model(torch.from_numpy(test["measurements"])).argmax(dim=1).numpy()
        return Evaluation({"accuracy": float((found == test["grower"]).mean())})

    def package(self, model: nn.Module, data: Data, folder: Path) -> ModelPackage:
        """The files that a replica needs: weights as safetensors, sizes as JSON, the script and the network."""
        names = [str(name) for name in load_wine().feature_names]
        config = {"columns": names, "hidden": self.config.hidden, "classes": int(data.train["grower"].max()) + 1}
        (folder / "config.json").write_text(json.dumps(config))
        save_file(dict(model.state_dict()), folder / "weights.safetensors")
        return ModelPackage(
            script=FOLDER / "scoring.py",
            code=(FOLDER / "wine_network.py",),
            artifacts={"weights": folder / "weights.safetensors", "config": folder / "config.json"},
            signature=ModelSignature(
                inputs=Schema([ColSpec("double", name) for name in names]),
                outputs=Schema([ColSpec("long", "grower"), ColSpec("double", "probability")]),
            ),
            example=load_wine(as_frame=True).data.head(2),
            requirements=tuple(f"{name}=={version(name)}" for name in ("mlflow", "pandas", "safetensors", "torch")),
        )
