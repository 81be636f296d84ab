"""A strict copy of a version: the same answers, but for text that has no code, which it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow.exceptions import MlflowException
from safetensors.torch import save_file

from app.recipes import flights
from app.recipes.flights.columns import column_types
from app.recipes.flights.flights_encoding import RARE, Encoder, fit
from app.recipes.flights.flights_network import FlightsNetwork, Shape
from app.recipes.flights.inputs import CATEGORIES, numbers
from app.recipes.flights.recipe import signature
from app.registry import FEATURE_VIEWS_KEY, FEATURES_KEY, ModelPackage
from jobs.run.strict import strict

FLIGHTS = Path(flights.__file__).parent
FILES = {"weights": "weights.safetensors", "config": "config.json"}


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


def packaged(folder: Path) -> ModelPackage:
    """A version of the recipe flights with an untrained network, whose encoding knows two aircraft."""
    rows = 6 * RARE
    columns: dict[str, Any] = {
        name: np.resize(np.array(["N1", "N2"] if kind == "string" else [1, 2, 3], dtype=object), rows)
        for name, kind in column_types("static").items()
    }
    table = pd.DataFrame(columns)
    encoding = fit(columns, CATEGORIES, numbers("static"))
    inputs = Encoder(encoding)(columns)[1].shape[1]
    torch.manual_seed(3)
    categories = [(4, 2)] * len(CATEGORIES)
    network = FlightsNetwork(Shape(categories=categories, numbers=inputs, bins=2, hidden=[4], dropout=0.0))
    network.edges.copy_(torch.linspace(-1, 1, 3).expand(inputs, 3))
    folder.mkdir()
    save_file(network.state_dict(), folder / "weights.safetensors")
    (folder / "config.json").write_text(json.dumps({"network": network.shape, "encoding": encoding.as_json()}))
    kinds = {"string": "str", "long": "int64", "double": "float64"}
    example = table.iloc[:3].astype({name: kinds[kind] for name, kind in column_types("static").items()})
    example.loc[1, "tailnum"] = "N0NE"
    return ModelPackage(
        script=FLIGHTS / "scoring.py",
        code=(FLIGHTS / "flights_network.py", FLIGHTS / "flights_encoding.py"),
        artifacts={name: folder / file for name, file in FILES.items()},
        signature=signature("static"),
        example=example,
        requirements=("torch",),
    )


def test_strict_copy_refuses_uncoded_text_and_else_answers_the_same(tmp_path: Path) -> None:
    original = saved(packaged(tmp_path / "parts"), tmp_path / "original")
    model = mlflow.pyfunc.load_model(str(original))
    example = pd.DataFrame(model.input_example)
    known, uncoded = example.iloc[[0, 2]], example.iloc[[1]]
    nameless = example.iloc[[0]].assign(tailnum="")
    expected = [model.predict(rows) for rows in (known, nameless)]
    assert len(model.predict(uncoded)) == 1

    (tmp_path / "changed").mkdir()
    package = strict(original, tmp_path / "changed")
    assert package.example["tailnum"].tolist() == known["tailnum"].tolist()  # its own example gives nothing away
    copy = saved(package, tmp_path / "copy")
    shutil.rmtree(original)  # the copy needs nothing of it
    model = mlflow.pyfunc.load_model(str(copy))
    for rows, answers in zip((known, nameless), expected, strict=True):  # not known is not the same as not coded
        pd.testing.assert_frame_equal(model.predict(rows), answers)
    with pytest.raises((ValueError, MlflowException), match="tailnum 'N0NE' has no code"):
        model.predict(uncoded)
