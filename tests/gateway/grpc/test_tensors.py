"""Messages to arrays and back: as tritonclient writes and reads them, and what is refused."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from tritonclient.grpc import InferInput, InferRequestedOutput, InferResult, service_pb2

from app.errors import InvalidArgumentError, ModelError
from app.gateway.grpc.messages import CLASSES
from app.gateway.grpc.tensors import CONTENTS, decode, encode
from app.gateway.protocols.v2.datatypes import NUMPY, datatype_of
from app.gateway.protocols.v2.request import DecodedRequest

TWO = struct.pack("<2d", 1.5, -2.0)


def read(request: service_pb2.ModelInferRequest) -> DecodedRequest:
    """A client's message as we read it, over the wire."""
    return decode(CLASSES["ModelInferRequest"].FromString(request.SerializeToString()))


def typed(datatype: str, values: list[Any], shape: list[int] | None = None, **contents: Any) -> Any:
    """A request with one input ``a``, its values where their datatype has them."""
    tensor = service_pb2.ModelInferRequest.InferInputTensor(
        name="a",
        datatype=datatype,
        shape=[len(values)] if shape is None else shape,
        contents=service_pb2.InferTensorContents(**({CONTENTS[datatype]: values} if values else {}), **contents),
    )
    return service_pb2.ModelInferRequest(model_name="m", inputs=[tensor])


def raw(*entries: bytes, **change: Any) -> Any:
    """A request with one input ``a`` of two FP64."""
    tensor = {"name": "a", "datatype": "FP64", "shape": [2], **change}
    return service_pb2.ModelInferRequest(inputs=[tensor], raw_input_contents=entries)


def text(*values: Any) -> NDArray[Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def arrays_of(*datatypes: str) -> st.SearchStrategy[NDArray[Any]]:
    dtypes = st.sampled_from([NUMPY[datatype] for datatype in datatypes if datatype != "BYTES"])
    return dtypes.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0)))


arrays, with_field = arrays_of(*NUMPY), arrays_of(*CONTENTS)
texts = st.lists(st.text() | st.binary(), max_size=5).map(lambda values: text(*values))


def values_of(array: NDArray[Any]) -> list[Any]:
    """Flat, text as the bytes that travel."""
    return [value.encode() if isinstance(value, str) else value for value in array.reshape(-1).tolist()]


@given(st.dictionaries(st.text(min_size=1, max_size=3), arrays | texts, min_size=1, max_size=4))
def test_tritonclients_tensors_come_back_to_it(tensors: dict[str, NDArray[Any]]) -> None:
    request = service_pb2.ModelInferRequest()
    for name, array in tensors.items():
        tensor = InferInput(name, list(array.shape), datatype_of(array.dtype.name))
        tensor.set_data_from_numpy(array)
        request.inputs.append(tensor._get_tensor())
        request.raw_input_contents.append(tensor._get_content())
    asked = read(request)
    assert asked.binary is None
    reply = encode("m", "1", "i", asked.inputs, raw=True)
    result = InferResult(service_pb2.ModelInferResponse.FromString(reply.SerializeToString()))
    for name, array in tensors.items():
        got, back = asked.inputs[name], result.as_numpy(name)
        assert (got.dtype, got.shape, back.shape) == (array.dtype, array.shape, array.shape)
        assert repr(values_of(got)) == repr(values_of(back)) == repr(values_of(array))  # nan is nan


@given(st.dictionaries(st.text(min_size=1, max_size=3), with_field | texts, min_size=1, max_size=4))
def test_typed_tensors_come_back_typed(tensors: dict[str, NDArray[Any]]) -> None:
    request = service_pb2.ModelInferRequest()
    for name, array in tensors.items():
        datatype = datatype_of(array.dtype.name)
        tensor = request.inputs.add(name=name, datatype=datatype, shape=array.shape)
        getattr(tensor.contents, CONTENTS[datatype]).extend(values_of(array))
    asked = read(request)
    reply = encode("m", "1", "i", asked.inputs, raw=asked.binary is None)
    back = service_pb2.ModelInferResponse.FromString(reply.SerializeToString())
    assert not back.raw_output_contents
    for tensor, (name, array) in zip(back.outputs, tensors.items(), strict=True):
        got = asked.inputs[name]
        assert (got.dtype, got.shape) == (array.dtype, array.shape)
        assert (tensor.name, tensor.datatype, tuple(tensor.shape)) == (
            name,
            datatype_of(array.dtype.name),
            array.shape,
        )
        returned = list(getattr(tensor.contents, CONTENTS[tensor.datatype]))
        assert repr(returned) == repr(values_of(got)) == repr(values_of(array))


def test_bytes_are_text_where_all_of_them_are() -> None:
    for request in (
        typed("BYTES", ["é".encode(), b""]),
        raw(struct.pack("<I", 2) + "é".encode() + bytes(4), datatype="BYTES"),
    ):
        assert read(request).inputs["a"].tolist() == ["é", ""]
    assert read(typed("BYTES", [b"\xff", b"a"])).inputs["a"].tolist() == [b"\xff", b"a"]


def test_outputs_parameters_and_ids() -> None:
    request = typed("FP64", [1.5])
    request.id = "7"
    for name, field, value in (
        ("flag", "bool_param", False),
        ("count", "int64_param", -1),
        ("big", "uint64_param", 2**63),
        ("text", "string_param", "x"),
        ("share", "double_param", 0.5),
        ("binary_data_output", "bool_param", False),
    ):
        setattr(request.parameters[name], field, value)
    request.outputs.append(InferRequestedOutput("b")._get_tensor())
    asked = read(request)
    assert (asked.id, asked.outputs, asked.binary) == ("7", ("b",), frozenset())
    assert asked.parameters == {"flag": False, "count": -1, "big": 2**63, "text": "x", "share": 0.5}
    assert read(raw(TWO)).id is None


def test_a_tensors_own_parameters_do_not_move_its_data() -> None:
    request = raw(TWO)
    request.inputs[0].parameters["binary_data_size"].int64_param = 3
    assert read(request).inputs["a"].tolist() == [1.5, -2.0]


def shared(request: Any) -> Any:
    request.inputs[0].parameters["shared_memory_region"].string_param = "r"
    return request


def asking(name: str, **parameter: Any) -> Any:
    request = raw(TWO)
    output = request.outputs.add(name="b")
    output.parameters[name].CopyFrom(service_pb2.InferParameter(**parameter))
    return request


def with_parameter_without_value() -> Any:
    request = raw(TWO)
    request.parameters["scale"].CopyFrom(service_pb2.InferParameter())
    return request


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (service_pb2.ModelInferRequest(), "needs at least one tensor in 'inputs'"),
        (raw(TWO, TWO), "raw_input_contents has 2 entries for 1 inputs; accepted is one an input"),
        (raw(TWO[:15]), "input 'a': 2 values of FP64 need 16 bytes"),
        (raw(TWO, datatype="BF16"), "input 'a': datatype 'BF16' is unknown; accepted are BOOL"),
        (raw(TWO, shape=[-2]), "input 'a': shape [-2] has a negative dimension"),
        (raw(b"\x02\x00", datatype="BOOL"), "input 'a': a byte of value 2 is not a value of datatype BOOL"),
        (raw(TWO, contents={"fp64_contents": [1]}), "has both raw_input_contents and fp64_contents"),
        (shared(raw(TWO)), "input 'a': shared_memory_region 'r' is not offered here"),
        (asking("shared_memory_region", string_param="r"), "output 'b': shared_memory_region 'r' is not offered"),
        (asking("classification", int64_param=3), "output 'b': classification 3 is not offered here"),
        (with_parameter_without_value(), "parameter 'scale' has no value"),
        (typed("FP64", [1.0], [2]), "input 'a': shape [2] needs 2 values; fp64_contents has 1"),
        (typed("FP64", [], [2], fp32_contents=[1, 2]), "FP64 goes in fp64_contents; its contents have fp32_contents"),
        (typed("FP64", [1.0], fp32_contents=[1]), "FP64 goes in fp64_contents; its contents have fp32_contents"),
        (raw(datatype="FP16"), "input 'a': FP16 has no typed contents; send raw_input_contents"),
        (typed("INT8", [128]), "input 'a': a value is out of the range of datatype INT8"),
        (typed("UINT16", [2**16]), "input 'a': a value is out of the range of datatype UINT16"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_with_a_sentence(request_: Any, sentence: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        read(request_)
    assert sentence in str(refused.value)


def test_an_input_given_twice_is_refused() -> None:
    request = raw(TWO, TWO)
    request.inputs.append(request.inputs[0])
    with pytest.raises(InvalidArgumentError, match="input 'a' is given twice"):
        read(request)


def test_a_reply_with_a_half_float_is_raw() -> None:
    reply = encode("m", "1", "i", {"a": np.array([0.5], np.float16), "b": np.array([1], np.int64)}, raw=False)
    assert [bytes(entry) for entry in reply.raw_output_contents] == [struct.pack("<e", 0.5), struct.pack("<q", 1)]


@pytest.mark.parametrize("as_raw", [True, False])
def test_an_output_of_bytes_that_are_no_text_is_sent(as_raw: bool) -> None:
    with pytest.raises(ModelError, match="output 'a' holds a float"):
        encode("m", "1", "i", {"a": text(1.5)}, raw=as_raw)
