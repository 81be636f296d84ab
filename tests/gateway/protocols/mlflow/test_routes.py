"""MLflow's scoring protocol beside MLflow's own functions: the same request gives the model the same input, the same
result the same reply."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import mlflow.pyfunc.scoring_server as mlflows
import numpy as np
import pandas as pd
import pytest
from mlflow.models import Model, ModelSignature, infer_signature
from mlflow.models.utils import _enforce_schema
from mlflow.types import ColSpec, Schema, TensorSpec

from app import errors
from app.errors import InvalidArgumentError, TidegateError, UnsupportedMediaError
from app.gateway.inference.inputs import fit
from app.gateway.protocols.mlflow import routes as mlflow_scoring
from app.model_spec import ModelSpec
from app.registry import spec_of
from app.serving.model_tensors import from_model, to_model

COLUMNS = Schema([ColSpec("double", "x"), ColSpec("long", "n"), ColSpec("string", "who"), ColSpec("boolean", "b")])
WITH_BINARY = Schema([ColSpec("float", "x"), ColSpec("binary", "raw")])
ONE_COLUMN = Schema([ColSpec("double", "x")])
OPTIONAL = Schema([ColSpec("double", "x"), ColSpec("double", "y", required=False)])
TENSOR = Schema([TensorSpec(np.dtype("float32"), (-1, 2))])
DOUBLES = Schema([TensorSpec(np.dtype("float64"), (-1, 2))])
NAMED_TENSOR = Schema([TensorSpec(np.dtype("float64"), (-1, 2), "x")])
TENSORS = Schema([TensorSpec(np.dtype("float32"), (-1, 2), "a"), TensorSpec(np.dtype("int64"), (-1,), "b")])

ROW = {"x": 1.5, "n": 2, "who": "a", "b": True}
FRAME = pd.DataFrame([ROW, {"x": 2.0, "n": 3, "who": "é", "b": False}])


def spec(inputs: Schema, outputs: Schema | None = None) -> ModelSpec:
    return spec_of("m", "1", Model(signature=ModelSignature(inputs, outputs)))


@pytest.mark.parametrize(
    ("schema", "request_body"),
    [
        (COLUMNS, {"dataframe_split": FRAME.to_dict(orient="split")}),
        (COLUMNS, {"dataframe_split": {"columns": ["b", "who", "n", "x"], "data": [[True, "a", 1, 2]]}}),
        (COLUMNS, {"dataframe_records": FRAME.to_dict(orient="records")}),
        (COLUMNS, {"instances": FRAME.to_dict(orient="records")}),
        (COLUMNS, {"inputs": FRAME.to_dict(orient="list")}),
        (COLUMNS, {"inputs": FRAME.to_dict(orient="records")}),
        (COLUMNS, {"inputs": ROW}),
        (WITH_BINARY, {"dataframe_records": [{"x": 1, "raw": "aGk="}, {"x": 0.5, "raw": "/w=="}]}),
        (WITH_BINARY, {"dataframe_split": {"columns": ["x", "raw"], "data": [[1.0, "/w=="]]}}),
        (ONE_COLUMN, {"instances": [1.5, 2.5]}),
        (ONE_COLUMN, {"inputs": [1.5, 2.5]}),
        (ONE_COLUMN, {"dataframe_records": [{"x": 1}, {"x": None}]}),
        (OPTIONAL, {"dataframe_records": [{"x": 1}]}),
        (OPTIONAL, {"dataframe_records": [{"x": 1}, {"x": 2, "y": 3}]}),
        (TENSOR, {"inputs": [[1, 2], [3, 4]]}),
        (TENSOR, {"instances": [[1, 2], [3, 4]]}),
        (TENSOR, {"dataframe_split": {"columns": [0, 1], "data": [[1.0, 2.0]]}}),
        (TENSOR, {"dataframe_records": [{"p": 1.0, "q": 2.0}]}),
        (NAMED_TENSOR, {"inputs": {"x": [[1, 2]]}}),
        (NAMED_TENSOR, {"instances": [[1, 2]]}),
        (TENSORS, {"inputs": {"a": [[1, 2], [3, 4]], "b": [1, 2]}}),
        (TENSORS, {"instances": [{"a": [1, 2], "b": 1}, {"a": [3, 4], "b": 2}]}),
    ],
)
def test_the_model_gets_what_mlflow_would_give_it(schema: Schema, request_body: dict[str, Any]) -> None:
    theirs = _enforce_schema(mlflows.infer_and_parse_data(request_body, schema), schema)
    found = spec(schema)
    arrays, _ = mlflow_scoring.decode(found, json.dumps(request_body).encode())
    assert_same(to_model(found, fit(found, arrays, None, 10)), theirs)


def assert_same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, pd.DataFrame):
        theirs = theirs[[name for name in theirs if not theirs[name].isna().all()] if "y" in theirs else list(theirs)]
        ours = ours[list(theirs)]
        assert {name: array.to_numpy().dtype for name, array in ours.items()} == {
            name: array.to_numpy().dtype for name, array in theirs.items()
        }
        pd.testing.assert_frame_equal(ours.reset_index(drop=True), theirs.reset_index(drop=True), check_dtype=False)
    elif isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for name, array in theirs.items():
            assert_same(ours[name], array)
    else:
        ours = next(iter(ours.values())) if isinstance(ours, dict) else ours
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("schema", "frame"),
    [(COLUMNS, FRAME), (DOUBLES, pd.DataFrame([[1.5, 2.0], [3.0, 4.0]])), (ONE_COLUMN, FRAME[["x"]])],
)
def test_a_csv_table_is_read(schema: Schema, frame: pd.DataFrame) -> None:
    text = frame.to_csv(index=False)
    theirs = mlflows.parse_csv_input(StringIO(text), schema) if schema.has_input_names() else frame
    theirs = _enforce_schema(theirs, schema)
    found = spec(schema)
    assert_same(to_model(found, fit(found, mlflow_scoring.decode_csv(found, text.encode()), None, 10)), theirs)


def test_a_number_in_a_text_column_of_csv_stays_text() -> None:
    assert mlflow_scoring.decode_csv(spec(COLUMNS), b"x,n,who,b\n1,2,007,True\n")["who"].tolist() == ["007"]


TABLE_OUT = pd.DataFrame({"score": [0.5, 1.5], "label": ["a", "b"]})


@pytest.mark.parametrize(
    ("inputs", "result"),
    [
        (COLUMNS, TABLE_OUT),
        (COLUMNS, TABLE_OUT[["score"]]),
        (COLUMNS, pd.DataFrame({"raw": [b"\xff\0", b"x"]})),
        (COLUMNS, np.array([1, 2])),
        (COLUMNS, np.array(["a", "b"])),
        (COLUMNS, np.array([[0.1, 0.9], [0.3, 0.7]], np.float32)),
        (TENSOR, np.array([[0.1, 0.9]], np.float32)),
        (TENSORS, {"p": np.array([[0.5]]), "q": np.array([1, 2])}),
        (TENSORS, {"p": np.array([0.5, 1.5]), "q": np.array([1, 2])}),
    ],
)
def test_the_reply_has_the_form_that_mlflow_gives_it(inputs: Schema, result: Any) -> None:
    theirs = StringIO()
    mlflows.predictions_to_json(result, theirs)  # type: ignore[no-untyped-call]
    outputs = infer_signature(np.array([1.0]), result).outputs
    found = spec(inputs, outputs)
    assert json.loads(mlflow_scoring.encode(found, from_model(found, result))) == json.loads(theirs.getvalue())


def test_nan_is_read_and_null_is_written() -> None:
    found = spec(ONE_COLUMN)
    arrays, _ = mlflow_scoring.decode(found, b'{"inputs": {"x": [NaN, 1.0, Infinity]}}')
    assert np.isnan(arrays["x"][0])
    assert mlflow_scoring.encode(found, {"output": arrays["x"]}) == b'{"predictions":[null,1.0,null]}'


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "not a scoring request"),
        (b"[1]", "not a scoring request"),
        (b"{", "not a scoring request"),
        (b"\xff", "not a scoring request"),
        (
            b"{}",
            "the body has no data; accepted is exactly one of dataframe_split, dataframe_records, instances, inp",
        ),
        (b'{"inputs": [1], "instances": [1]}', "the body has instances and inputs; accepted is exactly one"),
        (b'{"instances": [1], "signature_name": "x"}', "unknown field `signature_name`"),
        (b'{"messages": [{"role": "user"}]}', "unknown field `messages`"),
        (b'{"dataframe_split": [[1]]}', "not a scoring request"),
        (b'{"dataframe_split": {"columns": ["x"]}}', "missing required field `data`"),
        (b'{"dataframe_records": {"x": 1}}', "not a scoring request"),
        (b'{"inputs": [1], "params": [1]}', "not a scoring request"),
        (b'{"inputs": [NaN], "dataframe_split": 1}', "not a scoring request"),
        (b'{"inputs":' + b"[" * 5000 + b"NaN" + b"]" * 5000 + b"}", "not a scoring request|lists 33 deep"),
    ],
)
def test_bodies_that_mlflow_refuses_are_refused(body: bytes, sentence: str) -> None:
    with pytest.raises(InvalidArgumentError, match=sentence):
        mlflow_scoring.decode(spec(ONE_COLUMN), body)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b'x\n"', b"x,x\n1,2\n1,2,3\n"])
def test_bytes_that_are_no_csv_table_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidArgumentError):
        mlflow_scoring.decode_csv(spec(ONE_COLUMN), body)


@pytest.mark.parametrize("given", ["application/json", "application/json; charset=utf-8", 'text/csv;charset="UTF-8"'])
def test_json_and_csv_in_utf_8_are_accepted(given: str) -> None:
    assert mlflow_scoring.media_type(given) == given.split(";")[0]


@pytest.mark.parametrize(
    "given", [None, "", "text/plain", "application/json; charset=latin-1", "text/csv; header=absent"]
)
def test_other_media_types_are_refused(given: str | None) -> None:
    with pytest.raises(UnsupportedMediaError, match="accepted are application/json and text/csv, in UTF-8"):
        mlflow_scoring.media_type(given)


def every(kind: type[TidegateError]) -> list[type[TidegateError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in every(child))]


@pytest.mark.parametrize("kind", sorted(set(every(errors.TidegateError)), key=str))
def test_every_error_has_a_code_that_mlflow_knows(kind: type[TidegateError]) -> None:
    from mlflow.exceptions import ERROR_CODE_TO_HTTP_STATUS

    error = kind.__new__(kind)
    answer = mlflow_scoring.failed(error)
    code = json.loads(answer.body)["error_code"]
    mlflows_status = ERROR_CODE_TO_HTTP_STATUS[code]
    assert answer.status == mlflows_status or (code, answer.status) in {
        ("BAD_REQUEST", 413),
        ("BAD_REQUEST", 415),
        ("BAD_REQUEST", 422),
    }
    assert (answer.status == error.status) == (not issubclass(kind, errors.ModelError))
