"""Rows and columns in JSON to arrays: what is read and what is refused."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidArgumentError
from app.gateway.protocols import json_tensors
from app.model_spec import FieldSpec, ModelSpec


def spec(*inputs: FieldSpec, columns: bool = True) -> ModelSpec:
    return ModelSpec("m", "1", inputs, (), columns)


TABLE = spec(FieldSpec("x", "float64"), FieldSpec("n", "int32"), FieldSpec("who", "str"), FieldSpec("raw", "bytes"))
TENSOR = spec(FieldSpec("input", "float32", (-1, 2)), columns=False)
TWO = spec(FieldSpec("a", "float32", (-1, 2)), FieldSpec("b", "int64", (-1,)), columns=False)
ONE = spec(FieldSpec("raw", "bytes"))


def shown(arrays: json_tensors.Arrays) -> dict[str, tuple[str, Any]]:
    return {name: (array.dtype.name, array.tolist()) for name, array in arrays.items()}


ROWS = {
    "x": ("float64", [1.5, 2.0]),
    "n": ("int64", [1, 2]),
    "who": ("object", ["a", "b"]),
    "raw": ("object", [b"hi", b"\xff"]),
}


@pytest.mark.parametrize(
    "names", [["x", "n", "who", "raw"], None, [0, 1, 2, 3]], ids=["names", "positions", "pandas' own"]
)
def test_a_table_is_read_by_column_names_or_positions(names: list[str | int] | None) -> None:
    rows = [[1.5, 1, "a", "aGk="], [2, 2.0, "b", "/w=="]]
    assert shown(json_tensors.from_table(TABLE, names, rows)) == ROWS


def test_positions_leave_out_what_is_looked_up() -> None:
    fields = FieldSpec("x", "float64"), FieldSpec("spent", "float64"), FieldSpec("who", "str")
    model = ModelSpec("m", "1", fields, (), True, features=("spent",), feature_views=({"name": "user"},))
    assert list(json_tensors.from_instances(model, [[1, "a"]])) == ["x", "who"]
    assert list(json_tensors.from_instances(model, [[1, 2, "a"]])) == ["x", "spent", "who"]
    with pytest.raises(
        InvalidArgumentError, match="have 1 cells; accepted are 2, for x, who or 3, for x, spent, who"
    ):
        json_tensors.from_instances(model, [[1]])


def test_rows_that_are_objects_are_read() -> None:
    rows = [
        {"x": 1.5, "n": 1, "who": "a", "raw": {"b64": "aGk="}},
        {"n": 2, "x": 2, "who": "b", "raw": {"b64": "/w=="}},
    ]
    assert shown(json_tensors.from_instances(TABLE, rows)) == ROWS
    assert shown(json_tensors.from_inputs(TABLE, rows)) == ROWS


def test_an_object_of_columns_is_read() -> None:
    columns = {"x": [1.5, 2], "n": [1, 2], "who": ["a", "b"], "raw": [{"b64": "aGk="}, {"b64": "/w=="}]}
    assert shown(json_tensors.from_inputs(TABLE, columns)) == ROWS
    assert shown(json_tensors.from_inputs(TABLE, {"x": 1.5, "other": "t"})) == {
        "x": ("float64", [1.5]),
        "other": ("object", ["t"]),  # an input of another version: ``fit`` knows
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (json_tensors.from_instances(TENSOR, [[1, 2], [3, 4.5]]), {"input": ("float64", [[1.0, 2.0], [3.0, 4.5]])}),
        (json_tensors.from_inputs(TENSOR, [[1, 2]]), {"input": ("int64", [[1, 2]])}),
        (json_tensors.from_inputs(TENSOR, {"input": [[1, 2]]}), {"input": ("int64", [[1, 2]])}),
        (json_tensors.from_table(TENSOR, ["p", "q"], [[1, 2]]), {"input": ("int64", [[1, 2]])}),
        (json_tensors.from_records(TENSOR, [{"p": 1, "q": 2.5}]), {"input": ("float64", [[1.0, 2.5]])}),
        (
            json_tensors.from_instances(TWO, [{"a": [1, 2], "b": 3}]),
            {"a": ("int64", [[1, 2]]), "b": ("int64", [3])},
        ),
        (json_tensors.from_instances(ONE, [{"b64": "aGk="}]), {"raw": ("object", [b"hi"])}),
        (json_tensors.from_instances(ONE, ["aGk="]), {"raw": ("object", ["aGk="])}),
        (json_tensors.from_instances(spec(FieldSpec("x", "float64")), [[1], [2]]), {"x": ("int64", [[1], [2]])}),
        (json_tensors.from_inputs(spec(FieldSpec("x", "float64")), 2.5), {"x": ("float64", [2.5])}),
        (json_tensors.from_inputs(TWO, {"b": [True]}), {"b": ("bool", [True])}),
        (json_tensors.from_inputs(TWO, {"b": [2**64 - 1]}), {"b": ("uint64", [2**64 - 1])}),
        (json_tensors.from_inputs(TWO, {"a": [2**65, 0.5]}), {"a": ("float64", [2.0**65, 0.5])}),
        (json_tensors.from_inputs(TWO, {"b": [1e300]}), {"b": ("float64", [1e300])}),
        (json_tensors.from_inputs(TWO, {"b": []}), {"b": ("int64", [])}),
    ],
)
def test_nested_lists_become_tensors_of_their_kind(given: json_tensors.Arrays, expected: dict[str, Any]) -> None:
    assert shown(given) == expected


def test_null_is_a_missing_number() -> None:
    found = json_tensors.from_records(TABLE, [{"x": 1}, {"n": 2, "x": None}])
    assert math.isnan(found["x"][1])
    assert math.isnan(found["n"][0])  # which ``fit`` refuses


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: json_tensors.from_table(TABLE, ["x"], [[1], [1, 2]]),
            "row 1 is 2 cells; accepted is a list of 1 cells",
        ),
        (lambda: json_tensors.from_table(TABLE, ["x"], [3]), "row 0 is 3; accepted is a list"),
        (lambda: json_tensors.from_table(TABLE, ["x", "x"], [[1, 2]]), "name one twice"),
        (lambda: json_tensors.from_table(TABLE, None, [[1, 2]]), "have 2 cells; accepted are 4, for x, n, who, raw"),
        (lambda: json_tensors.from_table(TABLE, [], []), "there are no rows"),
        (lambda: json_tensors.from_records(TABLE, []), "there are no rows"),
        (lambda: json_tensors.from_instances(TABLE, [{"x": 1}, 2]), "row 1 is 2; accepted is an object"),
        (lambda: json_tensors.from_instances(TABLE, [1, 2]), "row 0 is 1; accepted is a list"),
        (lambda: json_tensors.from_instances(TWO, [[1, 2]]), "takes several tensors; accepted are objects with a, b"),
        (lambda: json_tensors.from_inputs(TENSOR, [[1], [1, 2]]), "different lengths or depths"),
        (lambda: json_tensors.from_inputs(TENSOR, [1, [1]]), "different lengths or depths"),
        (lambda: json_tensors.from_inputs(TENSOR, [["a", 1]]), "of the kinds int, str; accepted are"),
        (lambda: json_tensors.from_inputs(TENSOR, [[True, 1]]), "of the kinds bool, int; accepted are"),
        (lambda: json_tensors.from_inputs(ONE, [{"b64": "?"}]), "'\\?' is not base64"),
        (lambda: json_tensors.from_inputs(ONE, [{"b64": 1}]), "has the object {'b64': 1} for a value"),
        (lambda: json_tensors.from_inputs(TENSOR, [10**400]), "more than 64 bits"),
    ],
)
def test_values_that_do_not_fit_are_refused_with_a_sentence(call: Any, sentence: str) -> None:
    with pytest.raises(InvalidArgumentError, match=sentence):
        call()


def test_lists_that_are_too_deep_are_refused() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(InvalidArgumentError, match="lists 33 deep; accepted are up to 32"):
        json_tensors.from_inputs(TENSOR, deep)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["x", "a", "b64"]), inner, max_size=2)
    ),
    max_leaves=8,
)


@given(st.sampled_from([TABLE, TENSOR, TWO, ONE]), json_values)
def test_any_json_is_read_or_refused(model: ModelSpec, value: Any) -> None:
    with contextlib.suppress(InvalidArgumentError):
        json_tensors.from_inputs(model, value)
    if isinstance(value, list):
        with contextlib.suppress(InvalidArgumentError):
            json_tensors.from_records(model, value, base64_text=True)
        with contextlib.suppress(InvalidArgumentError):
            json_tensors.from_table(model, ["x", "a"], value)


def test_writes_null_for_what_json_cannot_write() -> None:
    array = np.array([[1.5, math.nan], [math.inf, 2.0]], np.float32)
    assert json_tensors.nested(array, bytes.hex) == [[1.5, None], [None, 2.0]]
    assert json_tensors.nested(np.array(["a", b"\xff"], object), bytes.hex) == ["a", "ff"]
