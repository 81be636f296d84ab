"""Between named arrays and what a model takes and gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from app.model_spec import FieldSpec, ModelSpec
from app.serving.model_tensors import from_model, to_model

COLUMNS = ModelSpec(
    "m", "1", (FieldSpec("x", "float64"), FieldSpec("who", "str")), (FieldSpec("p", "float64"),), columns=True
)
ONE = ModelSpec("m", "1", (FieldSpec("input", "float32", (-1, 2)),), (), columns=False)
NAMED = ModelSpec("m", "1", (FieldSpec("a", "float32", (-1,)), FieldSpec("b", "float32", (-1,))), (), columns=False)


def test_columns_become_a_table_in_the_signatures_order() -> None:
    frame = to_model(COLUMNS, {"who": np.array(["u", "v"], dtype=object), "x": np.array([[1.0], [2.0]])})
    assert list(frame.columns) == ["x", "who"]
    assert frame["x"].tolist() == [1.0, 2.0]
    assert frame["who"].tolist() == ["u", "v"]


def test_one_unnamed_tensor_goes_as_it_is_and_named_ones_as_a_dict() -> None:
    array = np.zeros((3, 2), dtype=np.float32)
    assert to_model(ONE, {"input": array}) is array
    assert set(to_model(NAMED, {"a": array[:, 0], "b": array[:, 1], "other": array})) == {"a", "b"}


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (pd.DataFrame({"q": [1, 2]}), {"q": [1, 2]}),
        ({"q": [1.5]}, {"q": [1.5]}),
        (np.array([1, 2]), {"p": [1, 2]}),
        (pd.Series([1, 2]), {"p": [1, 2]}),
        ([0.5], {"p": [0.5]}),
        (np.array(["a", "b"]), {"p": ["a", "b"]}),
        ((np.array([1]), np.array([2])), {"output-0": [1], "output-1": [2]}),
    ],
)
def test_results_of_predict_become_named_arrays(result: Any, expected: dict[str, list[Any]]) -> None:
    assert {name: array.tolist() for name, array in from_model(COLUMNS, result).items()} == expected


def test_objects_are_refused() -> None:
    with pytest.raises(TypeError, match="objects of type dict"):
        from_model(COLUMNS, np.array([{}], dtype=object))
