"""Does a request fit a version?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.errors import InvalidArgumentError, TooLargeError
from app.gateway.inference.inputs import fit
from app.model_spec import FieldSpec, ModelSpec

COLUMNS = ModelSpec(
    model="flights",
    version="1",
    inputs=(
        FieldSpec("carrier", "str"),
        FieldSpec("distance", "float64"),
        FieldSpec("hour", "int32"),
        FieldSpec("delay", "float32", required=False),
    ),
    outputs=(),
    columns=True,
)
TENSOR = ModelSpec("net", "2", (FieldSpec("x", "float32", (-1, 3)),), (), columns=False)
ROW: dict[str, NDArray[Any]] = {
    "carrier": np.array(["UA", "AA"], dtype=object),
    "distance": np.array([100.0, 200.0]),
    "hour": np.array([7, 8]),
}
KNOWN = {"carrier", "distance", "hour", "delay", "rolling"}


def test_inputs_are_converted_to_the_versions_types() -> None:
    found = fit(COLUMNS, {**ROW, "distance": np.array([1, 2]), "delay": np.array([0.5, 1.5])}, KNOWN, 10)
    assert {name: array.dtype.name for name, array in found.items()} == {
        "carrier": "object",
        "distance": "float64",
        "hour": "int32",
        "delay": "float32",
    }


def test_an_input_of_another_version_is_left_out_and_an_optional_one_may_be_absent() -> None:
    assert set(fit(COLUMNS, {**ROW, "rolling": np.array([1.0, 2.0])}, KNOWN, 10)) == {"carrier", "distance", "hour"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"colour": np.array([1, 2])}, "model flights version 1 has no input 'colour'; it takes carrier, distance"),
        ({"distance": np.array(["x", "y"], dtype=object)}, r"input distance takes float64; got text \(BYTES\)"),
        ({"carrier": np.array([1, 2])}, r"input carrier takes text \(BYTES\); got int64"),
        ({"hour": np.array([1.5, 2.0])}, "input hour takes int32; got float64"),
        ({"hour": np.array([1, 2**40])}, "input hour takes int32; got int64"),
        ({"hour": np.array([True, False])}, "input hour takes int32; got bool"),
        ({"hour": np.array([1, 2, 3])}, "same number of rows; got carrier: 2, distance: 2, hour: 3"),
        ({"hour": np.array([[1, 2]])}, r"column hour takes the shape \[rows\] or \[rows, 1\]; got \[1, 2\]"),
    ],
)
def test_columns_that_do_not_fit_are_refused(change: dict[str, NDArray[Any]], sentence: str) -> None:
    with pytest.raises(InvalidArgumentError, match=sentence):
        fit(COLUMNS, {**ROW, **change}, KNOWN, 10)


def test_a_missing_input_is_named() -> None:
    with pytest.raises(InvalidArgumentError, match="needs the inputs distance, hour"):
        fit(COLUMNS, {"carrier": ROW["carrier"]}, KNOWN, 10)


def test_a_column_may_have_a_second_dimension_of_one() -> None:
    assert fit(COLUMNS, {**ROW, "hour": np.array([[1], [2]])}, KNOWN, 10)["hour"].shape == (2,)


def test_rows_are_limited() -> None:
    with pytest.raises(TooLargeError, match="may carry 1 rows; this one has 2"):
        fit(COLUMNS, ROW, KNOWN, 1)


@pytest.mark.parametrize("shape", [(3,), (2, 4), (2, 3, 1)])
def test_shapes_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidArgumentError, match=r"input x takes the shape \[-1, 3\]; got"):
        fit(TENSOR, {"x": np.zeros(shape)}, {"x"}, 10)


def test_a_tensor_of_a_free_dimension_is_accepted() -> None:
    assert fit(TENSOR, {"x": np.zeros((5, 3))}, {"x"}, 10)["x"].dtype == np.float32


@pytest.mark.parametrize(
    ("dtype", "sent", "expected"),
    [("bytes", "é", b"\xc3\xa9"), ("bytes", b"\xff", b"\xff"), ("str", "é", "é")],
)
def test_text_and_bytes_are_converted_to_the_fields_type(
    dtype: str, sent: str | bytes, expected: str | bytes
) -> None:
    spec = ModelSpec("net", "2", (FieldSpec("x", dtype, (-1, 1)),), (), columns=False)
    found = fit(spec, {"x": np.array([[sent], [sent]], dtype=object)}, {"x"}, 10)["x"]
    assert found.tolist() == [[expected], [expected]]


def test_bytes_that_are_no_text_are_refused_where_text_is_taken() -> None:
    with pytest.raises(InvalidArgumentError, match="input carrier takes text; the bytes that came are not UTF-8"):
        fit(COLUMNS, {**ROW, "carrier": np.array([b"\xff", b"a"], dtype=object)}, KNOWN, 10)
