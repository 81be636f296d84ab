"""Versions loaded beside each other in one process, with code files of the same names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from app.registry import RegistryError
from app.serving.batch import Batch
from app.serving.loading import load_scorer
from app.settings import MlflowSettings, Settings

SCRIPT = """
import mlflow
from mlflow.pyfunc.model import PythonModel

class Model(PythonModel):
    def load_context(self, context):
        {early}

    def predict(self, context, model_input, params=None):
        {late}
        return self._helper.scaled(model_input["x"])

mlflow.models.set_model(Model())
"""
IMPORT = "import helper; self._helper = helper"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Settings]:
    """A registry of its own, in a file."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    MlflowClient().create_experiment("loading", artifact_location=(tmp_path / "artifacts").as_uri())
    mlflow.set_experiment("loading")
    yield Settings(mlflow=MlflowSettings(tracking_uri=uri))
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)


def log(folder: Path, factor: int, late: bool = False) -> str:
    folder.mkdir()
    (folder / "helper.py").write_text(f"def scaled(x):\n    return x * {factor}\n")
    (folder / "script.py").write_text(
        SCRIPT.format(early="pass" if late else IMPORT, late=IMPORT if late else "pass")
    )
    spec = TensorSpec(np.dtype(np.float64), (-1,), "x")
    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(folder / "script.py"),
            code_paths=[str(folder / "helper.py")],
            signature=ModelSignature(inputs=Schema([spec]), outputs=Schema([spec])),
            input_example={"x": np.ones(1)},
            pip_requirements=["numpy"],
            registered_model_name="scaled",
        )
    return str(info.registered_model_version)


def test_each_version_keeps_its_own_code(here: Settings, tmp_path: Path) -> None:
    versions = [log(tmp_path / f"v{factor}", factor) for factor in (2, 3)]
    scorers = []
    for version in versions:
        folder = tmp_path / f"loaded-{version}"
        folder.mkdir()
        scorers.append(load_scorer(here, "scaled", version, folder)[0])
    found = [scorer.score(Batch({"x": np.array([5.0])})) for scorer in scorers]
    assert [next(iter(outputs.values())).tolist() for outputs, _ in found if outputs] == [[10.0], [15.0]]


def test_version_that_imports_own_code_during_predict_is_refused(here: Settings, tmp_path: Path) -> None:
    version = log(tmp_path / "late", 2, late=True)
    folder = tmp_path / "loaded"
    folder.mkdir()
    with pytest.raises(RegistryError, match="imports code of its own when it is asked"):
        load_scorer(here, "scaled", version, folder)
