"""The binary tensor extension: what is read, what is refused, what is written."""

from __future__ import annotations

import contextlib
import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from app.errors import InvalidArgumentError, ModelError
from app.gateway.protocols.v2 import datatypes as v2_types
from app.gateway.protocols.v2 import request as v2_request
from app.gateway.protocols.v2 import response as v2_reply
from app.gateway.protocols.v2.binary import pack, split, unpack

TWO = struct.pack("<2d", 1.5, -2.0)


def request(raw: bytes, *tensors: dict[str, Any], **fields: Any) -> tuple[bytes, str]:
    """A body and its header's value; without tensors, one input ``a`` of two FP64 that takes all of ``raw``."""
    inputs = tensors or (binary(len(raw)),)
    text = json.dumps({"inputs": inputs, **fields}).encode()
    return text + raw, str(len(text))


def binary(size: Any, name: str = "a", **change: Any) -> dict[str, Any]:
    return {"name": name, "shape": [2], "datatype": "FP64", "parameters": {"binary_data_size": size}, **change}


def elements(*values: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


def text(*values: Any) -> NDArray[Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


@pytest.mark.parametrize(
    ("datatype", "raw", "expected"),
    [
        ("BOOL", b"\x01\x00", np.array([True, False])),
        ("UINT8", b"\x00\xff", np.array([0, 255], dtype=np.uint8)),
        ("UINT16", b"\x01\x00\x00\x01", np.array([1, 256], dtype=np.uint16)),
        ("UINT32", b"\x02\0\0\0" + b"\xff" * 4, np.array([2, 2**32 - 1], dtype=np.uint32)),
        ("UINT64", b"\x03" + b"\0" * 7 + b"\xff" * 8, np.array([3, 2**64 - 1], dtype=np.uint64)),
        ("INT8", b"\x01\xff", np.array([1, -1], dtype=np.int8)),
        ("INT16", b"\x01\x00\xfe\xff", np.array([1, -2], dtype=np.int16)),
        ("INT32", struct.pack("<2i", -(2**31), 7), np.array([-(2**31), 7], dtype=np.int32)),
        ("INT64", struct.pack("<2q", -(2**63), 7), np.array([-(2**63), 7], dtype=np.int64)),
        ("FP16", struct.pack("<2e", 0.5, float("nan")), np.array([0.5, np.nan], dtype=np.float16)),
        ("FP32", struct.pack("<2f", 0.5, float("inf")), np.array([0.5, np.inf], dtype=np.float32)),
        ("FP64", TWO, np.array([1.5, -2.0])),
        ("BYTES", elements(b"", "\0é".encode()), text("", "\0é")),
        ("BYTES", elements(b"plain", b"\xff\0"), text(b"plain", b"\xff\0")),
    ],
)
def test_reads_little_endian_values(datatype: str, raw: bytes, expected: NDArray[Any]) -> None:
    array = v2_request.decode(*request(raw, binary(len(raw), datatype=datatype))).inputs["a"]
    assert (array.dtype, array.tolist()) == (expected.dtype, pytest.approx(expected.tolist(), nan_ok=True))
    assert array.flags.writeable
    assert array.flags.aligned


def test_json_and_binary_inputs_in_one_request() -> None:
    raw = elements(b"x") + TWO
    found = v2_request.decode(
        *request(
            raw,
            binary(5, "label", shape=[1, 1], datatype="BYTES"),
            {"name": "plain", "shape": [2], "datatype": "INT32", "data": [3, 4]},
            binary(16, "matrix", shape=[2, 1]),
            binary(0, "nothing", shape=[0, 7]),
        )
    ).inputs
    assert {name: (array.shape, array.tolist()) for name, array in found.items()} == {
        "label": ((1, 1), [["x"]]),
        "plain": ((2,), [3, 4]),
        "matrix": ((2, 1), [[1.5], [-2.0]]),
        "nothing": ((0, 7), []),
    }


BODY, LENGTH = request(TWO)


@pytest.mark.parametrize(
    ("given_request", "sentence"),
    [
        ((BODY, "0"), f"Inference-Header-Content-Length is '0'.* from 1 to the body's {len(BODY)}"),
        ((BODY, "-1"), "Inference-Header-Content-Length is '-1'"),
        ((BODY, ""), "Inference-Header-Content-Length is ''"),
        ((BODY, "²"), "Inference-Header-Content-Length is '²'"),
        ((BODY, "1e3"), "Inference-Header-Content-Length is '1e3'"),
        ((BODY, "9" * 5000), "Inference-Header-Content-Length is '999"),
        ((BODY, str(len(BODY) + 1)), f"from 1 to the body's {len(BODY)}"),
        ((BODY, str(len(BODY))), "not a V2 inference request"),
        ((BODY, str(int(LENGTH) - 1)), "not a V2 inference request"),
        ((BODY[: int(LENGTH)], None), "'a': binary_data_size is 16, but the request has no header Inference-Header"),
        (request(TWO, binary(-16)), "'a': binary_data_size is -16; accepted is up to the 16 bytes left"),
        (request(TWO, binary(17)), "'a': binary_data_size is 17; accepted is up to the 16 bytes left"),
        (request(TWO, binary(10**4000)), "accepted is up to the 16 bytes left"),
        (request(TWO, binary("16")), "not a V2 inference request.*binary_data_size"),
        (request(TWO, binary(True)), "not a V2 inference request.*binary_data_size"),
        (request(TWO, binary(16.5)), "not a V2 inference request.*binary_data_size"),
        (request(TWO, binary(8)), "'a': 2 values of FP64 need 16 bytes; binary_data_size is 8"),
        (request(TWO, binary(8, shape=[1])), "binary part of the body has 16 bytes; .* add up to 8"),
        (
            request(TWO, binary(16), binary(16, "b")),
            "'b': binary_data_size is 16; accepted is up to the 0 bytes left",
        ),
        (
            request(TWO, binary(16, shape=[2**62])),
            "4611686018427387904 values of FP64 need more than 2\\*\\*63 bytes",
        ),
        (request(TWO, binary(16, shape=[10**4000] * 30)), "more than 2\\*\\*63 values of FP64"),
        (request(b"", binary(0, shape=[0, 2**62])), "cannot be had"),
        (request(TWO, binary(16, shape=[-2])), "negative dimension"),
        (request(TWO, binary(16, datatype="BF16")), "datatype 'BF16' is unknown; accepted are BOOL"),
        (request(TWO, binary(16, data=[1, 2])), "'a' has both data and binary_data_size"),
        (request(TWO, binary(None)), "'a' has no data; accepted are the field data or"),
        (request(b"\x01\x02", binary(2, datatype="BOOL")), "a byte of value 2 is not a value of datatype BOOL"),
        (request(elements(b"x"), binary(5, datatype="BYTES")), "2 values of BYTES need at least 8 bytes"),
        (request(elements(b"x" * 9), binary(13, datatype="BYTES")), "needs 2 values of BYTES; the binary data has 1"),
        (request(elements(b"", b"", b""), binary(12, datatype="BYTES")), "4 bytes are left over behind its 2 values"),
        (request(elements(b"abcd") + b"\x01", binary(9, datatype="BYTES")), "1 of BYTES has 1 bytes of its 4-byte"),
        (
            request(elements(b"") + b"\xff" * 4, binary(8, datatype="BYTES")),
            "value 1 of BYTES declares 4294967295 bytes; 0 are left",
        ),
        (
            request(TWO, {**binary(16), "parameters": {"shared_memory_region": "r"}}),
            "shared_memory_region 'r' is not offered here",
        ),
        (request(TWO, outputs=[{"name": "p", "parameters": {"classification": 3}}]), "'p': classification is not"),
        (request(TWO, outputs=[{"name": "p", "parameters": {"binary_data": "yes"}}]), "not a V2 .*binary_data"),
        (request(TWO, parameters={"binary_data_output": 1}), "parameter binary_data_output is"),
    ],
)
def test_binary_data_that_does_not_fit_is_refused_with_a_sentence(
    given_request: tuple[bytes, str | None], sentence: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=sentence) as caught:
        v2_request.decode(*given_request)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("fields", "binary_outputs"),
    [
        ({}, []),
        ({"parameters": {"binary_data_output": True}}, ["p", "q"]),
        ({"outputs": [{"name": "p"}, {"name": "q", "parameters": {"binary_data": True}}]}, ["q"]),
        ({"outputs": [{"name": "p"}], "parameters": {"binary_data_output": True}}, ["p"]),
        (
            {
                "outputs": [{"name": "p", "parameters": {"binary_data": False}}, {"name": "q"}],
                "parameters": {"binary_data_output": True},
            },
            ["q"],
        ),
    ],
)
def test_an_outputs_binary_data_overrides_the_requests_default(
    fields: dict[str, Any], binary_outputs: list[str]
) -> None:
    asked = v2_request.decode(*request(TWO, **fields))
    assert sorted(asked.binary_among(["p", "q"])) == binary_outputs


def test_writes_a_json_object_and_then_the_binary_outputs() -> None:
    outputs = {
        "p": np.array([[0.5], [2.0]], dtype=">f4"),
        "label": text("on time", b"late"),
        "q": np.array([True, False]),
        "none": np.empty((0, 3), dtype=np.int8),
    }
    body, length = v2_reply.encode_binary("flights", "3", "abc", outputs, {"p", "label", "none"})
    assert json.loads(body[:length]) == {
        "model_name": "flights",
        "model_version": "3",
        "id": "abc",
        "outputs": [
            {"name": "p", "shape": [2, 1], "datatype": "FP32", "parameters": {"binary_data_size": 8}},
            {"name": "label", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 19}},
            {"name": "q", "shape": [2], "datatype": "BOOL", "data": [True, False]},
            {"name": "none", "shape": [0, 3], "datatype": "INT8", "parameters": {"binary_data_size": 0}},
        ],
    }
    assert body[length:] == struct.pack("<2f", 0.5, 2.0) + elements(b"on time", b"late")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [(None, "output 'p' holds a NoneType; BYTES takes text and bytes"), ("\ud800", "text that UTF-8 cannot write")],
)
def test_an_output_that_bytes_cannot_write_is_a_model_error(value: Any, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        pack("p", text(value))


def test_bytes_that_are_no_text_go_as_binary_data_only() -> None:
    outputs = {"p": text(b"\xff")}
    with pytest.raises(
        InvalidArgumentError, match="output 'p' holds bytes that are not UTF-8; ask for it as binary data"
    ):
        v2_reply.encode("m", "1", "r", outputs)
    body, length = v2_reply.encode_binary("m", "1", "r", outputs, {"p"})
    assert body[length:] == elements(b"\xff")


shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
numbers = st.sampled_from([dtype for dtype in v2_types.NUMPY.values() if dtype.kind != "O"]).flatmap(
    lambda dtype: hnp.arrays(dtype, shapes)
)
texts = st.one_of(
    hnp.arrays(object, shapes, elements=st.text(st.characters(exclude_categories=["Cs"]), max_size=5)),
    hnp.arrays(object, shapes, elements=st.sampled_from(["", "\0", "\0a\0", "é"])),
    hnp.arrays(object, hnp.array_shapes(), elements=st.binary(max_size=5).map(lambda value: b"\xff" + value)),
)


@given(numbers | texts)
def test_an_array_comes_back_as_it_was(array: NDArray[Any]) -> None:
    datatype = v2_types.datatype_of(array.dtype.name)
    raw = pack("a", array)
    found = v2_request.decode(*request(raw, binary(len(raw), datatype=datatype, shape=array.shape))).inputs["a"]
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)
    body, length = v2_reply.encode_binary("m", "1", "r", {"a": found}, {"a"})
    assert body[length:] == raw  # NaN payloads and the sign of zero too


@given(st.sampled_from(sorted(v2_types.NUMPY)), st.integers(0, 6), st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(datatype: str, count: int, junk: bytes) -> None:
    with contextlib.suppress(InvalidArgumentError):
        assert unpack("input 'a'", datatype, count, memoryview(junk)).shape == (count,)


@given(st.binary(max_size=40), st.text(max_size=4))
def test_any_header_is_followed_or_refused(body: bytes, header_length: str) -> None:
    with contextlib.suppress(InvalidArgumentError):
        head, tail = split(body, header_length)
        assert bytes(head) + bytes(tail) == body
