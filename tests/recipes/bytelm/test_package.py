"""A decoder as files: MLflow loads it without the application, and it answers as the decoder did."""

from __future__ import annotations

import math
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe
from tests.recipes.bytelm.support import prose


@pytest.mark.parametrize("size", ["1m", "3m-a1m"])
def test_packaged_model_answers_as_the_decoder(tmp_path: Path, size: str) -> None:
    recipe = ByteLMRecipe(ByteLMConfig(size=size, sequence=16))
    data = prose(sequence=16, words=100)
    torch.manual_seed(0)
    decoder = recipe.build(data).eval()
    (tmp_path / "parts").mkdir()
    package = recipe.package(decoder, data, tmp_path / "parts")
    mlflow.pyfunc.save_model(
        str(tmp_path / "model"),
        python_model=str(package.script),
        code_paths=[str(path) for path in package.code],
        artifacts={name: str(path) for name, path in package.artifacts.items()},
        signature=package.signature,
        input_example=package.example,
        pip_requirements=list(package.requirements),
    )
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "model"))

    text = "x = 1\nprint(x + 1)\ny"  # one whole window of 16 bytes and a part of another
    answer = loaded.predict(pd.DataFrame({"text": [text, ""]}))["bits_per_byte"]

    stream = torch.tensor(list(b"\0" + text.encode()))
    with torch.no_grad():
        nats = sum(
            float(functional.cross_entropy(decoder(stream[None, a:b])[0], stream[a + 1 : b + 1], reduction="sum"))
            for a, b in ((0, 16), (16, len(text)))
        )
    assert answer[0] == pytest.approx(nats / len(text) / math.log(2), rel=1e-5)
    assert np.isnan(answer[1])
