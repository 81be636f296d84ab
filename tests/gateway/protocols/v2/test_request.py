"""Requests in the JSON form of the Open Inference Protocol: what is read, what is refused."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.errors import InvalidArgumentError
from app.gateway.protocols.v2 import request as v2_request


def body(**tensor: Any) -> bytes:
    return json.dumps(
        {"inputs": [{"name": "a", "shape": [2], "datatype": "FP64", "data": [1, 2], **tensor}]}
    ).encode()


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        ({}, np.array([1.0, 2.0])),
        ({"datatype": "INT8"}, np.array([1, 2], dtype=np.int8)),
        ({"datatype": "UINT64", "data": [0, 2**64 - 1]}, np.array([0, 2**64 - 1], dtype=np.uint64)),
        ({"datatype": "BOOL", "data": [True, False]}, np.array([True, False])),
        ({"datatype": "BYTES", "data": ["x", "é"]}, np.array(["x", "é"], dtype=object)),
        ({"datatype": "FP32", "data": [None, 2.5]}, np.array([math.nan, 2.5], dtype=np.float32)),
        ({"shape": [2, 1], "data": [[1], [2]]}, np.array([[1.0], [2.0]])),
        ({"shape": [1, 2]}, np.array([[1.0, 2.0]])),
        ({"shape": [0], "data": []}, np.array([], dtype=np.float64)),
    ],
)
def test_tensors_are_read_in_nested_and_flat_form(tensor: dict[str, Any], expected: NDArray[Any]) -> None:
    array = v2_request.decode(body(**tensor)).inputs["a"]
    assert array.dtype == expected.dtype
    np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize(
    ("request_body", "sentence"),
    [
        (b"", "not a V2 inference request"),
        (b"{", "not a V2 inference request"),
        (b"[]", "not a V2 inference request"),
        (b'{"inputs": []}', "at least one tensor"),
        (b'{"instances": [1]}', "inputs"),
        (body(datatype="FP128"), "datatype 'FP128' is unknown; accepted are BOOL"),
        (body(shape=[3]), r"shape \[3\] needs 3 values; data has 2"),
        (body(shape=[-1]), "negative dimension"),
        (body(data=["x", 1]), "'x' is not a value of datatype FP64"),
        (body(datatype="INT64", data=[1.5, 2]), "1.5 is not a value of datatype INT64"),
        (body(datatype="INT64", data=[None, 2]), "None is not a value"),
        (body(datatype="INT64", data=[True, 2]), "True is not a value"),
        (body(datatype="INT8", data=[1, 300]), "out of the range of datatype INT8"),
        (body(datatype="UINT8", data=[-1, 3]), "out of the range of datatype UINT8"),
        (body(shape=[2**32, 2**32], data=[]), "data has 0"),
        (body(shape=[0, 2**62], data=[]), "cannot be had"),
        (body(shape=[2**70]), "data has 2"),
        (body(shape=[1] * 100), "100 dimensions; accepted are up to 32"),
        (
            b'{"inputs": [{"name":"a","shape":[1],"datatype":"FP64","data":' + b"[" * 5000 + b"]" * 5000 + b"}]}",
            "not a V2",
        ),
        (body(datatype="FP32", data=[1e300, 1]), "out of the range of datatype FP32"),
        (body(datatype="BYTES", data=[1, 2]), "1 is not a value of datatype BYTES"),
        (body(shape=["2"]), "not a V2 inference request"),
        (
            (
                b'{"inputs": [{"name": "a", "shape": [1], "datatype": "FP64", "data": [1]},'
                b'{"name": "a", "shape": [1], "datatype": "FP64", "data": [1]}]}'
            ),
            "given twice",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_refused_with_a_sentence(request_body: bytes, sentence: str) -> None:
    with pytest.raises(InvalidArgumentError, match=sentence):
        v2_request.decode(request_body)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(junk: bytes) -> None:
    with contextlib.suppress(InvalidArgumentError):
        v2_request.decode(junk)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


@given(st.sampled_from(["FP64", "FP16", "INT64", "UINT8", "BOOL", "BYTES"]), st.lists(json_values, max_size=4))
def test_any_data_is_read_or_refused(datatype: str, data: list[Any]) -> None:
    try:
        array = v2_request.decode(body(datatype=datatype, shape=[len(data)], data=data)).inputs["a"]
    except InvalidArgumentError:
        return
    assert array.shape == (len(data),)


def test_outputs_and_id_are_read() -> None:
    asked = v2_request.decode(
        b'{"id": "42", "outputs": [{"name": "p"}], "inputs": [{"name":"a","shape":[1],"datatype":"FP64","data":[1]}]}'
    )
    assert (asked.id, asked.outputs) == ("42", ("p",))
