"""The probe: a few rows with the distributed model's outputs, which the consolidated model must reproduce."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load, save
from torch import Tensor, nn

from app.errors import TidegateError
from app.training.parallel.distributed_model import DistributedModel
from app.training.recipe import Data, ParallelRecipe, Recipe
from app.training.storage.run_folder import RunFolder

_FILE = "probe.safetensors"
_OUTPUT = "output"
TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2}
"""Largest accepted difference, relative to the largest output, by the precision that the model was trained in."""


class ExportError(TidegateError):
    """The consolidated model is not the one that was trained; it is not registered."""


def save_probe_batch(folder: RunFolder, model: DistributedModel, batch: Mapping[str, Tensor]) -> None:
    """Writes some rows of ``batch`` with the distributed model's output into the folder. A collective call."""
    found = model.output(batch)
    if found is None:
        return
    rows, output = found
    tensors = {f"rows.{name}": column.contiguous().cpu() for name, column in rows.items()}
    tensors[_OUTPUT] = output.detach().float().contiguous().cpu()
    folder.write_bytes(_FILE, save(tensors))


def check_files(model: nn.Module, files: Iterable[Path]) -> None:
    """Reads back those safetensors ``files`` that have the names of the model's tensors.

    Raises:
        ExportError: one holds other values.
    """
    state = model.state_dict()
    for path in files:
        if path.suffix != ".safetensors":
            continue
        with safe_open(path, framework="pt") as tensors:
            if set(tensors.keys()) != set(state):
                continue
            for name, value in state.items():
                if not torch.equal(tensors.get_tensor(name), value):
                    raise ExportError(f"{path.name}: {name} is not what was trained")


def check_probe(folder: RunFolder, recipe: Recipe, data: Data, model: nn.Module, precision: str) -> float:
    """Compares the outputs of ``model`` (plain, on the CPU) with those that training left.

    Returns:
        The largest difference, relative to the largest output.

    Raises:
        ExportError: it is more than ``TOLERANCE``, or there is nothing to compare with.
    """
    content = folder.read_bytes(_FILE)
    if content is None:
        raise ExportError("training left no rows to check the consolidated model with")
    tensors = load(content)
    wanted = tensors.pop(_OUTPUT)
    rows = {name.removeprefix("rows."): column for name, column in tensors.items()}
    model.eval()
    with torch.no_grad():
        if isinstance(recipe, ParallelRecipe):
            output = model(rows[recipe.parallel_plan(data).input]).float()
        else:
            output = recipe.loss(model, rows).float()
    difference = float((output - wanted).abs().max() / wanted.abs().max().clamp_min(1e-12))
    if not difference <= TOLERANCE[precision]:
        raise ExportError(
            f"the consolidated model's outputs differ from the trained one's by {difference:.1e} of the largest; "
            f"accepted is {TOLERANCE[precision]:.0e}"
        )
    return difference
