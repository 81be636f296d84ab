"""A model as files: MLflow loads it without the application and without pickle, and it answers as the network did."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel

from app.recipes.flights.flights_network import FlightsNetwork
from app.recipes.flights.recipe import FlightsConfig, FlightsRecipe
from app.registry import ModelPackage
from app.training.recipe import Data


class Saved:
    """A recipe's untrained network, packaged and saved by MLflow."""

    def __init__(self, folder: Path) -> None:
        recipe = FlightsRecipe(FlightsConfig())
        self.data: Data = recipe.prepare()
        torch.manual_seed(3)
        self.network: FlightsNetwork = recipe.build(self.data)
        self.network.eval()
        parts = folder / "parts"
        parts.mkdir()
        self.package: ModelPackage = recipe.package(self.network, self.data, parts)
        self.path = folder / "model"
        mlflow.pyfunc.save_model(
            str(self.path),
            python_model=str(self.package.script),
            code_paths=[str(path) for path in self.package.code],
            artifacts={name: str(path) for name, path in self.package.artifacts.items()},
            signature=self.package.signature,
            input_example=self.package.example,
            pip_requirements=list(self.package.requirements),
        )


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    return Saved(tmp_path_factory.mktemp("flights"))


@pytest.fixture(scope="module")
def loaded(saved: Saved) -> PyFuncModel:
    model: PyFuncModel = mlflow.pyfunc.load_model(str(saved.path))
    return model


def answered(model: PyFuncModel, request: pd.DataFrame) -> pd.DataFrame:
    answer = model.predict(request)
    assert isinstance(answer, pd.DataFrame)
    return answer


def test_packaged_model_answers_as_the_network(saved: Saved, loaded: PyFuncModel) -> None:
    answer = answered(loaded, saved.package.example)
    assert list(answer.columns) == ["late_probability"]
    assert answer["late_probability"].dtype == np.float64
    test = saved.data.test
    rows = np.linspace(0, len(test["late"]) - 1, 5).astype(np.int64)
    with torch.inference_mode():
        logits = saved.network(torch.from_numpy(test["categories"][rows]), torch.from_numpy(test["numbers"][rows]))
    np.testing.assert_allclose(answer["late_probability"], torch.sigmoid(logits.double()), rtol=1e-6)


def test_no_pickle_is_among_the_files(saved: Saved) -> None:
    files = {str(path.relative_to(saved.path)) for path in saved.path.rglob("*") if path.is_file()}
    own = {path for path in files if "__pycache__" not in path}
    assert own == {
        *("MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt", "input_example.json"),
        *("serving_input_example.json", "scoring.py", "artifacts/config.json", "artifacts/weights.safetensors"),
        *("code/flights_network.py", "code/flights_encoding.py"),
    }
    for path in own:
        content = (saved.path / path).read_bytes()
        assert not content.startswith((b"\x80\x04", b"\x80\x05", b"PK"))


def test_packaged_model_loads_without_the_application(saved: Saved, tmp_path: Path) -> None:
    """A process that cannot import ``app`` reads the model and answers."""
    program = (
        "import sys; sys.modules['app'] = None\n"
        "import mlflow, pandas\n"
        f"model = mlflow.pyfunc.load_model({str(saved.path)!r})\n"
        "print(model.predict(model.input_example).shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "(5, 1)", done.stderr


def test_unknown_texts_and_missing_features_are_answered(saved: Saved, loaded: PyFuncModel) -> None:
    example = saved.package.example
    plain = example.drop(columns=[*saved.package.features, "plane_year", "plane_seats"])
    strange = plain.assign(carrier="??", dest="", tailnum="N0", plane_engine="steam", weekday=9)
    nothing = example.assign(**dict.fromkeys(saved.package.features, np.nan))
    for request in (plain, strange, nothing, example.iloc[:1], example.iloc[:0]):
        probability = answered(loaded, request)["late_probability"]
        assert len(probability) == len(request)
        assert probability.between(0, 1).all()
    absent = answered(loaded, example.drop(columns=list(saved.package.features)))
    pd.testing.assert_frame_equal(absent, answered(loaded, nothing))


def test_a_request_without_a_plain_column_is_refused(saved: Saved, loaded: PyFuncModel) -> None:
    with pytest.raises(MlflowException, match="carrier"):
        loaded.predict(saved.package.example.drop(columns="carrier"))


def test_features_are_named(saved: Saved) -> None:
    inputs = {column.name: column for column in saved.package.signature.inputs}
    assert set(saved.package.features) < set(inputs)
    assert all(not inputs[name].required for name in saved.package.features)
    assert inputs["carrier"].required


def test_the_package_of_other_data_is_refused(saved: Saved, tmp_path: Path) -> None:
    other = Data(saved.data.train, saved.data.test, "0" * 64)
    with pytest.raises(ValueError, match="trained on data 000000000000"):
        FlightsRecipe(FlightsConfig()).package(saved.network, other, tmp_path)
