"""A trained decoder as files for MLflow. Apart from the recipe, whose workers need none of these imports."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from safetensors.torch import save_file
from torch import nn

from app.recipes.bytelm.bytelm_decoder import Size
from app.registry import ModelPackage

_FOLDER = Path(__file__).parent
_PACKAGES = ("mlflow", "pandas", "safetensors", "torch")


def package(model: nn.Module, size: Size, sequence: int, folder: Path) -> ModelPackage:
    """Weights as safetensors and sizes as JSON below ``folder``, with the script and the module that read them."""
    weights, config = folder / "weights.safetensors", folder / "config.json"
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, weights)
    config.write_text(json.dumps({"size": asdict(size), "sequence": sequence}))
    return ModelPackage(
        script=_FOLDER / "scoring.py",
        code=(_FOLDER / "bytelm_decoder.py",),
        artifacts={"weights": weights, "config": config},
        signature=ModelSignature(
            inputs=Schema([ColSpec("string", "text")]), outputs=Schema([ColSpec("double", "bits_per_byte")])
        ),
        example=pd.DataFrame({"text": ["def main() -> None:\n", "import os\n"]}),
        requirements=tuple(f"{name}=={version(name)}" for name in _PACKAGES),
    )
