"""A strict copy of a version: the same answers, but for text that has no code, which it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import torch
from mlflow.exceptions import MlflowException

from app.recipes.flights.recipe import FlightsConfig, FlightsRecipe
from app.registry import FEATURE_VIEWS_KEY, FEATURES_KEY, ModelPackage
from jobs.run.strict import strict


def saved(package: ModelPackage, folder: Path) -> Path:
    mlflow.pyfunc.save_model(
        str(folder),
        python_model=str(package.script),
        code_paths=[str(path) for path in package.code],
        artifacts={name: str(path) for name, path in package.artifacts.items()},
        signature=package.signature,
        input_example=package.example,
        pip_requirements=list(package.requirements),
        metadata={
            FEATURES_KEY: list(package.features),
            FEATURE_VIEWS_KEY: [dict(view) for view in package.feature_views],
        },
    )
    return folder


def test_it_answers_as_the_original_but_refuses_what_has_no_code(tmp_path: Path) -> None:
    recipe = FlightsRecipe(FlightsConfig(features="static"))
    data = recipe.prepare()
    torch.manual_seed(3)
    for name in ("parts", "changed"):
        (tmp_path / name).mkdir()
    original = saved(recipe.package(recipe.build(data).eval(), data, tmp_path / "parts"), tmp_path / "original")
    logged = pd.DataFrame(mlflow.pyfunc.load_model(str(original)).input_example)
    unknown = logged.iloc[:1].assign(tailnum="N0NE")
    nameless = logged.iloc[:1].assign(tailnum="", plane_engine="")
    expected = mlflow.pyfunc.load_model(str(original)).predict(nameless)

    package = strict(original, tmp_path / "changed")
    assert len(package.example) > 0
    copy = saved(package, tmp_path / "copy")
    shutil.rmtree(original)  # the copy needs nothing of it
    model = mlflow.pyfunc.load_model(str(copy))
    pd.testing.assert_frame_equal(model.predict(nameless), expected)  # not known is not the same as not coded
    assert len(model.predict(package.example)) == len(package.example)
    with pytest.raises((ValueError, MlflowException), match="tailnum 'N0NE' has no code"):
        model.predict(unknown)
