"""Conversion between named arrays and a model's arguments and results. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.model_spec import ModelSpec

Tensors = Mapping[str, NDArray[Any]]
"""Named arrays; text as arrays of Python ``str`` (dtype object)."""


def to_model(spec: ModelSpec, inputs: Tensors) -> Any:
    """The argument of the model's ``predict``: a DataFrame for columns, else one array or a dict of them.

    Args:
        inputs: one array per required input, of its dtype; shape (rows,) or (rows, 1) for columns. Inputs the
            model does not know are left out.
    """
    if spec.columns:
        present = [field.name for field in spec.inputs if field.name in inputs]
        return pd.DataFrame({name: inputs[name].reshape(-1) for name in present})
    if len(spec.inputs) == 1 and spec.inputs[0].name == "input":
        return inputs["input"]
    return {field.name: inputs[field.name] for field in spec.inputs if field.name in inputs}


def from_model(spec: ModelSpec, result: Any) -> dict[str, NDArray[Any]]:
    """Named arrays from whatever ``predict`` gave, names as in the signature's outputs.

    Raises:
        TypeError: the result is of a kind that has no tensors.
    """
    if isinstance(result, pd.DataFrame):
        return {str(name): _array(column.to_numpy()) for name, column in result.items()}
    if isinstance(result, Mapping):
        return {str(name): _array(value) for name, value in result.items()}
    if isinstance(result, tuple):
        return {_output_name(spec, index, len(result)): _array(value) for index, value in enumerate(result)}
    return {_output_name(spec, 0, 1): _array(result)}


def _output_name(spec: ModelSpec, index: int, count: int) -> str:
    if len(spec.outputs) == count:
        return spec.outputs[index].name
    return "output" if count == 1 else f"output-{index}"


def _array(value: Any) -> NDArray[Any]:
    array = np.asarray(value)
    if array.dtype.kind == "O" and array.size and not isinstance(array.flat[0], str | bytes):
        raise TypeError(
            f"an output holds objects of type {type(array.flat[0]).__name__}; accepted are numbers and text"
        )
    return array.astype(object) if array.dtype.kind == "U" else array
