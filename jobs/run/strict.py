"""The second broken challenger: a served version with one setting changed, so that it raises on some real flights.

Where a text was too rare in training to have a code of its own, a model of the recipe flights has a shared one. This
version refuses such text, as a well-meant check would: about one October flight in ten is of such an aircraft.
Weights, code and signature are those of the version that it is made from.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.models import Model

from app.recipes.flights.flights_encoding import Encoder, Encoding
from app.registry import FEATURE_VIEWS_KEY, FEATURES_KEY, ModelPackage, RegistryError, download, log_version


def register_strict(client: MlflowClient, model: str, version: str) -> str:
    """Log a strict copy of a version as a new one of the same model and return its number; blocks."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "files").mkdir()
        package = strict(download(client, model, version, folder / "files"), folder)
        with mlflow.start_run(run_name=f"{model}-strict"):
            tags = {"tidegate.recipe": "flights", "tidegate.made_from": version}
            return log_version(package, model, tags)


def strict(files: Path, folder: Path) -> ModelPackage:
    """Returns a package of a downloaded version's files, with its encoding set to refuse text that has no code.

    Args:
        folder: where the changed file is written.

    Raises:
        RegistryError: the version has no example rows.
    """
    logged = Model.load(str(files))
    config = json.loads((files / "artifacts" / "config.json").read_text())
    config["encoding"]["refuse_uncoded"] = True
    changed = folder / "config.json"
    changed.write_text(json.dumps(config))
    metadata = logged.metadata or {}
    example = logged.load_input_example(str(files))
    if not isinstance(example, pd.DataFrame):
        raise RegistryError(f"the files in {files} have no example rows; a version of the recipe flights has some")
    return ModelPackage(
        script=files / "scoring.py",
        code=tuple(sorted((files / "code").glob("*.py"))),
        artifacts={"weights": files / "artifacts" / "weights.safetensors", "config": changed},
        signature=logged.signature,
        example=_accepted(example, Encoder(Encoding.from_json(config["encoding"]))),
        features=tuple(metadata[FEATURES_KEY]),
        feature_views=tuple(metadata[FEATURE_VIEWS_KEY]),
        requirements=tuple((files / "requirements.txt").read_text().split()),
    )


def _accepted(example: pd.DataFrame, encode: Encoder) -> pd.DataFrame:
    """Returns the rows that the encoder takes, so that a version is not found out by its own example."""

    def taken(row: int) -> bool:
        try:
            encode({str(name): column.to_numpy() for name, column in example.iloc[[row]].items()})
        except ValueError:
            return False
        return True

    return example[[taken(row) for row in range(len(example))]]
