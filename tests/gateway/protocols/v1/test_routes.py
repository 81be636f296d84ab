"""KServe's V1 protocol: bodies."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from app.errors import InvalidArgumentError
from app.gateway.protocols.v1 import routes as v1
from app.model_spec import FieldSpec, ModelSpec

SPEC = ModelSpec("m", "1", (FieldSpec("x", "float64"), FieldSpec("raw", "bytes")), (), columns=True)


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [[1.5, {"b64": "/w=="}], [2, {"b64": ""}]]},
        {"instances": [{"x": 1.5, "raw": {"b64": "/w=="}}, {"x": 2, "raw": {"b64": ""}}]},
        {"inputs": {"x": [1.5, 2], "raw": [{"b64": "/w=="}, {"b64": ""}]}},
    ],
)
def test_reads_rows_and_columns(body: dict[str, Any]) -> None:
    arrays, parameters = v1.decode(SPEC, json.dumps({**body, "parameters": {"p": 1}}).encode())
    assert {name: array.tolist() for name, array in arrays.items()} == {"x": [1.5, 2.0], "raw": [b"\xff", b""]}
    assert parameters == {"p": 1}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "not a V1 inference request"),
        (b"{", "not a V1 inference request"),
        (b"{}", "the body has no data; accepted is one of instances and inputs"),
        (b'{"instances": [[1, "a"]], "inputs": []}', "the body has instances and inputs"),
        (b'{"instances": {"x": 1}}', "not a V1 inference request"),
        (b'{"instances": [1], "signature_name": "s"}', "unknown field `signature_name`"),
        (b'{"instances": []}', "there are no rows"),
        (b'{"instances":' + b"[" * 5000 + b"]" * 5000 + b"}", "not a V1 inference request"),
    ],
)
def test_bodies_that_are_no_v1_request_are_refused_with_a_sentence(body: bytes, sentence: str) -> None:
    with pytest.raises(InvalidArgumentError, match=sentence):
        v1.decode(SPEC, body)


@pytest.mark.parametrize(
    ("outputs", "predictions"),
    [
        ({"score": np.array([1, 2])}, [1, 2]),
        ({"p": np.array([[0.5, np.nan]])}, [[0.5, None]]),
        ({"a": np.array([1, 2]), "b": np.array([[3, 4], [5, 6]])}, [{"a": 1, "b": [3, 4]}, {"a": 2, "b": [5, 6]}]),
        ({"raw": np.array([b"\xff"], object)}, [{"b64": "/w=="}]),
    ],
)
def test_writes_one_prediction_per_row(outputs: dict[str, Any], predictions: list[Any]) -> None:
    assert json.loads(v1.encode(outputs)) == {"predictions": predictions}


@pytest.mark.parametrize("outputs", [{"a": np.array(1)}, {"a": np.array([1]), "b": np.array([1, 2])}])
def test_outputs_that_are_no_rows_are_refused(outputs: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="V1 has one prediction per row; the outputs have the shapes a: "):
        v1.encode(outputs)
